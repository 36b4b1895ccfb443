"""Terms that few orders have, from the client's message to the report that tells of them."""

import time

import pytest

from fix_gateway.fix.fields import ExecType, Tag, UtcTimestamps
from fix_gateway.tools.chaos.venue import VenueProcess
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, cancel, enter, next_message, next_report

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
    "stop price": ({"99": "9"}, "UNSUPPORTED: StopPx(99) is not supported"),
    "iceberg": ({"1138": "0.1"}, "UNSUPPORTED: DisplayQty(1138) is not supported"),
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
