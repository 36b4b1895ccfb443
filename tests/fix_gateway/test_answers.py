"""Mass cancels and questions: what they become for the engine, and how they are answered."""

import pytest

from engine.events import OrderStatusReported
from engine.exchange import Exchange
from engine.order import Side
from engine.reasons import RejectReason
from engine.request_commands import (
    MassCancel,
    ReportBalances,
    ReportOpenOrders,
    ReportOrder,
    RequestCommand,
)
from engine.request_events import MassCancelCompleted
from engine.runtime.feed import Position, SessionEvent
from engine.scope import Scope
from engine.session_commands import OpenSession
from engine.units import AccountId, ClOrdId, FirmId, InstrumentId, OrderId, SessionId
from fix_gateway.fix.answers import AnswerBuilder
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.event_messages import EventMessages
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import SOH, Fields, parse_message
from fix_gateway.fix.request_parts import Refusal, SessionContext
from fix_gateway.fix.translate_requests import RequestTranslator
from tests.exchange_desk import ALICE, BOB, BTC_USD, START_NS, Desk

SESSION = SessionId(1)
CONTEXT = SessionContext(SESSION, FirmId(1), ALICE, generation=4, epoch=3)
COPY_CONTEXT = CONTEXT._replace(is_drop_copy=True)
NOW_NS = 77
TIME = "60=20261123-00:00:00.000"


def message(text: str) -> Fields:
    return parse_message(f"34=7|{text}|".replace("|", SOH))


def pretty(body: str) -> str:
    return body.replace(SOH, "|").removesuffix("|")


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.apply(OpenSession(SESSION))
    return desk


def translate(desk: Desk, text: str, context: SessionContext = CONTEXT) -> RequestCommand | Refusal:
    return RequestTranslator(desk.exchange.reference).translate(message(text), context, NOW_NS)


@pytest.mark.parametrize(
    ("text", "scope", "scope_id", "instrument_id", "side"),
    [
        ("530=7", Scope.ACCOUNT, 1, 0, None),
        ("530=7|54=2", Scope.ACCOUNT, 1, 0, Side.SELL),
        ("530=1|55=BTC-USD", Scope.ACCOUNT, 1, BTC_USD, None),
        ("530=6", Scope.SESSION, 1, 0, None),
        ("530=6|55=BTC-USD|54=1", Scope.SESSION, 1, BTC_USD, Side.BUY),
    ],
)
def test_mass_cancel_names_its_orders(
    desk: Desk, text: str, scope: Scope, scope_id: int, instrument_id: int, side: Side | None
) -> None:
    """Orders of the account, of the session, of an instrument, of a side."""
    assert translate(desk, f"35=q|11=m1|{text}") == MassCancel(
        session_id=SESSION,
        generation=4,
        epoch=3,
        msg_seq_num=7,
        account_id=ALICE,
        cl_ord_id=ClOrdId("m1"),
        scope=scope,
        scope_id=scope_id,
        instrument_id=InstrumentId(instrument_id),
        side=side,
        received_at_ns=NOW_NS,
    )


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("35=q|11=m 1|530=7", "CLORDID_INVALID: ClOrdID must be 1 to 36 of A-Z, a-z, 0-9, - and _"),
        ("35=q|11=m1|530=1", "UNSUPPORTED: MassCancelRequestType(530)=1 needs Symbol(55)"),
        (
            "35=q|11=m1|530=7|55=BTC-USD",
            "UNSUPPORTED: MassCancelRequestType(530)=7 takes no Symbol(55)",
        ),
        ("35=q|11=m1|530=3", "UNSUPPORTED: MassCancelRequestType(530) must be 1, 6 or 7"),
        ("35=q|11=m1|530=1|55=X-Y", "SYMBOL_UNKNOWN: no instrument X-Y"),
        ("35=q|11=m1|530=7|54=5", "UNSUPPORTED: Side(54) 5 is not supported"),
        ("35=q|11=m1|530=7|1=BOB", "ACCOUNT_UNKNOWN: no such account"),
        ("35=AF|584=a\x7f|585=7", "UNSUPPORTED: MassStatusReqID(584) must be 1 to 64 printable "),
        ("35=AF|584=a|585=8", "UNSUPPORTED: MassStatusReqType(585) must be 1, 6 or 7"),
        ("35=H|790=a", "UNKNOWN_ORDER: name it by ClOrdID(11) or OrderID(37)"),
        ("35=H|37=NONE", "UNKNOWN_ORDER: no order of the account fits what the request names"),
        ("35=H|11=a|55=X-Y", "UNKNOWN_ORDER: no order of the account fits what the request names"),
        ("35=AN|710=p|724=1", "UNSUPPORTED: PosReqType(724) must be 0"),
        ("35=AN|710=p|724=0|263=1", "UNSUPPORTED: SubscriptionRequestType(263) must be 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(desk: Desk, text: str, refusal: str) -> None:
    """Nothing is guessed: the first thing that is wrong is said."""
    outcome = translate(desk, text)
    assert isinstance(outcome, Refusal)
    assert outcome.text.startswith(refusal)


def test_questions_are_put(desk: Desk) -> None:
    """For one order, for all, for balances; a drop copy session asks for its whole firm."""
    head = {
        "session_id": SESSION, "generation": 4, "epoch": 3, "msg_seq_num": 7,
        "account_id": ALICE, "received_at_ns": NOW_NS,
    }  # fmt: skip
    assert translate(desk, "35=H|11=o1|37=12|55=BTC-USD|54=1|790=q") == ReportOrder(
        **head,  # type: ignore[arg-type]  # Each has its type.
        cl_ord_id=ClOrdId("o1"),
        order_id=OrderId(12),
        instrument_id=BTC_USD,
        side=Side.BUY,
        request_id="q",
    )
    everything = ReportOpenOrders(
        **head,  # type: ignore[arg-type]
        request_id="q",
        scope=Scope.ACCOUNT,
        scope_id=1,
    )
    assert translate(desk, "35=AF|584=q|585=7") == everything
    assert translate(desk, "35=AF|584=q|585=7", COPY_CONTEXT) == ReportOpenOrders(
        **head,  # type: ignore[arg-type]
        request_id="q",
        scope=Scope.FIRM,
        scope_id=1,
    )
    assert translate(desk, "35=AF|584=q|585=7|1=ALICE", COPY_CONTEXT) == everything
    chosen = COPY_CONTEXT._replace(chosen_account_ids={ALICE})
    assert translate(desk, "35=AF|584=q|585=7|1=ALICE", chosen) == everything
    assert translate(desk, "35=AF|584=q|585=7", chosen) == Refusal(
        RejectReason.UNSUPPORTED, "UNSUPPORTED: name one of your accounts by Account(1)"
    )
    others = COPY_CONTEXT._replace(chosen_account_ids={BOB})
    for text in ("35=AF|584=q|585=7|1=ALICE", "35=H|11=a", "35=AN|710=q|724=0"):
        refusal = translate(desk, text, others)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is RejectReason.ACCOUNT_UNKNOWN
    assert translate(desk, "35=AN|710=q|724=0") == ReportBalances(
        **head,  # type: ignore[arg-type]
        request_id="q",
    )


class Voice:
    """Says what a session of a version is told of events."""

    def __init__(self, exchange: Exchange, begin_string: str = "FIX.4.4") -> None:
        dialect = find_dialect(begin_string)
        reference = exchange.reference
        self.answers = AnswerBuilder(reference, dialect)
        self._messages = EventMessages(ReportBuilder(reference, dialect), self.answers)

    def say(self, *events: object, is_poss_resend: bool = False) -> list[str]:
        """Return what is said of the events, which happened in record 9, at midnight."""
        return [
            pretty(body)
            for index, event in enumerate(events)
            for body in self._messages.build(
                SessionEvent(SESSION, Position(9, index), START_NS, event),  # type: ignore[arg-type]
                is_poss_resend=is_poss_resend,
            )
        ]


def test_mass_cancel_is_answered_and_its_end_told_where_there_are_words(desk: Desk) -> None:
    """The report comes first; only FIX 5.0 SP2 can say that it is done."""
    desk.buy(ALICE, 5, 100)
    events = desk.mass_cancel(ALICE, "m1", Scope.ACCOUNT, 1, side=Side.BUY)
    order_id = events[0].affected[0].order_id  # type: ignore[union-attr]
    in_4_4 = Voice(desk.exchange).say(*events)
    assert in_4_4[0] == (
        f"35=r|11=m1|37=9|530=7|531=7|533=1|534=1|41=c1|535={order_id}|54=1|{TIME}"
    )
    assert len(in_4_4) == 2
    assert in_4_4[1].startswith("35=8|")
    in_5_0 = Voice(desk.exchange, "FIXT.1.1").say(*events)
    assert in_5_0[0] == (
        f"35=r|11=m1|37=9|1369=9|530=7|531=7|533=1|534=1|1824=c1|535={order_id}|54=1|{TIME}000"
    )
    assert in_5_0[2:] == [
        f"35=BZ|11=m1|1369=9|1373=3|1374=7|1375=2|533=1|{TIME}000",
    ]


def test_mass_cancel_of_nothing_and_of_others_is_answered(desk: Desk) -> None:
    """Never silence: nothing found is 0, what is refused has its reason."""
    voice = Voice(desk.exchange)
    nothing = desk.mass_cancel(ALICE, "m1", Scope.SESSION, 1, instrument_id=BTC_USD)
    assert isinstance(nothing[-1], MassCancelCompleted)
    assert voice.say(*nothing) == [f"35=r|11=m1|37=9|530=6|531=6|533=0|55=BTC-USD|{TIME}"]
    stranger = desk.mass_cancel(ALICE, "m2", Scope.ACCOUNT, 2)
    assert voice.say(*stranger, is_poss_resend=True) == [
        "35=r|97=Y|11=m2|37=9|530=7|531=0|532=99|58=ACCOUNT_UNKNOWN: no such account|" + TIME
    ]


@pytest.mark.parametrize(
    ("begin_string", "asked_one", "asked_all"),
    [("FIX.4.4", "790=q", "584=q|911=1|912=Y"), ("FIX.4.2", "", "")],
)
def test_status_names_the_question(
    desk: Desk, begin_string: str, asked_one: str, asked_all: str
) -> None:
    """The report of an order, with the question that it answers where the version has a field."""
    desk.buy(ALICE, 5, 100)
    voice = Voice(desk.exchange, begin_string)
    (one,) = desk.report_order(ALICE, "c1", "q")
    (all_of_them,) = desk.report_open_orders(ALICE, "q", Scope.ACCOUNT, 1)
    for event, asked in ((one, asked_one), (all_of_them, asked_all)):
        assert isinstance(event, OrderStatusReported)
        (said,) = voice.say(event)
        assert ("150=I" in said, "20=3" in said) == (bool(asked), not asked)
        assert said.endswith(f"{asked}|{TIME}" if asked else f"20=3|{TIME}")


@pytest.mark.parametrize(
    ("begin_string", "kind", "named", "counted", "time"),
    [
        ("FIX.4.2", "20=3|150=8|39=8", "", "", TIME),
        ("FIX.4.4", "150=I|39=8", "|790=q", "|584=q|911=0|912=Y", TIME),
        ("FIXT.1.1", "150=I|39=8", "|790=q", "|584=q|911=0|912=Y", f"{TIME}000"),
    ],
)
def test_nothing_to_tell_is_an_answer_too(
    desk: Desk, begin_string: str, kind: str, named: str, counted: str, time: str
) -> None:
    """An order that nobody knows, and a book without orders."""
    voice = Voice(desk.exchange, begin_string)
    text = "58=UNKNOWN_ORDER: no order of the account fits what the request names"
    tail = f"151=0|14=0|6=0|103=5|{text}"
    (unknown,) = desk.report_order(ALICE, "nope", "q")
    assert voice.say(unknown) == [
        f"35=8|37=NONE|17=9.0|11=nope|{kind}|55=[N/A]|54=7|{tail}{named}|1=ALICE|{time}"
    ]
    (none,) = desk.report_open_orders(ALICE, "q", Scope.ACCOUNT, 1, instrument_id=BTC_USD)
    assert voice.say(none) == [
        f"35=8|37=NONE|17=9.0|{kind}|55=BTC-USD|54=7|{tail}{counted}|1=ALICE|{time}"
    ]


def test_balances_are_one_report_per_asset(desk: Desk) -> None:
    """What there is, what is held, what is free; nothing is an answer as well."""
    desk.buy(ALICE, 5, 100)
    voice = Voice(desk.exchange)
    prices = "730=0|731=1|734=0|702=1|703=TOT"
    assert voice.say(*desk.report_balances(ALICE, "p")) == [
        "35=AP|721=9.0-1|710=p|727=2|728=0|715=20261123|1=ALICE|581=1|730=0|731=1|734=0|15=USD"
        "|702=1|703=TOT|704=10000.00000000|705=0.00050000|753=1|707=CASH|708=9999.99950000",
        "35=AP|721=9.0-2|710=p|727=2|728=0|715=20261123|1=ALICE|581=1|730=0|731=1|734=0|15=BTC"
        "|702=1|703=TOT|704=100.00000000|705=0.00000000|753=1|707=CASH|708=100.00000000",
    ]
    assert voice.say(*desk.report_balances(AccountId(9), "p")) == [
        f"35=AP|721=9.0-1|710=p|727=1|728=3|715=20261123|1=9|581=1|{prices}|704=0|705=0|753=1"
        "|707=CASH|708=0|58=ACCOUNT_UNKNOWN: no such account"
    ]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (
            "35=q|11=m1|530=1|55=X-Y|54=1",
            "35=r|11=m1|37=D1.3.7|530=1|531=0|532=1|58=SYMBOL_UNKNOWN: x|55=X-Y|54=1|" + TIME,
        ),
        (
            "35=AF|584=q|585=1|55=X-Y",
            "35=8|37=NONE|17=D1.3.7|150=I|39=8|55=X-Y|54=7|151=0|14=0|6=0|103=1"
            "|58=SYMBOL_UNKNOWN: x|584=q|911=0|912=Y|" + TIME,
        ),
        (
            "35=H|11=o1|790=q",
            "35=8|37=NONE|17=D1.3.7|11=o1|150=I|39=8|55=[N/A]|54=7|151=0|14=0|6=0|103=1"
            "|58=SYMBOL_UNKNOWN: x|790=q|" + TIME,
        ),
        (
            "35=AN|710=q|724=0|1=X",
            "35=AP|721=D1.3.7|710=q|727=1|728=1|715=20261123|1=X|581=1|730=0|731=1|734=0|702=1"
            "|703=TOT|704=0|705=0|753=1|707=CASH|708=0|58=SYMBOL_UNKNOWN: x",
        ),
    ],
)
def test_refusal_at_the_door_has_the_form_of_the_answer(desk: Desk, text: str, reply: str) -> None:
    """A client waits for one kind of message, and gets it."""
    refusal = Refusal(RejectReason.SYMBOL_UNKNOWN, "SYMBOL_UNKNOWN: x")
    voice = Voice(desk.exchange)
    said = voice.answers.build_refusal(message(text), refusal, "D1.3.7", START_NS)
    assert pretty(said) == reply
