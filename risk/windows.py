"""What happened over the last while: sums and repetitions, in bounded space and constant time."""

from typing import Final

from engine.commands import NewOrder
from engine.controls import DAY_NS
from engine.order import OrderView, Side

PARTS: Final = 16
BUY = Side.BUY
BUY_VALUE: Final = BUY.value
SELL_VALUE: Final = Side.SELL.value


class RollingSum:
    """The sum of what was added over the last `window_ns`. Belongs to the applying thread.

    Time is cut into parts, a sixteenth of the window each, and what has been added counts for at
    least the window and at most one part longer: nothing is forgotten too early. A window of a day
    is the calendar day in UTC. `kept` is what has not been looked through since it grew old: where
    nothing below 0 is added the sum is at most that, at any later time.
    """

    __slots__ = ("_count", "_newest", "_part_ns", "_parts", "kept")

    def __init__(self, window_ns: int) -> None:
        assert window_ns > 0
        is_day = window_ns == DAY_NS
        self._part_ns = window_ns if is_day else -(-window_ns // PARTS)
        self._count = 1 if is_day else PARTS + 1
        self._parts = [0] * self._count
        self._newest = 0  # The number, since 1970, of the part that is being filled.
        self.kept = 0

    def total(self, now_ns: int) -> int:
        """Return the sum. Changes nothing."""
        gone = now_ns // self._part_ns - self._newest
        if gone == 0:
            return self.kept
        count = self._count
        if gone >= count:
            return 0
        forgotten = (self._parts[(self._newest + 1 + step) % count] for step in range(gone))
        return self.kept - sum(forgotten)

    def add(self, amount: int, now_ns: int) -> None:
        """Count an amount from now on. Time does not go back."""
        if now_ns // self._part_ns != self._newest:
            self._move_on(now_ns)
        self._parts[self._newest % self._count] += amount
        self.kept += amount

    def take_back(self, amount: int, now_ns: int) -> None:
        """Uncount an amount, the newest first, until nothing is left."""
        self._move_on(now_ns)
        parts = self._parts
        for step in range(self._count):
            index = (self._newest - step) % self._count
            if amount <= parts[index]:
                parts[index] -= amount
                self.kept -= amount
                return
            amount -= parts[index]
            self.kept -= parts[index]
            parts[index] = 0

    def state(self) -> tuple[int, list[int]]:
        """Return what `restore` needs."""
        return self._newest, list(self._parts)

    def restore(self, newest: int, parts: list[int]) -> None:
        """Put back what was counted over a window of the same length."""
        assert len(parts) == self._count
        self._newest, self._parts, self.kept = newest, list(parts), sum(parts)

    def _move_on(self, now_ns: int) -> None:
        number = now_ns // self._part_ns
        gone = number - self._newest
        if gone <= 0:
            return
        count = self._count
        for step in range(min(gone, count)):
            index = (self._newest + 1 + step) % count
            self.kept -= self._parts[index]
            self._parts[index] = 0
        self._newest = number


class Repetition:
    """How many orders in a row were alike, since the first of them. Belongs to the applying thread.

    What is alike is what has the same signature, a few numbers. After `window_ns` counting begins
    anew.
    """

    __slots__ = ("_window_ns", "count", "signature", "since_ns")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self.signature: list[int] = []
        self.count = 0
        self.since_ns = 0

    def count_of(self, signature: list[int], now_ns: int) -> int:
        """Return how many orders like this one came in a row. Changes nothing."""
        if signature != self.signature or now_ns - self.since_ns >= self._window_ns:
            return 0
        return self.count

    def add(self, signature: list[int], now_ns: int) -> None:
        """Count one more order."""
        if signature != self.signature or now_ns - self.since_ns >= self._window_ns:
            self.signature, self.since_ns, self.count = signature, now_ns, 0
        self.count += 1


def signature_of(order: NewOrder | OrderView) -> list[int]:
    """Return what two orders that are alike have in common."""
    side = BUY_VALUE if order.side is BUY else SELL_VALUE
    return [order.instrument_id, side, order.price or 0, order.order_qty]
