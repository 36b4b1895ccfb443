"""The machine stops and what the gateway wrote last is gone: the client is told all the same."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from fix_gateway.fix.fields import Fields, MsgType, Tag
from fix_gateway.fix.message_store import UNKNOWN_MESSAGES_MAX
from tests.integration.raw_client import RawClient
from tests.integration.test_exactly_once import exec_ids
from tests.integration.test_supervisor import children_of, wait_until_gone
from tests.integration.venue_process import VenueProcess

SESSION = "T01"


def enter_orders(client: RawClient, *cl_ord_ids: str) -> list[Fields]:
    client.send_bytes(b"".join(client.order(cl_ord_id) for cl_ord_id in cl_ord_ids))
    return [client.receive_type("8") for _ in cl_ord_ids]


def lose_power(venue: VenueProcess, earlier: dict[Path, Path]) -> None:
    """End everything at once, and put the stores' files back to what the disk held."""
    processes = [venue.pid, *children_of(venue.pid)]
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):  # They do not outlive their supervisor.
            os.kill(pid, signal.SIGKILL)
    wait_until_gone(processes)
    venue.stop()
    for store, copy in earlier.items():
        shutil.rmtree(store)
        shutil.copytree(copy, store)
        (store / "machine").write_text("the start before this one\n")


def come_back(venue: VenueProcess, client: RawClient, *, is_reset: bool, told: int) -> list[Fields]:
    """Log on again, ask for what follows a number and order "f"; return the reports until it."""
    with RawClient(venue.fix_port, client.comp_id) as again:
        if not is_reset:
            again.next_seq = client.next_seq
        logon = again.log_on(is_reset=is_reset)
        if not is_reset:
            assert int(logon[Tag.MSG_SEQ_NUM]) >= UNKNOWN_MESSAGES_MAX
            again.send(MsgType.RESEND_REQUEST, (7, str(told + 1)), (16, "0"))
        again.send_bytes(again.order("f"))
        # What was on its way when the client asked is sent twice, with the same numbers.
        reports: dict[int, Fields] = {}
        while "f" not in [report[Tag.CL_ORD_ID] for report in reports.values()]:
            report = again.receive_type("8")
            reports[int(report[Tag.MSG_SEQ_NUM])] = report
    assert list(reports) == list(range(min(reports), min(reports) + len(reports)))
    return list(reports.values())


def test_reports_that_the_store_has_lost_come_again(venue: VenueProcess, tmp_path: Path) -> None:
    """A gap that is filled, or a reset, and then every report again with 97=Y; no number twice."""
    names = {"T01": True, "T02": False}  # Whether it resets the numbers.
    earlier = {venue.data_dir / "fix" / f"FIX.4.4-{name}": tmp_path / name for name in names}
    clients = {name: RawClient(venue.fix_port, name) for name in names}
    before: dict[str, list[Fields]] = {}
    for name, client in clients.items():
        client.log_on()
        before[name] = enter_orders(client, "a", "b")
    for store, copy in earlier.items():
        shutil.copytree(store, copy)
    for name, client in clients.items():
        before[name] += enter_orders(client, "c", "d", "e")
    lose_power(venue, earlier)
    for client in clients.values():
        client.cut()

    venue.start()
    for name, is_reset in names.items():
        told = int(before[name][-1][Tag.MSG_SEQ_NUM])
        *after, fresh = come_back(venue, clients[name], is_reset=is_reset, told=told)
        assert exec_ids(after) == exec_ids(before[name])
        assert [report[Tag.POSS_RESEND] for report in after] == ["Y"] * 5
        assert Tag.POSS_RESEND not in fresh
    assert venue.stop() == 0, venue.log_text()
    for name in names:
        assert [line for line in venue.logged if "store_may_be_torn" in line and name in line]


def test_orderly_stop_before_the_power_goes_costs_nothing(venue: VenueProcess) -> None:
    """What was flushed to the disk at the end counts: numbers go on, nothing comes again."""
    store = venue.data_dir / "fix" / f"FIX.4.4-{SESSION}"
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
