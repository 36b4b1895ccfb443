"""The publisher and a broker that dies: what it had confirmed may be lost with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import uvloop

from engine.order import Side
from engine.runtime.codec import Record
from engine.runtime.record_source import RecordSource
from engine.units import Seq
from fix_gateway.market_data.broker import MQTT_5, Broker, BrokerError
from fix_gateway.market_data.messages import Published
from fix_gateway.market_data.metrics import PublisherMetrics
from fix_gateway.market_data.publisher import Publisher, PublisherConfig
from tests.exchange_desk import ALICE, BOB
from tests.market_tape import MarketTape

WAIT_S = 10.0


class Tape:
    """A source of records that a test makes."""

    def __init__(self) -> None:
        self.tape = MarketTape()
        self.is_linked = True

    @property
    def durable_seq(self) -> Seq:
        return self.tape.records[-1].seq

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def take(self, after_seq: Seq, *, records_max: int, wait_s: float) -> list[Record]:
        del wait_s
        await asyncio.sleep(0.01)
        return self.tape.records[after_seq : after_seq + records_max]


class MortalBroker:
    """Forgets all that it was told when it dies; a publisher finds it again at once."""

    protocol = MQTT_5

    def __init__(self) -> None:
        self.told: list[Published] = []
        self.lives = 0
        self._is_dead = False

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        self._is_dead = False
        self.lives += 1
        yield

    async def publish(self, messages: Sequence[Published], *, is_confirmed: bool) -> None:
        del is_confirmed
        await asyncio.sleep(0)
        if self._is_dead:
            raise BrokerError("it is not there")
        self.told += messages

    def die(self) -> None:
        self._is_dead = True
        self.told.clear()

    def passing(self) -> list[Published]:
        """Return what is not retained, of what must arrive."""
        names = ("/trades", "/executions")
        return [message for message in self.told if message.topic.endswith(names)]


async def eventually(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - What is waited for knows of nobody.
            await asyncio.sleep(0.01)


def test_broker_that_was_killed_is_told_again_what_must_arrive(tmp_path: Path) -> None:
    """What it had confirmed comes again as it was, after how everything is, before what is new."""

    async def scenario() -> tuple[list[Published], list[Published], list[str]]:
        source, broker = Tape(), MortalBroker()
        publisher = Publisher(
            PublisherConfig(tmp_path, [20], 60.0, 1000),
            cast("RecordSource", source),
            cast("Broker", broker),
            PublisherMetrics(),
        )
        running = asyncio.ensure_future(publisher.run())
        await eventually(lambda: broker.told)
        for price in (100, 101):
            source.tape.enter(ALICE, Side.SELL, 2, price)
            source.tape.enter(BOB, Side.BUY, 1, price)
        await eventually(lambda: len(broker.passing()) >= 2)
        await asyncio.sleep(0.1)
        first = broker.passing()
        broker.die()
        source.tape.enter(BOB, Side.BUY, 1, 101)
        await eventually(lambda: broker.lives == 2 and len(broker.passing()) > len(first))
        again, topics = broker.passing(), [message.topic for message in broker.told]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return first, again, topics

    first, again, topics = uvloop.run(scenario())
    assert again[: len(first)] == first
    assert all(not message.is_retained for message in again)
    snapshot = topics.index("wcx/v1/md/BTC-USD/depth/snapshot")
    assert snapshot < topics.index(first[0].topic)
