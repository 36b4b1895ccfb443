"""Reports: every event in FIX's own words, whole."""

from dataclasses import asdict

import pytest

from engine.commands import NewOrder
from engine.events import Event, ExecutionEvent
from engine.order import OrdType, Side, TimeInForce
from engine.report import Report, make_report
from engine.units import ClOrdId, InstrumentId, Price, Qty, SessionId
from fix_gateway.fix.execution_report import REPORT_TAGS
from tests.exchange_desk import ALICE, BOB, NS_PER_S, START_NS, Desk, new_order

FIRST = 12  # The seq of the first command after the desk has been set up.


@pytest.fixture
def desk() -> Desk:
    return Desk()


def reports(desk: Desk, events: list[Event]) -> list[dict[str, str]]:
    """Return the fields of each report that are there."""
    found = []
    for index, event in enumerate(events):
        assert isinstance(event, ExecutionEvent)
        report = make_report(event, f"{desk.seq}.{index}", desk.exchange.reference)
        found.append({name: value for name, value in asdict(report).items() if value is not None})
    return found


def test_fill_between_two_orders(desk: Desk) -> None:
    """The aggressor is new and trades, the other side trades; numbers in their decimals."""
    desk.sell(BOB, 10_000, 100_00)
    order = {"symbol": "BTC-USD", "ord_type": "2", "time_in_force": "1"}
    bought = order | {
        "order_id": "13", "cl_ord_id": "c2", "account": "ALICE", "side": "1",
        "order_qty": "1.5000", "price": "101.00",
    }  # fmt: skip
    fill = {"exec_type": "F", "last_qty": "1.0000", "last_px": "100.00", "trade_id": "1"}
    assert reports(desk, desk.buy(ALICE, 15_000, 101_00)) == [
        bought
        | {
            "exec_id": "13.0", "exec_type": "0", "ord_status": "0", "leaves_qty": "1.5000",
            "cum_qty": "0.0000", "avg_px": "0",
        },
        bought
        | fill
        | {
            "exec_id": "13.1", "ord_status": "1", "leaves_qty": "0.5000", "cum_qty": "1.0000",
            "avg_px": "100.0000", "last_liquidity_ind": "2",
        },
        order
        | fill
        | {
            "exec_id": "13.2", "ord_status": "2", "leaves_qty": "0.0000", "cum_qty": "1.0000",
            "avg_px": "100.0000", "last_liquidity_ind": "1", "order_id": "12", "cl_ord_id": "c1",
            "account": "BOB", "side": "2", "order_qty": "1.0000", "price": "100.00",
        },
    ]  # fmt: skip


def test_ends_of_orders(desk: Desk) -> None:
    """A cancel that was asked bears both ClOrdIDs, one that was not says why; time says itself."""
    desk.buy(ALICE, 1, 100)
    desk.buy(ALICE, 1, 100, TimeInForce.DAY)
    (canceled,) = reports(desk, desk.cancel(ALICE, "c1", "x1"))
    assert (canceled["exec_type"], canceled["ord_status"], canceled["leaves_qty"]) == (
        "4",
        "4",
        "0.0000",
    )
    assert (canceled["cl_ord_id"], canceled["orig_cl_ord_id"]) == ("x1", "c1")
    assert (canceled["reason"], "text" in canceled) == ("REQUESTED", False)
    (_, remainder) = reports(desk, desk.buy(ALICE, 1, 100, TimeInForce.IOC))
    assert (remainder["cl_ord_id"], "orig_cl_ord_id" in remainder) == ("c3", False)
    assert remainder["reason"] == "IOC_REMAINDER"
    assert remainder["text"] == "IOC_REMAINDER: the rest could not trade at once"
    (expired,) = reports(desk, desk.advance_to(START_NS + 24 * 3600 * NS_PER_S))
    assert (expired["exec_type"], expired["ord_status"], expired["cl_ord_id"]) == ("C", "C", "c2")


def test_refusals_and_states(desk: Desk) -> None:
    """A refused order has no OrderID, its reason as code and in words; a repeat gets the state."""
    (refused,) = reports(desk, desk.buy(ALICE, 10_000_000_000, 100_00))
    assert (refused["exec_type"], refused["ord_status"], refused["order_id"]) == ("8", "8", "NONE")
    assert (refused["ord_rej_reason"], refused["reason"]) == ("0", "INSUFFICIENT_BALANCE")
    assert refused["text"].startswith("INSUFFICIENT_BALANCE: needs 100000000.00000000 USD, ")
    desk.apply(new_order(ALICE, Side.BUY, 1, 100, cl_ord_id="known"))
    again = new_order(ALICE, Side.BUY, 1, 100, cl_ord_id="known", is_poss_resend=True)
    (state,) = reports(desk, desk.apply(again))
    assert (state["exec_type"], state["ord_status"], state["cl_ord_id"]) == ("I", "0", "known")


def test_order_for_an_unknown_symbol_is_reported_too(desk: Desk) -> None:
    """There is no scale then, and no name: the numbers are as they came."""
    order = NewOrder(
        session_id=SessionId(0),
        generation=0,
        epoch=0,
        msg_seq_num=0,
        account_id=ALICE,
        instrument_id=InstrumentId(99),
        cl_ord_id=ClOrdId("c"),
        side=Side.BUY,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Qty(7),
        price=Price(5),
    )
    assert reports(desk, desk.apply(order)) == [
        {
            "exec_id": "12.0", "exec_type": "8", "ord_status": "8", "order_id": "NONE",
            "cl_ord_id": "c", "account": "ALICE", "symbol": "[N/A]", "side": "1", "ord_type": "2",
            "time_in_force": "1", "order_qty": "7", "leaves_qty": "0", "cum_qty": "0",
            "avg_px": "0", "price": "5", "ord_rej_reason": "1", "reason": "SYMBOL_UNKNOWN",
            "text": "SYMBOL_UNKNOWN: no such instrument",
        }
    ]  # fmt: skip


def test_every_field_has_its_tag() -> None:
    """The reason is the code in front of Text(58), a fee is a group, a time is formatted."""
    untagged = {"reason", "fee", "fee_asset", "expires_at_ns", "exec_ref_id"}
    assert set(Report.__annotations__) - set(REPORT_TAGS) == untagged
    assert set(REPORT_TAGS) < set(Report.__annotations__)
