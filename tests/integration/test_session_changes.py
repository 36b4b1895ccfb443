"""Sessions come, change and go while the venue runs, and no other session notices."""

from typing import Any

from fix_gateway.fix.fields import ExecType, MsgType, Tag
from tests.integration.gateway_control import ask, ask_raw, control_path, execute
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

NEW = "NEW-1"


def add_session(venue: VenueProcess, comp_id: str, like: str) -> int:
    """Make a session of the same firm and account, opened by the same password."""
    ((session_id,),) = execute(
        venue,
        "INSERT INTO fix_sessions (firm_id, account_id, begin_string, client_comp_id)"
        " SELECT firm_id, account_id, begin_string, %s FROM fix_sessions WHERE client_comp_id = %s"
        " RETURNING session_id",
        [comp_id, like],
    )
    execute(
        venue,
        "INSERT INTO fix_credentials (session_id, username, password_hash)"
        " SELECT %s, %s, password_hash FROM fix_credentials WHERE username = %s",
        [session_id, comp_id, like],
    )
    return int(session_id)


def enable(venue: VenueProcess, session_id: int, *, is_enabled: bool) -> None:
    execute(
        venue,
        "UPDATE fix_sessions SET is_enabled = %s WHERE session_id = %s",
        [is_enabled, session_id],
    )


def status_of(venue: VenueProcess, session_id: int) -> dict[str, Any] | None:
    answer = ask(venue, "status")
    assert (answer["ok"], answer["worker"]) == (True, 0)
    for found in answer["sessions"]:
        if found["session_id"] == session_id:
            return dict(found)
    return None


def is_refused(venue: VenueProcess, *, heart_bt_int: str = "30") -> bool:
    with RawClient(venue.fix_port, NEW) as client:
        client.send_bytes(client.logon_message(heart_bt_int=heart_bt_int))
        return client.receive()[Tag.MSG_TYPE] == MsgType.LOGOUT


def trade(client: RawClient, cl_ord_id: str) -> None:
    client.send_bytes(client.order(cl_ord_id))
    report = client.receive_type("8")
    assert (report[Tag.CL_ORD_ID], report[Tag.EXEC_TYPE]) == (cl_ord_id, ExecType.NEW)


def wait_for_logout(client: RawClient, text: str) -> None:
    logout = client.receive_type(MsgType.LOGOUT, 30.0)
    assert logout[Tag.TEXT] == text
    client.send(MsgType.LOGOUT)
    assert client.receive_all_until_closed() == []
    client.cut()


def test_sessions_come_change_and_go(venue: VenueProcess) -> None:
    """A session is added, changed, disabled and enabled again; it keeps its numbers."""
    bystander = RawClient(venue.fix_port, "T01")
    bystander.log_on()
    assert is_refused(venue)
    session_id = add_session(venue, NEW, "T20")
    assert ask(venue, "refresh") == {"ok": True}
    client = RawClient(venue.fix_port, NEW)
    client.log_on()
    trade(client, "n1")
    status = status_of(venue, session_id)
    assert status is not None
    assert status["peer"].startswith("127.0.0.1:")
    assert status["logged_on_at"] <= status["last_received_at"]
    assert (status["is_logged_on"], status["epoch"]) == (True, 2)
    assert (status["next_sender_msg_seq_num"], status["next_target_msg_seq_num"]) == (3, 3)

    change_while_logged_on(venue, client, session_id)
    disable_and_enable(venue, session_id, client.next_seq)
    trade(bystander, "b1")
    with bystander:
        pass


def change_while_logged_on(venue: VenueProcess, client: RawClient, session_id: int) -> None:
    """New settings hold for the next Logon; who is logged on stays until an operator says."""
    execute(venue, "UPDATE fix_sessions SET heart_bt_int_max_s = 20 WHERE session_id = %s",
            [session_id])  # fmt: skip
    assert ask(venue, "refresh") == {"ok": True}
    trade(client, "n2")  # Logged on it stays.
    logged_out = ask(venue, "log_out", session_id=session_id, text="go \u00e4way")
    assert logged_out == {"ok": True, "found": True}
    wait_for_logout(client, "go ?way")
    assert ask(venue, "log_out", session_id=session_id, text="x") == {"ok": True, "found": False}
    assert is_refused(venue, heart_bt_int="30")


def disable_and_enable(venue: VenueProcess, session_id: int, next_seq: int) -> None:
    """The client is logged out; afterwards the session goes on with its numbers."""
    again = RawClient(venue.fix_port, NEW)
    again.next_seq = next_seq
    again.log_on(is_reset=False, heart_bt_int="20")
    enable(venue, session_id, is_enabled=False)
    assert ask(venue, "refresh") == {"ok": True}
    wait_for_logout(again, "the session has been disabled")
    assert status_of(venue, session_id) is None
    assert is_refused(venue, heart_bt_int="20")

    enable(venue, session_id, is_enabled=True)
    assert ask(venue, "refresh") == {"ok": True}
    back = RawClient(venue.fix_port, NEW)
    back.next_seq = again.next_seq
    # One number was left out for the Logon that was refused because of its heartbeat interval.
    assert back.log_on(is_reset=False, heart_bt_int="20")[Tag.MSG_SEQ_NUM] == "8"
    # Of what came after the last order the engine knows nothing, so it is asked for again.
    begin = back.receive_type(MsgType.RESEND_REQUEST)[Tag.BEGIN_SEQ_NO]
    assert begin == "4"
    gap_fill = [(int(Tag.POSS_DUP_FLAG), "Y"), (123, "Y"), (36, str(back.next_seq))]
    back.send(MsgType.SEQUENCE_RESET, *gap_fill, seq=int(begin))
    trade(back, "n3")
    # Also without being told, after a while.
    enable(venue, session_id, is_enabled=False)
    wait_for_logout(back, "the session has been disabled")


def test_what_makes_no_sense_is_refused(shared_venue: VenueProcess) -> None:
    """The answer says why, and the next one is served."""
    for line in (b"nonsense\n", b'{"do": "explode"}\n', b'{"do": "log_out"}\n', b"x" * 20_000):
        answer = ask_raw(shared_venue, line)
        assert answer["ok"] is False
        assert answer["error"]
    assert ask(shared_venue, "status")["ok"] is True
    assert control_path(shared_venue).stat().st_mode & 0o777 == 0o600
