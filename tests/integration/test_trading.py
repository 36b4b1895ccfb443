"""Real QuickFIX clients trade over TCP: every report, whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import ExecType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.trader import (
    BUY,
    SELL,
    amend,
    assert_silent,
    body,
    cancel,
    enter,
    next_message,
    next_report,
)
from tests.integration.venue_process import VenueProcess


@pytest.fixture(scope="module")
def venue(module_data_dir: Path) -> Iterator[VenueProcess]:
    """A venue on which each test has sessions of its own, and numbers begin at 1."""
    venue = VenueProcess(module_data_dir).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


@pytest.mark.parametrize(
    ("bidder", "asker", "is_reset"), [("DEMO1", "DEMO2", True), ("T01", "T02", False)]
)
def test_order_rests_trades_in_part_and_is_canceled(
    venue: VenueProcess, connect: ConnectClient, bidder: str, asker: str, *, is_reset: bool
) -> None:
    """New, partial fill on both sides, and the cancel of the rest, each report complete."""
    alpha = connect(venue, bidder, reset_on_logon=is_reset)
    beta = connect(venue, asker, reset_on_logon=is_reset)
    bid = enter(alpha, BUY, "0.5", "60000.00")
    new = next_report(alpha, ExecType.NEW)
    order_id = new[Tag.ORDER_ID]
    common = {
        1: bidder, 11: bid, 37: order_id, 38: "0.5000", 40: "2", 44: "60000.00", 54: "1",
        55: "BTC-USD", 59: "1",
    }  # fmt: skip
    assert body(new) == common | {
        6: "0", 14: "0.0000", 17: f"{order_id}.0", 39: "0", 150: "0", 151: "0.5000",
    }  # fmt: skip

    ask = enter(beta, SELL, "0.2", "59000.00")
    accepted = next_report(beta, ExecType.NEW)
    sold = next_report(beta, ExecType.TRADE)
    bought = next_report(alpha, ExecType.TRADE)
    ask_id, trade_id = accepted[Tag.ORDER_ID], sold[Tag.SECONDARY_EXEC_ID]
    assert body(sold) == {
        1: asker, 6: "60000.0000", 11: ask, 14: "0.2000", 17: f"{ask_id}.1", 31: "60000.00",
        32: "0.2000", 37: ask_id, 38: "0.2000", 39: "2", 40: "2", 44: "59000.00", 54: "2",
        55: "BTC-USD", 59: "1", 150: "F", 151: "0.0000", 527: trade_id, 851: "2",
    }  # fmt: skip
    assert body(bought) == common | {
        6: "60000.0000", 14: "0.2000", 17: f"{ask_id}.2", 31: "60000.00", 32: "0.2000", 39: "1",
        150: "F", 151: "0.3000", 527: trade_id, 851: "1",
    }  # fmt: skip

    request = cancel(alpha, bid, BUY)
    canceled = next_report(alpha, ExecType.CANCELED)
    assert body(canceled) == common | {
        6: "60000.0000", 11: request, 14: "0.2000", 17: f"{int(ask_id) + 1}.0", 39: "4",
        41: bid, 150: "4", 151: "0.0000",
    }  # fmt: skip
    assert_silent(alpha)
    assert_silent(beta)


REFUSED = [
    pytest.param({"symbol": "DOGE"}, "1", "SYMBOL_UNKNOWN: no instrument DOGE", id="symbol"),
    pytest.param(
        {"qty": "0.00001"}, "13",
        "LOT_SIZE: order qty 0.00001 is not a multiple of the lot 0.0001", id="lot",
    ),
    pytest.param(
        {"price": "1.005"}, "99",
        "TICK_SIZE: price 1.005 is not a positive multiple of the tick 0.01", id="tick",
    ),
    pytest.param(
        {"price": "-1"}, "99",
        "TICK_SIZE: price -1 is not a positive multiple of the tick 0.01", id="negative",
    ),
    pytest.param({"qty": "0"}, "13", None, id="zero"),
    pytest.param(
        {"qty": "200.0001"}, "3",
        "MAX_ORDER_QTY: order qty 200.0001 above account limit 200.0000", id="quantity limit",
    ),
    pytest.param(
        {"qty": "100", "price": "50000.01"}, "3",
        "MAX_ORDER_NOTIONAL: notional 5000001.00000000 USD above account limit "
        "5000000.00000000 USD", id="value limit",
    ),
    pytest.param(
        {"qty": "100", "price": "10000.01"}, "0",
        "INSUFFICIENT_BALANCE: needs 1000001.00000000 USD, available 1000000.00000000 USD",
        id="funds",
    ),
    pytest.param({"18": "E"}, "11", "UNSUPPORTED: ExecInst(18) E is not supported", id="ExecInst"),
    pytest.param(
        {"152": "5"}, "11",
        "UNSUPPORTED: CashOrderQty(152) is not supported: quantities are of the base asset",
        id="CashOrderQty",
    ),
    pytest.param(
        {"18": "G"},
        "11",
        "ALL_OR_NONE_UNSUPPORTED: all-or-none orders do not rest here: use FOK, or IOC with a "
        "minimum quantity",
        id="all or none",
    ),
    pytest.param({"ord_type": "P"}, "11", "UNSUPPORTED: OrdType(40) P is not supported", id="type"),
    pytest.param({"price": ""}, "99", "PRICE_REQUIRED: a limit order needs a price", id="no price"),
    pytest.param({"1": "DEMO2"}, "15", "ACCOUNT_UNKNOWN: no such account", id="foreign account"),
    pytest.param({"cl_ord_id": "no good"}, "99", None, id="ClOrdID"),
]  # fmt: skip


@pytest.mark.parametrize(("order", "reason", "text"), REFUSED)
def test_refusal_says_precisely_why(
    shared_venue: VenueProcess,
    connect: ConnectClient,
    order: dict[str, str],
    reason: str,
    text: str | None,
) -> None:
    """150=8 with OrdRejReason(103), and the code, the limit and what was asked in Text(58)."""
    client = connect(shared_venue, "T01")
    fields = {"qty": "1", "price": "100.00"} | order
    cl_ord_id = enter(client, BUY, fields.pop("qty"), fields.pop("price"), **fields)
    report = next_report(client, ExecType.REJECTED)
    assert report[Tag.CL_ORD_ID] == cl_ord_id
    assert report[Tag.ORD_REJ_REASON] == reason
    assert (report[Tag.ORDER_ID], report[Tag.ORD_STATUS]) == ("NONE", "8")
    assert (report[Tag.LEAVES_QTY], report[Tag.CUM_QTY]) in (("0", "0"), ("0.0000", "0.0000"))
    if text is not None:
        assert report[Tag.TEXT] == text


def test_cancel_of_an_unknown_order_is_rejected(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """OrderCancelReject with 102=1, 39=8 and the request's own ids."""
    client = connect(shared_venue, "T02")
    request = cancel(client, "never-was", BUY)
    assert body(next_message(client)) == {
        1: "T02", 11: request, 37: "NONE", 39: "8", 41: "never-was", 102: "1", 434: "1",
        58: "UNKNOWN_ORDER: no order of the account fits what the request names",
    }  # fmt: skip


def test_message_type_that_is_not_spoken_is_rejected(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """BusinessMessageReject 380=3, which names the order that the message was about."""
    client = connect(shared_venue, "T03")
    client.send("E", [(Tag.CL_ORD_ID, "a"), (Tag.SYMBOL, "BTC-USD"), (Tag.SIDE, BUY)])
    assert body(next_message(client)) == {
        45: "2", 58: "UNSUPPORTED: message type not spoken here", 372: "E", 379: "a", 380: "3",
    }  # fmt: skip


def test_missing_field_is_rejected_by_its_tag(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Syntax is answered with Reject(3), which names the tag."""
    client = connect(shared_venue, "T04")
    client.send("D", [(Tag.CL_ORD_ID, "a"), (Tag.SIDE, BUY), (Tag.ORDER_QTY, "1")])
    rejected = next_message(client)
    assert (rejected[35], rejected[371], rejected[373]) == ("3", "40", "1")


def test_second_use_of_a_cl_ord_id_is_refused_and_poss_resend_answered(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """103=6 for a duplicate; with PossResend(97)=Y the order's state instead, 150=I."""
    client = connect(venue, "T03")
    enter(client, BUY, "1", "1.00", cl_ord_id="same")
    new = next_report(client, ExecType.NEW)
    enter(client, BUY, "1", "1.00", cl_ord_id="same")
    assert next_report(client, ExecType.REJECTED)[Tag.ORD_REJ_REASON] == "6"
    enter(client, BUY, "1", "1.00", cl_ord_id="same", **{"97": "Y"})
    state = next_report(client, ExecType.ORDER_STATUS)
    assert (state[Tag.ORDER_ID], state[Tag.ORD_STATUS]) == (new[Tag.ORDER_ID], "0")


@pytest.mark.parametrize(
    ("bidder", "asker", "is_reset"), [("T04", "T05", True), ("T06", "T07", False)]
)
def test_what_happens_while_away_follows_the_next_logon(
    venue: VenueProcess, connect: ConnectClient, bidder: str, asker: str, *, is_reset: bool
) -> None:
    """A fill of a client that is logged off waits for it, and comes once."""
    alpha = connect(venue, bidder, reset_on_logon=is_reset)
    beta = connect(venue, asker)
    bid = enter(alpha, BUY, "0.3", "100.00")
    next_report(alpha, ExecType.NEW)
    alpha.stop()
    for _ in range(3):
        enter(beta, SELL, "0.1", "100.00")
        next_report(beta, ExecType.NEW)
        next_report(beta, ExecType.TRADE)
    alpha = connect(venue, bidder, reset_on_logon=is_reset)
    fills = [next_report(alpha, ExecType.TRADE) for _ in range(3)]
    assert [(fill[Tag.CL_ORD_ID], fill[Tag.CUM_QTY]) for fill in fills] == [
        (bid, "0.1000"), (bid, "0.2000"), (bid, "0.3000"),
    ]  # fmt: skip
    assert len({fill[Tag.EXEC_ID] for fill in fills}) == 3
    assert all(Tag.POSS_RESEND not in fill for fill in fills)
    assert_silent(alpha)


def test_order_is_amended(shared_venue: VenueProcess, connect: ConnectClient) -> None:
    """ExecType 5 with the chain of names; what is refused is told as of a request to replace."""
    client = connect(shared_venue, "T05")
    bid = enter(client, BUY, "0.5", "100.00")
    order_id = next_report(client, ExecType.NEW)[Tag.ORDER_ID]
    name = amend(client, bid, BUY, "0.4", "101.00")
    replaced = next_report(client, ExecType.REPLACED)
    assert {
        11: name, 37: order_id, 38: "0.4000", 39: "0", 41: bid, 44: "101.00", 150: "5",
        151: "0.4000",
    }.items() <= body(replaced).items()  # fmt: skip
    for qty, price, text in (
        ("0.4", "99.001", "TICK_SIZE: price 99.001 is not a positive multiple of the tick 0.01"),
        ("0", "99.00", "ORDER_QTY_INVALID: order qty must be above 0 and its value representable"),
        ("0.3", "99.00", "ORIG_CLORDID_REPLACED: the order bears another ClOrdID since it was "
         "amended"),
    ):  # fmt: skip
        request = amend(client, name if text[0] != "O" or qty == "0" else bid, BUY, qty, price)
        refused = next_message(client)
        assert {11: request, 35: "9", 58: text, 102: "99", 434: "2"}.items() <= refused.items()
    cancel(client, name, BUY)
    next_report(client, ExecType.CANCELED)
