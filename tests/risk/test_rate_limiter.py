"""The rate limiter: as many as it says, never more, and whoever waits as told is let through."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from risk.rate_limiter import NS_PER_S, RateLimiter

RATES = st.integers(1, 10**6)
BURSTS = st.integers(1, 50)
GAPS = st.lists(st.integers(0, 3 * NS_PER_S) | st.integers(0, 10**6), min_size=1, max_size=80)
START_NS = 1_795_392_000 * NS_PER_S


class NaiveBucket:
    """A bucket of tokens in exact fractions, refilled before every look: plainly right."""

    def __init__(self, rate: int, burst: int, now_ns: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens = Fraction(burst)
        self.now_ns = now_ns

    def pass_time(self, now_ns: int) -> None:
        gained = Fraction((now_ns - self.now_ns) * self.rate, NS_PER_S)
        self.tokens = min(Fraction(self.burst), self.tokens + gained)
        self.now_ns = now_ns

    def take(self, now_ns: int) -> bool:
        self.pass_time(now_ns)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@given(rate=RATES, burst=BURSTS, gaps=GAPS)
def test_agrees_with_a_bucket_of_tokens(rate: int, burst: int, gaps: list[int]) -> None:
    """Every decision and every figure of what is available is that of the slow twin."""
    limiter, twin = RateLimiter(rate, burst), NaiveBucket(rate, burst, START_NS)
    now_ns = START_NS
    for gap in gaps:
        now_ns += gap
        twin.pass_time(now_ns)
        assert limiter.available(now_ns) == int(twin.tokens)
        assert (limiter.take(now_ns) == 0) is twin.take(now_ns)


@given(rate=RATES, burst=BURSTS, gaps=GAPS)
def test_who_waits_as_told_is_let_through_and_not_a_nanosecond_earlier(
    rate: int, burst: int, gaps: list[int]
) -> None:
    """The wait is exact, also for rates that do not divide a second."""
    limiter = RateLimiter(rate, burst)
    now_ns = START_NS
    for gap in gaps:
        now_ns += gap
        wait_ns = limiter.take(now_ns)
        if wait_ns:
            assert limiter.take(now_ns + wait_ns - 1) == 1
            now_ns += wait_ns
            assert limiter.take(now_ns) == 0


@given(rate=RATES, burst=BURSTS, gaps=GAPS)
def test_refusals_cost_nothing(rate: int, burst: int, gaps: list[int]) -> None:
    """Who hammers at the door is served as often as who does not, after the same time."""
    patient, hasty = RateLimiter(rate, burst), RateLimiter(rate, burst)
    now_ns = START_NS
    for gap in gaps:
        now_ns += gap
        assert patient.take(now_ns) == hasty.take(now_ns)
        if hasty.available(now_ns) == 0:
            assert hasty.take(now_ns) > 0


@given(rate=RATES, burst=BURSTS, gaps=GAPS)
def test_no_window_sees_more_than_burst_and_rate_allow(
    rate: int, burst: int, gaps: list[int]
) -> None:
    """Between any two messages let through there are no more than the rate allows and a burst."""
    limiter = RateLimiter(rate, burst)
    now_ns = START_NS
    passed: list[int] = []
    for gap in gaps:
        now_ns += gap
        passed += [now_ns for _ in range(3) if limiter.take(now_ns) == 0]
    for first, started_ns in enumerate(passed):
        for last in range(first, len(passed)):
            count = last - first + 1
            assert count <= burst + Fraction((passed[last] - started_ns) * rate, NS_PER_S)


@given(rate=RATES, burst=BURSTS, gaps=GAPS, other_rate=RATES, other_burst=BURSTS)
def test_change_keeps_what_was_used(
    rate: int, burst: int, gaps: list[int], other_rate: int, other_burst: int
) -> None:
    """A change is no gift and no punishment: so many are used as were, at most the whole burst."""
    limiter = RateLimiter(rate, burst)
    now_ns = START_NS
    for gap in gaps:
        now_ns += gap
        limiter.take(now_ns)
    used = burst - limiter.available(now_ns)
    limiter.change(other_rate, other_burst, now_ns)
    assert limiter.available(now_ns) == max(0, other_burst - used)
    wait_ns = limiter.take(now_ns)
    assert wait_ns <= -(-NS_PER_S // other_rate)


def test_goes_on_from_its_state() -> None:
    """Two figures say all that it remembers."""
    limiter = RateLimiter(7, 3)
    assert [limiter.take(START_NS) for _ in range(3)] == [0, 0, 0]
    debt, at_ns = limiter.state()
    copy = RateLimiter(7, 3, debt=debt, at_ns=at_ns)
    assert copy.take(START_NS) == limiter.take(START_NS) == -(-NS_PER_S // 7)
