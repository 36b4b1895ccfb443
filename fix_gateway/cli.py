"""`wcx`: the command for people."""

import asyncio
import json
import os
import signal
import sys
from typing import Annotated

import typer

from config.lifecycle import stop_on_signals
from config.settings import Settings
from fix_gateway.supervisor.child import LINE_BYTES_MAX
from fix_gateway.supervisor.demo import PASSWORD, DemoConflictError
from fix_gateway.supervisor.postgres import NoPostgresError
from fix_gateway.supervisor.service import StartError
from fix_gateway.supervisor.venue import Venue, VenueConfig, VenueInUseError
from fix_gateway.tools.demo_client import run_demo
from fix_gateway.tools.initiator import Counterparty

START_ERRORS = (
    StartError, VenueInUseError, NoPostgresError, DemoConflictError, PermissionError, TimeoutError,
)  # fmt: skip

app = typer.Typer(
    name="wcx",
    help="WorldClass FIX Gateway.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
journal = typer.Typer(help="Look at the engine's journal.", no_args_is_help=True)
app.add_typer(journal, name="journal")


def main() -> None:
    """Run the command line. The entry point of `wcx`."""
    app()


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Make demo firms, accounts, instruments and sessions.")
    ] = False,
) -> None:
    """Start the whole venue, and keep it running until Ctrl-C.

    Prints `ready` when everything accepts work. Logs of all parts go to standard error.
    """
    settings = Settings()
    try:
        asyncio.run(_run_venue(settings, is_demo=demo))
    except START_ERRORS as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def status() -> None:
    """Say which parts of the venue run."""
    settings = Settings()
    try:
        found = json.loads(settings.status_file.read_text())
        os.kill(found["pid"], 0)
    except (OSError, ValueError):
        print(f"no venue runs in {settings.data_dir.resolve()}")
        raise typer.Exit(1) from None
    print(f"venue      pid {found['pid']}, data in {settings.data_dir.resolve()}")
    if found["postgres_data_dir"] is not None:
        print(f"database   embedded PostgreSQL, data in {found['postgres_data_dir']}")
    for service in found["services"]:
        state = f"pid {service['pid']}" if service["pid"] else "starting"
        print(f"{service['name']:<10} {state}, started again {service['restart_count']} times")


@app.command()
def demo(
    *,
    loop: Annotated[bool, typer.Option("--loop", help="Trade on and on, until Ctrl-C.")] = False,
) -> None:
    """Trade DEMO1 against DEMO2 over FIX and print every message, decoded."""
    fix = Settings().fix
    # QuickFIX, when it is imported, lets Ctrl-C end the process without a word.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    counterparty = Counterparty("127.0.0.1", fix.port, fix.comp_id, PASSWORD)
    raise typer.Exit(run_demo(counterparty, print, is_endless=loop))


@journal.command()
def verify(
    until: Annotated[int | None, typer.Option(help="Stop after this record.")] = None,
) -> None:
    """Replay the whole journal, compare every event and print the hash of the state."""
    _run_engine("verify", "--until", until)


@journal.command()
def show(
    after: Annotated[int, typer.Option(help="Begin behind this record.")] = 0,
    until: Annotated[int | None, typer.Option(help="Stop after this record.")] = None,
) -> None:
    """Print the journal: every command and the events that followed from it."""
    _run_engine("show", "--after", after, "--until", until)


def _run_engine(verb: str, *options: str | int | None) -> None:
    """Become `python -m engine VERB`: only the engine may apply commands."""
    arguments = [sys.executable, "-P", "-m", "engine", verb]
    for name, value in zip(options[::2], options[1::2], strict=True):
        if value is not None:
            arguments += [str(name), str(value)]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)


async def _run_venue(settings: Settings, *, is_demo: bool) -> None:
    url = settings.database_url
    config = VenueConfig(
        data_dir=settings.data_dir.resolve(),
        sockets_dir=settings.sockets_dir,
        engine_socket=settings.engine_socket,
        status_file=settings.status_file.resolve(),
        operator_token_file=settings.operator_token_file.resolve(),
        database_url=None if url is None else url.get_secret_value(),
        other_user=settings.embedded.postgres_user,
        is_demo=is_demo,
    )

    def on_ready() -> None:
        print(_how_to_connect(settings, is_demo=is_demo))
        print("ready", flush=True)

    await Venue(config, _forward).run(stop_on_signals(), on_ready)


def _forward(name: str, line: str) -> None:
    """Print a line of one of the venue's processes."""
    assert len(line) <= LINE_BYTES_MAX
    print(f"{name:<9} | {line}", file=sys.stderr, flush=True)


def _how_to_connect(settings: Settings, *, is_demo: bool) -> str:
    fix, rest = settings.fix, settings.rest
    lines = [
        "",
        f"FIX      {fix.host}:{fix.port}  FIX.4.4, TargetCompID {fix.comp_id}",
        f"REST     http://{rest.host}:{rest.port}/docs  operator token in "
        f"{settings.operator_token_file}",
        f"metrics  http://127.0.0.1:{fix.metrics_port}/metrics (gateway), "
        f"http://127.0.0.1:{settings.engine.metrics_port}/metrics (engine)",
        f"journal  every batch {'flushed' if settings.journal.durability == 'fsync' else 'left'} "
        "to the disk before it is answered",
    ]
    if is_demo:
        lines.append(
            "demo     SenderCompID and Username DEMO1, DEMO2 or T01 to T20, "
            f"Password {PASSWORD}; symbols BTC-USD, ETH-USD, SOL-USD"
        )
    return "\n".join(lines)
