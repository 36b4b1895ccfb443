"""Conversations on the wire, in every version of FIX: see wire/README.md."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fix_gateway.fix.dictionary import BEGIN_STRINGS, holds
from fix_gateway.fix.fields import Fields, MsgType, Tag
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess
from tests.legal_messages import check_message

SCRIPTS: Final = sorted(Path(__file__).with_name("wire").glob("*.wire"))
# Both clients of a version.
SESSIONS: Final = {
    "FIX.4.2": ("U04", "U05"),
    "FIX.4.4": ("T17", "T18"),
    "FIXT.1.1": ("V04", "V05"),
}
NOT_COMPARED: Final = {8, 9, 10, 34, 49, 52, 56, 60}
HEADER_TAGS: Final = {"43", "97", "122", "1128"}
FOR_ALL: Final = ".."
_runs = itertools.count(time.time_ns() // 1000)

Pair = tuple[RawClient, RawClient]


@pytest.fixture(scope="module", params=list(SESSIONS))
def pair(request: pytest.FixtureRequest, shared_venue: VenueProcess) -> Iterator[Pair]:
    """Two clients of a version, logged on for all scripts."""
    names = SESSIONS[request.param]
    port = shared_venue.fix_port
    with (
        RawClient(port, names[0], begin_string=request.param) as client,
        RawClient(port, names[1], begin_string=request.param) as other,
    ):
        client.log_on()
        other.log_on()
        yield client, other


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_conversation(pair: Pair, script: Path) -> None:
    """Every line is sent, or comes, as it stands there."""
    Conversation(pair, script).run()


class Conversation:
    """A script being run. What `$` and `@` names stand for is known once they have been seen."""

    def __init__(self, pair: Pair, script: Path) -> None:
        self._clients = {"i": pair[1], "e": pair[1], "I": pair[0], "E": pair[0]}
        self._version = BEGIN_STRINGS[pair[0].begin_string]
        self._lines = script.read_text().splitlines()
        self._run = next(_runs)
        self._known: dict[str, str] = {}

    def run(self) -> None:
        """Run the script, and see that nothing comes that does not stand in it."""
        for number, line in enumerate(self._lines, start=1):
            if not line or line.startswith("#"):
                continue
            text, _, versions = line.partition("  @")
            if versions and not is_for(versions, self._version):
                continue
            kind, fields = text[0], self._parse(text[2:])
            client = self._clients[kind]
            if kind in "Ii":
                send(client, [(tag, self._put_in(value)) for tag, value in fields])
            else:
                came = receive(client)
                self._compare(fields, came, f"line {number}: {came}")
        for client in (self._clients["I"], self._clients["i"]):
            send(client, [("35", MsgType.TEST_REQUEST), ("112", f"end-{self._run}")])
            assert receive(client)[Tag.TEST_REQ_ID] == f"end-{self._run}"

    def _parse(self, text: str) -> list[tuple[str, str]]:
        fields = []
        for part in text.split("|"):
            field, _, versions = part.partition(" @")
            if not versions or is_for(versions, self._version):
                tag, _, value = field.partition("=")
                fields.append((tag, value))
        return fields

    def _put_in(self, value: str) -> str:
        if value.startswith("$"):
            return f"{value[1:]}-{self._run}"
        return self._known[value] if value.startswith("@") else value

    def _compare(self, expected: list[tuple[str, str]], came: Fields, hint: str) -> None:
        body = {tag: value for tag, value in came.items() if tag not in NOT_COMPARED}
        assert {int(tag) for tag, _ in expected} == set(body), hint
        for tag, value in expected:
            found = body[int(tag)]
            if value.startswith("@"):
                self._known.setdefault(value, found)
            if value != "*":
                assert found == self._put_in(value), hint


def is_for(versions: str, version: str) -> bool:
    """Whether `4.2`, `4.4..` or the like is said of the version."""
    return holds(versions if FOR_ALL in versions else f"{versions}..{versions}", version)


def send(client: RawClient, fields: list[tuple[str, str]]) -> None:
    """Send a message; fields of the header go there."""
    (_, msg_type), *rest = fields
    head = [(int(tag), value) for tag, value in rest if tag in HEADER_TAGS]
    body = [(int(tag), value) for tag, value in rest if tag not in HEADER_TAGS]
    client.send(msg_type, *head, *body)


def receive(client: RawClient) -> Fields:
    """Return the next message, which is legal in its version. TestRequests are answered."""
    while True:
        fields = client.receive()
        check_message(client.last_raw)
        if fields[Tag.MSG_TYPE] != MsgType.TEST_REQUEST:
            return fields
        client.send(MsgType.HEARTBEAT, (Tag.TEST_REQ_ID, fields[Tag.TEST_REQ_ID]))
