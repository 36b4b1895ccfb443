"""Which kind of answer a message gets, in every version: the routing rule, line by line."""

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.commands import (
    CancelOrder,
    NewOrder,
    RefuseRequest,
    ReplaceOrder,
    SessionCommand,
)
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.engine_link import GatewayLink
from fix_gateway.fix.error_codes import DOOR_CODES, ERROR_CODES
from fix_gateway.fix.fields import SOH, Fields, parse_message
from fix_gateway.fix.intake import Intake, IntakeReplies
from fix_gateway.fix.refusals import RefusalLog
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.session_tools import SessionTools
from fix_gateway.fix.throttle import SessionThrottle, ThrottleDefaults
from fix_gateway.fix.translate import Translator
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow
from tests.exchange_desk import Desk
from tests.session_row import make_row

ORDER = "35=D|11=a|55=BTC-USD|54=1|38=1|40=2|44=100"
CANCEL = "35=F|11=c|41=a|55=BTC-USD|54=1"
AMEND = "35=G|11=r|41=a|55=BTC-USD|54=1|38=2|40=2|44=100"
BAD_ACCOUNT = "|1=NOBODY"
QUESTIONS = {
    "35=q|11=m|530=7": MassCancel,
    "35=H|11=a|790=s": ReportOrder,
    "35=AF|584=s|585=7": ReportOpenOrders,
    "35=AN|710=p|724=0": ReportBalances,
}
RATE = 5

every_version = pytest.mark.parametrize("begin_string", list(BEGIN_STRINGS))


class Engine(GatewayLink):
    """A link to an engine that takes whatever is entered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, path, owner=None)  # type: ignore[arg-type]  # Nobody is told.
        self.is_there = True
        self.entered: list[SessionCommand] = []

    @property
    def is_available(self) -> bool:
        """Whether commands are taken now."""
        return self.is_there

    def enter(self, command: SessionCommand) -> None:
        """Take the command."""
        self.entered.append(command)


class Door:
    """The intake of one session, and what it answers."""

    def __init__(self, path: Path, begin_string: str, **row: object) -> None:
        self.row: FixSessionRow = make_row(begin_string=begin_string, **row)
        self.engine = Engine(path)
        reference: Reference = Desk().exchange.reference
        metrics = GatewayMetrics()
        defaults = ThrottleDefaults(RATE, RATE, RATE, RATE)
        version = BEGIN_STRINGS[begin_string]
        tools = SessionTools(
            engine=self.engine,
            reference=reference,
            translators={
                begin_string: Translator(reference, version, resend_order_age_max_ns=5 * 10**9)
            },
            metrics=metrics,
            gateway_comp_id="WCX",
            store_dir=path,
            sockets_dir=path,
            proof_wait_s=1.0,
            resend_pace=ResendPace(),
            throttle=defaults,
        )
        self.replies: list[Fields] = []
        watch = tools.make_venue_watch(self.row, self._never)
        replies = IntakeReplies(self._reply, self._never, self._never, watch.answer, self._never)
        self._refusals = RefusalLog(path / "refusals")
        self._refusals.load(1, watermark=0, next_sender_msg_seq_num=1)
        throttle = SessionThrottle(self.row, defaults, metrics, 0)
        self.intake = Intake(tools, self.row, self._refusals, throttle, replies)
        self._next_seq = 1

    def take(
        self, text: str, *, generation: int = 1, seq: int = 0
    ) -> Fields | SessionCommand | None:
        """Take a message; return what answers it, or what the engine is asked."""
        if not seq:
            seq, self._next_seq = self._next_seq, self._next_seq + 1
        self.replies.clear()
        self.engine.entered.clear()
        msg_type, _, rest = text.partition("|")
        raw = f"{msg_type}|34={seq}|49=T01|52=20261123-09:30:00.000|56=WCX|{rest}|"
        self.intake.take(raw.replace("|", SOH), self.row, generation, 1)
        found: list[Fields | SessionCommand] = [*self.replies, *self.engine.entered]
        return found[0] if found else None

    def refused(self, text: str) -> Fields:
        """Take a message that is refused; return the refusal without what names the message."""
        answer = self.take(text)
        assert isinstance(answer, dict)
        return answer

    def _reply(self, msg_seq_num: int, bodies: list[str]) -> None:
        self._refusals.add(msg_seq_num, reply_msg_seq_num=0)
        self.replies += [parse_message(body) for body in bodies]

    def _never(self, *_: object) -> None:
        raise AssertionError(_)


@every_version
def test_what_is_right_goes_to_the_engine(tmp_path: Path, begin_string: str) -> None:
    """As the command that it asks for; a type that the version does not have is not spoken."""
    door = Door(tmp_path, begin_string, order_rate=100, order_burst=100)
    for text, order_kind in ((ORDER, NewOrder), (CANCEL, CancelOrder), (AMEND, ReplaceOrder)):
        assert type(door.take(text)) is order_kind
    for text, kind in QUESTIONS.items():
        outcome = door.take(text)
        if begin_string != "FIX.4.2" or text.startswith("35=H"):
            assert type(outcome) is kind
        else:
            assert isinstance(outcome, dict)
            assert (outcome[35], outcome[380]) == ("j", "3")


@every_version
def test_refusals_take_the_way_of_their_kind(tmp_path: Path, begin_string: str) -> None:
    """3 for the rules of FIX, j for what cannot be served at all, else 8 for D, 9 for F and G."""
    door = Door(tmp_path, begin_string, order_rate=100, order_burst=100)
    syntax = door.refused(f"{ORDER}|78=2|79=one")
    assert (syntax[35], syntax[371], syntax[372]) == ("3", "78", "D")
    unspoken = door.refused("35=R|131=x|11=a")
    assert (unspoken[35], unspoken[372], unspoken[379], unspoken[380]) == ("j", "R", "a", "3")
    order = door.refused(ORDER + BAD_ACCOUNT)
    assert (order[35], order[150], order[11], order[17]) == ("8", "8", "a", "D7.1.3")
    for text, answers_to in ((CANCEL, "1"), (AMEND, "2")):
        refusal = door.refused(text + BAD_ACCOUNT)
        assert (refusal[35], refusal[434], refusal[1]) == ("9", answers_to, "NOBODY")
        assert refusal[58] == order[58] == "ACCOUNT_UNKNOWN: no such account"


@every_version
def test_code_in_front_of_the_text_has_a_number(tmp_path: Path, begin_string: str) -> None:
    """Whatever the gateway itself says no to, for sessions that want it; not in a Reject(3)."""
    wanting = {"order_rate": 100, "order_burst": 100, "tells_error_codes": True}
    door = Door(tmp_path, begin_string, **wanting)
    answers = [door.refused("35=R|131=x|11=a"), door.refused(ORDER + BAD_ACCOUNT)]
    answers += [door.refused("35=H|11=a" + BAD_ACCOUNT), door.refused(CANCEL + BAD_ACCOUNT)]
    assert 25016 not in door.refused(f"{ORDER}|78=2|79=one")
    door.engine.is_there = False
    answers.append(door.refused(ORDER))
    door.intake.give_up("34=99|35=D|11=a".replace("|", SOH))
    answers.append(door.replies[-1])
    for name in ("copy", "slow"):
        (tmp_path / name).mkdir()
    forbidden = Door(tmp_path / "copy", begin_string, is_drop_copy=True, **wanting)
    answers.append(forbidden.refused(ORDER))
    slow = Door(
        tmp_path / "slow", begin_string, order_rate=1, order_burst=1, tells_error_codes=True
    )
    slow.take(ORDER)
    answers.append(slow.refused(ORDER))
    codes = [(answer[58].partition(":")[0], answer[25016]) for answer in answers]
    assert codes == [
        ("UNSUPPORTED", "505"), ("ACCOUNT_UNKNOWN", "151"), ("ACCOUNT_UNKNOWN", "151"),
        ("ACCOUNT_UNKNOWN", "151"), ("ENGINE_UNAVAILABLE", "2"), ("INTERNAL_ERROR", "3"),
        ("NOT_PERMITTED", "1"), ("RATE_LIMIT", "651"),
    ]  # fmt: skip


def test_numbers_of_codes_are_of_one_code_each() -> None:
    """The gateway's own are none of the exchange's."""
    assert len(set(ERROR_CODES.values())) == len(ERROR_CODES) == len(DOOR_CODES) + len(RejectReason)


@every_version
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            AMEND.replace("44=100", "44=100.001"),
            "TICK_SIZE: price 100.001 is not a ",
        ),
        (
            AMEND.replace("38=2", "38=0.00001"),
            "LOT_SIZE: order qty 0.00001 is not a ",
        ),
        (f"{AMEND}|8013=N", "UNSUPPORTED: CancelOrdersOnDisconnect(8013) cannot be amended"),
        (f"{AMEND}|43=Y", "STALE: a resent order needs OrigSendingTime(122)"),
        (f"{CANCEL}|38=junk", ""),
    ],
)
def test_exchange_says_how_the_order_stands_that_is_not_amended(
    tmp_path: Path, begin_string: str, text: str, words: str
) -> None:
    """What is wrong with the request the door has found; a cancel needs nothing but a name."""
    door = Door(tmp_path, begin_string)
    command = door.take(text)
    if words:
        assert isinstance(command, RefuseRequest)
        assert command.text.startswith(words)
        assert (command.is_replace, command.orig_cl_ord_id) == (True, "a")
    else:
        assert isinstance(command, CancelOrder)


@every_version
def test_engine_away(tmp_path: Path, begin_string: str) -> None:
    """j with 380=4 and the name of what is refused, also while the session is not granted."""
    door = Door(tmp_path, begin_string, order_rate=100, order_burst=100)
    door.engine.is_there = False
    for text, name in ((ORDER, "a"), (CANCEL, "c"), (AMEND, "r")):
        answer = door.refused(text)
        assert (answer[35], answer[379], answer[380]) == ("j", name, "4")
        assert answer[58] == "ENGINE_UNAVAILABLE: try again in a moment"
    door.engine.is_there = True
    ungranted = door.take(ORDER, generation=0)
    assert isinstance(ungranted, dict)
    assert (ungranted[35], ungranted[380]) == ("j", "4")


@every_version
def test_not_permitted(tmp_path: Path, begin_string: str) -> None:
    """j with 380=6, which FIX 4.2 does not have, and the name of what is refused."""
    door = Door(tmp_path, begin_string, can_enter=False, can_cancel=False)
    for text, name in ((ORDER, "a"), (CANCEL, "c"), (AMEND, "r")):
        answer = door.refused(text)
        code = "0" if begin_string == "FIX.4.2" else "6"
        assert (answer[35], answer[379], answer[380]) == ("j", name, code)
        assert answer[58].startswith("NOT_PERMITTED: ")


@every_version
def test_throttled(tmp_path: Path, begin_string: str) -> None:
    """j with 380=8 where the version has it, else as any other refusal."""
    door = Door(tmp_path, begin_string)
    for _ in range(RATE):
        assert isinstance(door.take(ORDER), NewOrder)
    answers = [door.refused(text) for text in (ORDER, AMEND)]
    if begin_string == "FIXT.1.1":
        assert [(each[35], each[380]) for each in answers] == [("j", "8")] * 2
    else:
        assert [each[35] for each in answers] == ["8", "9"]
    assert all(each[58].startswith("RATE_LIMIT: ") for each in answers)
    assert isinstance(door.take(CANCEL), CancelOrder)  # Out of a budget of its own.


@every_version
def test_reject_is_never_answered(tmp_path: Path, begin_string: str) -> None:
    """Nor does it reach the engine."""
    door = Door(tmp_path, begin_string)
    assert door.take("35=j|45=1|372=8|380=0|58=I do not like it") is None


@every_version
def test_refused_message_that_comes_again_is_passed_over(tmp_path: Path, begin_string: str) -> None:
    """An order that was refused is never executed later."""
    door = Door(tmp_path, begin_string)
    door.refused(ORDER + BAD_ACCOUNT)
    assert door.take(ORDER, seq=1) is None


@every_version
@pytest.mark.parametrize("is_traced", [False, True])
def test_command_that_cannot_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin_string: str, is_traced: bool
) -> None:
    """Its message is refused by number, type and name, and counts as done with."""
    monkeypatch.setattr("fix_gateway.fix.message_trace.is_tracing", lambda: is_traced)
    door = Door(tmp_path, begin_string, order_rate=100, order_burst=100)
    texts = [ORDER, CANCEL, AMEND]
    texts += [text for text in QUESTIONS if begin_string != "FIX.4.2" or text.startswith("35=H")]
    for seq, text in enumerate(texts, start=1):
        command = door.take(text)
        assert not isinstance(command, dict)
        assert command is not None
        with capture_logs() as logged:
            door.intake.refuse_unsendable(msgspec.structs.replace(command, received_at_ns=1 << 64))
        traced = [line["request"] for line in logged if line["event"] == "message_refused"]
        assert traced == ([f"7.1.{seq}"] if is_traced else [])
        (refusal,) = door.replies
        assert (refusal[35], refusal[45], refusal[372], refusal[380]) == (
            "j", str(seq), parse_message(text.replace("|", SOH))[35], "0",
        )  # fmt: skip
        assert refusal[58] == "INTERNAL_ERROR: not processed"
        assert refusal.get(379) == (getattr(command, "cl_ord_id", "") or None)
        assert door.take(text, seq=seq) is None


@pytest.mark.parametrize(("user_id", "said"), [(None, 0), (5, 5)])
@every_version
def test_orders_are_those_of_the_sessions_user(
    tmp_path: Path, begin_string: str, user_id: int | None, said: int
) -> None:
    """New ones and amendments say whose they are; a session may be nobody's."""
    door = Door(tmp_path, begin_string, user_id=user_id)
    for text, kind in ((ORDER, NewOrder), (AMEND, ReplaceOrder)):
        entered = door.take(text)
        assert isinstance(entered, kind)
        assert entered.user_id == said
