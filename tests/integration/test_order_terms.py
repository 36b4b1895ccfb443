"""Terms that few orders have, from the client's message to the report that tells of them."""

import time

import pytest

from fix_gateway.fix.fields import ExecType, Tag, UtcTimestamps
from fix_gateway.tools.initiator import Initiator
from tests.integration.conftest import ConnectClient
from tests.integration.trader import (
    BUY,
    SELL,
    cancel,
    enter,
    next_message,
    next_report,
    transact_time,
)
from tests.integration.venue_process import VenueProcess

HOUR_NS = 3600 * 10**9


def test_terms_reach_the_book_and_come_back(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Post-only, GTD by time and by date, MinQty, self-trade prevention by three tags."""
    client = connect(shared_venue, "V03", begin_string="FIXT.1.1")
    soon = UtcTimestamps().format((time.time_ns() + HOUR_NS) // 1000 * 1000)
    bid = enter(client, BUY, "0.1", "10", **{"18": "6", "time_in_force": "6", "126": soon})
    new = next_report(client, ExecType.NEW)
    assert (new[Tag.EXEC_INST], new[Tag.TIME_IN_FORCE], new[Tag.EXPIRE_TIME]) == ("6", "6", soon)

    enter(client, SELL, "0.1", "10", **{"18": "6"})
    crossing = next_report(client, ExecType.REJECTED)
    assert crossing[Tag.TEXT].startswith("POST_ONLY_WOULD_TRADE: ")

    enter(client, SELL, "0.1", "10", **{"2964": "1"})
    next_report(client, ExecType.NEW)
    prevented = next_report(client, ExecType.CANCELED)
    assert (prevented[Tag.EXEC_RESTATEMENT_REASON], prevented[Tag.TEXT]) == (
        "17", "SELF_TRADE: it met another order of the same owner",
    )  # fmt: skip

    ask = enter(client, SELL, "0.1", "10", **{"7928": "O"})
    next_report(client, ExecType.NEW)
    resting = next_report(client, ExecType.CANCELED)
    assert (resting[Tag.CL_ORD_ID], resting[Tag.EXEC_RESTATEMENT_REASON]) == (bid, "17")
    cancel(client, ask, SELL)
    next_report(client, ExecType.CANCELED)

    enter(client, BUY, "0.2", "10", **{"time_in_force": "3", "110": "0.1"})
    assert next_report(client, ExecType.NEW)[Tag.MIN_QTY] == "0.1000"
    assert next_report(client, ExecType.CANCELED)[Tag.TEXT].startswith("MIN_QTY_CANNOT_FILL: ")

    day = "20991231"
    dated = enter(client, BUY, "0.1", "10", **{"time_in_force": "6", "432": day})
    assert next_report(client, ExecType.NEW)[Tag.EXPIRE_TIME] == "21000101-00:00:00.000000"
    cancel(client, dated, BUY)
    next_report(client, ExecType.CANCELED)


@pytest.mark.parametrize("begin_string", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
def test_stops_and_icebergs_in_every_version(
    shared_venue: VenueProcess, connect: ConnectClient, begin_string: str
) -> None:
    """A stop order waits, is amended and triggered; an iceberg shows a part of itself."""
    session = {"FIX.4.2": "U03", "FIX.4.4": "T05", "FIXT.1.1": "V04"}[begin_string]
    other = {"FIX.4.2": "U02", "FIX.4.4": "T06", "FIXT.1.1": "V03"}[begin_string]
    client = connect(shared_venue, session, begin_string=begin_string)
    maker = connect(shared_venue, other, begin_string=begin_string)
    is_4_2, is_fixt = begin_string == "FIX.4.2", begin_string == "FIXT.1.1"
    sol = {"symbol": "SOL-USD"}
    # The last price is 50.
    resting = enter(maker, SELL, "1", "50", **sol)
    assert next_message(maker)[Tag.CL_ORD_ID] == resting
    enter(client, BUY, "1", "50", **sol)
    for trader in (client, client, maker):
        next_message(trader)

    stop = enter(client, BUY, "0.5", "55", **sol, **{"ord_type": "4", "99": "52"})
    waiting = next_message(client)
    assert (waiting[Tag.STOP_PX], waiting[Tag.EXEC_TYPE]) == ("52.00", "0")
    assert waiting.get(Tag.WORKING_INDICATOR) == (None if is_4_2 else "N")
    assert waiting.get(Tag.TRIGGER_PRICE_DIRECTION) == ("U" if is_fixt else None)
    amended = f"{stop}a"
    client.send(
        "G",
        [(11, amended), (41, stop), (55, "SOL-USD"), (54, BUY), (38, "0.5"), (40, "4"),
         (44, "55"), (99, "51"), (60, transact_time())],
    )  # fmt: skip
    replaced = next_message(client)
    assert (replaced[Tag.STOP_PX], replaced[Tag.EXEC_TYPE]) == ("51.00", "5")
    client.send(
        "G",
        [(11, f"{stop}b"), (41, amended), (55, "SOL-USD"), (54, BUY), (38, "0.5"), (40, "2"),
         (44, "55"), (60, transact_time())],
    )  # fmt: skip
    assert next_message(client)[Tag.TEXT].startswith("UNSUPPORTED: ")

    shown_tag = Tag.DISPLAY_QTY if is_fixt else Tag.MAX_FLOOR
    iceberg = enter(maker, SELL, "1", "51", **sol, **{"111": "0.2"})
    assert next_message(maker)[shown_tag] == "0.2000"
    enter(client, BUY, "0.1", "51", **sol)
    next_message(client)  # It is taken, and trades at the stop price.
    next_message(client)
    assert next_message(maker)[Tag.LAST_QTY] == "0.1000"
    triggered = next_message(client)
    assert triggered[Tag.EXEC_TYPE] == ("L" if is_fixt else "D")
    assert triggered.get(Tag.WORKING_INDICATOR) == (None if is_4_2 else "Y")
    while (filled := next_message(client))[Tag.ORD_STATUS] != "2":
        assert filled[Tag.ORD_STATUS] == "1"
    assert (filled[Tag.CL_ORD_ID], filled[Tag.LEAVES_QTY]) == (amended, "0.0000")
    cancel_of(maker, iceberg)


def cancel_of(client: Initiator, cl_ord_id: str) -> None:
    """Cancel an order and wait until its last report has come."""
    client.send("F", [(11, f"{cl_ord_id}x"), (41, cl_ord_id), (60, transact_time())])
    while next_message(client)[Tag.ORD_STATUS] != "4":
        pass


REFUSED = {
    "GTD without end": ({"time_in_force": "6"}, "EXPIRE_TIME_INVALID"),
    "end without GTD": ({"126": "20991231-00:00:00"}, "EXPIRE_TIME_INVALID"),
    "end in the past": ({"time_in_force": "6", "126": "20200101-00:00:00"}, "EXPIRE_TIME_INVALID"),
    "two ends": (
        {"time_in_force": "6", "126": "20991231-00:00:00", "432": "20991231"},
        "UNSUPPORTED: of ExpireTime(126) and ExpireDate(432) there can be one",
    ),
    "no day": (
        {"time_in_force": "6", "432": "20990230"},
        "UNSUPPORTED: ExpireDate(432) 20990230 is no date",
    ),
    "MinQty of a resting order": ({"110": "0.1"}, "MIN_QTY_INVALID"),
    "MinQty below the lot": (
        {"time_in_force": "3", "110": "0.00001"},
        "UNSUPPORTED: MinQty(110) 0.00001 is not a quantity of this instrument",
    ),
    "post-only IOC": ({"18": "6", "time_in_force": "3"}, "POST_ONLY_CANNOT_REST"),
    "group": ({"2362": "0"}, "UNSUPPORTED: SelfMatchPreventionID(2362) 0 is no number above 0"),
    "two modes": (
        {"2964": "1", "7928": "N"},
        "UNSUPPORTED: of SelfTradeType(7928) and SelfMatchPreventionInstruction(2964) there can "
        "be one",
    ),
    "stop price of a limit order": ({"99": "9"}, "STOP_PRICE_NOT_ALLOWED"),
    "stop without a price": ({"ord_type": "4"}, "STOP_PRICE_REQUIRED"),
    "stop off the grid": (
        {"ord_type": "4", "99": "9.001"},
        "UNSUPPORTED: StopPx(99) 9.001 is not a positive multiple of the tick 0.01",
    ),
    "iceberg twice": (
        {"1138": "0.1", "111": "0.1"},
        "UNSUPPORTED: of MaxFloor(111) and DisplayQty(1138) there can be one",
    ),
    "iceberg below the lot": (
        {"111": "0.00001"},
        "UNSUPPORTED: display qty 0.00001 is not a multiple of the lot 0.0001",
    ),
    "too late": ({"62": "20200101-00:00:00"}, "VALID_UNTIL_PASSED"),
    "no window": ({"25000": "0"}, "UNSUPPORTED: RecvWindow(25000) 0 is not above 0 and up to"),
    "pegged": ({"1094": "1"}, "UNSUPPORTED: PegPriceType(1094) is not supported"),
    "not before": ({"168": "20991231-00:00:00"}, "UNSUPPORTED: EffectiveTime(168) is not"),
}


@pytest.mark.parametrize("begin_string", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
def test_terms_that_cannot_be_kept_are_refused(
    shared_venue: VenueProcess, connect: ConnectClient, begin_string: str
) -> None:
    """In every version, whether its standard has the field or not: nothing is ignored."""
    session = {"FIX.4.2": "U03", "FIX.4.4": "T05", "FIXT.1.1": "V04"}[begin_string]
    client = connect(shared_venue, session, begin_string=begin_string)
    for name, (terms, text) in REFUSED.items():
        enter(client, BUY, "0.5", "10", **terms)
        refused = next_message(client)
        assert refused.get(Tag.TEXT, "").startswith(text), (name, refused)
