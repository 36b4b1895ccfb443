"""`wcx`: the command for people."""

import asyncio
import functools
import json
import os
import secrets
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from config.lifecycle import stop_on_signals
from config.settings import Settings
from engine.runtime.client import ask_status
from engine.runtime.feed import find_first_unread
from engine.runtime.journal import JournalDamagedError
from fix_gateway import (
    audit_cli,
    backup_cli,
    break_glass,
    config_cli,
    desk_cli,
    fix_cli,
    health_cli,
    market_data_cli,
    orders_cli,
    projector_cli,
    risk_cli,
    session_cli,
    user_cli,
)
from fix_gateway.control_requests import PlanMaintenance, ask_every_process
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.position import read_proven
from fix_gateway.fix.session_files import read_heard
from fix_gateway.supervisor.child import LINE_BYTES_MAX
from fix_gateway.supervisor.demo import PASSWORD, DemoConflictError
from fix_gateway.supervisor.mqtt import NoBrokerError
from fix_gateway.supervisor.postgres import NoPostgresError
from fix_gateway.supervisor.service import StartError
from fix_gateway.supervisor.valkey import NoValkeyError
from fix_gateway.supervisor.venue import Venue, VenueConfig, VenueInUseError
from store.postgres import StoreError
from store.projector.position_file import read_position_file

START_ERRORS = (
    StartError, VenueInUseError, NoPostgresError, NoValkeyError, NoBrokerError, DemoConflictError,
    StoreError, PermissionError, TimeoutError,
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
app.add_typer(session_cli.app, name="session")
app.add_typer(user_cli.app, name="user")
app.add_typer(audit_cli.app, name="audit")
app.add_typer(fix_cli.app, name="fix")
app.add_typer(projector_cli.app, name="projector")
app.add_typer(config_cli.app, name="config")
app.add_typer(market_data_cli.app, name="market-data")
break_glass.add_to(app)
backup_cli.add_to(app)
health_cli.add_to(app)
desk_cli.add_to(app)
app.add_typer(orders_cli.orders, name="orders")
app.add_typer(orders_cli.trades, name="trades")
app.add_typer(risk_cli.app, name="risk")


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
        print(f"wcx: {error}".rstrip(), file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def status() -> None:
    """Say which parts of the venue run, and whether it takes new orders."""
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
    if found["valkey_data_dir"] is not None:
        print(f"redis      embedded Valkey, data in {found['valkey_data_dir']}")
    if found["mqtt_port"] is not None:
        print(
            f"mqtt       embedded broker on 127.0.0.1:{found['mqtt_port']}, "
            f"data in {found['mqtt_data_dir']}"
        )
    for service in found["services"]:
        state = f"pid {service['pid']}" if service["pid"] else "starting"
        line = f"{service['name']:<10} {state}, started again {service['restart_count']} times"
        if service["last_exit"] is not None:
            line += f", last ended with {service['last_exit']}"
        print(line)
    engine = asyncio.run(ask_status(settings.engine_socket, "status"))
    if engine is None:
        print("orders     not taken: the engine does not answer")
    elif engine.is_storage_low:
        print("orders     not taken: the journal's disk is nearly full; cancels are")
    else:
        print("orders     taken")


@app.command()
def maintenance(
    at: Annotated[
        datetime | None,
        typer.Argument(help="When, in UTC.", formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    text: Annotated[str, typer.Option(help="What clients are told.")] = "",
    *,
    off: Annotated[bool, typer.Option("--off", help="Call it off, or end it.")] = False,
) -> None:
    """Log all FIX clients out at a time, with a word before, and let nobody in from then on."""
    if off == (at is not None):
        raise typer.BadParameter("name a time, or say --off")
    request = PlanMaintenance(None if at is None else at.replace(tzinfo=UTC), text)
    answers = ask_every_process(Settings().sockets_dir, request)
    for name, error in answers.items():
        print(f"{name}: {error or 'ok'}")
    if not answers or any(answers.values()):
        print("wcx: no gateway runs" if not answers else "wcx: not all did it", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def demo(
    *,
    loop: Annotated[bool, typer.Option("--loop", help="Trade on and on, until Ctrl-C.")] = False,
) -> None:
    """Trade DEMO1 against DEMO2 over FIX and print every message, decoded."""
    # QuickFIX takes a quarter of a second to load, for which no other command should wait.
    from fix_gateway.tools.demo_client import Curtain, run_demo  # noqa: PLC0415
    from fix_gateway.tools.initiator import Counterparty  # noqa: PLC0415

    fix = Settings().fix
    curtain = Curtain()
    signal.signal(signal.SIGINT, lambda _number, _frame: curtain.fall())
    counterparty = Counterparty("127.0.0.1", fix.port, fix.comp_id, PASSWORD)
    say = functools.partial(print, flush=True)  # Whoever reads a pipe sees each line at once.
    raise typer.Exit(run_demo(counterparty, say, curtain, is_endless=loop))


@app.command()
def client(
    *,
    session: Annotated[str, typer.Option(help="SenderCompID(49), and Username(553).")],
    password: Annotated[
        str, typer.Option(envvar="WCX_CLIENT_PASSWORD", help="Of the session.", show_envvar=True)
    ] = PASSWORD,
    host: Annotated[str, typer.Option(help="Where the gateway is.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Its port; without, the one of this installation.")
    ] = None,
    version: Annotated[
        str, typer.Option(help="Of FIX, as the session speaks it: 4.2, 4.4 or 5.0sp2.")
    ] = "4.4",
    trusted: Annotated[
        Path | None, typer.Option(help="Connect over TLS and trust the certificates of this file.")
    ] = None,
) -> None:
    """Trade by hand over FIX: type help. Every message is shown, decoded.

    Lines may come from a pipe, too: each is carried out when the one before it has been answered,
    and the exit code is 0 when all were.
    """
    from fix_gateway.tools.client.console import run_client  # noqa: PLC0415 - QuickFIX.
    from fix_gateway.tools.initiator import Counterparty  # noqa: PLC0415 - QuickFIX.

    begin_strings = {key: begin_string for begin_string, key in BEGIN_STRINGS.items()}
    if version not in begin_strings:
        raise typer.BadParameter(f"--version is one of {', '.join(begin_strings)}")
    # QuickFIX has made Ctrl-C deadly; it is to log out first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    fix = Settings().fix
    own_port = fix.port if trusted is None else fix.tls_port
    counterparty = Counterparty(
        host, port or own_port, fix.comp_id, password, trusted, begin_strings[version]
    )
    raise typer.Exit(run_client(session, counterparty))


@app.command()
def chaos(
    *,
    faults: Annotated[int, typer.Option(min=1, help="How many faults to inject.")] = 200,
    seed: Annotated[int | None, typer.Option(help="Choose the faults of an earlier run.")] = None,
    clients: Annotated[int, typer.Option(min=2, max=22, help="How many FIX clients trade.")] = 6,
    rate: Annotated[float, typer.Option(help="Messages per second of each client.")] = 15.0,
    gateways: Annotated[int, typer.Option(min=1, max=8, help="How many gateway processes.")] = 1,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Keep the data also when nothing is wrong.")
    ] = False,
) -> None:
    """Break a venue of its own in every way, and prove that nothing was lost or doubled.

    Starts a whole venue in a temporary directory and FIX clients that trade on it; kills, stops and
    starves its processes, fails its writes and cuts its connections; then compares what every
    client was told, and what the database says, with the journal. The exit code is 0 only when they
    agree in everything.
    """
    from fix_gateway.tools.chaos.run import ChaosConfig, run_chaos  # noqa: PLC0415 - QuickFIX.

    config = ChaosConfig(
        fault_count=faults,
        seed=secrets.randbelow(1 << 32) if seed is None else seed,
        client_count=clients,
        rate=rate,
        gateway_count=gateways,
        keeps_data=keep_data,
    )
    # However it is broken off, its venue ends with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    result = run_chaos(config, functools.partial(print, flush=True))
    print("\n".join(result.table()))
    raise typer.Exit(0 if result.is_clean else 1)


@app.command()
def replay(
    *,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ|TIME", help="A record's number, or a UTC time: 2026-11-23T05:06:16.4Z."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Rebuild the state at any moment: balances, open orders and books. Without --until, now."""
    _run_engine("replay", "--until", until, "--json", as_json)


@app.command()
def upgrade() -> None:
    """Before the next version is started: let this one write down where the journal ends.

    With the venue stopped, and with the version that wrote the journal: another version may decide
    otherwise, so it never replays these records but starts from the snapshot made here.
    """
    _run_engine("upgrade")


@journal.command()
def verify(
    *,
    until: Annotated[int | None, typer.Option(help="Stop after this record.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay archived records too.")] = False,
) -> None:
    """Replay the journal, compare every event and every snapshot, print the hash of the state."""
    _run_engine("verify", "--until", until, "--all", everything)


@journal.command()
def show(
    after: Annotated[int, typer.Option(help="Begin behind this record.")] = 0,
    until: Annotated[int | None, typer.Option(help="Stop after this record.")] = None,
) -> None:
    """Print the journal: every command and the events that followed from it."""
    _run_engine("show", "--after", after, "--until", until)


@journal.command()
def compact(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be archived.")
    ] = False,
) -> None:
    """Compress and archive what a snapshot covers and neither FIX sessions nor projector ask for.

    Archived records stay readable. Safe while the venue runs, and when it is stopped half-way.
    """
    settings = Settings()
    try:
        unread = find_first_unread(
            settings.journal_dir,
            read_proven(settings.fix_store_dir),
            read_heard(settings.fix_store_dir),
        )
        below = unread.seq
        if settings.projector.enabled:
            below = min(below, read_position_file(settings.projector_position_file) + 1)
    except JournalDamagedError as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if unread.session_id:
        print(f"session {unread.session_id} has not confirmed to have record {unread.seq}")
    if below < unread.seq:
        print(f"the projector has not written record {below} to the read model")
    _run_engine("compact", "--below", below, "--dry-run", dry_run)


def _run_engine(verb: str, *options: str | int | bool | None) -> None:
    """Become `python -m engine VERB`: only the engine may apply commands.

    Options come in pairs of name and value; one whose value is None or False is left out.
    """
    arguments = [sys.executable, "-P", "-m", "engine", verb]
    for name, value in zip(options[::2], options[1::2], strict=True):
        if value is True:
            arguments.append(str(name))
        elif value is not None and value is not False:
            arguments += [str(name), str(value)]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)


async def _run_venue(settings: Settings, *, is_demo: bool) -> None:
    url, redis_url, mqtt_url = settings.database_url, settings.redis_url, settings.mqtt_url
    config = VenueConfig(
        data_dir=settings.data_dir.resolve(),
        sockets_dir=settings.sockets_dir,
        engine_socket=settings.engine_socket,
        status_file=settings.status_file.resolve(),
        admin_password_file=settings.admin_password_file.resolve(),
        database_url=None if url is None else url.get_secret_value(),
        redis_url=None if redis_url is None else redis_url.get_secret_value(),
        mqtt_url=None if mqtt_url is None else mqtt_url.get_secret_value(),
        mqtt_port=settings.market_data.mqtt_port,
        has_market_data=settings.market_data.enabled,
        has_projector=settings.projector.enabled,
        fix_host=settings.fix.host,
        fix_port=settings.fix.port,
        fix_tls_host=settings.fix.tls_host,
        fix_tls_port=settings.fix.tls_port,
        fix_workers=settings.fix.workers,
        has_fix_market_data=settings.market_data.fix_enabled,
        other_user=settings.embedded.postgres_user,
        snapshot_interval_s=settings.snapshot.interval_s,
        snapshot_records_min=settings.snapshot.records_min,
        is_demo=is_demo,
    )

    venue = Venue(config, _forward)

    def on_ready() -> None:
        print(_how_to_connect(settings, is_demo=is_demo, mqtt_port=venue.mqtt_port))
        if venue.new_admin_password is not None:
            print(
                f"operator admin, password {venue.new_admin_password} (shown this once, kept in "
                f"{settings.admin_password_file})"
            )
        print("ready", flush=True)

    await venue.run(stop_on_signals(), on_ready)


def _forward(name: str, line: str) -> None:
    """Print a line of one of the venue's processes."""
    assert len(line) <= LINE_BYTES_MAX
    print(f"{name:<9} | {line}", file=sys.stderr, flush=True)


def _how_to_connect(settings: Settings, *, is_demo: bool, mqtt_port: int | None) -> str:
    fix, rest = settings.fix, settings.rest
    lines = [
        "",
        f"FIX      {fix.host}:{fix.port}, over TLS port {fix.tls_port}  "
        f"FIX.4.2, FIX.4.4, FIXT.1.1, TargetCompID {fix.comp_id}",
        *_where_market_data_is(settings, is_demo=is_demo),
        f"REST     http://{rest.host}:{rest.port}/docs  operators log in: wcx user --help",
        f"metrics  http://127.0.0.1:{fix.metrics_port}/metrics (gateway), "
        f"http://127.0.0.1:{settings.engine.metrics_port}/metrics (engine), "
        f"http://127.0.0.1:{settings.projector.metrics_port}/metrics (projector)",
        f"journal  every batch {'flushed' if settings.journal.durability == 'fsync' else 'left'} "
        "to the disk before it is answered",
    ]
    if mqtt_port is not None:
        password = PASSWORD if is_demo else f"in {settings.data_dir}/mqtt/subscriber-password"
        lines.append(
            f"MQTT     127.0.0.1:{mqtt_port}, wcx/v1/md/#  user subscriber, password {password}"
        )
    if is_demo:
        lines.append(
            "demo     SenderCompID and Username DEMO1, DEMO2, T01 to T20 (FIX.4.4), DEMO3, "
            "U01 to U05 (FIX.4.2), DEMO4, V01 to V05 (FIXT.1.1), "
            f"Password {PASSWORD}; symbols BTC-USD, ETH-USD, SOL-USD"
        )
    return "\n".join(lines)


def _where_market_data_is(settings: Settings, *, is_demo: bool) -> list[str]:
    """Return the line for market data over FIX, none where it is switched off."""
    own = settings.market_data
    if not own.fix_enabled:
        return []
    sessions = (
        "sessions MD1 (FIX.4.4), MD2 (FIX.4.2), MD3 (FIXT.1.1)"
        if is_demo
        else "sessions with is_market_data"
    )
    return [
        f"FIX      {settings.fix.host}:{own.fix_port}, over TLS port {own.fix_tls_port}  "
        f"market data: {sessions}"
    ]
