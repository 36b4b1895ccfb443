"""Follows market data over MQTT with the reference consumer, and misses things on purpose.

A real consumer would lose an update now and then, or its connection. This one does so when it is
told to, so that it can be seen whether it finds its way back.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiomqtt

from fix_gateway.tools.market_data.book_builder import BookBuilder, Chain

PUBLIC: Final = "wcx/v1/md"
IDENTIFIER: Final = "wcx-consumer"
RETRY_S: Final = 0.5


@dataclass(frozen=True)
class Subscriber:
    """Where the broker is, and who reads. `speed` is that of the depth updates: "20ms"."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    speed: str = "20ms"


class Follower:
    """The books and trades of some instruments. Belongs to one event loop.

    `updates_dropped` and `reconnections` say how often something was missed on purpose.
    """

    def __init__(self, subscriber: Subscriber, symbols: list[str]) -> None:
        self.books = {symbol: BookBuilder() for symbol in symbols}
        self.trades = {symbol: Chain() for symbol in symbols}
        self.tops: dict[str, dict[str, Any]] = {}
        self.updates_dropped = 0
        self.reconnections = 0
        self._subscriber = subscriber
        self._identifier = f"{IDENTIFIER}-{secrets.token_hex(8)}"
        self._drops_wanted = 0
        self._hang_up = asyncio.Event()

    @property
    def level_update_count(self) -> int:
        """How many changes of price levels have been taken in."""
        return sum(book.level_update_count for book in self.books.values())

    @property
    def gap_count(self) -> int:
        """How often updates were missing."""
        return sum(book.gap_count for book in self.books.values())

    @property
    def is_current(self) -> bool:
        """Whether every book is."""
        return all(book.is_current for book in self.books.values())

    def drop_next(self, count: int) -> None:
        """Miss so many of the depth updates that come next."""
        self._drops_wanted += count

    def hang_up(self) -> None:
        """Lose the connection once, and connect again."""
        self._hang_up.set()

    async def run(self) -> None:
        """Follow until cancelled, connecting again whenever the connection is lost."""
        try:
            while True:
                try:
                    await self._follow_once()
                except aiomqtt.MqttError:
                    await asyncio.sleep(RETRY_S)
                self.reconnections += 1
                for book in self.books.values():
                    book.lose_sight()
        finally:
            await self._forget_session()

    async def _follow_once(self) -> None:
        async with _client_of(self._subscriber, self._identifier) as client:
            for symbol in self.books:
                # The broker keeps trades for whoever comes back; depth would only be old.
                await client.subscribe(f"{PUBLIC}/{symbol}/trades", qos=1)
                speed = f"depth/{self._subscriber.speed}"
                for name in ("trades/recent", "depth/snapshot", speed, "top"):
                    await client.subscribe(f"{PUBLIC}/{symbol}/{name}", qos=0)
            reading = asyncio.ensure_future(self._read(client))
            leaving = asyncio.ensure_future(self._hang_up.wait())
            try:
                await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._hang_up.clear()
                reading.cancel()
                leaving.cancel()
                (fault,) = await asyncio.gather(reading, return_exceptions=True)
            if isinstance(fault, Exception):
                raise fault

    async def _forget_session(self) -> None:
        """Let the broker keep nothing for this reader any more."""
        with contextlib.suppress(aiomqtt.MqttError):
            async with _client_of(self._subscriber, self._identifier, is_clean=True):
                pass

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self._take(str(message.topic), json.loads(message.payload))

    def _take(self, topic: str, message: dict[str, Any]) -> None:
        symbol = message["symbol"]
        match topic.rsplit("/", 1)[1]:
            case "snapshot":
                self.books[symbol].take_snapshot(message)
            case "trades":
                self.trades[symbol].take(message)
            case "recent":
                self.trades[symbol].take_recent(message)
            case "top":
                self.tops[symbol] = message
            case _ if self._drops_wanted:
                self._drops_wanted -= 1
                self.updates_dropped += 1
            case _:
                self.books[symbol].take_update(message)


async def print_messages(subscriber: Subscriber, symbol: str, say: Callable[[str], None]) -> None:
    """Say every public message of an instrument, or of all with "+", until cancelled."""
    identifier = f"{IDENTIFIER}-{secrets.token_hex(8)}"
    async with _client_of(subscriber, identifier, is_clean=True) as client:
        await client.subscribe(f"{PUBLIC}/{symbol}/#", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            say(f"{message.topic} {message.payload.decode()}")


def _client_of(
    subscriber: Subscriber, identifier: str, *, is_clean: bool = False
) -> aiomqtt.Client:
    return aiomqtt.Client(
        subscriber.host,
        subscriber.port,
        username=subscriber.username,
        password=subscriber.password,
        identifier=identifier,
        clean_session=is_clean,
    )
