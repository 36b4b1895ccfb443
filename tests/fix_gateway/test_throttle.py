"""A session's budgets: two of them, as the session's row says, and an end to patience."""

from dataclasses import replace

import pytest

from fix_gateway.fix.throttle import (
    REFUSALS_BURST_MIN,
    SessionThrottle,
    ThrottleDefaults,
    ThrottleUsage,
)
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow
from tests.session_row import make_row

DEFAULTS = ThrottleDefaults(order_rate=8, order_burst=3, cancel_rate=16, cancel_burst=5)
NS_PER_S = 1_000_000_000


def make_throttle(row: FixSessionRow) -> SessionThrottle:
    return SessionThrottle(row, DEFAULTS, GatewayMetrics(), 0)


def passed(throttle: SessionThrottle, msg_type: str, count: int, now_ns: int = 0) -> int:
    return sum(throttle.take(msg_type, now_ns) is None for _ in range(count))


def test_cancels_get_through_when_orders_do_not() -> None:
    """The budgets are apart, whatever else is sent is paid for like an order."""
    throttle = make_throttle(make_row())
    assert passed(throttle, "D", 10) == 3
    assert passed(throttle, "H", 10) == 0
    assert passed(throttle, "F", 10) == 5
    assert throttle.usage(0) == ThrottleUsage(0, 0, 3, 5, 22)
    assert throttle.usage(NS_PER_S // 8) == ThrottleUsage(1, 2, 3, 5, 22)


def test_refusal_says_how_long_to_wait() -> None:
    """In milliseconds, rounded up: whoever waits so long is served."""
    throttle = make_throttle(make_row(order_rate=7, order_burst=1))
    assert throttle.take("D", 0) is None
    refused = throttle.take("D", 1)
    assert refused is not None
    assert refused == (
        "RATE_LIMIT: at most 7 order messages a second and 1 at once, wait 0.143 s",
        False,
    )
    assert throttle.take("D", 143_000_001) is None


def test_limits_follow_the_row_at_once() -> None:
    """A changed row neither forgives what was used nor needs a new logon."""
    row = make_row()
    throttle = make_throttle(row)
    assert passed(throttle, "D", 2) == 2
    throttle.follow(replace(row, order_burst=100), 0)
    assert passed(throttle, "D", 200) == 98
    throttle.follow(replace(row, order_burst=1), 0)
    assert passed(throttle, "D", 1) == 0
    assert passed(throttle, "D", 2, NS_PER_S // 8) == 1


def test_patience_ends_with_the_budget_of_refusals() -> None:
    """Who goes on sending far above the rate is sent away; who is refused now and then is not."""
    throttle = make_throttle(make_row())
    assert passed(throttle, "D", 3) == 3
    refusals = [throttle.take("D", 0) for _ in range(REFUSALS_BURST_MIN + 1)]
    assert [refused.is_last_straw for refused in refusals if refused is not None] == [
        *([False] * REFUSALS_BURST_MIN),
        True,
    ]
    now_ns = 0
    patient = make_throttle(make_row())
    for _ in range(10 * REFUSALS_BURST_MIN):  # At twice the rate, for as long as it likes.
        now_ns += NS_PER_S // 16
        refused = patient.take("D", now_ns)
        assert refused is None or not refused.is_last_straw


@pytest.mark.parametrize("msg_type", ["D", "F"])
def test_policy_disconnect_means_the_first_refusal(msg_type: str) -> None:
    """Some desks would rather lose the session than one order in the middle."""
    throttle = make_throttle(make_row(throttle_policy="disconnect"))
    assert passed(throttle, msg_type, 5) == (3 if msg_type == "D" else 5)
    refused = throttle.take(msg_type, 0)
    assert refused is not None
    assert refused.is_last_straw
