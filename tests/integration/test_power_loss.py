"""The machine stops and what the gateway wrote last is gone: the client is told all the same."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import pytest

from fix_gateway.fix.fields import Fields, MsgType, Tag
from fix_gateway.fix.message_store import UNKNOWN_MESSAGES_MAX
from fix_gateway.tools.chaos.venue import VenueProcess
from tests.integration.raw_client import RawClient
from tests.integration.test_exactly_once import exec_ids
from tests.integration.test_supervisor import children_of, wait_until_gone

SESSION = "T01"


def enter_orders(client: RawClient, *cl_ord_ids: str) -> list[Fields]:
    client.send_bytes(b"".join(client.order(cl_ord_id) for cl_ord_id in cl_ord_ids))
    return [client.receive_type("8") for _ in cl_ord_ids]


def lose_power(venue: VenueProcess, store: Path, earlier: Path) -> None:
    """End everything at once, and put the store's files back to what the disk held."""
    processes = [venue.pid, *children_of(venue.pid)]
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):  # They do not outlive their supervisor.
            os.kill(pid, signal.SIGKILL)
    wait_until_gone(processes)
    venue.stop()
    shutil.rmtree(store)
    shutil.copytree(earlier, store)
    (store / "machine").write_text("the start before this one\n")


@pytest.mark.parametrize("is_reset", [True, False], ids=["141=Y", "141=N"])
def test_reports_that_the_store_has_lost_come_again(
    data_dir: Path, tmp_path: Path, *, is_reset: bool
) -> None:
    """A gap that is filled, or a reset, and then every report again with 97=Y; no number twice."""
    store = data_dir / "fix" / f"FIX.4.4-{SESSION}"
    venue = VenueProcess(data_dir).start()
    client = RawClient(venue.fix_port, SESSION)
    client.log_on()
    before = enter_orders(client, "a", "b")
    shutil.copytree(store, tmp_path / "earlier")
    before += enter_orders(client, "c", "d", "e")
    lose_power(venue, store, tmp_path / "earlier")
    client.cut()

    venue.start()
    with RawClient(venue.fix_port, SESSION) as again:
        if not is_reset:
            again.next_seq = client.next_seq
        logon = again.log_on(is_reset=is_reset)
        if not is_reset:
            assert int(logon[Tag.MSG_SEQ_NUM]) >= UNKNOWN_MESSAGES_MAX
            expected = int(before[-1][Tag.MSG_SEQ_NUM]) + 1
            again.send(MsgType.RESEND_REQUEST, (7, str(expected)), (16, "0"))
        again.send_bytes(again.order("f"))
        # What was on its way when the client asked is sent twice, with the same numbers.
        reports: dict[int, Fields] = {}
        while "f" not in [report[Tag.CL_ORD_ID] for report in reports.values()]:
            report = again.receive_type("8")
            reports[int(report[Tag.MSG_SEQ_NUM])] = report
    assert list(reports) == list(range(min(reports), min(reports) + 6))
    *after, fresh = reports.values()
    assert exec_ids(after) == exec_ids(before)
    assert [report[Tag.POSS_RESEND] for report in after] == ["Y"] * 5
    assert Tag.POSS_RESEND not in fresh
    assert venue.stop() == 0, venue.log_text()
    assert venue.count_logged(f"session={SESSION}") > 0
    assert [line for line in venue.logged if "store_may_be_torn" in line and SESSION in line]


def test_orderly_stop_before_the_power_goes_costs_nothing(data_dir: Path, tmp_path: Path) -> None:
    """What was flushed to the disk at the end counts: numbers go on, nothing comes again."""
    store = data_dir / "fix" / f"FIX.4.4-{SESSION}"
    venue = VenueProcess(data_dir).start()
    with RawClient(venue.fix_port, SESSION) as client:
        client.log_on()
        enter_orders(client, "a", "b")
    assert venue.stop() == 0, venue.log_text()
    assert (store / "machine").read_text() == "in order"
    venue.start()
    with RawClient(venue.fix_port, SESSION) as again:
        again.next_seq = client.next_seq
        assert again.log_on(is_reset=False)[Tag.MSG_SEQ_NUM] == "5"
        # The gateway asks for what came after the last order: Logout and Logon, nothing to repeat.
        assert again.receive_type(MsgType.RESEND_REQUEST)[7] == "4"
        again.send(MsgType.SEQUENCE_RESET, (43, "Y"), (123, "Y"), (36, "6"), seq=4)
        (fresh,) = enter_orders(again, "c")
        assert (fresh[Tag.CL_ORD_ID], fresh.get(Tag.POSS_RESEND)) == ("c", None)
    assert venue.stop() == 0, venue.log_text()
