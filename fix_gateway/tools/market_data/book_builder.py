"""The reference consumer: a book from snapshots and updates, and chains without a gap.

It knows only what `docs/market-data.md` says, and nothing of the publisher's code. Pure.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

UPDATES_WAITING_MAX: Final = 10_000
GONE: Final = Decimal(0)

Json = Mapping[str, Any]
LevelText = tuple[str, str, int]


class BookBuilder:
    """The book of one instrument, from its snapshots and from the updates of one speed.

    Right whenever it `is_current`: as the engine had it after the record `seq`. With `is_cut` the
    last snapshot was: prices beyond its worst one are not all known.
    """

    def __init__(self) -> None:
        self.stream: str | None = None
        self.seq = 0
        self.is_current = False
        self.is_cut = False
        self.gap_count = 0
        self.level_update_count = 0
        self._sides: dict[str, dict[str, tuple[str, int]]] = {"bids": {}, "asks": {}}
        self._waiting: deque[Json] = deque(maxlen=UPDATES_WAITING_MAX)

    def take_snapshot(self, message: Json) -> None:
        """Take a whole book, unless it is older than what is known."""
        if message["stream"] != self.stream:
            self._begin(message["stream"])
        elif self.is_current and message["seq"] < self.seq:
            return
        if self._waiting and message["seq"] < self._waiting[0]["prev_seq"]:
            return  # From before the gap.
        for side, levels in self._sides.items():
            levels.clear()
            levels.update({price: (qty, count) for price, qty, count in message[side]})
        self.seq = message["seq"]
        self.is_cut = message.get("is_cut", False)
        self.is_current = True
        waiting = list(self._waiting)
        self._waiting.clear()
        for update in waiting:
            self.take_update(update)

    def take_update(self, message: Json) -> None:
        """Take the levels that have changed, or wait for a snapshot when something is missing."""
        if message["stream"] != self.stream:
            self._begin(message["stream"])
        if not self.is_current:
            self._waiting.append(message)
            return
        if message["seq"] <= self.seq:
            return
        if message["prev_seq"] > self.seq:
            self.gap_count += 1
            self.is_current = False
            self._waiting.append(message)
            return
        for side, levels in self._sides.items():
            for price, qty, count in message[side]:
                self.level_update_count += 1
                if Decimal(qty) == GONE:
                    levels.pop(price, None)
                else:
                    levels[price] = (qty, count)
        self.seq = message["seq"]

    def lose_sight(self) -> None:
        """The connection is gone: what happens until the next snapshot may be missed."""
        self.is_current = False
        self._waiting.clear()

    def levels(self, side: str) -> list[LevelText]:
        """Return the levels of "bids" or "asks", the best first."""
        levels = sorted(
            self._sides[side].items(),
            key=lambda level: Decimal(level[0]),
            reverse=side == "bids",
        )
        return [(price, qty, count) for price, (qty, count) in levels]

    def _begin(self, stream: str) -> None:
        """Begin anew: the numbers of another stream mean nothing here."""
        self.stream = stream
        self.seq = 0
        self.is_current = False
        self._waiting.clear()


class Chain:
    """The trades of an instrument: messages of which each says which record went before.

    A trade counts once, however often it comes. `gap_count` is how often some were lost for good.
    """

    def __init__(self) -> None:
        self.stream: str | None = None
        self.seq: int | None = None
        self.entry_count = 0
        self.gap_count = 0
        self._waiting: deque[Json] = deque(maxlen=UPDATES_WAITING_MAX)

    def take(self, message: Json) -> list[Json]:
        """Return the trades that are new. Behind a gap none is, until the recent ones come."""
        self._look_at_stream(message)
        if self.seq is not None and message["prev_seq"] > self.seq:
            self._waiting.append(message)
            return []
        return self._accept(message)

    def take_recent(self, message: Json) -> list[Json]:
        """Return those of the last trades that are new, and what waited for them."""
        self._look_at_stream(message)
        if self.seq is not None and message["prev_seq"] > self.seq:
            self.gap_count += 1
        new = self._accept(message)
        waiting = list(self._waiting)
        self._waiting.clear()
        for later in waiting:
            new += self.take(later)
        return new

    def _look_at_stream(self, message: Json) -> None:
        if message["stream"] != self.stream:
            self.stream, self.seq = message["stream"], None
            self._waiting.clear()

    def _accept(self, message: Json) -> list[Json]:
        after = self.seq or 0
        new = [entry for entry in message["trades"] if entry["seq"] > after]
        self.seq = max(after, message["seq"])
        self.entry_count += len(new)
        return new
