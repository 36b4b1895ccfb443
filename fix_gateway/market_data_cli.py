"""`wcx market-data`: watch what is published, and prove that it is right."""

import asyncio
import functools
import json
import secrets
import sys
from typing import Annotated, Final

import typer

from config.settings import Settings
from fix_gateway.market_data.broker import BrokerAddress, parse_broker_url
from fix_gateway.supervisor.demo import PASSWORD
from fix_gateway.supervisor.mqtt import HOST, SUBSCRIBER
from fix_gateway.tools.market_data.follower import Subscriber, print_messages

app = typer.Typer(help="Market data over MQTT.", no_args_is_help=True)
"""What `wcx market-data` offers."""

NO_BROKER: Final = "no broker: market data is off, or no venue runs"


@app.command()
def watch(
    symbol: Annotated[str, typer.Argument(help="Of which instrument; + for all.")] = "+",
) -> None:
    """Print every message as it comes, until Ctrl-C."""
    subscriber = _find_subscriber(Settings())
    try:
        asyncio.run(print_messages(subscriber, symbol, functools.partial(print, flush=True)))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command()
def check(
    *,
    updates: Annotated[int, typer.Option(min=1, help="How many changes of levels.")] = 100_000,
    gaps: Annotated[int, typer.Option(min=0, help="How often updates are missed.")] = 50,
    reconnections: Annotated[int, typer.Option(min=0, help="How often it hangs up.")] = 10,
    comparisons: Annotated[int, typer.Option(min=1, help="How often a book is compared.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Trade as in an earlier run.")] = None,
) -> None:
    """While a demo venue runs: rebuild its books from MQTT, and compare them with the engine's.

    FIX clients trade on the venue meanwhile. The consumer misses updates and loses its connection
    on purpose. The exit code is 0 only when every book was the engine's own.
    """
    from fix_gateway.tools.initiator import Counterparty  # noqa: PLC0415 - QuickFIX.
    from fix_gateway.tools.market_data.check import (  # noqa: PLC0415
        CheckConfig,
        StalledError,
        run_check,
    )
    from fix_gateway.tools.market_data.load import LoadFailedError  # noqa: PLC0415

    settings = Settings()
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    print(f"seed {seed}")
    config = CheckConfig(updates, gaps, reconnections, comparisons, seed)
    fix = settings.fix
    counterparty = Counterparty("127.0.0.1", fix.port, fix.comp_id, PASSWORD)
    subscriber = _find_subscriber(settings)
    say = functools.partial(print, flush=True)
    try:
        result = asyncio.run(run_check(config, subscriber, counterparty, say))
    except (StalledError, LoadFailedError) as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print("\n".join(result.table()))
    raise typer.Exit(1 if result.differences or result.trade_gaps else 0)


def _find_subscriber(settings: Settings) -> Subscriber:
    """Return how to read what the venue publishes, as the settings or its status file say."""
    speed = f"{min(settings.market_data.depth_intervals_ms)}ms"
    if settings.mqtt_url is not None:
        address: BrokerAddress = parse_broker_url(settings.mqtt_url.get_secret_value())
        return Subscriber(
            address.host, address.port, address.username, address.password, speed=speed
        )
    try:
        port = json.loads(settings.status_file.read_text())["mqtt_port"]
    except (OSError, ValueError):
        port = None
    if port is None:
        print(f"wcx: {NO_BROKER}", file=sys.stderr)
        raise typer.Exit(1)
    try:
        password = (settings.data_dir / "mqtt" / "subscriber-password").read_text().strip()
    except FileNotFoundError:
        password = PASSWORD  # A demo venue's.
    return Subscriber(HOST, port, SUBSCRIBER, password, speed=speed)
