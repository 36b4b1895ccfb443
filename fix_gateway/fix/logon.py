"""Logon(A) at the door: what it asks for, and its twin without secrets for QuickFIX."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fix_gateway.fix.dialect import FIX_5_0_SP2, FIXT, find_dialect
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.fields import SOH, MsgType, Tag, UtcTimestamps, join_fields, printable
from fix_gateway.fix.framing import Frame, build_frame, split_fields

SECRET_TAGS: Final = frozenset(
    {
        Tag.PASSWORD, Tag.NEW_PASSWORD, Tag.RAW_DATA, Tag.RAW_DATA_LENGTH,
        Tag.ENCRYPTED_PASSWORD, Tag.ENCRYPTED_PASSWORD_LEN,
        Tag.ENCRYPTED_NEW_PASSWORD, Tag.ENCRYPTED_NEW_PASSWORD_LEN,
    }
)  # fmt: skip
FRAME_TAGS: Final = frozenset({8, 9, 10})
DIGITS_MAX: Final = 18
NO_ENCRYPTION: Final = "0"


class SessionStatus(IntEnum):
    """SessionStatus(1409), which FIXT.1.1 has in a Logout(5)."""

    NEW_PASSWORD_DOES_NOT_COMPLY_WITH_POLICY = 3
    LOGOUT_COMPLETE = 4
    INVALID_USERNAME_OR_PASSWORD = 5
    LOGONS_NOT_ALLOWED_AT_THIS_TIME = 7


@dataclass(frozen=True)
class Logon:
    """A client's wish to log on. `without_secrets` is the frame that QuickFIX may see.

    `digest` tells this very message from every other. `signature` is RawData(96), base64.
    """

    begin_string: str
    client_comp_id: str
    gateway_comp_id: str
    msg_seq_num_text: str
    heart_bt_int_s: int
    is_reset: bool
    username: str
    password: str
    without_secrets: bytes
    sending_time: str = ""
    new_password: str = ""
    signature: str = ""
    cancel_on_disconnect: str | None = None
    cancel_on_internal_loss: str | None = None
    response_mode: str | None = None
    default_appl_ver_id: str = ""
    digest: bytes = b""

    @property
    def signed_payload(self) -> bytes:
        """What an Ed25519 signature in RawData(96) must be of, as Binance has published it.

        The values of MsgType(35), SenderCompID(49), TargetCompID(56), MsgSeqNum(34) and
        SendingTime(52), joined by SOH.
        """
        values = (
            MsgType.LOGON,
            self.client_comp_id,
            self.gateway_comp_id,
            self.msg_seq_num_text,
            self.sending_time,
        )
        return SOH.join(values).encode("utf-8", "replace")


@dataclass(frozen=True)
class Admission:
    """A client that the edge lets into its session, and what it has asked for.

    `cancel_on_disconnect` is CancelOrdersOnDisconnect(8013) and `cancel_on_internal_loss`
    CancelOrdersOnInternalDisconnect(8014) and `response_mode` ResponseMode(25036) of the Logon,
    None where it says nothing. `refused_before` is how many Logons in the session's name were
    refused at its address since it was logged on last.
    """

    logon: bytes
    peer: str
    credential_id: int
    cancel_on_disconnect: str | None = None
    cancel_on_internal_loss: str | None = None
    refused_before: int = 0
    response_mode: str | None = None

    @classmethod
    def of(cls, logon: Logon, peer: str, credential_id: int, *, refused_before: int) -> "Admission":
        """Return the admission of an authentic Logon."""
        return cls(
            logon.without_secrets,
            peer,
            credential_id,
            logon.cancel_on_disconnect,
            logon.cancel_on_internal_loss,
            refused_before,
            logon.response_mode,
        )


@dataclass(frozen=True)
class HeartBtIntBounds:
    """What HeartBtInt(108) a session may ask for, in seconds."""

    min_s: int
    max_s: int


def parse_logon(frame: Frame) -> Logon | str:
    """Return what the frame asks for, or in words why it is no Logon that can be considered."""
    if frame.begin_string not in BEGIN_STRINGS:
        return f"BeginString(8) must be one of {', '.join(BEGIN_STRINGS)}"
    if frame.msg_type != MsgType.LOGON:
        return "the first message must be a Logon"
    parts = split_fields(frame.raw)
    if parts is None:
        return "malformed fields"
    texts: dict[int, str] = {}
    for tag, value in parts:
        if tag in texts:
            return f"tag {tag} appears more than once"
        texts[tag] = value.decode("ascii", "replace")
    numbers = {}
    for tag in (Tag.MSG_SEQ_NUM, Tag.HEART_BT_INT):
        text = texts.get(tag, "")
        if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
            return f"tag {int(tag)} must be a number"
        numbers[tag] = int(text)
    if texts.get(Tag.ENCRYPT_METHOD) != NO_ENCRYPTION:
        return "EncryptMethod(98) must be 0"
    is_reset = texts.get(Tag.RESET_SEQ_NUM_FLAG) == "Y"
    if is_reset and numbers[Tag.MSG_SEQ_NUM] != 1:
        return "with ResetSeqNumFlag(141)=Y MsgSeqNum(34) must be 1"
    return Logon(
        begin_string=frame.begin_string,
        client_comp_id=texts.get(Tag.SENDER_COMP_ID, ""),
        gateway_comp_id=texts.get(Tag.TARGET_COMP_ID, ""),
        msg_seq_num_text=texts[Tag.MSG_SEQ_NUM],
        heart_bt_int_s=numbers[Tag.HEART_BT_INT],
        is_reset=is_reset,
        username=texts.get(Tag.USERNAME, ""),
        password=texts.get(Tag.PASSWORD, ""),
        without_secrets=_without_secrets(frame, parts),
        sending_time=texts.get(Tag.SENDING_TIME, ""),
        new_password=texts.get(Tag.NEW_PASSWORD, ""),
        signature=texts.get(Tag.RAW_DATA, ""),
        cancel_on_disconnect=texts.get(Tag.CANCEL_ORDERS_ON_DISCONNECT),
        cancel_on_internal_loss=texts.get(Tag.CANCEL_ORDERS_ON_INTERNAL_DISCONNECT),
        response_mode=texts.get(Tag.RESPONSE_MODE),
        default_appl_ver_id=texts.get(Tag.DEFAULT_APPL_VER_ID, ""),
        digest=hashlib.sha256(frame.raw).digest(),
    )


def build_refusal(
    logon: Logon, gateway_comp_id: str, text: str, session_status: SessionStatus, now_ns: int
) -> bytes:
    """Return the Logout(5) that answers a Logon which never became a session.

    It bears MsgSeqNum(34)=1 and is not counted: a refused stranger must not move the numbers of the
    session that he names. A client on QuickFIX counts it all the same: see `Entrance`.
    """
    begin_string = logon.begin_string
    is_fixt = begin_string == FIXT
    timestamps = UtcTimestamps(find_dialect(begin_string).timestamp_digits)
    body = join_fields(
        [
            (Tag.MSG_TYPE, MsgType.LOGOUT),
            (Tag.MSG_SEQ_NUM, "1"),
            (Tag.SENDER_COMP_ID, gateway_comp_id),
            (Tag.SENDING_TIME, timestamps.format(now_ns)),
            (Tag.TARGET_COMP_ID, printable(logon.client_comp_id)),
            *([(Tag.SESSION_STATUS, str(int(session_status)))] if is_fixt else []),
            (Tag.TEXT, text),
        ]
    )
    return build_frame(begin_string, body.encode())


def check_heart_bt_int(logon: Logon, bounds: HeartBtIntBounds) -> str | None:
    """Return in words why the heartbeat interval is refused, None when it is within bounds."""
    if bounds.min_s <= logon.heart_bt_int_s <= bounds.max_s:
        return None
    return f"HeartBtInt(108) {logon.heart_bt_int_s} is outside {bounds.min_s} to {bounds.max_s}"


def check_version(logon: Logon) -> str | None:
    """Return in words why the version of the messages to come is refused, None when it is not."""
    if logon.begin_string == FIXT and logon.default_appl_ver_id != FIX_5_0_SP2:
        return f"DefaultApplVerID(1137) must be {FIX_5_0_SP2}, FIX 5.0 SP2"
    return None


def check_asked_modes(logon: Logon) -> str | None:
    """Return in words why what the Logon asks for beside access is refused, None when it is not.

    Coinbase's tags: CancelOrdersOnDisconnect(8013) is N, S for the session's orders, A or Y for the
    account's; CancelOrdersOnInternalDisconnect(8014) is Y or N. Binance's: ResponseMode(25036) is
    1 for reports of all orders of the account, 2 for those of the session.
    """
    if logon.cancel_on_disconnect not in (None, "N", "S", "A", "Y"):
        return "CancelOrdersOnDisconnect(8013) must be N, S, A or Y"
    if logon.cancel_on_internal_loss not in (None, "Y", "N"):
        return "CancelOrdersOnInternalDisconnect(8014) must be Y or N"
    if logon.response_mode not in (None, "1", "2"):
        return "ResponseMode(25036) must be 1 or 2"
    return None


def _without_secrets(frame: Frame, parts: list[tuple[int, bytes]]) -> bytes:
    if not any(tag in SECRET_TAGS for tag, _ in parts):
        return frame.raw
    kept = [
        b"%d=%b\x01" % (tag, value)
        for tag, value in parts
        if tag not in SECRET_TAGS and tag not in FRAME_TAGS
    ]
    return build_frame(frame.begin_string, b"".join(kept))
