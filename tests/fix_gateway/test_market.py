"""The messages of market data, whole, as subscribers read them."""

import json
from typing import Any

from engine.commands import PullKillSwitch, SetStorageLow, SetTradingState
from engine.order import Side
from engine.scope import Scope
from engine.trading_state import TradingState
from fix_gateway.market_data.market import Changes, Market
from fix_gateway.market_data.messages import Published, escape, topic_of
from tests.exchange_desk import ALICE, BOB, BTC_USD, NS_PER_S
from tests.market_tape import MarketTape

ROOT = "wcx/v1/md/BTC-USD"


def told(messages: list[Published]) -> list[tuple[str, Any, bool]]:
    return [(topic, json.loads(payload), is_retained) for topic, payload, is_retained in messages]


def follow(tape: MarketTape, market: Market) -> Changes:
    return market.apply([record for record in tape.records if record.seq > market.seq])


def opened() -> tuple[MarketTape, Market]:
    tape, market = MarketTape(), Market("s1")
    follow(tape, market)
    return tape, market


def test_instrument_and_status_are_told_when_it_is_defined() -> None:
    """Whoever subscribes later is given both by the broker."""
    messages = told(follow(MarketTape(), Market("s1")).messages)
    assert messages[:2] == [
        (
            f"{ROOT}/instrument",
            {
                "stream": "s1", "symbol": "BTC-USD", "instrument_id": 1, "base": "BTC",
                "quote": "USD", "price_decimals": 2, "qty_decimals": 4, "tick_size": "0.01",
                "lot_size": "0.0001",
            },
            True,
        ),
        (
            f"{ROOT}/status",
            {
                "stream": "s1", "symbol": "BTC-USD", "seq": 3, "status": "open", "reason": "",
                "ends_at": None, "time": "2026-11-23T00:00:03.000000Z",
            },
            True,
        ),
    ]  # fmt: skip


def test_trades_of_several_records_are_one_message() -> None:
    """Each with its own record; the next message names the last of them."""
    tape, market = opened()
    tape.enter(ALICE, Side.SELL, 5, 101)
    first = tape.enter(BOB, Side.BUY, 2, 101)[0].seq
    second = tape.enter(BOB, Side.BUY, 1, 101)[0].seq
    changes = follow(tape, market)
    trades = [item for item in told(changes.messages) if item[0] == f"{ROOT}/trades"]
    entry = {"price": "1.01", "aggressor": "buy", "kind": "trade"}
    assert trades == [
        (
            f"{ROOT}/trades",
            {
                "stream": "s1", "symbol": "BTC-USD", "seq": second, "prev_seq": 0,
                "trades": [
                    {"seq": first, "trade_id": 1, "time": time_of(first), "qty": "0.0002", **entry},
                    {"seq": second, "trade_id": 2, "time": time_of(second), "qty": "0.0001",
                     **entry},
                ],
            },
            False,
        )
    ]  # fmt: skip
    assert list(changes.traded) == [BTC_USD]
    tape.enter(BOB, Side.BUY, 1, 101)
    (last,) = [item for item in told(follow(tape, market).messages) if item[0].endswith("trades")]
    assert last[1]["prev_seq"] == second
    recent = market.recent_trades(BTC_USD)
    assert recent is not None
    assert told([recent]) == [
        (
            f"{ROOT}/trades/recent",
            {**last[1], "prev_seq": 0, "trades": trades[0][1]["trades"] + last[1]["trades"]},
            True,
        )
    ]


def test_recent_trades_say_what_went_before_them() -> None:
    """So that whoever has missed more than them knows it."""
    tape, market = opened()
    assert market.recent_trades(BTC_USD) is None
    tape.enter(ALICE, Side.SELL, 300, 101)
    seqs = [tape.enter(BOB, Side.BUY, 1, 101)[0].seq for _ in range(205)]
    follow(tape, market)
    recent = market.recent_trades(BTC_USD)
    assert recent is not None
    content = json.loads(recent.payload)
    assert content["prev_seq"] == seqs[4]
    assert [entry["seq"] for entry in content["trades"]] == seqs[5:]


def time_of(seq: int) -> str:
    """A second passes before each command."""
    return f"2026-11-23T00:00:{seq:02}.000000Z"


def test_executions_go_to_the_firm_alone() -> None:
    """Both firms are told of a trade, each of its own side, in the words of ExecutionReport(8)."""
    tape, market = opened()
    tape.enter(ALICE, Side.SELL, 5, 101)
    follow(tape, market)
    seq = tape.enter(BOB, Side.BUY, 2, 101)[0].seq
    messages = told(follow(tape, market).messages)
    private = {topic: content for topic, content, _ in messages if "/private/" in topic}
    assert list(private) == [
        "wcx/v1/private/firm-2/executions",
        "wcx/v1/private/firm-1/executions",
    ]
    alice = private["wcx/v1/private/firm-1/executions"]
    assert (alice["firm_id"], alice["prev_seq"], alice["seq"]) == (1, seq - 1, seq)
    assert alice["executions"] == [
        {
            "time": time_of(seq), "exec_id": f"{seq}.2", "exec_type": "F", "ord_status": "1",
            "order_id": str(seq - 1), "cl_ord_id": "c1", "account": "ALICE", "symbol": "BTC-USD",
            "side": "2", "ord_type": "2", "time_in_force": "1", "order_qty": "0.0005",
            "leaves_qty": "0.0003", "cum_qty": "0.0002", "avg_px": "1.0100", "price": "1.01",
            "last_qty": "0.0002", "last_px": "1.01", "trade_id": "1", "last_liquidity_ind": "1",
        }
    ]  # fmt: skip
    bob = private["wcx/v1/private/firm-2/executions"]["executions"]
    assert [(item["exec_type"], item["account"]) for item in bob] == [("0", "BOB"), ("F", "BOB")]


def test_snapshot_update_and_top() -> None:
    """A level is price, quantity and number of orders, the best first; with 0 it is gone."""
    tape, market = opened()
    tape.enter(ALICE, Side.BUY, 5, 99)
    tape.enter(ALICE, Side.BUY, 1, 98)
    tape.enter(BOB, Side.BUY, 2, 99)
    before = tape.records[-1].seq
    follow(tape, market)
    common = {"stream": "s1", "symbol": "BTC-USD", "seq": before, "time": time_of(before)}
    bids = [["0.99", "0.0007", 2], ["0.98", "0.0001", 1]]
    assert told([market.snapshot(BTC_USD, 10)]) == [
        (f"{ROOT}/depth/snapshot", {**common, "bids": bids, "asks": []}, True)
    ]
    assert told([market.snapshot(BTC_USD, 1)])[0][1] == {
        **common, "bids": bids[:1], "asks": [], "is_cut": True
    }  # fmt: skip
    assert told([market.top(BTC_USD)]) == [
        (f"{ROOT}/top", {**common, "bid": ["0.99", "0.0007", 2], "ask": None}, True)
    ]
    tape.enter(ALICE, Side.SELL, 7, 99)
    changes = follow(tape, market)
    seq = tape.records[-1].seq
    update = market.update(BTC_USD, changes.levels, prev_seq=before, name="20ms")
    assert told([update]) == [
        (
            f"{ROOT}/depth/20ms",
            {
                "stream": "s1", "symbol": "BTC-USD", "seq": seq, "time": time_of(seq),
                "bids": [["0.99", "0.0000", 0]], "asks": [], "prev_seq": before,
            },
            False,
        )
    ]  # fmt: skip


def test_order_that_does_not_rest_changes_no_level() -> None:
    """What came and went within a record is not told."""
    tape, market = opened()
    tape.enter(ALICE, Side.BUY, 5, None)
    assert follow(tape, market).levels == []


def test_minute_is_final_when_another_has_begun() -> None:
    """Until then its figures so far can be asked for."""
    tape, market = opened()
    for price in (101, 103, 102):
        tape.enter(ALICE, Side.SELL, 2, price)
        tape.enter(BOB, Side.BUY, 2, price)
    follow(tape, market)
    running = market.minute(BTC_USD)
    assert running is not None
    figures = {
        "stream": "s1", "symbol": "BTC-USD", "minute": "2026-11-23T00:00:00.000000Z",
        "open": "1.01", "high": "1.03", "low": "1.01", "close": "1.02", "volume": "0.0006",
        "notional": "0.00061200", "trade_count": 3,
    }  # fmt: skip
    seq = market.seq
    assert told([running]) == [(f"{ROOT}/minute", {**figures, "seq": seq, "is_final": False}, True)]
    tape.now_ns += 60 * NS_PER_S
    tape.enter(ALICE, Side.SELL, 1, 105)
    assert told(follow(tape, market).messages)[0] == (
        f"{ROOT}/minute",
        {**figures, "seq": seq + 1, "is_final": True},
        True,
    )
    assert market.minute(BTC_USD) is None


def test_status_follows_kill_switch_and_disk() -> None:
    """Subscribers learn that trading has stopped, but not an operator's own words."""
    tape, market = opened()
    tape.commit(SetStorageLow(is_low=True))
    low = told(follow(tape, market).messages)
    tape.commit(PullKillSwitch(Scope.EVERYTHING, 0, "we think ALICE cheats", "somebody"))
    halted = told(follow(tape, market).messages)
    assert [(item[0], item[1]["status"], item[1]["reason"]) for item in (*low, *halted)] == [
        (f"{ROOT}/status", "cancel_only", "the journal's disk is nearly full"),
        (f"{ROOT}/status", "halted", "an operator has stopped trading"),
    ]


def test_symbol_becomes_one_level_of_a_topic() -> None:
    """Whatever is in it, nobody else's topic can be meant."""
    assert topic_of("BTC/USD #1", "top") == "wcx/v1/md/BTC%2FUSD%20%231/top"
    assert [escape(symbol) for symbol in ("BTC-USD", "a.b", "ü", "+")] == [
        "BTC-USD", "a%2Eb", "%C3%BC", "%2B"
    ]  # fmt: skip


def test_status_is_the_instruments_own_when_the_venue_is_well() -> None:
    """Also after the publisher has gone on from its checkpoint."""
    tape, market = opened()
    ends_at_ns = tape.now_ns + 3600 * NS_PER_S
    tape.commit(SetTradingState(BTC_USD, TradingState.HALTED, "news", "ops", ends_at_ns))
    halted = told(follow(tape, market).messages)
    assert [(item[1]["status"], item[1]["reason"], item[1]["ends_at"]) for item in halted] == [
        ("halted", "", f"2026-11-23T01:00:{len(tape.records) - 1:02}.000000Z")
    ]
    assert Market.restore(market.save()).status_messages() == market.status_messages()
