"""Market data of a whole venue: what a subscriber rebuilds is what the engine has, whoever dies."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from fix_gateway.tools.chaos.venue import WCX
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, enter
from tests.integration.venue_process import VenueProcess

CHECK_WAIT_S = 240.0
MESSAGE_WAIT_S = 30.0


@pytest.fixture(scope="module")
def venue(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A demo venue that publishes."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("published") / "var"))
    venue = VenueProcess(data_dir, WCX_MARKET_DATA__ENABLED="true").start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def client_of(venue: VenueProcess, username: str) -> aiomqtt.Client:
    port = venue.status()["mqtt_port"]
    return aiomqtt.Client("127.0.0.1", port, username=username, password="demo-password")


async def read(client: aiomqtt.Client, *topics: str) -> dict[str, Any]:
    """Return one message of each topic, the first that comes."""
    found: dict[str, Any] = {}

    async def fill() -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            found.setdefault(str(message.topic), json.loads(message.payload))
            if set(found) >= set(topics):
                return

    await asyncio.wait_for(fill(), MESSAGE_WAIT_S)
    return found


def test_rebuilt_books_are_the_engines_while_the_publisher_dies(venue: VenueProcess) -> None:
    """Updates are missed, connections lost, it is killed: every book agrees, no trade is gone.

    `wcx market-data check` with its usual figures does the same 100,000 updates long.
    """
    arguments = ["--updates", "1500", "--gaps", "6", "--reconnections", "3", "--comparisons", "4"]
    check = subprocess.Popen(
        [str(WCX), "market-data", "check", *arguments],
        env=venue.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert check.stdout is not None
    lines = [check.stdout.readline(), check.stdout.readline()]  # It has compared a book.
    venue.kill("publisher")
    rest, _ = check.communicate(timeout=CHECK_WAIT_S)
    output = "".join(lines) + rest
    assert check.returncode == 0, output + venue.log_text()
    assert "books compared     7" in output
    assert ", 0 gaps" in output
    assert "DIFFERENT" not in output


@pytest.mark.embedded("the broker is killed")
def test_broker_that_was_killed_has_all_that_is_retained_again(venue: VenueProcess) -> None:
    """Also if it had kept nothing: the publisher tells how everything is whenever it connects."""
    venue.kill("mqtt")

    async def scenario() -> None:
        async with client_of(venue, "subscriber") as client:
            await client.subscribe("wcx/v1/md/ETH-USD/#", qos=1)
            names = ("instrument", "status", "top", "depth/snapshot")
            found = await read(client, *(f"wcx/v1/md/ETH-USD/{name}" for name in names))
            assert {message["symbol"] for message in found.values()} == {"ETH-USD"}

    asyncio.run(scenario())
    status = venue.wcx("status").stdout
    assert f"{'mqtt':<10} pid {venue.pid_of('mqtt')}, started again 1 times" in status


@pytest.mark.embedded("the users are those of the broker that the venue starts")
def test_who_may_read_and_say_what(venue: VenueProcess, connect: ConnectClient) -> None:
    """A firm reads its own executions, everybody what is public; the publisher alone publishes."""
    seller, buyer = connect(venue, "DEMO2"), connect(venue, "DEMO1")
    top, private = "wcx/v1/md/BTC-USD/top", "wcx/v1/private/firm-{}/executions"

    async def scenario() -> None:
        async with (
            client_of(venue, "firm-1") as alpha,
            client_of(venue, "firm-2") as beta,
            client_of(venue, "subscriber") as public,
        ):
            await alpha.subscribe([(private.format(1), 1), ("wcx/v1/md/BTC-USD/#", 1)])
            (refused,) = await alpha.subscribe(private.format(2), qos=1)
            assert refused == 0x80
            for topic in ("wcx/#", "#", private.format(1)):
                assert tuple(await public.subscribe(topic, qos=1)) == (0x80,)
            await beta.subscribe(private.format(2), qos=1)
            await public.publish(top, b"no such book", qos=1, retain=True)
            # Beyond what the other test has left in the book.
            enter(seller, SELL, "0.5", "200.00")
            await asyncio.to_thread(seller.received.get, timeout=MESSAGE_WAIT_S)
            enter(buyer, BUY, "0.2", "200.00")
            told = (await read(beta, private.format(2)))[private.format(2)]["executions"]
            assert {entry["account"] for entry in told} == {"DEMO2"}
            names = (
                "depth/snapshot", "trades", "trades/recent", "top", "status", "instrument",
                "minute",
            )  # fmt: skip
            topics = [f"wcx/v1/md/BTC-USD/{name}" for name in names]
            speeds = [f"wcx/v1/md/BTC-USD/depth/{speed}ms" for speed in (20, 100, 1000)]
            found = await read(alpha, *topics, *speeds, private.format(1))
            assert found[private.format(1)]["executions"][0]["account"] == "DEMO1"
            trade = found["wcx/v1/md/BTC-USD/trades"]["trades"][-1]
            assert (trade["price"], trade["aggressor"]) == ("200.00", "buy")
            assert found["wcx/v1/md/BTC-USD/status"]["status"] == "open"

    asyncio.run(scenario())


def test_a_wrong_broker_url_is_named_and_the_venue_is_open(data_dir: Path) -> None:
    """Nobody waits for market data: the publisher tries again, FIX and REST are served."""
    venue = VenueProcess(
        data_dir,
        WCX_MARKET_DATA__ENABLED="true",
        WCX_MQTT_URL="mqtt://publisher:hush-hush@127.0.0.1:9",
    ).start()
    try:
        venue.wait_for(lambda: venue.count_logged("event=broker_unavailable") >= 2)
        assert venue.get("/readyz")[0] == 200
        assert venue.status()["mqtt_port"] is None
        assert "hush-hush" not in venue.log_text()
    finally:
        assert venue.stop() == 0
