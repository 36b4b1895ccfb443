"""A subscriber that follows the market data through a chaos run, and what it has seen at last."""

import asyncio
import threading
from typing import Any, Final

from fix_gateway.tools.chaos.reconcile import Finding, Kind
from fix_gateway.tools.chaos.venue import PASSWORD
from fix_gateway.tools.market_data.follower import Follower, Subscriber
from fix_gateway.tools.rest import RestClient

WHO: Final = "market data"
SYMBOLS: Final = ["BTC-USD", "ETH-USD", "SOL-USD"]
SIDES: Final = ("bids", "asks")
LEVELS_MAX: Final = 1000
ANSWER_WAIT_S: Final = 10.0

Level = tuple[str, str, int]
Books = dict[str, dict[str, list[Level]] | None]


class MarketDataWatch:
    """Rebuilds the books from MQTT on a thread of its own, whoever dies meanwhile."""

    def __init__(self, port: int) -> None:
        subscriber = Subscriber("127.0.0.1", port, "subscriber", PASSWORD)
        self._follower = Follower(subscriber, SYMBOLS)
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()

    def compare(self, rest: RestClient) -> list[Finding]:
        """Return where the books are not the engine's, [] for nowhere. Raises RestError, OSError.

        Nothing may trade meanwhile.
        """
        books = asyncio.run_coroutine_threadsafe(self._read(), self._loop).result(ANSWER_WAIT_S)
        findings = []
        for symbol, found in books.items():
            answer = rest.get(f"/v1/instruments/{symbol}/book?levels={LEVELS_MAX}")
            truth = {side: _levels(answer[side]) for side in SIDES}
            if found != truth:
                text = f"{symbol}: {found}, not {truth}"
                findings.append(Finding(Kind.MARKET_DATA, WHO, text))
        return findings

    async def _read(self) -> Books:
        return {
            symbol: {side: book.levels(side) for side in SIDES} if book.is_current else None
            for symbol, book in self._follower.books.items()
        }

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._following = self._loop.create_task(self._follower.run())
        try:
            self._loop.run_until_complete(self._following)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    def _cancel(self) -> None:
        assert self._following is not None
        self._following.cancel()


def _levels(levels: list[dict[str, Any]]) -> list[Level]:
    return [(level["price"], level["qty"], level["order_count"]) for level in levels]
