"""What a Logon may ask for, and what QuickFIX is shown of it."""

from dataclasses import replace

import pytest

from fix_gateway.fix.framing import Frame, FrameReader, build_frame, split_fields
from fix_gateway.fix.logon import (
    HeartBtIntBounds,
    Logon,
    SessionStatus,
    build_refusal,
    check_asked_modes,
    check_heart_bt_int,
    check_version,
    parse_logon,
)

FIELDS = {35: "A", 49: "C1", 56: "WCX", 34: "1", 52: "20261123-00:00:00", 98: "0", 108: "30"}


def frame(fields: dict[int, str], extra: bytes = b"") -> Frame:
    body = b"".join(b"%d=%b\x01" % (tag, value.encode()) for tag, value in fields.items())
    (read,) = FrameReader().feed(build_frame("FIX.4.4", body + extra))
    return read


def test_all_that_is_asked_for_is_read() -> None:
    """Names, numbers, reset and secrets."""
    logon = parse_logon(frame(FIELDS | {141: "Y", 553: "user", 554: "secret"}))
    assert isinstance(logon, Logon)
    assert (logon.begin_string, logon.client_comp_id, logon.gateway_comp_id) == (
        "FIX.4.4", "C1", "WCX",
    )  # fmt: skip
    assert (logon.msg_seq_num_text, logon.heart_bt_int_s, logon.is_reset) == ("1", 30, True)
    assert (logon.username, logon.password) == ("user", "secret")


def test_secrets_are_left_out_and_nothing_else() -> None:
    """QuickFIX, its store and its log never see them."""
    secrets = {554: "secret", 925: "next-secret"}
    logon = parse_logon(frame(FIELDS | {553: "user"} | secrets, b"95=3\x0196=s\x01g\x0158=hi\x01"))
    assert isinstance(logon, Logon)
    fields = split_fields(logon.without_secrets)
    assert fields is not None
    assert dict(fields[2:-1]) == {
        tag: value.encode() for tag, value in (FIELDS | {553: "user", 58: "hi"}).items()
    }
    assert [frame.raw for frame in FrameReader().feed(logon.without_secrets)] == [
        logon.without_secrets
    ]


def test_logon_without_secrets_stays_as_it_is() -> None:
    """Nothing is rebuilt without need."""
    whole = frame(FIELDS)
    logon = parse_logon(whole)
    assert isinstance(logon, Logon)
    assert logon.without_secrets == whole.raw


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({35: "D"}, "the first message must be a Logon"),
        ({98: "1"}, "EncryptMethod(98) must be 0"),
        ({108: "-5"}, "tag 108 must be a number"),
        ({108: "9" * 40}, "tag 108 must be a number"),
        ({34: "x"}, "tag 34 must be a number"),
        ({141: "Y", 34: "7"}, "with ResetSeqNumFlag(141)=Y MsgSeqNum(34) must be 1"),
    ],
)
def test_logon_that_cannot_be_considered(changes: dict[int, str], text: str) -> None:
    """The reason is said in words."""
    assert parse_logon(frame(FIELDS | changes)) == text


def test_second_secret_is_no_way_round_the_first() -> None:
    """A repeated field is refused: nobody can know which one counts."""
    assert parse_logon(frame(FIELDS, b"554=a\x01554=b\x01")) == "tag 554 appears more than once"
    assert parse_logon(frame(FIELDS, b"no field\x01")) == "malformed fields"


@pytest.mark.parametrize(("asked", "is_allowed"), [(4, False), (5, True), (60, True), (61, False)])
def test_heartbeat_interval_is_bounded(asked: int, is_allowed: bool) -> None:
    """Outside the bounds it is refused with the bounds."""
    logon = parse_logon(frame(FIELDS | {108: str(asked)}))
    assert isinstance(logon, Logon)
    refusal = check_heart_bt_int(logon, HeartBtIntBounds(5, 60))
    assert refusal == (None if is_allowed else f"HeartBtInt(108) {asked} is outside 5 to 60")


def test_refusal_is_a_logout_that_counts_nowhere() -> None:
    """MsgSeqNum 1, whatever the session stands at; a hostile CompID cannot break the frame."""
    logon = parse_logon(frame(FIELDS))
    assert isinstance(logon, Logon)
    logon = replace(logon, client_comp_id="C1\x01554=x")
    status = SessionStatus.INVALID_USERNAME_OR_PASSWORD
    refusal = build_refusal(logon, "WCX", "no", status, 1_795_392_000_000_000_000)
    assert split_fields(refusal)[2:-1] == [  # type: ignore[index]  # It is a frame.
        (35, b"5"), (34, b"1"), (49, b"WCX"), (52, b"20261123-00:00:00.000"),
        (56, b"C1?554=x"), (58, b"no"),
    ]  # fmt: skip
    logon = replace(logon, begin_string="FIXT.1.1")
    refusal = build_refusal(logon, "WCX", "no", status, 1_795_392_000_000_000_000)
    assert split_fields(refusal)[5:-1] == [  # type: ignore[index]  # It is a frame.
        (52, b"20261123-00:00:00.000000"), (56, b"C1?554=x"), (1409, b"5"), (58, b"no"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("begin_string", "changes", "text"),
    [
        ("FIX.4.4", {}, None),
        ("FIX.4.2", {}, None),
        ("FIXT.1.1", {1137: "9"}, None),
        ("FIXT.1.1", {1137: "7"}, "DefaultApplVerID(1137) must be 9, FIX 5.0 SP2"),
        ("FIXT.1.1", {}, "DefaultApplVerID(1137) must be 9, FIX 5.0 SP2"),
    ],
)
def test_version_of_the_messages_is_checked(
    begin_string: str, changes: dict[int, str], text: str | None
) -> None:
    """Over FIXT.1.1 it must be FIX 5.0 SP2."""
    logon = parse_logon(frame(FIELDS | changes))
    assert isinstance(logon, Logon)
    assert check_version(replace(logon, begin_string=begin_string)) == text


def test_signed_payload_is_what_binance_has_published() -> None:
    """Its worked example (Binance Spot FIX API, "How to sign Logon request"), byte for byte."""
    signature = (
        "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
    )
    fields = {
        35: "A", 34: "1", 49: "EXAMPLE", 52: "20240627-11:17:25.223", 56: "SPOT", 95: "88",
        96: signature, 98: "0", 108: "30", 141: "Y",
    }  # fmt: skip
    logon = parse_logon(frame(fields))
    assert isinstance(logon, Logon)
    assert logon.signed_payload == b"A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223"
    assert logon.signature == signature


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({8013: "X"}, "CancelOrdersOnDisconnect(8013) must be N, S, A or Y"),
        ({8014: "S"}, "CancelOrdersOnInternalDisconnect(8014) must be Y or N"),
        ({8013: "S", 8014: "N"}, None),
        ({}, None),
    ],
)
def test_modes_of_a_disconnect_are_checked(changes: dict[int, str], text: str | None) -> None:
    """What would not be done is refused, not ignored."""
    logon = parse_logon(frame(FIELDS | changes))
    assert isinstance(logon, Logon)
    assert check_asked_modes(logon) == text
