"""What the read model says of a few orders and amounts of money, row for row."""

import json
from typing import Any

from engine.commands import AdjustBalance, Command
from engine.fee_rates import FeeRates
from engine.ledger_commands import RequestWithdrawal, SetFees, SettleWithdrawal
from engine.order import OrderTerms, OrdStatus, Side
from engine.runtime.codec import Record, encode_events
from engine.runtime.feed import find_trade
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeSide
from engine.units import Money, Price, Qty, Seq, TradeId
from store.projector.projection import Projection, checksum_of
from store.projector.rows import Batch, Position, TradeChange
from tests.exchange_desk import ALICE, BOB, BTC_USD, START_NS, USD, Desk, new_order, view


def project(commands: list[Command]) -> tuple[Projection, Batch]:
    """Return the projection after the commands, and the rows of those behind the set-up."""
    recorder = _RecordingDesk()
    projection = Projection.from_the_beginning()
    for record in recorder.records:
        projection.add(record)
    projection.take_batch()
    for command in commands:
        recorder.apply(command)
        projection.add(recorder.records[-1])
    return projection, projection.take_batch()


class _RecordingDesk(Desk):
    """Keeps each command's record."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        super().__init__()

    def apply(self, command: Command) -> list[Any]:
        events = super().apply(command)
        self.records.append(Record(Seq(self.seq), self.now_ns, 1, 0, b"", encode_events(events)))
        return events


SET_UP_COUNT = 11
AT = "2026-11-23T00:00:00.000000Z"


def test_a_match_is_two_orders_one_trade_and_balanced_entries() -> None:
    """The seller was there; the buyer pays a fee, the seller earns a rebate."""
    projection, batch = project(
        [
            SetFees(BTC_USD, 0, FeeRates(-100, 500)),
            new_order(BOB, Side.SELL, 20, 10_000, cl_ord_id="ask"),
            new_order(ALICE, Side.BUY, 5, 10_000, cl_ord_id="bid"),
        ]
    )
    ask, bid = SET_UP_COUNT + 2, SET_UP_COUNT + 3
    assert {
        row.order_id: (row.cl_ord_id, row.account_id, row.ord_status, row.leaves_qty, row.avg_px)
        for row in batch.orders.values()
    } == {
        ask: ("ask", BOB, "1", "0.0015", "100.0000"),
        bid: ("bid", ALICE, "2", "0.0000", "100.0000"),
    }
    assert batch.orders[ask].last_seq == bid
    assert [row[:9] for row in batch.order_events] == [
        (ask, 0, AT, "accepted", ask, BOB, "BTC-USD", "ask", "0"),
        (bid, 0, AT, "accepted", bid, ALICE, "BTC-USD", "bid", "0"),
        (bid, 1, AT, "traded", bid, ALICE, "BTC-USD", "bid", "F"),
        (bid, 2, AT, "traded", ask, BOB, "BTC-USD", "ask", "F"),
    ]
    fill = json.loads(str(batch.order_events[2][9]))
    assert (fill["exec_id"], fill["last_qty"], fill["last_px"]) == (f"{bid}.1", "0.0005", "100.00")
    fees = ("0.00002500", "USD"), ("-0.00000500", "USD")
    assert batch.trades == [
        (
            *(1, bid, AT, "BTC-USD", "100.00", "0.0005", "0.05000000", "1"),
            *(bid, ALICE, *fees[0]),
            *(ask, BOB, *fees[1]),
            *("done", None),
        )
    ]
    entries = [(row[1], row[2], *row[4:7], *row[8:]) for row in batch.ledger_entries]
    assert entries == [
        (1, 0, ALICE, "BTC", "0.00050000", "trade", "1", bid),
        (1, 1, -1, "BTC", "-0.00050000", "trade", "1", bid),
        (1, 2, ALICE, "USD", "-0.05000000", "trade", "1", bid),
        (1, 3, -1, "USD", "0.05000000", "trade", "1", bid),
        (1, 4, ALICE, "USD", "-0.00002500", "fee", "1", bid),
        (1, 5, -2, "USD", "0.00002500", "fee", "1", bid),
        (2, 0, BOB, "BTC", "-0.00050000", "trade", "1", ask),
        (2, 1, -1, "BTC", "0.00050000", "trade", "1", ask),
        (2, 2, BOB, "USD", "0.05000000", "trade", "1", ask),
        (2, 3, -1, "USD", "-0.05000000", "trade", "1", ask),
        (2, 4, BOB, "USD", "0.00000500", "fee", "1", ask),
        (2, 5, -2, "USD", "-0.00000500", "fee", "1", ask),
    ]
    assert batch.balances[ALICE, USD][3:] == ("9999.94997500", bid)
    assert batch.balances[-1, USD][3] == "0.00000000"  # type: ignore[index]  # No account of ours.
    assert projection.position.seq == bid


def test_a_trade_that_is_undone_is_booked_back() -> None:
    """The orders are what they are by then, the entries go the other way; the trade's row stays."""
    ask, bid = SET_UP_COUNT + 1, SET_UP_COUNT + 2
    sell = new_order(BOB, Side.SELL, 5, 10_000, cl_ord_id="ask")
    buy = new_order(ALICE, Side.BUY, 5, 10_000, cl_ord_id="bid")
    desk = _RecordingDesk()
    desk.apply(sell)
    desk.apply(buy)
    trade = find_trade(desk.records[-1], TradeId(1))
    assert trade is not None
    _, batch = project([sell, buy, BustTrade(trade, "erroneous", "carol")])
    assert len(batch.trades) == 1
    assert [(row.order_id, row.ord_status, row.cum_qty) for row in batch.orders.values()] == [
        (ask, "4", "0.0000"),
        (bid, "4", "0.0000"),
    ]
    assert [row[3] for row in batch.order_events][-2:] == ["trade_busted", "trade_busted"]
    entries = [(row[1], row[2], *row[4:7], *row[8:]) for row in batch.ledger_entries[-8:]]
    assert entries == [
        (0, 0, ALICE, "BTC", "-0.00050000", "bust", "1", bid),
        (0, 1, -1, "BTC", "0.00050000", "bust", "1", bid),
        (0, 2, ALICE, "USD", "0.05000000", "bust", "1", bid),
        (0, 3, -1, "USD", "-0.05000000", "bust", "1", bid),
        (1, 0, BOB, "BTC", "0.00050000", "bust", "1", ask),
        (1, 1, -1, "BTC", "-0.00050000", "bust", "1", ask),
        (1, 2, BOB, "USD", "-0.05000000", "bust", "1", ask),
        (1, 3, -1, "USD", "0.05000000", "bust", "1", ask),
    ]


def test_a_trade_that_is_settled_anew_has_the_numbers_that_hold() -> None:
    """Its row is changed, and each side's order has an event more."""
    seq = SET_UP_COUNT + 3
    sell = TradeSide(
        view(seq - 1, BOB, "ask", Side.SELL, qty=5, price=10_000, cum_qty=5, cum_notional=5_000_000,
             ord_status=OrdStatus.FILLED),
        2,
        Money(-500),
    )  # fmt: skip
    buy = TradeSide(
        view(seq, ALICE, "bid", Side.BUY, qty=5, price=10_000, cum_qty=5, cum_notional=5_000_000,
             ord_status=OrdStatus.FILLED),
        1,
        Money(2_500),
    )  # fmt: skip
    booked = BookedTrade(TradeId(1), seq, BTC_USD, Qty(5), Price(10_000), buy, sell)
    _, batch = project(
        [
            SetFees(BTC_USD, 0, FeeRates(-100, 500)),
            new_order(BOB, Side.SELL, 5, 10_000, cl_ord_id="ask"),
            new_order(ALICE, Side.BUY, 5, 10_000, cl_ord_id="bid"),
            CorrectTrade(booked, Qty(4), Price(10_000), "fat finger"),
        ]
    )
    assert batch.trade_changes == [
        TradeChange(
            "corrected", "100.00", "0.0004", "0.04000000", "0.00002000", "-0.00000400", seq + 1, 1
        )
    ]
    assert [row[3] for row in batch.order_events[-2:]] == ["trade_corrected", "trade_corrected"]


def test_a_refusal_keeps_what_the_engine_knows_of_it() -> None:
    """The numbers behind the reason, in its own unit and in words; the order has its own row."""
    _, batch = project([new_order(BOB, Side.SELL, 2_000_000, 10_000, cl_ord_id="too-much")])
    seq = SET_UP_COUNT + 1
    (row,) = batch.order_events
    assert row[3:9] == ("rejected", seq, BOB, "BTC-USD", "too-much", "8")
    refusal = json.loads(str(row[10]))
    text = json.loads(str(row[9]))["text"]
    assert text.startswith("INSUFFICIENT_BALANCE: ")
    assert refusal == {
        "reason": "INSUFFICIENT_BALANCE",
        "scope": "account",
        "measure": "amount of the asset that pays",
        "limit": "100.00000000 BTC",
        "actual": "200.00000000 BTC",
        "text": text,
    }
    order = batch.orders[seq]
    assert (order.ord_status, order.reason, order.text) == ("8", "INSUFFICIENT_BALANCE", text)


def test_terms_of_an_order_have_names_and_decimals() -> None:
    """What it does not ask for is left out."""
    terms = OrderTerms(is_post_only=True, min_qty=Qty(0), self_trade_group=7)
    _, batch = project([new_order(ALICE, Side.BUY, 5, 100, cl_ord_id="quiet", terms=terms)])
    (order,) = batch.orders.values()
    assert json.loads(order.terms or "") == {"is_post_only": True, "self_trade_group": 7}


def test_money_that_comes_and_goes_is_booked_once() -> None:
    """A withdrawal when it is paid, not when it is asked for; one that was refused not at all."""
    request = SET_UP_COUNT + 2
    _, batch = project(
        [
            AdjustBalance(ALICE, USD, Money(500), "wire-1"),
            RequestWithdrawal(ALICE, USD, Money(200), "out-1"),
            SettleWithdrawal(request, is_paid=True),
            RequestWithdrawal(ALICE, USD, Money(300), "out-2"),
            SettleWithdrawal(request + 2, is_paid=False),
        ]
    )
    entries = [(row[0], *row[4:]) for row in batch.ledger_entries]
    assert entries == [
        (request - 1, ALICE, "USD", "0.00000500", "10000.00000500", "adjustment", "wire-1", None),
        (request - 1, 0, "USD", "-0.00000500", "-20000.00000500", "adjustment", "wire-1", None),
        (request + 1, ALICE, "USD", "-0.00000200", "10000.00000300", "withdrawal", "out-1", None),
        (request + 1, 0, "USD", "0.00000200", "-20000.00000300", "withdrawal", "out-1", None),
    ]


def test_position_names_the_very_record() -> None:
    """By its number, its time and a checksum of what it holds."""
    desk = _RecordingDesk()
    projection = Projection.from_the_beginning()
    for record in desk.records:
        projection.add(record)
    last = desk.records[-1]
    assert projection.position == Position(last.seq, last.now_ns, checksum_of(last))
    assert last.now_ns > START_NS
    assert checksum_of(last._replace(command_bytes=b"x")) != checksum_of(last)
