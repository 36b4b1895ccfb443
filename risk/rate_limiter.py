"""How often: the generic cell rate algorithm, in integers, so that no decision is ever rounded.

It is the leaky bucket of ITU-T I.371 as a meter: every message let through is a debt of one, which
time pays off at the rate; what would raise the debt above the burst is refused.
"""

from typing import Final

NS_PER_S: Final = 1_000_000_000
ONE: Final = NS_PER_S  # A message, in billionths: `rate` of them are paid off per nanosecond.


class RateLimiter:
    """Lets `burst` messages through at once, and `rate` per second in the long run.

    A refused message costs nothing, so who waits as long as told is let through. Times are
    nanoseconds of one clock that does not go back. Belongs to one thread.
    """

    __slots__ = ("_at_ns", "_debt", "_debt_max", "burst", "rate")

    def __init__(self, rate: int, burst: int, *, debt: int = 0, at_ns: int = 0) -> None:
        assert rate > 0
        assert burst > 0
        self.rate = rate
        self.burst = burst
        self._debt = debt
        self._at_ns = at_ns
        self._debt_max = (burst - 1) * ONE  # The most that may be owed by who wants one more.

    def take(self, now_ns: int) -> int:
        """Let a message through and return 0, or return the nanoseconds to wait, above 0."""
        owed = self._debt - (now_ns - self._at_ns) * self.rate
        if owed > self._debt_max:
            return -((self._debt_max - owed) // self.rate)
        self._debt = owed + ONE if owed > 0 else ONE
        self._at_ns = now_ns
        return 0

    def has_room(self, now_ns: int) -> bool:
        """Whether a message would be let through now. Takes none."""
        return self._debt - (now_ns - self._at_ns) * self.rate <= self._debt_max

    def wait_ns(self, now_ns: int) -> int:
        """Return how long to wait until a message would be let through, 0 if now. Takes none."""
        # What is to be paid off first.
        excess = self._debt - (now_ns - self._at_ns) * self.rate - self._debt_max
        return -(-excess // self.rate) if excess > 0 else 0

    def available(self, now_ns: int) -> int:
        """Return how many messages would be let through now, one straight after the other."""
        return max(0, (self.burst * ONE - self._debt_at(now_ns)) // ONE)

    def change(self, rate: int, burst: int, now_ns: int) -> None:
        """Let another rate and burst hold from now on. What has been used of the burst stays used.

        A burst that is smaller than what has been used counts as used up, no more.
        """
        assert rate > 0
        assert burst > 0
        debt = self._debt_at(now_ns)
        self.rate, self.burst, self._debt_max = rate, burst, (burst - 1) * ONE
        self._debt, self._at_ns = min(debt, burst * ONE), now_ns

    def state(self) -> tuple[int, int]:
        """Return `debt` and `at_ns`, from which a limiter like this one can be made."""
        return self._debt, self._at_ns

    def _debt_at(self, now_ns: int) -> int:
        return max(0, self._debt - (now_ns - self._at_ns) * self.rate)
