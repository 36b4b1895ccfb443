"""What happened over the last while: sums and repetitions, in bounded space and constant time."""

from typing import Final

from engine.commands import NewOrder
from engine.controls import DAY_NS
from engine.order import OrderView, Side

PARTS: Final = 16
BUY = Side.BUY
BUY_VALUE: Final = BUY.value
SELL_VALUE: Final = Side.SELL.value


class Tally:
    """What was used of a limit, and the `most` that may be.

    A class of its own so that the two are beside each other in memory: most orders look at nothing
    else of a limit.
    """

    __slots__ = ("most", "used")

    def __init__(self) -> None:
        self.used = 0
        self.most = 0


class RollingSum(Tally):
    """The sum of what was added over the last `window_ns`. Belongs to the applying thread.

    Time is cut into parts, a sixteenth of the window each, and what has been added counts for at
    least the window and at most one part longer: nothing is forgotten too early. A window of a day
    is the calendar day in UTC. The part that is being filled is over at `ends_ns`. `used` is the
    sum until then; later, where nothing below 0 is added, the sum is at most that.

    Whoever adds very often may do what `add` does: `move_on` from `ends_ns` on, and add to `used`.
    """

    __slots__ = ("_before", "_count", "_newest", "_part_ns", "_parts", "ends_ns")

    def __init__(self, window_ns: int) -> None:
        assert window_ns > 0
        super().__init__()
        is_day = window_ns == DAY_NS
        self._part_ns = window_ns if is_day else -(-window_ns // PARTS)
        self._count = 1 if is_day else PARTS + 1
        # What the part that is being filled has is what is used and was not before: it is written
        # down when the part is over.
        self._parts = [0] * self._count
        self._before = 0
        self._newest = 0  # The number, since 1970, of the part that is being filled.
        self.ends_ns = self._part_ns

    def total(self, now_ns: int) -> int:
        """Return the sum. Changes nothing."""
        if now_ns < self.ends_ns:
            return self.used
        gone = now_ns // self._part_ns - self._newest
        count = self._count
        if gone >= count:
            return 0
        forgotten = (self._parts[(self._newest + 1 + step) % count] for step in range(gone))
        return self.used - sum(forgotten)

    def add(self, amount: int, now_ns: int) -> None:
        """Count an amount from now on. Time does not go back."""
        if now_ns >= self.ends_ns:
            self.move_on(now_ns)
        self.used += amount

    def take_back(self, amount: int, now_ns: int) -> None:
        """Uncount an amount, the newest first, until nothing is left."""
        if now_ns >= self.ends_ns:
            self.move_on(now_ns)
        newest, parts = self.used - self._before, self._parts
        if amount <= newest:
            self.used -= amount
            return
        amount -= newest
        for step in range(1, self._count):
            index = (self._newest - step) % self._count
            taken = min(amount, parts[index])
            parts[index] -= taken
            self._before -= taken
            amount -= taken
        self.used = self._before

    def move_on(self, now_ns: int) -> None:
        """Begin another part, and forget what is older than the window."""
        number = now_ns // self._part_ns
        gone = number - self._newest
        assert gone > 0
        count, parts = self._count, self._parts
        parts[self._newest % count] = self.used - self._before
        for step in range(min(gone, count)):
            parts[(self._newest + 1 + step) % count] = 0
        self._newest = number
        self.ends_ns = (number + 1) * self._part_ns
        self.used = self._before = sum(parts)

    def state(self) -> tuple[int, list[int]]:
        """Return what `restore` needs."""
        parts = list(self._parts)
        parts[self._newest % self._count] = self.used - self._before
        return self._newest, parts

    def restore(self, newest: int, parts: list[int]) -> None:
        """Put back what was counted over a window of the same length."""
        assert len(parts) == self._count
        self._newest, self._parts, self.used = newest, list(parts), sum(parts)
        self._before = self.used - parts[newest % self._count]
        self.ends_ns = (newest + 1) * self._part_ns


class Repetition(Tally):
    """How many orders in a row were alike, since the first of them. Belongs to the applying thread.

    What is alike is what has the same signature, a few numbers. After `window_ns` counting begins
    anew.
    """

    __slots__ = ("_window_ns", "signature", "since_ns")

    def __init__(self, window_ns: int) -> None:
        super().__init__()
        self._window_ns = window_ns
        self.signature: list[int] = []
        self.since_ns = 0

    def count_of(self, signature: list[int], now_ns: int) -> int:
        """Return how many orders like this one came in a row. Changes nothing."""
        if signature != self.signature or now_ns - self.since_ns >= self._window_ns:
            return 0
        return self.used

    def add(self, signature: list[int], now_ns: int) -> None:
        """Count one more order."""
        if signature != self.signature or now_ns - self.since_ns >= self._window_ns:
            self.signature, self.since_ns, self.used = signature, now_ns, 0
        self.used += 1


def signature_of(order: NewOrder | OrderView) -> list[int]:
    """Return what two orders that are alike have in common."""
    side = BUY_VALUE if order.side is BUY else SELL_VALUE
    return [order.instrument_id, side, order.price or 0, order.order_qty]
