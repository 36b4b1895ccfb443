"""`wcx projector`: the read model in PostgreSQL."""

import asyncio
import os
import sys
from typing import NoReturn

import typer

from config.settings import Settings
from fix_gateway.store_url import NoDatabaseError, find_store_url
from store.postgres import StoreError

app = typer.Typer(help="The read model in PostgreSQL.", no_args_is_help=True)


@app.callback()
def about() -> None:
    """Keep `rebuild` a word of its own, though it is the only one."""


@app.command()
def rebuild() -> None:
    """Build the read model anew from the journal's first record, beside the one in use.

    When it knows as much they change places. The venue trades on, searches go on, and what breaks
    it off half-way leaves the old one in use.
    """
    try:
        url = asyncio.run(find_store_url(Settings()))
    except NoDatabaseError as error:
        _end(str(error))
    except StoreError as error:
        _end(f"the database does not answer: {' '.join(str(error).split())}")
    sys.stdout.flush()
    environment = {**os.environ, "WCX_DATABASE_URL": url}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "store", "rebuild"], environment)


def _end(text: str) -> NoReturn:
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)
