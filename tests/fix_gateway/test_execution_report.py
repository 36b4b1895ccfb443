"""Reports in every version of FIX: whole, and of nothing but what their clients know."""

from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest

from engine.commands import NewOrder
from engine.events import (
    CancelRejected,
    ExecutionEvent,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    Trade,
)
from engine.order import OrderTerms, OrderView, OrdStatus, OrdType, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
from engine.report import CANCEL_WORDS
from engine.runtime.feed import Position
from engine.session_commands import ReleaseAllSessions
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import (
    AssetId,
    ClOrdId,
    Money,
    OrderId,
    Price,
    Qty,
    SessionId,
    TradeId,
)
from fix_gateway.fix.dialect import dialect_of, find_dialect
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import (
    SOH,
    BusinessRejectReason,
    Fields,
    Tag,
    UtcTimestamps,
    parse_message,
)
from fix_gateway.fix.framing import build_frame
from fix_gateway.fix.request_parts import Refusal
from tests.exchange_desk import ALICE, BTC_USD, USD, Desk
from tests.legal_messages import check_message
from tests.session_row import make_row

AT_NS = 1_795_426_200_123_456_789
TIMES = {"FIX.4.2": "20261123-09:30:00.123", "FIX.4.4": "20261123-09:30:00.123",
         "FIXT.1.1": "20261123-09:30:00.123456"}  # fmt: skip
POSITION = Position(36, 1)
SESSION = SessionId(1)
ORDER = OrderView(
    order_id=OrderId(35),
    account_id=ALICE,
    session_id=SESSION,
    instrument_id=BTC_USD,
    cl_ord_id=ClOrdId("a"),
    side=Side.BUY,
    ord_type=OrdType.LIMIT,
    time_in_force=TimeInForce.GTD,
    price=Price(60_000_00),
    order_qty=Qty(5000),
    leaves_qty=Qty(3000),
    cum_qty=Qty(2000),
    cum_notional=Money(12_000 * 10**8),
    ord_status=OrdStatus.PARTIALLY_FILLED,
    terms=OrderTerms(is_post_only=True, min_qty=Qty(1000), expires_at_ns=AT_NS),
)
TRADE = Trade(
    order=ORDER,
    trade_id=TradeId(7),
    qty=Qty(2000),
    price=Price(60_000_00),
    notional=Money(12_000 * 10**8),
    base_amount=Money(2 * 10**7),
    base_asset_id=AssetId(2),
    quote_asset_id=USD,
    is_resting=False,
    fee=Money(-150_000_000),
    fee_asset_id=USD,
)

UNCROSSED = msgspec.structs.replace(TRADE, is_resting=True, is_uncrossing=True)
STOP = msgspec.structs.replace(
    ORDER,
    ord_type=OrdType.STOP_LIMIT,
    terms=OrderTerms(stop_price=Price(60_000_00), display_qty=Qty(1000)),
)

every_version = pytest.mark.parametrize("begin_string", list(BEGIN_STRINGS))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Desk().exchange.reference


def whole(begin_string: str, body: str) -> str:
    """Return a message as a client gets it."""
    head, _, rest = body.partition(SOH)
    header = f"{head}{SOH}34=2{SOH}49=WCX{SOH}52={TIMES[begin_string]}{SOH}56=C{SOH}"
    return build_frame(begin_string, (header + rest).encode()).decode()


def legal(begin_string: str, body: str) -> Fields:
    """Return the fields of a body that is legal in the version, each of which it has once."""
    raw = whole(begin_string, body)
    check_message(raw)
    tags = [part.partition("=")[0] for part in body.split(SOH)[:-1]]
    assert len(tags) == len(set(tags)), body
    return {int(tag): value for tag, value in parse_message(body).items()}


@every_version
def test_trade_is_told_whole(reference: Reference, begin_string: str) -> None:
    """The order, what traded, who came in, what it cost; as far as the version can say it."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    body = legal(begin_string, builder.build_report(TRADE, POSITION, AT_NS))
    time = TIMES[begin_string]
    common = {
        1: "ALICE", 6: "60000.0000", 11: "a", 14: "0.2000", 17: "36.1", 18: "6", 31: "60000.00",
        32: "0.2000", 35: "8", 37: "35", 38: "0.5000", 39: "1", 40: "2", 44: "60000.00", 54: "1",
        55: "BTC-USD", 59: "6", 60: time, 110: "0.1000", 126: time, 151: "0.3000",
    }  # fmt: skip
    fee = {136: "1", 137: "-1.50000000", 138: "USD", 139: "4"}
    own = {
        "FIX.4.2": {20: "0", 150: "1", 12: "-1.50000000", 13: "3"},
        "FIX.4.4": {150: "F", 527: "7", 851: "2"} | fee,
        "FIXT.1.1": {150: "F", 880: "7", 851: "2", 1057: "Y"} | fee,
    }
    assert body == common | own[begin_string]


NEW_ORDER = NewOrder(
    session_id=SESSION,
    generation=1,
    epoch=1,
    msg_seq_num=7,
    account_id=ORDER.account_id,
    instrument_id=ORDER.instrument_id,
    cl_ord_id=ORDER.cl_ord_id,
    side=ORDER.side,
    ord_type=ORDER.ord_type,
    time_in_force=ORDER.time_in_force,
    order_qty=ORDER.order_qty,
    received_at_ns=AT_NS - 1,
)


@every_version
def test_session_has_times_as_it_wants_them(reference: Reference, begin_string: str) -> None:
    """To ns where it is set up so, and told when gateway and engine had the request."""
    row = make_row(begin_string=begin_string, timestamp_precision="ns", tells_timing=True)
    builder = ReportBuilder(reference, dialect_of(row))
    order = msgspec.structs.replace(ORDER, session_id=SESSION)
    event = OrderAccepted(order)
    now, before = UtcTimestamps(9).format(AT_NS), UtcTimestamps(9).format(AT_NS - 1)
    for command, expected in (
        (NEW_ORDER, (now, before, now)),
        (msgspec.structs.replace(NEW_ORDER, received_at_ns=0), (now, None, now)),
        # What others do with the order says nothing of when they did it.
        (msgspec.structs.replace(NEW_ORDER, session_id=SessionId(99)), (now, None, now)),
        (ReleaseAllSessions(), (now, None, now)),
    ):
        body = legal(
            begin_string,
            builder.build_report(
                event, POSITION, AT_NS, command_bytes=msgspec.msgpack.encode(command)
            ),
        )
        told = body[Tag.TRANSACT_TIME], body.get(Tag.GATEWAY_TIME), body[Tag.ENGINE_TIME]
        assert told == expected
    refused = builder.build_refused_order(
        {34: "7", 35: "D", 11: "a", 55: "BTC-USD", 54: "1", 40: "2"},
        Refusal(RejectReason.STALE, "STALE: words"), "D1.1.7", AT_NS,
    )  # fmt: skip
    body = legal(begin_string, refused)
    assert (body[Tag.GATEWAY_TIME], body.get(Tag.ENGINE_TIME)) == (now, None)


@every_version
def test_refusals_bear_their_code_as_a_number(reference: Reference, begin_string: str) -> None:
    """In each of the three messages, from the door and from the engine, where it is wanted."""
    request: Fields = {34: "7", 35: "D", 11: "a", 55: "BTC-USD", 54: "1", 40: "2"}
    cancel: Fields = {34: "7", 35: "F", 11: "c", 41: "a"}
    stale = Refusal(RejectReason.STALE, "STALE: words")
    rejected = msgspec.structs.replace(ORDER, ord_status=OrdStatus.REJECTED)
    late = CancelRejected(
        SESSION, ALICE, ClOrdId("c"), ClOrdId("a"), RejectReason.TOO_LATE_TO_CANCEL, ORDER
    )
    for is_wanted in (True, False):
        row = make_row(begin_string=begin_string, tells_error_codes=is_wanted)
        builder = ReportBuilder(reference, dialect_of(row))
        told = [
            builder.build_report(OrderRejected(rejected, RejectReason.KILLED), POSITION, AT_NS),
            builder.build_report(late, POSITION, AT_NS),
            builder.build_report(OrderAccepted(ORDER), POSITION, AT_NS),
            builder.build_refused_order(request, stale, "D1.1.7", AT_NS),
            builder.build_refused_cancel(cancel, stale, AT_NS),
            builder.build_business_reject(
                request, BusinessRejectReason.NOT_AUTHORIZED, "NOT_PERMITTED: words"
            ),
        ]
        codes = [legal(begin_string, text).get(Tag.ERROR_CODE) for text in told]
        numbers = ["352", "1002", None, "401", "401", "1"]
        assert codes == (numbers if is_wanted else [None] * 6)


@every_version
def test_refused_order_is_told_whole(reference: Reference, begin_string: str) -> None:
    """All that it said of itself, in the fields in which a report of it would say that."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    said = {
        1: "ALICE", 11: "a", 18: "6", 38: "0.5", 40: "4", 44: "60000", 54: "1", 55: "BTC-USD",
        59: "6", 99: "59000.00", 110: "0.1", 126: TIMES[begin_string], 152: "7",
    }  # fmt: skip
    own = {
        "FIX.4.2": {111: "0.1"},
        "FIX.4.4": {111: "0.1"},
        "FIXT.1.1": {1138: "0.1", 1109: "U", 2362: "8", 2964: "1"},
    }
    more = {34: "7", 35: "D", 111: "0.1", 1109: "U", 2362: "8", 2964: "1", 7928: "D"}
    order: Fields = said | more
    refusal = Refusal(RejectReason.STALE, "STALE: words")
    body = legal(begin_string, builder.build_refused_order(order, refusal, "D1.1.7", AT_NS))
    trans_type = {20: "0"} if begin_string == "FIX.4.2" else {}
    reason = builder.dialect.ord_rej_reason(RejectReason.STALE)
    assert body == said | own[begin_string] | trans_type | {
        35: "8", 37: "NONE", 17: "D1.1.7", 150: "8", 39: "8", 151: "0", 14: "0", 6: "0",
        103: reason, 58: "STALE: words", 60: TIMES[begin_string],
    }  # fmt: skip


@every_version
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({1138: "Y"}, {"FIXT.1.1": {1138: "Y"}}),
        (
            {1138: "0.1"},
            {"FIX.4.2": {111: "0.1"}, "FIX.4.4": {111: "0.1"}, "FIXT.1.1": {1138: "0.1"}},
        ),
        (
            {111: "0.2", 1138: "0.1"},
            {"FIX.4.2": {111: "0.2"}, "FIX.4.4": {111: "0.2"}, "FIXT.1.1": {1138: "0.2"}},
        ),
    ],
)
def test_what_is_no_quantity_is_not_echoed_as_one(
    reference: Reference, begin_string: str, said: Fields, told: dict[str, Fields]
) -> None:
    """In the field of another version anything may come; in its own QuickFIX has looked at it."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    refusal = Refusal(RejectReason.STALE, "STALE: words")
    order: Fields = {34: "7", 35: "D", 11: "a", 55: "BTC-USD", 54: "1"} | said
    fields = parse_message(builder.build_refused_order(order, refusal, "D1.1.7", AT_NS))
    echoed = {tag: fields[tag] for tag in (111, 1138) if tag in fields}
    assert echoed == told.get(begin_string, {})


def events() -> Iterator[OrderEvent]:
    """Every kind of event, for every reason that it may have."""
    yield OrderAccepted(ORDER)
    yield OrderExpired(ORDER, Qty(3000))
    yield OrderReplaced(ORDER, ClOrdId("b"), SESSION, keeps_priority=True)
    yield TRADE
    yield UNCROSSED
    yield OrderTriggered(STOP, Price(60_000_00))
    taken_back = (
        ORDER, TRADE.trade_id, 30, 1, TRADE.qty, TRADE.price, TRADE.notional, TRADE.base_amount,
        TRADE.fee,
    )  # fmt: skip
    assets = (TRADE.base_asset_id, TRADE.quote_asset_id)
    yield TradeBusted(*taken_back, *assets, True, "erroneous price", "user:admin")
    yield TradeCorrected(*taken_back, *taken_back[4:], *assets, True, "erroneous", "user:admin")
    yield from (OrderStatusReported(_in(status), SESSION) for status in OrdStatus)
    for cancel_reason in CANCEL_WORDS:
        yield OrderCanceled(_in(OrdStatus.CANCELED), cancel_reason, Qty(3000))
        yield OrderRestated(ORDER, cancel_reason, Qty(1000))
    yield OrderCanceled(
        _in(OrdStatus.CANCELED), CancelReason.REQUESTED, Qty(3000), ClOrdId("c"), SESSION
    )
    for reason in RejectReason:
        yield OrderRejected(_in(OrdStatus.REJECTED), reason)
        for is_replace in (False, True):
            for order in (None, ORDER):
                yield CancelRejected(
                    SESSION, ALICE, ClOrdId("c"), ClOrdId("a"), reason, order, is_replace
                )


def _in(status: OrdStatus) -> OrderView:
    return msgspec.structs.replace(ORDER, ord_status=status)


@every_version
def test_nobody_is_the_aggressor_of_an_uncrossing(reference: Reference, begin_string: str) -> None:
    """FIX 5.0 SP2 has a word for it, the others say nothing."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    body = legal(begin_string, builder.build_report(UNCROSSED, POSITION, AT_NS))
    liquidity = "4" if begin_string == "FIXT.1.1" else None
    assert (body.get(Tag.LAST_LIQUIDITY_IND), body.get(Tag.AGGRESSOR_INDICATOR)) == (
        liquidity, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("begin_string", "code"), [("FIX.4.2", "4"), ("FIX.4.4", "99"), ("FIXT.1.1", "12")]
)
def test_cancel_by_the_dead_man_timer(reference: Reference, begin_string: str, code: str) -> None:
    """ExecRestatementReason(378) as near as the version comes, and the precise code in words."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    event = OrderCanceled(_in(OrdStatus.CANCELED), CancelReason.DEAD_MAN, Qty(3000))
    fields = legal(begin_string, builder.build_report(event, POSITION, AT_NS))
    assert (fields[Tag.EXEC_RESTATEMENT_REASON], fields[Tag.TEXT]) == (
        code, "DEAD_MAN: the account's dead-man timer has expired",
    )  # fmt: skip


def test_every_kind_of_event_is_there() -> None:
    """Nothing that is reported is left out below."""
    assert {type(event) for event in events()} == set(get_args(ExecutionEvent)) | {CancelRejected}


@every_version
def test_no_event_is_told_in_words_that_the_version_does_not_have(
    reference: Reference, begin_string: str
) -> None:
    """Fields and values of every report and every OrderCancelReject are those of its version."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    for event in events():
        for is_poss_resend in (False, True):
            body = builder.build_report(event, POSITION, AT_NS, is_poss_resend=is_poss_resend)
            fields = legal(begin_string, body)
            assert fields.get(Tag.POSS_RESEND) == ("Y" if is_poss_resend else None)
            if isinstance(event, OrderRejected):
                assert fields[Tag.TEXT].startswith(f"{event.reason.name}: ")


@every_version
def test_refusals_at_the_door_are_legal(reference: Reference, begin_string: str) -> None:
    """Whatever the reason, and whatever the message said of itself."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    request: Fields = {
        34: "7", 11: "a", 41: "b", 55: "BTC-USD", 54: "1", 38: "1", 40: "2", 44: "1", 59: "1",
    }  # fmt: skip
    for reason in RejectReason:
        refusal = Refusal(reason, f"{reason.name}: words")
        order = request | {35: "D"}
        body = builder.build_refused_order(order, refusal, "D1.1.7", AT_NS)
        assert legal(begin_string, body)[Tag.TEXT] == f"{reason.name}: words"
        for msg_type, answers_to in (("F", "1"), ("G", "2")):
            body = builder.build_refused_cancel(request | {35: msg_type}, refusal, AT_NS)
            assert legal(begin_string, body)[Tag.CXL_REJ_RESPONSE_TO] == answers_to
    for business_reason in BusinessRejectReason:
        body = builder.build_business_reject(request | {35: "D"}, business_reason, "X: words")
        assert legal(begin_string, body)[Tag.BUSINESS_REJECT_REF_ID] == "a"


@every_version
def test_order_status_in_every_version(reference: Reference, begin_string: str) -> None:
    """FIX 4.2 has ExecTransType(20)=3 for it, the others have ExecType(150)=I."""
    builder = ReportBuilder(reference, find_dialect(begin_string))
    event = OrderStatusReported(ORDER, SESSION)
    body = legal(begin_string, builder.build_report(event, POSITION, AT_NS))
    is_4_2 = begin_string == "FIX.4.2"
    assert (body.get(20), body[150]) == (("3", "1") if is_4_2 else (None, "I"))
