"""Mass cancels and questions: always answered, in their place, and never lost in a large book."""

import pytest

from engine.commands import OpenAccount, SetStorageLow
from engine.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderStatusReported,
    Trade,
    recipients,
)
from engine.exchange import Exchange
from engine.instrument import Account
from engine.order import OrdStatus, Side
from engine.order_memory import OrderMemory
from engine.reasons import CancelReason, RejectReason
from engine.report import make_report
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from engine.request_events import (
    AffectedOrder,
    BalanceLine,
    BalancesReported,
    MassCancelCompleted,
    MassCancelReported,
    OrderStatusRefused,
)
from engine.requests import AFFECTED_MAX
from engine.scope import Scope
from engine.session_commands import OpenSession, ReleaseAllSessions
from engine.status_reports import REPORTED_MAX, StatusReports
from engine.sweeper import CANCELED_MAX
from engine.units import AccountId, ClOrdId, FirmId, InstrumentId, Money, OrderId, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, BTC_USD, USD, Desk, account_commands, session_order

OPERATOR = AccountId(0)
NOWHERE = SessionId(0)
ALICE_2 = AccountId(3)
SESSION = SessionId(7)
MANY = 2 * CANCELED_MAX + 500


@pytest.fixture
def desk() -> Desk:
    """Five orders rest: three of ALICE, one of her firm's other account, one of BOB."""
    desk = Desk()
    desk.apply(OpenAccount(Account(ALICE_2, FirmId(ALICE), "ALICE-2")))
    for command in account_commands(ALICE_2, {USD: Money(10**12)})[1:]:
        desk.apply(command)
    desk.apply(OpenSession(SESSION))
    desk.apply(session_order(SESSION, 1, 1))
    desk.buy(ALICE, 10, 90)
    desk.sell(ALICE, 10, 110)
    desk.buy(ALICE_2, 10, 91)
    desk.buy(BOB, 10, 92)
    return desk


def ids_of(desk: Desk) -> dict[str, int]:
    """Return the OrderID of each ClOrdID in the book."""
    orders = [item.order for item in desk.exchange.state().open_orders]
    return {order.cl_ord_id: order.order_id for order in orders}


@pytest.mark.parametrize(
    ("account_id", "scope", "side", "expected"),
    [
        (ALICE, (Scope.SESSION, SESSION), None, ["7-1"]),
        (ALICE, (Scope.ACCOUNT, ALICE), None, ["7-1", "c1", "c2"]),
        (ALICE, (Scope.ACCOUNT, ALICE), Side.BUY, ["7-1", "c1"]),
        (ALICE, (Scope.ACCOUNT, ALICE_2), None, ["c3"]),
        (ALICE, (Scope.FIRM, ALICE), None, ["7-1", "c1", "c2", "c3"]),
        (ALICE, (Scope.FIRM, ALICE), Side.SELL, ["c2"]),
        (BOB, (Scope.SESSION, SESSION), None, []),
        (BOB, (Scope.ACCOUNT, BOB), Side.SELL, []),
        (OPERATOR, (Scope.EVERYTHING, 0), None, ["7-1", "c1", "c2", "c3", "c4"]),
        (OPERATOR, (Scope.EVERYTHING, 0), Side.BUY, ["7-1", "c1", "c3", "c4"]),
        (OPERATOR, (Scope.FIRM, BOB), None, ["c4"]),
    ],
)
@pytest.mark.parametrize("instrument_id", [0, BTC_USD])
def test_scope_is_cancelled_and_nothing_else(
    desk: Desk,
    account_id: AccountId,
    scope: tuple[Scope, int],
    side: Side | None,
    expected: list[str],
    instrument_id: int,
) -> None:
    """The report with its count comes first, also when nothing fits; then the cancels; the end."""
    ids = ids_of(desk)
    name = "" if account_id == OPERATOR else "all"
    named = (NOWHERE, account_id, ClOrdId(name), *scope)
    report, *cancels, end = desk.mass_cancel(
        account_id, name, *scope, side=side, instrument_id=instrument_id
    )
    assert isinstance(report, MassCancelReported)
    assert [order.cl_ord_id for order in report.affected] == expected
    assert report == MassCancelReported(
        *named,
        InstrumentId(instrument_id),
        side,
        total=len(expected),
        affected=report.affected,
    )
    told = [event for event in cancels if isinstance(event, OrderCanceled)]
    assert [event.order.cl_ord_id for event in told] == expected
    assert [order.order_id for order in report.affected] == [ids[name] for name in expected]
    reason = CancelReason.CANCELED_BY_OPERATOR if not account_id else CancelReason.MASS_CANCELED
    for event in told:
        assert (event.reason, event.cl_ord_id) == (reason, name)
        assert event.order.ord_status is OrdStatus.CANCELED
    assert end == MassCancelCompleted(*named, len(expected))
    assert sorted(ids_of(desk)) == sorted(set(ids) - set(expected))


@pytest.mark.parametrize(
    ("account_id", "name", "scope", "instrument_id", "reason"),
    [
        (AccountId(9), "x", (Scope.ACCOUNT, 9), 0, RejectReason.ACCOUNT_UNKNOWN),
        (ALICE, "x", (Scope.ACCOUNT, BOB), 0, RejectReason.ACCOUNT_UNKNOWN),
        (ALICE, "x", (Scope.FIRM, BOB), 0, RejectReason.FIRM_UNKNOWN),
        (ALICE, "x", (Scope.SESSION, 99), 0, RejectReason.SESSION_UNKNOWN),
        (ALICE, "x", (Scope.EVERYTHING, 0), 0, RejectReason.UNSUPPORTED),
        (ALICE, "x", (Scope.ACCOUNT, ALICE), 9, RejectReason.SYMBOL_UNKNOWN),
        (ALICE, "c1", (Scope.ACCOUNT, ALICE), 0, RejectReason.DUPLICATE_CLORDID),
        (ALICE, "", (Scope.ACCOUNT, ALICE), 0, RejectReason.CLORDID_INVALID),
        (OPERATOR, "x", (Scope.EVERYTHING, 1), 0, RejectReason.AMOUNT_INVALID),
        (OPERATOR, "x y", (Scope.EVERYTHING, 0), 0, RejectReason.CLORDID_INVALID),
        (OPERATOR, "", (Scope.FIRM, 9), 0, RejectReason.FIRM_UNKNOWN),
    ],
)
def test_mass_cancel_that_is_refused_changes_nothing(
    desk: Desk,
    account_id: AccountId,
    name: str,
    scope: tuple[Scope, int],
    instrument_id: int,
    reason: RejectReason,
) -> None:
    """What belongs to another firm does not exist for the asker."""
    before = desk.exchange.state()
    events = desk.mass_cancel(account_id, name, *scope, instrument_id=instrument_id)
    assert events == [
        MassCancelReported(
            NOWHERE,
            account_id,
            ClOrdId(name),
            *scope,
            InstrumentId(instrument_id),
            None,
            reason=reason,
        )
    ]
    assert desk.exchange.state() == before


def over_session(msg_seq_num: int, *, generation: int = 1) -> MassCancel:
    return MassCancel(
        session_id=SESSION,
        generation=generation,
        epoch=1,
        msg_seq_num=msg_seq_num,
        account_id=ALICE,
        cl_ord_id=ClOrdId(f"m{msg_seq_num}"),
        scope=Scope.FIRM,
        scope_id=ALICE,
    )


def test_request_counts_like_an_order(desk: Desk) -> None:
    """Seen twice it runs once; from a process that lost its session it does not run."""
    events = desk.apply(over_session(2))
    assert len(events) == 6
    assert recipients(events[0]) == recipients(events[-1]) == (SESSION,)
    # Orders of other sessions are told to those and to whoever asked.
    assert [recipients(event) for event in events[1:-1]] == [(SESSION,)] * 4
    assert desk.apply(over_session(2)) == []
    question = ReportBalances(SESSION, 1, 1, 2, account_id=ALICE, request_id="b")
    assert desk.apply(question) == []
    desk.apply(ReleaseAllSessions())
    (refused,) = desk.apply(over_session(3))
    assert isinstance(refused, CommandRefused)
    assert refused.reason is RejectReason.STALE_GENERATION


def test_session_without_an_account_is_no_operator(desk: Desk) -> None:
    """Only who comes over no session may leave the account out."""
    command = MassCancel(
        SESSION, 1, 1, 2, OPERATOR, ClOrdId("x"), Scope.EVERYTHING, 0
    )  # fmt: skip
    (report,) = desk.apply(command)
    assert isinstance(report, MassCancelReported)
    assert report.reason is RejectReason.ACCOUNT_UNKNOWN


def fill_book(count: int) -> Desk:
    """Return a desk on which ALICE has so many orders. It is not checked after each of them."""
    desk = Desk()
    for _ in range(count):
        desk.seq += 1
        order = session_order(SessionId(0), 0, desk.seq)
        desk.exchange.apply(desk.seq, desk.now_ns, order)  # type: ignore[arg-type]
    return desk


def go_on(desk: Desk) -> list[list[Event]]:
    """Let time pass as long as something is under way. Returns the events of each record."""
    records = []
    while desk.exchange.next_timer_ns() == 0:
        records.append(desk.advance_to(desk.now_ns + 1))
    return records


@pytest.mark.parametrize("is_restored", [False, True])
def test_large_mass_cancel_goes_on_until_all_are_gone(is_restored: bool) -> None:
    """So many a record that nobody waits; the total is told at once; a restart loses nothing."""
    desk = fill_book(MANY)
    first = desk.mass_cancel(ALICE, "all", Scope.ACCOUNT, ALICE)
    report = first[0]
    assert isinstance(report, MassCancelReported)
    assert (report.total, report.affected) == (MANY, [])
    assert len(first) == 1 + CANCELED_MAX
    (entered,) = desk.buy(ALICE, 1, 1)
    assert isinstance(entered, OrderAccepted)
    gone_by_itself = desk.exchange.state().open_orders[0].order
    (canceled,) = desk.cancel(ALICE, gone_by_itself.cl_ord_id, "x1")
    assert isinstance(canceled, OrderCanceled)
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    later = go_on(desk)
    assert [len(events) for events in later] == [CANCELED_MAX, MANY - 2 * CANCELED_MAX]
    assert later[-1][-1] == MassCancelCompleted(
        NOWHERE, ALICE, ClOrdId("all"), Scope.ACCOUNT, ALICE, MANY - 1
    )
    assert [*ids_of(desk)] == [entered.order.cl_ord_id]


def test_affected_orders_are_named_when_they_are_few() -> None:
    """As OrderMassCancelReport lists them; a long list would be no help."""
    for count, named in ((AFFECTED_MAX, AFFECTED_MAX), (AFFECTED_MAX + 1, 0)):
        desk = fill_book(count)
        report = desk.mass_cancel(ALICE, "all", Scope.ACCOUNT, ALICE)[0]
        assert isinstance(report, MassCancelReported)
        assert (report.total, len(report.affected)) == (count, named)
        if named:
            oldest = min(ids_of(fill_book(count)).values())
            assert report.affected[0] == AffectedOrder(
                OrderId(oldest), ALICE, ClOrdId(f"0-{oldest}")
            )


def test_cancel_by_an_operator_says_so(desk: Desk) -> None:
    """The owner has asked for nothing: the report has no OrigClOrdID but a reason in words."""
    _, *cancels, _ = desk.mass_cancel(OPERATOR, "", Scope.ACCOUNT, BOB)
    (event,) = cancels
    assert isinstance(event, OrderCanceled)
    report = make_report(event, "1.1", desk.exchange.reference)
    assert (report.cl_ord_id, report.orig_cl_ord_id) == ("c4", None)
    assert report.exec_restatement_reason == "99"
    assert report.text == "CANCELED_BY_OPERATOR: an operator has cancelled it"


def test_order_is_found_by_either_name(desk: Desk) -> None:
    """By ClOrdID, OrderID or both if they fit; the answer is its state now, with the question."""
    order_id = ids_of(desk)["c1"]
    trades = [event for event in desk.sell(BOB, 22, 90) if isinstance(event, Trade)]
    assert len(trades) == 6  # Two better bids go first.
    for cl_ord_id, named_id in (("c1", 0), ("", order_id), ("c1", order_id)):
        (event,) = desk.report_order(ALICE, cl_ord_id, "q1", order_id=named_id)
        assert isinstance(event, OrderStatusReported)
        assert (event.order.order_id, event.order.cum_qty) == (order_id, 2)
        assert (event.request_id, event.mass_total, event.is_last) == ("q1", 0, True)
        assert event.order.ord_status is OrdStatus.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("account_id", "cl_ord_id", "order_id", "reason"),
    [
        (ALICE, "nothing", 0, RejectReason.UNKNOWN_ORDER),
        (ALICE, "", 0, RejectReason.UNKNOWN_ORDER),
        (ALICE, "c1", 1, RejectReason.UNKNOWN_ORDER),
        (BOB, "c1", 0, RejectReason.UNKNOWN_ORDER),
        (AccountId(9), "c1", 0, RejectReason.ACCOUNT_UNKNOWN),
    ],
)
def test_unknown_order_is_answered_too(
    desk: Desk, account_id: AccountId, cl_ord_id: str, order_id: int, reason: RejectReason
) -> None:
    """With what the question has named, so that the asker knows which one it was."""
    assert desk.report_order(account_id, cl_ord_id, "q1", order_id=order_id) == [
        OrderStatusRefused(
            NOWHERE, account_id, "q1", reason, ClOrdId(cl_ord_id), OrderId(order_id), is_last=True
        )
    ]


def test_question_that_names_the_wrong_side_finds_nothing(desk: Desk) -> None:
    """As with cancels: all that is given must fit."""
    for side, kind in ((Side.BUY, OrderStatusReported), (Side.SELL, OrderStatusRefused)):
        question = ReportOrder(NOWHERE, 0, 0, 0, ALICE, ClOrdId("c1"), side=side)
        (event,) = desk.apply(question)
        assert isinstance(event, kind)


def test_open_orders_are_told_with_their_number(desk: Desk) -> None:
    """Each with the total, the last one marked; nothing found is one answer that says so."""
    events = desk.report_open_orders(ALICE, "q1", Scope.FIRM, ALICE, side=Side.BUY)
    told = [event for event in events if isinstance(event, OrderStatusReported)]
    assert [
        (event.order.cl_ord_id, event.request_id, event.mass_total, event.is_last) for event in told
    ] == [("7-1", "q1", 3, False), ("c1", "q1", 3, False), ("c3", "q1", 3, True)]
    assert len(told) == len(events)
    refusals = [
        (BOB, Scope.ACCOUNT, BOB, Side.SELL, RejectReason.UNKNOWN_ORDER),
        (BOB, Scope.ACCOUNT, ALICE, None, RejectReason.ACCOUNT_UNKNOWN),
        (BOB, Scope.EVERYTHING, 0, None, RejectReason.UNSUPPORTED),
    ]
    for account_id, scope, scope_id, side, reason in refusals:
        assert desk.report_open_orders(account_id, "q", scope, scope_id, side=side) == [
            OrderStatusRefused(NOWHERE, account_id, "q", reason, side=side, is_last=True)
        ]


@pytest.mark.parametrize("is_restored", [False, True])
def test_long_answer_goes_on_record_by_record(is_restored: bool) -> None:
    """Orders that end meanwhile are told of as they are by then: the number that was said holds."""
    desk = fill_book(MANY)
    first = desk.report_open_orders(ALICE, "q1", Scope.ACCOUNT, ALICE)
    second = desk.report_open_orders(ALICE, "q2", Scope.ACCOUNT, ALICE, side=Side.BUY)
    newest = desk.exchange.state().open_orders[-1].order
    desk.cancel(ALICE, newest.cl_ord_id, "x1")
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    later = go_on(desk)
    records = [first, second, *later]
    assert [len(events) for events in records] == [REPORTED_MAX] * 5
    told = [
        event for events in records for event in events if isinstance(event, OrderStatusReported)
    ]
    assert {event.mass_total for event in told} == {MANY}
    assert [event.request_id for event in told] == ["q1"] * MANY + ["q2"] * MANY
    ends = [(place, event.order.ord_status) for place, event in enumerate(told) if event.is_last]
    assert ends == [(MANY - 1, OrdStatus.CANCELED), (2 * MANY - 1, OrdStatus.CANCELED)]


def test_order_that_is_forgotten_meanwhile_is_counted(desk: Desk) -> None:
    """Its place in the answer says that it is not known any more."""
    (item,) = [item for item in desk.exchange.state().open_orders if item.order.account_id == BOB]
    reports = StatusReports(OrderMemory())  # It has forgotten everything.
    question = ReportOpenOrders(NOWHERE, 0, 0, 0, BOB, "q1", Scope.ACCOUNT, BOB)
    reports.start(question, [item.make_order()])
    assert reports.go_on() == [
        OrderStatusRefused(
            NOWHERE,
            BOB,
            "q1",
            RejectReason.UNKNOWN_ORDER,
            order_id=item.order.order_id,
            mass_total=1,
            is_last=True,
        )
    ]
    assert not reports.is_busy


def test_long_answers_wait_for_storage(desk: Desk) -> None:
    """On a nearly full disk one order is told of, thousands are not."""
    desk.apply(SetStorageLow(is_low=True))
    assert desk.report_open_orders(BOB, "q1", Scope.ACCOUNT, BOB) == [
        OrderStatusRefused(NOWHERE, BOB, "q1", RejectReason.STORAGE_LOW, is_last=True)
    ]
    (event,) = desk.report_order(BOB, "c4", "q2")
    assert isinstance(event, OrderStatusReported)


def test_balances_are_told_in_one_answer(desk: Desk) -> None:
    """Balance, hold and what is free of each asset; none of an account that does not exist."""
    assert desk.report_balances(ALICE, "b1") == [
        BalancesReported(
            NOWHERE,
            ALICE,
            "b1",
            [
                BalanceLine(USD, *money(10_000_00000000, 100 + 90_000)),
                BalanceLine(BTC, *money(100_00000000, 100_000)),
            ],
        )
    ]
    assert desk.report_balances(AccountId(9), "b2") == [
        BalancesReported(
            NOWHERE, AccountId(9), "b2", [], reason=RejectReason.ACCOUNT_UNKNOWN
        )
    ]  # fmt: skip


def money(balance: int, held: int) -> tuple[Money, Money, Money]:
    """Return balance, hold and the difference."""
    return Money(balance), Money(held), Money(balance - held)
