"""FIX sessions are set up, changed and ended over REST while another one trades undisturbed."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import quickfix
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from tests.integration.command_line import Ended, wcx
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

WORKERS = 2
WAIT_S = 20.0
ALPHA = 1
ALPHAS_ACCOUNT = 1
BETAS_ACCOUNT = 2


@pytest.fixture(scope="module")
def provisioned(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A venue with two gateway processes, whose sessions these tests may change."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("provisioned") / "var"))
    settings = {"WCX_FIX__WORKERS": str(WORKERS), "WCX_FIX__REFUSAL_DELAY_S": "0.05"}
    venue = VenueProcess(data_dir, **settings).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


class Bystander:
    """A client of another session: it trades on one connection the whole time."""

    def __init__(self, venue: VenueProcess, comp_id: str) -> None:
        self._client = RawClient(venue.fix_port, comp_id)
        self._client.log_on()
        self._count = 0
        self._expected_seq = 2

    def trade(self) -> None:
        """Enter an order and cancel it; nothing but the answers may come, in unbroken numbers."""
        self._count += 1
        name = f"{self._client.comp_id}-{time.time_ns()}"
        self._client.send_bytes(self._client.order(name))
        assert self._receive()[Tag.EXEC_TYPE] == ExecType.NEW
        self._client.send("F", (11, f"x{name}"[:36]), (41, name))
        assert self._receive()[Tag.EXEC_TYPE] == ExecType.CANCELED

    def leave(self) -> None:
        """Log out."""
        self._client.__exit__()

    def _receive(self) -> Fields:
        while True:
            received = self._client.receive()
            assert received[Tag.MSG_SEQ_NUM] == str(self._expected_seq), received
            self._expected_seq += 1
            kind = received[Tag.MSG_TYPE]
            if kind == MsgType.TEST_REQUEST:
                test_req_id = (int(Tag.TEST_REQ_ID), received[Tag.TEST_REQ_ID])
                self._client.send(MsgType.HEARTBEAT, test_req_id)
            elif kind != MsgType.HEARTBEAT:
                return received


@pytest.fixture
def bystander(provisioned: VenueProcess) -> Iterator[Bystander]:
    client = Bystander(provisioned, "T01")
    try:
        yield client
        client.trade()
    finally:
        client.leave()


def order(venue: VenueProcess, method: str, path: str, body: object | None = None) -> Any:
    """Call the REST API; it must be done, and known to every gateway process."""
    status, answer = venue.call(method, path, body)
    assert status < 400, answer
    if answer.get("gateways_refreshed") is not None:
        assert (answer["gateways_refreshed"], answer["gateways_failed"]) == (WORKERS, {})
    return answer


def make_session(venue: VenueProcess, comp_id: str, **settings: object) -> str:
    """Set up a session of the firm ALPHA, and return its path."""
    made = order(
        venue,
        "POST",
        "/v1/sessions",
        {
            "firm_id": ALPHA,
            "account_id": ALPHAS_ACCOUNT,
            "client_comp_id": comp_id,
            **settings,
        },
    )
    return f"/v1/sessions/{made['session_id']}"


def make_password(venue: VenueProcess, path: str) -> tuple[str, str]:
    """Return the path of a new credential, and its password."""
    made = order(venue, "POST", f"{path}/credentials", {})
    return f"{path}/credentials/{made['credential_id']}", made["password"]


def log_on(venue: VenueProcess, comp_id: str, password: str) -> RawClient:
    """Log a client on with numbers that begin anew."""
    client = RawClient(venue.fix_port, comp_id)
    client.log_on(password=password)
    return client


def is_let_in(venue: VenueProcess, comp_id: str, password: str) -> bool:
    with RawClient(venue.fix_port, comp_id) as client:
        client.send_bytes(client.logon_message(password=password))
        received = client.receive()
        if received[Tag.MSG_TYPE] != MsgType.LOGON:
            return False
        client.send(MsgType.LOGOUT)
        client.receive_type(MsgType.LOGOUT)
        return True


def wait_until_logged_out(client: RawClient) -> str:
    """Return what the gateway says at the end."""
    text = client.receive_type(MsgType.LOGOUT)[Tag.TEXT]
    client.send(MsgType.LOGOUT)
    client.receive_all_until_closed()
    client.cut()
    return text


def audit_of(venue: VenueProcess, path: str) -> list[tuple[str, str]]:
    """Return who did what with the session, the oldest first."""
    subject = f"session:{path.rpartition('/')[2]}"
    items = order(venue, "GET", f"/v1/audit?subject={subject}&limit=1000")["items"]
    return [(item["actor"], item["action"]) for item in reversed(items)]


def test_session_lives_while_another_trades(
    provisioned: VenueProcess, bystander: Bystander
) -> None:
    """Set up, opened, changed, disabled, enabled, logged out, reset: each holds at once."""
    venue = provisioned
    path = make_session(venue, "LIFE", heart_bt_int_min_s=1)
    assert not is_let_in(venue, "LIFE", "guess")
    bystander.trade()
    _, password = make_password(venue, path)
    client = log_on(venue, "LIFE", password)
    bystander.trade()

    status = order(venue, "GET", f"{path}/status")
    assert status["is_logged_on"]
    assert status["is_held"]
    assert status["peer"].startswith("127.0.0.1:")
    assert (status["next_sender_msg_seq_num"], status["next_target_msg_seq_num"]) == (2, 2)
    assert status["epoch"] >= 1
    assert status["logged_on_at"] <= status["last_received_at"]

    order(venue, "PATCH", path, {"account_id": ALPHAS_ACCOUNT, "cancel_grace_ms": 10})
    client.send_bytes(client.order(f"life-{time.time_ns()}"))
    assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW  # A change logs nobody out.
    bystander.trade()

    assert order(venue, "POST", f"{path}/disconnect", {"text": "lunch"}) == {
        "session_id": status["session_id"],
        "was_logged_on": True,
        "gateways_asked": WORKERS,
        "gateways_failed": {},
    }
    assert wait_until_logged_out(client) == "lunch"
    client = log_on(venue, "LIFE", password)
    assert not order(venue, "POST", f"{path}/disable")["is_enabled"]
    wait_until_logged_out(client)
    assert not is_let_in(venue, "LIFE", password)
    bystander.trade()
    assert order(venue, "POST", f"{path}/enable")["is_enabled"]
    client = log_on(venue, "LIFE", password)
    bystander.trade()

    before = order(venue, "GET", path)["epoch"]
    assert order(venue, "POST", f"{path}/reset")["epoch"] > before
    wait_until_logged_out(client)
    venue.wait_for(lambda: ("engine", "session_reset") in audit_of(venue, path))
    assert [action for actor, action in audit_of(venue, path) if actor == "operator:admin"] == [
        "session_created",
        "credential_created",
        "session_changed",
        "session_disconnect_ordered",
        "session_disabled",
        "session_enabled",
        "session_reset_ordered",
    ]


def test_credentials_are_rotated_without_downtime_and_revoked_at_once(
    provisioned: VenueProcess, bystander: Bystander
) -> None:
    """Old and new open the session for a while; a client of a revoked one is logged out."""
    venue = provisioned
    path = make_session(venue, "KEYS")
    first_path, first = make_password(venue, path)
    client = log_on(venue, "KEYS", first)
    made = order(venue, "POST", f"{first_path}/rotate", {"overlap_s": 3600})
    second_path, second = f"{path}/credentials/{made['credential_id']}", made["password"]
    client.send_bytes(client.order(f"keys-{time.time_ns()}"))
    assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW
    client.__exit__()
    assert is_let_in(venue, "KEYS", first)
    assert is_let_in(venue, "KEYS", second)
    bystander.trade()

    # A rotation without an overlap, and a revocation, end the old one at once.
    client = log_on(venue, "KEYS", second)
    third = order(venue, "POST", f"{second_path}/rotate", {"overlap_s": 0})["password"]
    wait_until_logged_out(client)
    assert not is_let_in(venue, "KEYS", second)
    client = log_on(venue, "KEYS", first)
    revoked = order(venue, "DELETE", first_path)
    assert (revoked["is_live"], revoked["revoked_at"] is not None) == (False, True)
    wait_until_logged_out(client)
    assert not is_let_in(venue, "KEYS", first)
    assert is_let_in(venue, "KEYS", third)
    assert venue.call("POST", f"{first_path}/rotate", {})[0] == 409

    found = order(venue, "GET", f"{path}/credentials")["items"]
    assert [(item["is_live"], item["last_used_at"] is not None) for item in found] == [
        (False, True),
        (False, True),
        (True, True),
    ]
    told = json.dumps([found, order(venue, "GET", "/v1/audit?limit=1000"), venue.logged])
    assert [secret for secret in (first, second, third) if secret in told] == []


def test_signature_keys_are_brought_or_made(provisioned: VenueProcess) -> None:
    """A private key is shown when it is made here, and never again; it opens the session."""
    venue = provisioned
    path = f"{make_session(venue, 'SIGNS')}/credentials"
    made = order(venue, "POST", path, {"kind": "ed25519"})
    key = load_pem_private_key(made["private_key"].encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    with RawClient(venue.fix_port, "SIGNS") as client:
        client.send_bytes(client.signed_logon_message(key, made["username"]))
        assert client.receive()[Tag.MSG_TYPE] == MsgType.LOGON
        client.send(MsgType.LOGOUT)
        client.receive_type(MsgType.LOGOUT)
    own = Ed25519PrivateKey.generate().public_key()
    pem = own.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    brought = order(venue, "POST", path, {"kind": "ed25519", "public_key": pem})
    assert (brought["public_key"], brought["private_key"], brought["password"]) == (
        pem,
        None,
        None,
    )
    rotated = order(venue, "POST", f"{path}/{brought['credential_id']}/rotate")
    assert rotated["kind"] == "ed25519"
    assert rotated["private_key"] is not None
    assert made["private_key"] not in json.dumps(order(venue, "GET", path))


def test_what_a_session_may_not_do_is_refused_at_once(provisioned: VenueProcess) -> None:
    """Entering and cancelling are allowed apart; a change holds for the next message."""
    venue = provisioned
    path = make_session(venue, "MAY")
    _, password = make_password(venue, path)
    client = log_on(venue, "MAY", password)
    name = f"may-{time.time_ns()}"
    client.send_bytes(client.order(name))
    assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW
    order(venue, "PATCH", path, {"can_enter": False, "can_cancel": False})

    def refusal() -> tuple[str, str, str]:
        answer = client.receive_type("j")
        return answer[372], answer[380], answer[Tag.TEXT]

    client.send_bytes(client.order(f"{name}-2"))
    assert refusal() == ("D", "6", "NOT_PERMITTED: this session may not enter orders")
    client.send("F", (11, f"{name}-3"), (41, name))
    assert refusal() == ("F", "6", "NOT_PERMITTED: this session may not cancel orders")
    order(venue, "PATCH", path, {"can_cancel": True})
    client.send("F", (11, f"{name}-4"), (41, name))
    assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED
    client.send(MsgType.LOGOUT)
    client.receive_type(MsgType.LOGOUT)
    client.cut()


def set_at_once(venue: VenueProcess, path: str, wish: object) -> dict[str, Any]:
    """Set a limit, which nobody else need approve, and return what the answer says of it."""
    done: dict[str, Any] = order(venue, "PUT", path, wish)
    assert done.pop("change_id") > 0
    assert done.pop("engine_seq") > 0
    return done


def test_account_is_opened_and_given_limits(provisioned: VenueProcess) -> None:
    """Repeating does no harm; limits hold for the next order, and nothing is rounded."""
    venue = provisioned
    firm = order(venue, "POST", "/v1/firms", {"name": "Gamma & Co."})
    assert order(venue, "POST", "/v1/firms", {"name": "Gamma & Co."}) == firm
    wish = {"firm_id": firm["firm_id"], "name": "GAMMA1"}
    (first, account), (second, again) = (venue.call("POST", "/v1/accounts", wish) for _ in range(2))
    assert (first, second) == (201, 200)
    assert again == {**account, "change_id": None, "engine_seq": None}
    assert again["is_open"]
    assert again in order(venue, "GET", "/v1/accounts")["items"]
    limits = f"/v1/accounts/{account['account_id']}/limits"
    assert order(venue, "GET", limits)["items"] == []

    path = make_session(venue, "GAMMA", firm_id=firm["firm_id"], account_id=account["account_id"])
    _, password = make_password(venue, path)
    with log_on(venue, "GAMMA", password) as client:
        answers = []
        for order_qty_max in (None, "0.9999", "1"):
            if order_qty_max is not None:
                wish = {"order_qty_max": order_qty_max, "notional_max": "100"}
                assert set_at_once(venue, f"{limits}/BTC-USD", wish) == {
                    "account_id": account["account_id"],
                    "symbol": "BTC-USD",
                    "order_qty_max": {"0.9999": "0.9999", "1": "1.0000"}[order_qty_max],
                    "notional_max": "100.00000000",
                }
            client.send_bytes(client.order(f"gamma-{time.time_ns()}"))
            answers.append(client.receive_type("8")[Tag.TEXT].partition(":")[0])
        assert answers == ["NO_RISK_LIMITS", "MAX_ORDER_QTY", "INSUFFICIENT_BALANCE"]
    for wish, words in (
        ({"order_qty_max": "0.00001", "notional_max": "1"}, "body.order_qty_max: '0.00001' is no"),
        ({"order_qty_max": "1", "notional_max": "-1"}, "body.notional_max: '-1' is no"),
        ({"order_qty_max": 1, "notional_max": "1"}, "body.order_qty_max: "),
    ):
        status, problem = venue.call("PUT", f"{limits}/BTC-USD", wish)
        assert (status, problem["detail"].startswith(words)) == (422, True)
    (row,) = order(venue, "GET", limits)["items"]
    assert row["order_qty_max"] == "1.0000"
    good = {"order_qty_max": "1", "notional_max": "1"}
    assert venue.call("PUT", f"{limits}/BTC-EUR", good)[1]["detail"] == (
        "the exchange has no instrument BTC-EUR"
    )
    assert venue.call("GET", "/v1/accounts/9999/limits")[0] == 404


def test_firms_sessions_and_accounts_are_limited_too(provisioned: VenueProcess) -> None:
    """Beside the account's own limits; null lifts them again, and only they stop its orders."""
    venue = provisioned
    limits = {"order_qty_max": "0.5", "notional_max": None}
    nothing = {"order_qty_max": None, "notional_max": None}
    with RawClient(venue.fix_port, "DEMO1") as client:
        client.log_on()
        for place in (f"/v1/firms/{ALPHA}/limits", "/v1/sessions/1/limits"):
            row = {"symbol": "BTC-USD", "order_qty_max": "0.5000", "notional_max": None}
            assert set_at_once(venue, f"{place}/BTC-USD", limits) == row
            listed = {"change_id": None, "engine_seq": None, **row}
            assert order(venue, "GET", place)["items"] == [listed]
            client.send_bytes(client.order(f"scope-{time.time_ns()}"))
            assert client.receive_type("8")[Tag.TEXT].startswith("MAX_ORDER_QTY")
            order(venue, "PUT", f"{place}/BTC-USD", nothing)
            assert order(venue, "GET", place)["items"] == []

        throttle = f"/v1/accounts/{ALPHAS_ACCOUNT}/throttle"
        wish = {"order_rate": 1, "order_burst": 1}
        set_to = {"account_id": ALPHAS_ACCOUNT, **wish}
        assert set_at_once(venue, throttle, wish) == set_to
        shown = order(venue, "GET", throttle)
        assert shown == {"change_id": None, "engine_seq": None, **set_to}
        client.send_bytes(
            b"".join(client.order(f"burst-{number}-{time.time_ns()}") for number in range(5))
        )
        answers = [client.receive_type("8") for _ in range(5)]
        refused = [found[Tag.TEXT] for found in answers if found[Tag.EXEC_TYPE] == "8"]
        assert refused
        assert all(text.startswith("RATE_LIMIT: at most 1 orders a second") for text in refused)
        lifted = set_at_once(venue, throttle, {"order_rate": None, "order_burst": None})
        assert lifted == {"account_id": ALPHAS_ACCOUNT, "order_rate": None, "order_burst": None}
        client.send_bytes(client.order(f"lifted-{time.time_ns()}"))
        assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW
    status, problem = venue.call("PUT", throttle, {"order_rate": 1, "order_burst": None})
    assert (status, problem["detail"]) == (
        422,
        "body.order_burst: is needed beside the other, or neither",
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/v1/sessions/9999", None, 404, "no session 9999"),
        ("GET", "/v1/sessions/9999/status", None, 404, "no session 9999"),
        ("GET", "/v1/sessions/9999/limits", None, 404, "no session 9999"),
        ("GET", "/v1/firms/9999/limits", None, 404, "no firm 9999"),
        ("GET", "/v1/accounts/9999/throttle", None, 404, "no account 9999"),
        ("PATCH", "/v1/sessions/9999", {}, 404, "no session 9999"),
        ("POST", "/v1/sessions/9999/disable", None, 404, "no session 9999"),
        ("POST", "/v1/sessions/9999/disconnect", None, 404, "no session 9999"),
        ("POST", "/v1/sessions/9999/credentials", {}, 404, "no session 9999"),
        ("DELETE", "/v1/sessions/1/credentials/9", None, 404, "session 1 has no credential 9"),
        (
            "GET",
            f"/v1/sessions/{2**31}",
            None,
            422,
            "path.session_id: Input should be less than or equal to 2147483647",
        ),
        (
            "POST",
            "/v1/sessions",
            {"firm_id": ALPHA, "account_id": ALPHAS_ACCOUNT, "client_comp_id": "DEMO1"},
            409,
            "there is a FIX.4.4 session DEMO1 already",
        ),
        (
            "POST",
            "/v1/sessions",
            {"firm_id": 9999, "account_id": 1, "client_comp_id": "NOFIRM"},
            422,
            "body.firm_id: no firm 9999",
        ),
        (
            "PATCH",
            "/v1/sessions/1",
            {"account_id": BETAS_ACCOUNT},
            422,
            "body.account_id: firm 1 has no account 2",
        ),
        (
            "PATCH",
            "/v1/sessions/1",
            {"can_enter": False, "schedule_start": "08:00"},
            422,
            "body.schedule_end: is needed beside the other: "
            "a session opens and closes, or does neither",
        ),
        (
            "PATCH",
            "/v1/sessions/1",
            {"is_enabled": False},
            422,
            "body.is_enabled: Extra inputs are not permitted",
        ),
        (
            "POST",
            "/v1/sessions/1/credentials",
            {"kind": "ed25519", "public_key": "hello"},
            422,
            "body.public_key: is no public key in PEM",
        ),
        (
            "POST",
            "/v1/sessions/1/credentials",
            {"public_key": "hello"},
            422,
            "body.public_key: belongs to the kind ed25519, not to a password",
        ),
        (
            "POST",
            "/v1/sessions/1/credentials",
            {"expires_at": "2020-01-01T00:00:00Z"},
            422,
            "body.expires_at: is in the past",
        ),
        ("POST", "/v1/accounts", {"firm_id": 9999, "name": "A"}, 422, "body.firm_id: no firm 9999"),
        ("POST", "/v1/firms", {"name": "x" * 70_000}, 413, "more than 65536 bytes of body"),
    ],
)
def test_refusals_say_what_is_wrong(
    provisioned: VenueProcess,
    method: str,
    path: str,
    body: object,
    status: int,
    detail: str,
) -> None:
    """And change nothing."""
    before = order(provisioned, "GET", "/v1/sessions/1")
    found, problem = provisioned.call(method, path, body)
    assert (found, problem["status"], problem["detail"]) == (status, status, detail)
    assert order(provisioned, "GET", "/v1/sessions/1") == before


def test_change_of_what_was_read_before_is_refused(provisioned: VenueProcess) -> None:
    """If-Match: nobody overwrites what he has not seen."""
    path = make_session(provisioned, "ETAG")
    rest = provisioned.log_in()
    seen = rest.call("GET", path).headers["etag"]
    changed = rest.call("PATCH", path, {"order_rate": 5}, {"If-Match": seen})
    assert (changed.status, changed.body["order_rate"]) == (200, 5)
    assert rest.call("PATCH", path, {"order_rate": 6}, {"If-Match": seen}).status == 412
    newer = changed.headers["etag"]
    assert rest.call("GET", path).headers["etag"] == newer
    assert rest.call("PATCH", path, {"order_rate": 7}, {"If-Match": newer}).status == 200


class _Client(quickfix.Application):  # type: ignore[misc]  # Untyped bindings.
    """A QuickFIX application that knows what the configuration's comment says, and no more."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__()
        self.is_logged_on = False
        self._secrets = {int(Tag.USERNAME): username, int(Tag.PASSWORD): password}

    def onCreate(self, session_id: Any) -> None:  # noqa: N802 - QuickFIX's own names.
        pass

    def onLogon(self, session_id: Any) -> None:  # noqa: N802
        self.is_logged_on = True

    def onLogout(self, session_id: Any) -> None:  # noqa: N802
        self.is_logged_on = False

    def toAdmin(self, message: Any, session_id: Any) -> None:  # noqa: N802
        if message.getHeader().getField(int(Tag.MSG_TYPE)) == MsgType.LOGON:
            for tag, value in self._secrets.items():
                message.setField(tag, value)

    def fromAdmin(self, message: Any, session_id: Any) -> None:  # noqa: N802
        pass

    def toApp(self, message: Any, session_id: Any) -> None:  # noqa: N802
        pass

    def fromApp(self, message: Any, session_id: Any) -> None:  # noqa: N802
        pass


def test_printed_configuration_logs_a_quickfix_client_on(
    provisioned: VenueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was printed, with the password of its comment; then the other commands."""
    venue = provisioned
    added = venue.wcx("session", "add", "CLI", "--firm", "DELTA", "--create")
    assert (added.returncode, added.stderr) == (0, "")
    monkeypatch.chdir(tmp_path)  # Its store is beside it.
    Path("cli.cfg").write_text(added.stdout)
    comment = dict(
        line.removeprefix("#").strip().split("=", 1)
        for line in added.stdout.splitlines()
        if line.startswith("#") and "=" in line
    )
    client = _Client(comment["Username(553)"], comment["Password(554)"])
    settings = quickfix.SessionSettings("cli.cfg")
    stores = quickfix.FileStoreFactory(settings)
    initiator = quickfix.SocketInitiator(client, stores, settings)
    deadline_s = time.monotonic() + WAIT_S
    while not client.is_logged_on:
        assert time.monotonic() < deadline_s, venue.log_text()
        initiator.poll()
        time.sleep(0.001)
    shown = json.loads(wcx(venue, "session", "show", "CLI", "--json").stdout)
    assert shown["status"]["is_logged_on"]
    assert "live" in wcx(venue, "session", "show", "CLI").stdout
    assert wcx(venue, "session", "kick", "CLI").stdout == "session CLI is logged out\n"
    while client.is_logged_on:
        assert time.monotonic() < deadline_s + WAIT_S, venue.log_text()
        initiator.poll()
        time.sleep(0.001)
    del initiator
    assert wcx(
        venue, "session", "set", "CLI", "order_rate=7", "cancel_on_disconnect=session"
    ).stdout == ("order_rate            7\ncancel_on_disconnect  session\n")
    assert "password  " in wcx(venue, "session", "rotate", "CLI", "--overlap-s", "60").stdout
    assert wcx(venue, "session", "disable", "CLI").stdout == "session CLI is disabled\n"
    assert [
        line.split()[1:]
        for line in wcx(venue, "session", "list").stdout.splitlines()
        if " CLI " in line
    ] == [["CLI", "FIX.4.4", "DELTA", "CLI", "disabled"]]
    assert wcx(venue, "session", "enable", "CLI").stdout == "session CLI is enabled\n"
    assert "begins at 1 again" in wcx(venue, "session", "reset", "CLI").stdout
    elsewhere = ("CLITLS", "--firm", "DELTA", "--account", "CLI", "--ed25519")
    printed = wcx(venue, "session", "add", *elsewhere, "--tls-host", "fix.example").stdout
    assert "SocketConnectHost=fix.example\n" in printed
    assert f"SocketConnectPort={venue.tls_port}\n" in printed
    assert f"CertificationAuthoritiesFile={venue.data_dir}/tls/self-signed.pem\n" in printed
    assert "#   -----BEGIN PRIVATE KEY-----\n" in printed


def test_commands_fail_in_one_line(provisioned: VenueProcess) -> None:
    """Whatever is wrong. Users come and go over the API, the first one straight in the database."""
    venue = provisioned
    bob = wcx(venue, "user", "add", "bob").stdout
    password = bob.strip().rpartition(" ")[2]
    as_bob = {"WCX_OPERATOR": "bob", "WCX_OPERATOR_PASSWORD": password}
    assert wcx(venue, "session", "list", **as_bob).code == 0
    assert wcx(venue, "user", "disable", "bob").stdout == "user bob is disabled\n"
    for result, words in (
        (
            wcx(venue, "session", "list", **as_bob),
            "cannot log in as bob: name or password is wrong",
        ),
        (
            wcx(venue, "session", "list", WCX_OPERATOR="carl"),
            "no password for the operator carl: set WCX_OPERATOR and WCX_OPERATOR_PASSWORD",
        ),
        (
            wcx(venue, "session", "list", WCX_REST__PORT="1"),
            "the admin API at http://127.0.0.1:1 does not answer: [Errno 111] Connection refused",
        ),
        (wcx(venue, "session", "show", "NOBODY"), "no session NOBODY"),
        (
            wcx(venue, "session", "add", "X", "--firm", "NONE"),
            "no firm NONE: with --create it is made",
        ),
        (
            wcx(venue, "session", "set", "T02", "order_rate=0"),
            "order_rate: Input should be greater than or equal to 1",
        ),
        (wcx(venue, "user", "add", "bob"), "there is a user bob already"),
        (wcx(venue, "user", "enable", "carl"), "there is no user carl"),
        (
            wcx(venue, "user", "bootstrap", "carl"),
            "there is an administrator, admin: wcx user add makes users over the API, --rescue is "
            "for when nobody can get in any more",
        ),
    ):
        assert result == Ended(1, "", f"wcx: {words}\n")
    assert os.stat(venue.data_dir / "admin-password").st_mode & 0o777 == 0o600
    carl = wcx(venue, "user", "bootstrap", "carl", "--rescue").stdout.strip().rpartition(" ")[2]
    as_carl = {"WCX_OPERATOR": "carl", "WCX_OPERATOR_PASSWORD": carl}
    users = json.loads(wcx(venue, "user", "list", "--json", **as_carl).stdout)
    assert {(user["name"], user["status"]) for user in users} >= {
        ("admin", "active"), ("bob", "disabled"), ("carl", "active"),
    }  # fmt: skip
    assert wcx(venue, "user", "disable", "carl").stdout == "user carl is disabled\n"
