"""`wcx audit`: whether the audit log is whole."""

import asyncio
import re
import sys
from typing import Annotated, Final, NoReturn

import typer

from config.settings import Settings
from fix_gateway.store_url import NoDatabaseError, find_store_url
from store.audit_chain import ChainHead, ChainReport, verify_audit_chain
from store.postgres import Database, StoreError

HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def about() -> None:
    """Keep `verify` a word of its own, though it is the only one."""


@app.command()
def verify(
    expect: Annotated[
        str | None,
        typer.Option(metavar="ID:HASH", help="What an earlier run has printed as the head."),
    ] = None,
) -> None:
    """Follow the chain of hashes from the first row to the last; name the first broken row.

    Prints the head: noted outside of the venue and given to a later run, it proves that no row up
    to it was changed or taken away, also by someone who could compute all hashes anew.
    """
    expected = None if expect is None else _parse_head(expect)
    try:
        report = asyncio.run(_verify(Settings(), expected))
    except NoDatabaseError as error:
        _end(str(error))
    except StoreError as error:
        _end(f"the database does not answer: {' '.join(str(error).split())}")
    print(f"rows    {report.row_count}")
    print(f"head    {report.head or 'none'}")
    if report.broken_id is not None:
        _end(f"row {report.broken_id} does not follow from the rows before it")
    if not report.is_expected_there:
        _end(f"the chain does not contain {expect}")
    print("chain   whole")


async def _verify(settings: Settings, expected: ChainHead | None) -> ChainReport:
    database = Database(await find_store_url(settings))
    try:
        await database.open()
        return await verify_audit_chain(database, expected=expected)
    finally:
        await database.close()


def _parse_head(text: str) -> ChainHead:
    matched = HEAD.fullmatch(text)
    if matched is None:
        raise typer.BadParameter("not of the form ID:HASH")
    return ChainHead(int(matched[1]), bytes.fromhex(matched[2]))


def _end(text: str) -> NoReturn:
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)
