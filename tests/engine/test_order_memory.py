"""Which names of ended orders are still known: the newest, for a day, and no more than so many."""

import pytest

from engine.commands import SetClOrdIdsMax
from engine.events import ClOrdIdsMaxSet, CommandRefused, OrderAccepted, OrderRejected
from engine.exchange import Exchange
from engine.order import Side
from engine.order_memory import CLOSED_AGE_MAX_NS, CLOSED_MAX
from engine.reasons import RejectReason
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, Desk, new_order


@pytest.fixture
def desk() -> Desk:
    """ALICE has had six orders, c1 to c6, BOB one, c7; all were cancelled, a second apart."""
    desk = Desk()
    for account_id in (*[ALICE] * 6, BOB):
        (accepted,) = desk.buy(account_id, 1, 1)
        assert isinstance(accepted, OrderAccepted)
        desk.now_ns += 10**9
        desk.cancel(account_id, accepted.order.cl_ord_id, f"x-{accepted.order.cl_ord_id}")
    return desk


def known(desk: Desk) -> list[str]:
    return [name for name in (f"c{number}" for number in range(1, 10)) if desk.knows(ALICE, name)]


@pytest.mark.parametrize("is_restored", [False, True])
def test_oldest_names_go_first(desk: Desk, is_restored: bool) -> None:
    """A lower bound takes effect when the account's next name ends, in a replay as well."""
    assert desk.apply(SetClOrdIdsMax(3)) == [ClOrdIdsMaxSet(3)]
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    assert desk.exchange.cl_ord_ids_max == 3
    assert known(desk) == ["c1", "c2", "c3", "c4", "c5", "c6"]
    desk.buy(ALICE, 1, 1)
    desk.cancel(ALICE, "c8", "x8")
    assert known(desk) == ["c5", "c6", "c8"]
    assert desk.knows(BOB, "c7")


def test_forgotten_name_is_free_to_use(desk: Desk) -> None:
    """One that is known is not."""
    desk.apply(SetClOrdIdsMax(3))
    desk.buy(ALICE, 1, 1)
    desk.cancel(ALICE, "c8", "x8")
    for name, kind in (("c1", OrderAccepted), ("c6", OrderRejected)):
        (event,) = desk.apply(new_order(ALICE, Side.BUY, 1, 1, cl_ord_id=name))
        assert isinstance(event, kind)


def test_reach_is_that_of_the_account_with_most_names(desk: Desk) -> None:
    """A day, unless somebody had so many names that his older ones are gone."""
    exchange = desk.exchange
    assert exchange.cl_ord_ids_max == CLOSED_MAX
    assert exchange.name_reach_ns(desk.now_ns) == CLOSED_AGE_MAX_NS
    desk.apply(SetClOrdIdsMax(6))
    ended_at_ns, _ = exchange._trading.memory.closed()[0]
    assert exchange.name_reach_ns(desk.now_ns) == desk.now_ns - ended_at_ns
    assert 6 * 10**9 <= desk.now_ns - ended_at_ns < 7 * 10**9


def test_bound_of_nothing_is_refused(desk: Desk) -> None:
    """Then a repeat of the order that has just ended would be taken for a new one."""
    refused = CommandRefused(RejectReason.AMOUNT_INVALID, limit=1, actual=0)
    assert desk.apply(SetClOrdIdsMax(0)) == [refused]
    assert desk.exchange.cl_ord_ids_max == CLOSED_MAX
