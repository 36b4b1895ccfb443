"""What was reported over FIX can be asked for again over REST, from any ExecID on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag, parse_utc_timestamp
from fix_gateway.tools.initiator import Initiator
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, cancel, enter, next_message, next_report
from tests.integration.venue_process import VenueProcess

NAMES: Final = {
    Tag.EXEC_ID: "exec_id",
    Tag.EXEC_TYPE: "exec_type",
    Tag.ORD_STATUS: "ord_status",
    Tag.ORDER_ID: "order_id",
    Tag.CL_ORD_ID: "cl_ord_id",
    Tag.ORIG_CL_ORD_ID: "orig_cl_ord_id",
    Tag.ACCOUNT: "account",
    Tag.SYMBOL: "symbol",
    Tag.SIDE: "side",
    Tag.ORD_TYPE: "ord_type",
    Tag.TIME_IN_FORCE: "time_in_force",
    Tag.ORDER_QTY: "order_qty",
    Tag.PRICE: "price",
    Tag.LAST_QTY: "last_qty",
    Tag.LAST_PX: "last_px",
    Tag.CUM_QTY: "cum_qty",
    Tag.LEAVES_QTY: "leaves_qty",
    Tag.AVG_PX: "avg_px",
    Tag.SECONDARY_EXEC_ID: "trade_id",
    Tag.LAST_LIQUIDITY_IND: "last_liquidity_ind",
    Tag.ORD_REJ_REASON: "ord_rej_reason",
    Tag.EXEC_RESTATEMENT_REASON: "exec_restatement_reason",
    Tag.TEXT: "text",
    Tag.EXEC_INST: "exec_inst",
    Tag.MIN_QTY: "min_qty",
    Tag.STOP_PX: "stop_px",
    Tag.MAX_FLOOR: "display_qty",
    Tag.TRIGGER_PRICE_DIRECTION: "trigger_direction",
    Tag.WORKING_INDICATOR: "working_indicator",
    Tag.EXPIRE_TIME: "expires_at",
    Tag.TRANSACT_TIME: "transact_time",
}
NOT_IN_THE_BODY: Final = {8, 9, 10, 34, 35, 43, 49, 52, 56, 97, 122}
ACCOUNTS: Final = {"DEMO1": 1, "DEMO2": 2}


def ask(venue: VenueProcess, account: object, query: str = "") -> tuple[int, Any]:
    return venue.call("GET", f"/v1/accounts/{account}/reports{query}")


def pages(
    venue: VenueProcess, account_id: int, *, after: str | None = None, limit: int
) -> Iterator[dict[str, Any]]:
    """Yield the reports, asking on until there is no more."""
    start = "" if after is None else f"&after_exec_id={after}"
    while True:
        status, page = ask(venue, account_id, f"?limit={limit}{start}")
        assert status == 200, page
        assert len(page["items"]) <= limit
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        assert page["next_cursor"] not in start
        start = f"&cursor={page['next_cursor']}"


def as_rest_has_it(fields: Fields) -> dict[str, Any]:
    """Return a report that came over FIX under REST's names, of which every field must have one."""
    found: dict[str, Any] = dict.fromkeys(NAMES.values())
    found |= {NAMES[tag]: value for tag, value in fields.items() if tag not in NOT_IN_THE_BODY}
    return found | {"transact_time": parse_utc_timestamp(fields[Tag.TRANSACT_TIME])}


def same_time(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report of REST's with FIX 4.4's time, and without what FIX has in Text."""
    report = dict(report)
    for name in ("fee", "fee_asset", "exec_ref_id"):  # Trades cost nothing here, and stay.
        assert report.pop(name) is None
    reason = report.pop("reason")
    assert reason in (None, "REQUESTED") or report["text"].startswith(f"{reason}: ")
    since_1970 = datetime.fromisoformat(report["transact_time"]) - datetime(1970, 1, 1, tzinfo=UTC)
    return report | {"transact_time": since_1970 // timedelta(milliseconds=1) * 1_000_000}


def all_reports(client: Initiator, wanted: int) -> list[Fields]:
    """Return so many messages, less what is no ExecutionReport of the exchange's."""
    received = [next_message(client) for _ in range(wanted)]
    return [
        fields
        for fields in received
        if fields[Tag.MSG_TYPE] == MsgType.EXECUTION_REPORT
        and not fields[Tag.EXEC_ID].startswith("D")
    ]


def compare(venue: VenueProcess, account_id: int, over_fix: list[Fields]) -> list[dict[str, Any]]:
    """Every report that came over FIX is what REST returns, field by field and in order."""
    over_rest = list(pages(venue, account_id, limit=1000))
    assert [same_time(report) for report in over_rest] == [
        as_rest_has_it(fields) for fields in over_fix
    ]
    return over_rest


def test_rest_returns_what_fix_was_told(venue: VenueProcess, connect: ConnectClient) -> None:
    """Orders, fills on both sides, cancels, remainders, refusals and states."""
    alpha, beta = connect(venue, "DEMO1"), connect(venue, "DEMO2")
    resting = enter(alpha, BUY, "0.5", "60000.01")
    alpha_reports = [next_report(alpha, ExecType.NEW)]
    enter(beta, SELL, "0.2", "59000.00")
    enter(beta, SELL, "0.7", "60000.00", time_in_force="3")
    beta_reports = all_reports(beta, 5)  # New, fill; new, fill, remainder.
    alpha_reports += all_reports(alpha, 2)
    enter(alpha, BUY, "90", "50000.00")  # More than there is.
    enter(alpha, BUY, "0.1", "1.001")  # No tick: refused at the door.
    day = enter(alpha, BUY, "0.0001", "1.00", time_in_force="0")
    cancel(alpha, day, BUY)
    cancel(alpha, resting, BUY)  # Too late: no ExecutionReport.
    enter(alpha, BUY, "0.5", "60000.01", cl_ord_id=resting, **{"97": "Y"})
    alpha_reports += all_reports(alpha, 6)
    assert [fields[Tag.EXEC_TYPE] for fields in alpha_reports] == list("0FF804I")
    assert [fields[Tag.EXEC_TYPE] for fields in beta_reports] == list("0F0F4")

    over_rest = compare(venue, 1, alpha_reports)
    compare(venue, 2, beta_reports)
    assert list(pages(venue, 1, limit=1)) == over_rest
    assert list(pages(venue, 1, limit=3)) == over_rest
    for place, report in enumerate(over_rest):
        later = list(pages(venue, 1, after=report["exec_id"], limit=2))
        assert later == over_rest[place + 1 :]
    assert list(pages(venue, 3, limit=10)) == []


@pytest.mark.parametrize(
    ("account", "query", "status", "detail"),
    [
        ("99", "", 404, "no account 99"),
        ("DEMO1", "", 422, "path.account_id: Input should be a valid integer"),
        ("1", "?after_exec_id=x", 422, "'x' is not an ExecID, such as '1042.0'"),
        ("1", "?after_exec_id=", 422, "'' is not an ExecID, such as '1042.0'"),
        ("1", "?after_exec_id=17", 422, "'17' is not an ExecID, such as '1042.0'"),
        ("1", "?after_exec_id=-1.0", 422, "'-1.0' is not an ExecID, such as '1042.0'"),
        (
            "1", f"?after_exec_id={quote('٣.0')}", 422,
            "'٣.0' is not an ExecID, such as '1042.0'",
        ),
        (
            "1", "?after_exec_id=D1.2.3", 422,
            "'D1.2.3' is of an order refused at the FIX door: name the last ExecID without D",
        ),
        ("1", "?after_exec_id=999999999.0", 404, "ExecID 999999999.0 is beyond the end: the last"),
        ("1", "?limit=0", 422, "query.limit: Input should be greater than or equal to 1"),
        ("1", "?limit=1001", 422, "query.limit: Input should be less than or equal to 1000"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_precisely(
    shared_venue: VenueProcess, account: str, query: str, status: int, detail: str
) -> None:
    """problem+json, with what was wrong."""
    found, problem = ask(shared_venue, account, query)
    assert found == problem["status"] == status
    assert problem["detail"].startswith(detail)


def test_only_for_operators(shared_venue: VenueProcess) -> None:
    """401 without the token."""
    assert shared_venue.get("/v1/accounts/1/reports")[0] == 401


def follow(venue: VenueProcess, followed: dict[str, list[str]]) -> None:
    """Read on from the last ExecID of each of these accounts, once the engine answers."""
    venue.wait_for(lambda: ask(venue, 1, "?limit=1")[0] == 200)
    for name, exec_ids in followed.items():
        after = exec_ids[-1] if exec_ids else None
        reports = pages(venue, ACCOUNTS[name], after=after, limit=50)
        exec_ids += [report["exec_id"] for report in reports]
