"""`wcx health` and `wcx database`: for containers, where every part runs by itself."""

import sys
import urllib.error
import urllib.request
from enum import StrEnum
from typing import Annotated, Final

import typer

from config.settings import Settings
from store.postgres import StoreError

ANSWER_WAIT_S: Final = 5.0

database = typer.Typer(help="The database's schema.", no_args_is_help=True)
"""What `wcx database` offers."""


class Part(StrEnum):
    """A process that can be asked."""

    ENGINE = "engine"
    GATEWAY = "gateway"
    GATEWAY_MARKET_DATA = "gateway-market-data"
    ADMIN_API = "admin_api"
    PROJECTOR = "projector"
    PUBLISHER = "publisher"


def add_to(app: typer.Typer) -> None:
    """Add the commands to `wcx`."""
    app.command()(health)
    app.add_typer(database, name="database")


def health(
    part: Annotated[Part, typer.Argument(help="Which process of this machine.")],
    worker: Annotated[int, typer.Option(help="Which of [fix] workers, from 0.")] = 0,
) -> None:
    """Ask a part whether it is well; the exit code is 0 when it answers, else 1."""
    url = health_url(Settings(), part, worker)
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WAIT_S) as answer:  # noqa: S310
            answer.read()
    except (urllib.error.URLError, OSError) as error:
        print(f"{part.value}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{part.value}: ok")


def health_url(settings: Settings, part: Part, worker: int) -> str:
    """Return what a part answers on when its event loop turns."""
    if part is Part.ADMIN_API:
        return f"http://127.0.0.1:{settings.rest.port}/healthz"
    port = {
        Part.ENGINE: settings.engine.metrics_port,
        Part.GATEWAY: settings.fix.metrics_port_of(worker),
        Part.GATEWAY_MARKET_DATA: settings.market_data.fix_metrics_port,
        Part.PROJECTOR: settings.projector.metrics_port,
        Part.PUBLISHER: settings.market_data.metrics_port,
    }[part]
    return f"http://127.0.0.1:{port}/metrics"


@database.callback()
def main() -> None:
    """Keep `migrate` a command of its own, also while it is the only one."""


@database.command()
def migrate() -> None:
    """Bring the database that WCX_DATABASE_URL names to the newest schema. `wcx up` does so itself.

    Harmless when it is there already, and when several do it at once.
    """
    from store.migrate import migrate as bring_up  # noqa: PLC0415 - Alembic.

    url = Settings().database_url
    if url is None:
        print("wcx: WCX_DATABASE_URL is not set", file=sys.stderr)
        raise typer.Exit(1)
    try:
        bring_up(url.get_secret_value())
    except StoreError as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print("the schema is the newest")
