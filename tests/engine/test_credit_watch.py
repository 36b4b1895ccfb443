"""Who uses up his credit is told of it at 80, 90 and 100 percent, each once on the way up."""

from engine.exchange import Exchange
from engine.ledger_commands import SetCreditLine
from engine.order import Side
from engine.risk_events import CreditUsed
from engine.units import AccountId, Money, Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BTC, NOTIONAL_FACTOR, USD, Desk, new_order

PRICE = 100
UNIT = PRICE * NOTIONAL_FACTOR


def used_marks(desk: Desk, qty: int) -> list[tuple[AccountId, int, int]]:
    """Buy so much more, and return what was told of it."""
    events = desk.buy(ALICE, qty, PRICE)
    return [
        (event.account_id, event.percent, event.used)
        for event in events
        if isinstance(event, CreditUsed)
    ]


def test_each_mark_is_told_once_on_the_way_up() -> None:
    """Holds count: an order that is open may have to be paid. What falls may rise again."""
    desk = Desk({USD: Money(10 * UNIT), BTC: Money(10**8)})
    desk.apply(SetCreditLine(ALICE, USD, Money(100 * UNIT)))
    assert used_marks(desk, 10) == []
    assert used_marks(desk, 79) == []
    assert used_marks(desk, 1) == [(ALICE, 80, 80 * UNIT)]
    assert used_marks(desk, 1) == []
    assert used_marks(desk, 18) == [(ALICE, 90, 99 * UNIT)]
    assert used_marks(desk, 1) == [(ALICE, 100, 100 * UNIT)]
    desk.cancel(ALICE, "c2", "x1")
    assert used_marks(desk, 59) == [(ALICE, 80, 80 * UNIT)]


def test_several_marks_at_once_are_told_as_the_highest() -> None:
    """And a smaller line makes more of what is used already."""
    desk = Desk({USD: Money(10 * UNIT), BTC: Money(10**8)})
    desk.apply(SetCreditLine(ALICE, USD, Money(100 * UNIT)))
    assert used_marks(desk, 105) == [(ALICE, 90, 95 * UNIT)]
    events = desk.apply(SetCreditLine(ALICE, USD, Money(95 * UNIT)))
    assert [event for event in events if isinstance(event, CreditUsed)] == [
        CreditUsed(ALICE, USD, 100, Money(95 * UNIT), Money(95 * UNIT))
    ]


def test_what_was_told_is_known_after_a_restart() -> None:
    """It follows from the balances: the same order tells the same in both."""
    desk = Desk({USD: Money(10 * UNIT), BTC: Money(10**8)})
    desk.apply(SetCreditLine(ALICE, USD, Money(100 * UNIT)))
    used_marks(desk, 95)
    copy = Exchange.restore(PreTradeGate(), desk.exchange.state())
    for number, qty in enumerate((1, 5, 9)):
        order = new_order(ALICE, Side.BUY, qty, PRICE, cl_ord_id=f"r{number}")
        events = copy.apply(Seq(desk.seq + 1), desk.now_ns + 1, order)
        assert events == desk.apply(order)
