"""Drop copy sessions, and sessions that ask for reports of their whole account."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from fix_gateway.fix.fields import Fields, MsgType, Tag
from tests.integration.gateway_control import ask, execute
from tests.integration.raw_client import RawClient
from tests.integration.test_session_changes import add_session
from tests.integration.venue_process import VenueProcess

TRADER = "T12"
ONE_OF_FIRM, OTHER_OF_FIRM = "DEMO1", "DEMO3"  # Each has an account of its own.
NOT_PERMITTED = "6"
YES = "Y"


@pytest.fixture(scope="module")
def copy_name(shared_venue: VenueProcess) -> Iterator[str]:
    """A drop copy session of the trader's firm."""
    with copying(shared_venue, "COPY-T12", TRADER) as name:
        yield name


@contextmanager
def copying(
    venue: VenueProcess, name: str, like: str, account_ids: Sequence[int] = ()
) -> Iterator[str]:
    """Let there be a drop copy session of the firm, of the accounts or of all."""
    session_id = add_session(venue, name, like)
    execute(
        venue,
        "UPDATE fix_sessions SET is_drop_copy = true, copied_account_ids = %s"
        " WHERE session_id = %s",
        [list(account_ids), session_id],
    )
    assert ask(venue, "refresh")["ok"]
    yield name
    execute(venue, "UPDATE fix_sessions SET is_enabled = false WHERE session_id = %s", [session_id])
    assert ask(venue, "refresh")["ok"]


def story(fields: Fields) -> tuple[str, str, str | None, str | None]:
    """Return which report it is, and whether it is a copy and a repeat."""
    return (
        fields[Tag.EXEC_ID],
        fields[Tag.EXEC_TYPE],
        fields.get(Tag.COPY_MSG_INDICATOR),
        fields.get(Tag.POSS_RESEND),
    )


def hear(listener: RawClient, exec_ids: list[str]) -> None:
    """Receive copies of the reports of an order that was entered and cancelled."""
    entered, canceled = exec_ids
    heard = [story(listener.receive_type("8")) for _ in exec_ids]
    assert heard == [(entered, "0", YES, None), (canceled, "4", YES, None)]


def enter_and_cancel(trader: RawClient, name: str) -> list[str]:
    """Enter an order and cancel it; return the ExecIDs of both reports."""
    trader.send_bytes(trader.order(name))
    entered = trader.receive_type("8")
    trader.send("F", (Tag.CL_ORD_ID, f"{name}-x"), (Tag.ORIG_CL_ORD_ID, name))
    canceled = trader.receive_type("8")
    assert (entered[Tag.EXEC_TYPE], canceled[Tag.EXEC_TYPE]) == ("0", "4")
    assert Tag.COPY_MSG_INDICATOR not in entered
    return [entered[Tag.EXEC_ID], canceled[Tag.EXEC_ID]]


def test_drop_copy_hears_the_firm_and_misses_nothing(
    shared_venue: VenueProcess, copy_name: str
) -> None:
    """Every report, once, with 797=Y: at once while it listens, afterwards when it was away."""
    port = shared_venue.fix_port
    with RawClient(port, TRADER) as trader:
        trader.log_on()
        with RawClient(port, copy_name) as listener:
            listener.log_on()
            exec_ids = enter_and_cancel(trader, "dc1")
            hear(listener, exec_ids)
            next_seq = listener.next_seq + 1  # After its Logout.
        missed = enter_and_cancel(trader, "dc2")
        with RawClient(port, copy_name) as listener:
            listener.next_seq = next_seq
            listener.log_on(is_reset=False)
            hear(listener, missed)
            # Nothing comes twice: the next is the answer to a question.
            listener.send("AF", (Tag.MASS_STATUS_REQ_ID, "all"), (Tag.MASS_STATUS_REQ_TYPE, "7"))
            answer = listener.receive_type("8")
            assert answer[Tag.MASS_STATUS_REQ_ID] == "all"
            # And all of it again, when it is asked for.
            listener.send("F3", (Tag.BEGIN_EXEC_ID, exec_ids[0]), (Tag.END_EXEC_ID, missed[1]))
            again = [story(listener.receive_type("8")) for _ in [*exec_ids, *missed]]
            assert [each[0] for each in again] == [*exec_ids, *missed]
            assert {each[3] for each in again} == {YES}
            assert listener.receive_type("F4")[Tag.RESENT_EVENT_COUNT] == "4"


def test_drop_copy_hears_the_chosen_accounts_and_no_others(shared_venue: VenueProcess) -> None:
    """Live, when it was away, and when it asks for them again. The firm has two accounts."""
    port = shared_venue.fix_port
    account_id = int(execute(
        shared_venue,
        "SELECT account_id FROM fix_sessions WHERE client_comp_id = %s",
        [OTHER_OF_FIRM],
    )[0][0])  # fmt: skip
    with (
        copying(shared_venue, "COPY-CHOSEN", ONE_OF_FIRM, [account_id]) as name,
        RawClient(port, ONE_OF_FIRM) as one,
        RawClient(port, OTHER_OF_FIRM, begin_string="FIX.4.2") as other,
    ):
        one.log_on()
        other.log_on()
        with RawClient(port, name) as listener:
            listener.log_on()
            unheard = enter_and_cancel(one, "dc7")
            chosen = enter_and_cancel(other, "dc8")
            hear(listener, chosen)
            next_seq = listener.next_seq + 1  # After its Logout.
        unheard += enter_and_cancel(one, "dc9")
        missed = enter_and_cancel(other, "dc10")
        with RawClient(port, name) as listener:
            listener.next_seq = next_seq
            listener.log_on(is_reset=False)
            hear(listener, missed)
            # The range is that of both accounts.
            listener.send("F3", (Tag.BEGIN_EXEC_ID, unheard[0]), (Tag.END_EXEC_ID, missed[1]))
            again = [listener.receive() for _ in range(5)]
            assert [each.get(Tag.EXEC_ID) for each in again] == [*chosen, *missed, None]
            assert again[-1][Tag.RESENT_EVENT_COUNT] == "4"


def test_drop_copy_only_listens(shared_venue: VenueProcess, copy_name: str) -> None:
    """Orders, cancels and whatever else acts are refused, each with the name that it bears."""
    with RawClient(shared_venue.fix_port, copy_name) as listener:
        listener.log_on()
        listener.send_bytes(listener.order("dc3"))
        listener.send("F", (Tag.CL_ORD_ID, "dc4"), (Tag.ORIG_CL_ORD_ID, "dc1"))
        listener.send("q", (Tag.CL_ORD_ID, "dc5"), (Tag.MASS_CANCEL_REQUEST_TYPE, "7"))
        for name in ("dc3", "dc4", "dc5"):
            refusal = listener.receive_type("j")
            assert (refusal[Tag.BUSINESS_REJECT_REF_ID], refusal[Tag.BUSINESS_REJECT_REASON]) == (
                name, NOT_PERMITTED,
            )  # fmt: skip
            assert refusal[Tag.TEXT].startswith("NOT_PERMITTED: ")


def test_session_may_ask_for_its_whole_account(shared_venue: VenueProcess) -> None:
    """With ResponseMode(25036)=1 it hears of the orders of others there, else not."""
    port, name = shared_venue.fix_port, "ECHO-T13"
    add_session(shared_venue, name, "T13")
    assert ask(shared_venue, "refresh")["ok"]
    with RawClient(port, "T13") as trader:
        trader.log_on()
        with RawClient(port, name) as echo:
            echo.log_on((Tag.RESPONSE_MODE, "1"))
            exec_ids = enter_and_cancel(trader, "rm1")
            heard = [story(echo.receive_type("8")) for _ in exec_ids]
            assert heard == [(exec_ids[0], "0", YES, None), (exec_ids[1], "4", YES, None)]
            own = enter_and_cancel(echo, "rm2")
            # The trader has not asked for others' orders.
            trader.send(MsgType.TEST_REQUEST, (Tag.TEST_REQ_ID, "quiet"))
            assert trader.receive_type("0")[Tag.TEST_REQ_ID] == "quiet"
        with RawClient(port, name) as echo:
            echo.log_on((Tag.RESPONSE_MODE, "2"))
            enter_and_cancel(trader, "rm3")
            last = enter_and_cancel(echo, "rm4")
            assert own < last
        with RawClient(port, name) as echo:
            echo.send_bytes(echo.logon_message((Tag.RESPONSE_MODE, "3")))
            refused = echo.receive()
            assert (refused[Tag.MSG_TYPE], refused[Tag.TEXT]) == (
                MsgType.LOGOUT, "ResponseMode(25036) must be 1 or 2",
            )  # fmt: skip


def test_session_has_its_own_times(shared_venue: VenueProcess, copy_name: str) -> None:
    """In microseconds, with GatewayTime and EngineTime, which are the same when sent again."""
    port = shared_venue.fix_port
    execute(
        shared_venue,
        "UPDATE fix_sessions SET timestamp_precision = 'us', tells_timing = true"
        " WHERE client_comp_id = %s",
        [copy_name],
    )
    assert ask(shared_venue, "refresh")["ok"]
    with RawClient(port, TRADER) as trader, RawClient(port, copy_name) as listener:
        trader.log_on()
        listener.log_on()
        exec_ids = enter_and_cancel(trader, "dc6")
        reports = [listener.receive_type("8") for _ in exec_ids]
        for report in reports:
            assert {len(report[tag]) for tag in (Tag.SENDING_TIME, Tag.TRANSACT_TIME)} == {24}
            # All three are of one clock.
            assert report[Tag.GATEWAY_TIME] < report[Tag.ENGINE_TIME]
            assert report[Tag.ENGINE_TIME][:24] == report[Tag.TRANSACT_TIME]
        listener.send("F3", (Tag.BEGIN_EXEC_ID, exec_ids[0]), (Tag.END_EXEC_ID, exec_ids[1]))
        for report in reports:
            again = listener.receive_type("8")
            for tag in (Tag.GATEWAY_TIME, Tag.ENGINE_TIME, Tag.TRANSACT_TIME):
                assert again[tag] == report[tag]
