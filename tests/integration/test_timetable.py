"""Planned ends: clients are told before and logged out in time, and come back as planned."""

from datetime import UTC, datetime, timedelta

from fix_gateway.fix.fields import Fields, MsgType, Tag
from tests.integration.gateway_control import ask, execute
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

WAIT_S = 30.0
AHEAD = timedelta(seconds=6)
HOURS, RESET, OTHER = "T01", "T02", "T03"


def end_of(client: RawClient) -> tuple[str, str]:
    """Return the headline of the first News, and the text of the Logout that follows."""
    news = client.receive_type(MsgType.NEWS, WAIT_S)
    assert news[Tag.LINES_OF_TEXT] == "1"
    assert news[Tag.TEXT]
    logout = client.receive_type(MsgType.LOGOUT, WAIT_S)
    client.send(MsgType.LOGOUT)
    client.receive_all_until_closed()
    client.cut()
    return news[Tag.HEADLINE], logout[Tag.TEXT]


def knock(venue: VenueProcess, comp_id: str, next_seq: int | None = None) -> list[Fields]:
    """Try to log on, with numbers that begin anew or go on; return all answers."""
    client = RawClient(venue.fix_port, comp_id)
    client.next_seq = next_seq or 1
    client.send_bytes(client.logon_message(is_reset=next_seq is None))
    answers = [client.receive()]
    if answers[0][Tag.MSG_TYPE] == MsgType.LOGON:
        answers.append(client.receive_type(MsgType.LOGOUT))
        client.send(MsgType.LOGOUT)
    client.receive_all_until_closed()
    client.cut()
    return answers


def epoch_of(venue: VenueProcess, comp_id: str) -> int:
    ((session_id,),) = execute(
        venue, "SELECT session_id FROM fix_sessions WHERE client_comp_id = %s", [comp_id]
    )
    sessions = ask(venue, "status")["sessions"]
    return next(int(each["epoch"]) for each in sessions if each["session_id"] == session_id)


def test_clients_are_told_and_logged_out_as_planned(venue: VenueProcess) -> None:
    """The end of a session's hours, a planned reset, maintenance; what was missed is made up."""
    clients = {name: RawClient(venue.fix_port, name) for name in (HOURS, RESET, OTHER)}
    for client in clients.values():
        client.log_on()
    before = epoch_of(venue, RESET)
    moment = datetime.now(UTC) + AHEAD
    times = [(moment - timedelta(hours=1)).time(), moment.time(), HOURS]
    execute(
        venue,
        "UPDATE fix_sessions SET schedule_start = %s, schedule_end = %s WHERE client_comp_id = %s",
        times,
    )
    execute(
        venue,
        "UPDATE fix_sessions SET schedule_reset = %s WHERE client_comp_id = %s",
        [moment.time(), RESET],
    )
    assert ask(venue, "refresh") == {"ok": True}
    headline, text = end_of(clients[HOURS])
    assert headline.startswith("SESSION END in ")
    opens = moment.replace(microsecond=0) + timedelta(hours=23)
    assert text == f"SESSION CLOSED: it opens at {opens:%Y-%m-%d %H:%M:%S} UTC"
    headline, text = end_of(clients[RESET])
    assert headline.startswith("SEQ RESET in ")
    assert text.startswith("SEQ RESET: ")
    venue.wait_for(lambda: epoch_of(venue, RESET) == before + 1)
    again = RawClient(venue.fix_port, RESET)
    assert again.log_on(is_reset=False)[Tag.MSG_SEQ_NUM] == "1"

    ordered = venue.wcx("maintenance", "2099-01-01T00:00:00Z", "--text", "far away")
    assert (ordered.returncode, ordered.stdout) == (0, "gateway-0.sock: ok\n")
    planned = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    assert ask(venue, "maintenance", at=planned, text="new disks") == {"ok": True}
    for client in (clients[OTHER], again):
        headline, text = end_of(client)
        assert headline.startswith("MAINTENANCE in ")
        assert text == "MAINTENANCE: new disks"
    (refused,) = knock(venue, OTHER)
    assert (refused[Tag.MSG_TYPE], refused[Tag.TEXT]) == (
        MsgType.LOGOUT, "MAINTENANCE: new disks",
    )  # fmt: skip
    assert venue.wcx("maintenance", "--off").returncode == 0
    with RawClient(venue.fix_port, OTHER) as other:
        other.log_on()

    assert [each[Tag.MSG_TYPE] for each in knock(venue, HOURS)] == [MsgType.LOGOUT]
    # Who goes on with its numbers is told by a Logout that bears one of them.
    logon, logout = knock(venue, HOURS, clients[HOURS].next_seq)
    assert int(logout[Tag.MSG_SEQ_NUM]) == int(logon[Tag.MSG_SEQ_NUM]) + 1
    assert logout[Tag.TEXT].startswith("SESSION CLOSED: ")

    reset_is_made_up_for(venue, before + 2)


def reset_is_made_up_for(venue: VenueProcess, epoch: int) -> None:
    """One that was due while the gateway did not run."""
    mark = venue.data_dir / "fix" / f"FIX.4.4-{RESET}" / "planned-reset"
    done = datetime.fromisoformat(mark.read_text())
    mark.write_text((done - timedelta(days=2)).isoformat())
    venue.kill("gateway")
    venue.wait_for(lambda: epoch_of(venue, RESET) == epoch)
    venue.wait_for(lambda: datetime.fromisoformat(mark.read_text()) == done)
