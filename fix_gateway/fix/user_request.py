"""UserRequest(BE) with passwords: the edge answers it, so that QuickFIX never sees a secret."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from fix_gateway.fix.fields import MsgType, Tag, join_fields, printable
from fix_gateway.fix.framing import build_frame, split_fields
from fix_gateway.fix.logon import FRAME_TAGS
from fix_gateway.fix.throttle import CANCEL_TYPES, SessionThrottle

CHANGE_PASSWORD: Final = "3"  # noqa: S105 - UserRequestType(924).
ASK_STATUS: Final = "4"
ASK_THROTTLE: Final = "5"
REJECT, DISCONNECT = "2", "3"  # ThrottleAction(1611).
INBOUND_RATE: Final = "0"  # ThrottleType(1612).
ONE, SECONDS = "1", "0"  # ThrottleTimeInterval(1614), ThrottleTimeUnit(1615).
DIGITS_MAX: Final = 18
HEADER_TAGS: Final = frozenset(
    {
        Tag.MSG_SEQ_NUM, Tag.SENDER_COMP_ID, Tag.TARGET_COMP_ID, Tag.SENDING_TIME,
        Tag.POSS_DUP_FLAG, Tag.POSS_RESEND, Tag.ORIG_SENDING_TIME,
    }
)  # fmt: skip


class UserStatus(IntEnum):
    """UserStatus(926)."""

    LOGGED_IN = 1
    PASSWORD_INCORRECT = 4
    PASSWORD_CHANGED = 5
    OTHER = 6


class UserRequest(NamedTuple):
    """What a client asks for. `heartbeat` is what QuickFIX is given in its place."""

    msg_seq_num: int
    request_id: str
    request_type: str
    username: str
    password: str
    new_password: str
    heartbeat: bytes


def parse_user_request(raw: bytes) -> UserRequest | None:
    """Return what the message asks for, None when it bears no number: then it is garbled."""
    fields = split_fields(raw)
    if fields is None:
        return None
    texts = {tag: value.decode("ascii", "replace") for tag, value in reversed(fields)}
    number = texts.get(Tag.MSG_SEQ_NUM, "")
    if not (number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX):
        return None
    kept = [
        b"%d=%b\x01" % (tag, value)
        for tag, value in fields
        if tag in HEADER_TAGS and tag not in FRAME_TAGS
    ]
    body = b"35=%b\x01" % MsgType.HEARTBEAT.encode() + b"".join(kept)
    return UserRequest(
        msg_seq_num=int(number),
        request_id=texts.get(Tag.USER_REQUEST_ID, ""),
        request_type=texts.get(Tag.USER_REQUEST_TYPE, ""),
        username=texts.get(Tag.USERNAME, ""),
        password=texts.get(Tag.PASSWORD, ""),
        new_password=texts.get(Tag.NEW_PASSWORD, ""),
        heartbeat=build_frame(fields[0][1].decode("ascii", "replace"), body),
    )


def build_user_response(
    request: UserRequest,
    status: UserStatus,
    text: str,
    throttles: Sequence[tuple[int, str]] = (),
) -> str:
    """Return UserResponse(BF) as fields from 35= on."""
    return join_fields(
        [
            (Tag.MSG_TYPE, MsgType.USER_RESPONSE),
            (Tag.USER_REQUEST_ID, printable(request.request_id)),
            (Tag.USERNAME, printable(request.username)),
            (Tag.USER_STATUS, str(int(status))),
            (Tag.USER_STATUS_TEXT, text),
            *throttles,
        ]
    )


def describe_throttle(throttle: SessionThrottle, now_ns: int) -> str:
    """Return in words how often the session may send, and what is left of it."""
    limits, usage = throttle.limits(), throttle.usage(now_ns)
    left = {"order": usage.order_available, "cancel": usage.cancel_available}
    return "; ".join(
        f"{budget} messages: {rate} a second, {burst} at once, {left[budget]} left now"
        for budget, (rate, burst) in limits.items()
    )


def build_throttles(throttle: SessionThrottle, policy: str) -> list[tuple[int, str]]:
    """Return the same as the ThrottleParamsGrp that FIX 5.0 SP2 has for it."""
    action = DISCONNECT if policy == "disconnect" else REJECT
    limits = throttle.limits()
    pairs: list[tuple[int, str]] = [(Tag.NO_THROTTLES, str(len(limits)))]
    for budget, (rate, _) in limits.items():
        pairs += [
            (Tag.THROTTLE_ACTION, action),
            (Tag.THROTTLE_TYPE, INBOUND_RATE),
            (Tag.THROTTLE_NO_MSGS, str(rate)),
            (Tag.THROTTLE_TIME_INTERVAL, ONE),
            (Tag.THROTTLE_TIME_UNIT, SECONDS),
        ]
        if budget == "cancel":
            types = sorted(CANCEL_TYPES)
            pairs.append((Tag.NO_THROTTLE_MSG_TYPE, str(len(types))))
            pairs += [(Tag.THROTTLE_MSG_TYPE, msg_type) for msg_type in types]
    return pairs
