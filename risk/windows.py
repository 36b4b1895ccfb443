"""What happened over the last while: sums and repetitions, in bounded space and constant time."""

from typing import Final

from engine.controls import DAY_NS

PARTS: Final = 16


class RollingSum:
    """The sum of what was added over the last `window_ns`. Belongs to the applying thread.

    Time is cut into parts, a sixteenth of the window each, and what has been added counts for at
    least the window and at most one part longer: nothing is forgotten too early. A window of a day
    is the calendar day in UTC.
    """

    __slots__ = ("_newest", "_part_ns", "_parts", "_total")

    def __init__(self, window_ns: int) -> None:
        assert window_ns > 0
        is_day = window_ns == DAY_NS
        self._part_ns = window_ns if is_day else -(-window_ns // PARTS)
        self._parts = [0] * (1 if is_day else PARTS + 1)
        self._newest = 0  # The number, since 1970, of the part that is being filled.
        self._total = 0

    def total(self, now_ns: int) -> int:
        """Return the sum. Changes nothing."""
        gone = now_ns // self._part_ns - self._newest
        if gone == 0:
            return self._total
        count = len(self._parts)
        if gone >= count:
            return 0
        forgotten = (self._parts[(self._newest + 1 + step) % count] for step in range(gone))
        return self._total - sum(forgotten)

    def add(self, amount: int, now_ns: int) -> None:
        """Count an amount from now on. Time does not go back."""
        if now_ns // self._part_ns != self._newest:
            self._move_on(now_ns)
        self._parts[self._newest % len(self._parts)] += amount
        self._total += amount

    def take_back(self, amount: int, now_ns: int) -> None:
        """Uncount an amount, the newest first, until nothing is left."""
        self._move_on(now_ns)
        count = len(self._parts)
        for step in range(count):
            if amount == 0:
                return
            index = (self._newest - step) % count
            taken = min(amount, self._parts[index])
            self._parts[index] -= taken
            self._total -= taken
            amount -= taken

    def state(self) -> tuple[int, list[int]]:
        """Return what `restore` needs."""
        return self._newest, list(self._parts)

    def restore(self, newest: int, parts: list[int]) -> None:
        """Put back what was counted over a window of the same length."""
        assert len(parts) == len(self._parts)
        self._newest, self._parts, self._total = newest, list(parts), sum(parts)

    def _move_on(self, now_ns: int) -> None:
        number = now_ns // self._part_ns
        gone = number - self._newest
        if gone <= 0:
            return
        count = len(self._parts)
        for step in range(min(gone, count)):
            index = (self._newest + 1 + step) % count
            self._total -= self._parts[index]
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
        self.count = self.count_of(signature, now_ns) + 1
        if self.count == 1:
            self.signature, self.since_ns = signature, now_ns
