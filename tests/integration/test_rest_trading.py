"""Trading, money, kill switches and what needs two, over REST on a venue with four eyes."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fix_gateway.fix.fields import Tag
from fix_gateway.tools.rest import RestClient
from store.users import Role
from tests.integration.command_line import Ended, wcx
from tests.integration.people import ALPHA, BETA, People, code_of
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

ALPHAS = "/v1/accounts/1"
BETAS = "/v1/accounts/2"
ALPHAS_SECOND = 3


@pytest.fixture(scope="module")
def people(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("rest") / "var"))
    venue = VenueProcess(
        data_dir, WCX_REST__FOUR_EYES="true", WCX_PROJECTOR__ENABLED="true"
    ).start()
    yield People(venue)
    assert venue.stop() == 0, venue.log_text()


@pytest.fixture(scope="module")
def trader(people: People) -> RestClient:
    return people.client(Role.TRADER, ALPHA)


@pytest.fixture(scope="module")
def other(people: People) -> RestClient:
    return people.client(Role.TRADER, BETA)


def limit(side: str, qty: str, price: str, **more: object) -> dict[str, object]:
    return {"symbol": "BTC-USD", "side": side, "order_qty": qty, "price": price, **more}


def balances(client: RestClient, path: str) -> dict[str, dict[str, Any]]:
    return {item["asset"]: item for item in client.get(f"{path}/balances")["items"]}


def told(order: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(report[name] for name in names) for report in order["reports"]]


def test_order_lives_over_rest(trader: RestClient, other: RestClient) -> None:
    """Placed, amended, traded against, cancelled: each answer reports what happened."""
    placed = trader.order("POST", f"{ALPHAS}/orders", limit("sell", "1", "60000", cl_ord_id="life"))
    path = f"{ALPHAS}/orders/{placed['order_id']}"
    assert told(placed, "exec_type", "ord_status", "cl_ord_id") == [("0", "0", "life")]
    amended = trader.order("PATCH", path, {"order_qty": "0.5", "price": "61000"})
    assert told(amended, "exec_type", "order_qty", "price") == [("5", "0.5000", "61000.00")]
    assert code_of(other.call("GET", path)) == "not_found"
    bought = other.order("POST", f"{BETAS}/orders", limit("buy", "0.2", "61000"))
    fields = ("exec_type", "last_qty", "last_px", "leaves_qty")
    assert told(bought, *fields) == [
        ("0", None, None, "0.2000"),
        ("F", "0.2000", "61000.00", "0.0000"),
    ]
    shown = trader.get(path)
    assert told(shown, "exec_type", "ord_status", "cum_qty") == [("I", "1", "0.2000")]
    canceled = trader.order("DELETE", path)
    assert told(canceled, "exec_type", "leaves_qty") == [("4", "0.0000")]
    again = trader.call("DELETE", path)
    assert (again.status, again.body["reports"]) == (200, [])


def test_key_places_an_order_once(trader: RestClient, people: People) -> None:
    """Also when the engine has died in between; another order of that key is refused."""
    headers = {"Idempotency-Key": "once-only"}
    body = limit("buy", "0.1", "10000")
    first = trader.order("POST", f"{ALPHAS}/orders", body, headers)
    people.venue.kill("engine")
    people.venue.wait_for(lambda: people.venue.get("/readyz")[0] == 200)
    second = trader.order("POST", f"{ALPHAS}/orders", body, headers)
    assert second["order_id"] == first["order_id"]
    assert told(second, "exec_type", "ord_status") == [("I", "0")]
    for change in ({"order_qty": "0.2"}, {"price": "9999"}, {"side": "sell"}):
        answer = trader.call("POST", f"{ALPHAS}/orders", {**body, **change}, headers)
        assert code_of(answer) == "idempotency_key_reused", change
    named = trader.call("POST", f"{ALPHAS}/orders", {**body, "cl_ord_id": "x"}, headers)
    assert code_of(named) == "invalid"
    done = trader.order("POST", f"{ALPHAS}/mass-cancel", {"symbol": "BTC-USD", "side": "buy"})
    assert (done["total"], done["order_ids"]) == (1, [first["order_id"]])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (limit("buy", "1", "60000.001"), 422, "invalid"),
        (limit("buy", "1e3", "60000"), 422, "invalid"),
        (limit("buy", "0", "60000"), 409, "order_qty_invalid"),
        (limit("buy", "10000", "60000"), 409, "max_order_qty"),
        (limit("buy", "100", "50000"), 409, "insufficient_balance"),
        (limit("buy", "1", "60000", ord_type="market"), 409, "price_not_allowed"),
        ({**limit("buy", "1", "60000"), "symbol": "NO-SUCH"}, 404, "not_found"),
        ({**limit("buy", "1", "60000"), "extra": 1}, 422, "invalid"),
    ],
)
def test_refusal_says_why(
    trader: RestClient, body: dict[str, object], status: int, code: str
) -> None:
    """By the exchange with the code of its reason, by the door with the field."""
    answer = trader.call("POST", f"{ALPHAS}/orders", body)
    assert (answer.status, code_of(answer)) == (status, code)


def test_money_moves_once_for_a_name(people: People) -> None:
    """Deposits and transfers; sent again they are not done again, and their answer is the same."""
    boss = people.client(Role.FIRM_ADMIN, ALPHA)
    before = balances(boss, ALPHAS)["USD"]["balance"]
    headers = {"Idempotency-Key": "wire-17"}
    body = {"asset": "USD", "amount": "250.50"}
    first = people.admin.call("POST", f"{ALPHAS}/deposits", body, headers)
    again = people.admin.call("POST", f"{ALPHAS}/deposits", body, headers)
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert float(first.body["balance"]) == float(before) + 250.5
    more = people.admin.call("POST", f"{ALPHAS}/deposits", {**body, "amount": "1"}, headers)
    assert code_of(more) == "idempotency_key_reused"
    named = {**body, "reference": "wire-17"}
    answer = people.admin.call("POST", f"{ALPHAS}/deposits", named)
    assert code_of(answer) == "duplicate_reference"
    moved = boss.order("POST", f"{ALPHAS}/transfers", {**body, "to_account_id": ALPHAS_SECOND})
    assert float(moved["balance"]) == float(before)
    for to, code in ((2, "account_unknown"), (1, "same_account")):
        answer = boss.call("POST", f"{ALPHAS}/transfers", {**body, "to_account_id": to})
        assert code_of(answer) == code
    for amount in ("0", "-1", "0.000000001", "x"):
        answer = people.admin.call("POST", f"{ALPHAS}/deposits", {**body, "amount": amount})
        assert code_of(answer) == "invalid", amount


def test_withdrawal_takes_two(people: People) -> None:
    """The firm asks and the money is held; the venue pays it out, or gives it back."""
    boss = people.client(Role.FIRM_ADMIN, ALPHA)
    body = {"asset": "BTC", "amount": "1.5"}
    before = balances(boss, ALPHAS)["BTC"]
    asked = [boss.order("POST", f"{ALPHAS}/withdrawals", body) for _ in range(2)]
    assert float(balances(boss, ALPHAS)["BTC"]["held"]) == float(before["held"]) + 3
    shown = [one["withdrawal_id"] for one in boss.get("/v1/withdrawals")["items"]]
    assert shown == [one["withdrawal_id"] for one in asked]
    assert people.client(Role.VIEWER, BETA).get("/v1/withdrawals")["items"] == []
    paths = [f"/v1/withdrawals/{withdrawal_id}" for withdrawal_id in shown]
    assert code_of(boss.call("POST", f"{paths[0]}/pay")) == "permission_needed"
    paid = people.admin.order("POST", f"{paths[0]}/pay", {"reason": "sent in block 17"})
    refused = people.admin.order("POST", f"{paths[1]}/refuse")
    assert float(paid["balance"]) == float(refused["balance"]) == float(before["balance"]) - 1.5
    assert balances(boss, ALPHAS)["BTC"]["held"] == before["held"]
    assert code_of(people.admin.call("POST", f"{paths[0]}/pay")) == "not_found"
    too_much = boss.call("POST", f"{ALPHAS}/withdrawals", {**body, "amount": "100000"})
    assert code_of(too_much) == "insufficient_balance"


def test_rules_are_tightened_by_one_and_loosened_by_two(people: People) -> None:
    """Some of them at a time; who has seen others than there are is told so."""
    officer = people.client(Role.RISK_OFFICER)
    path = "/v1/instruments/SOL-USD/rules"
    first = {"volume_share_max_bps": 100, "average_daily_volume": "100000"}
    assert officer.order("PATCH", path, first)["volume_share_max_bps"] == 100
    assert officer.call("PATCH", path, {"volume_share_max_bps": 50}).status == 200
    looser = officer.call("PATCH", path, {"volume_share_max_bps": 60})
    assert looser.status == 202
    assert officer.get(path)["volume_share_max_bps"] == 50
    approve = f"/v1/approvals/{looser.body['approval_id']}/approve"
    people.client(Role.RISK_OFFICER).order("POST", approve)
    assert officer.get(path)["volume_share_max_bps"] == 60
    seen_before = {"If-Match": '"0000000000000000"'}
    answer = officer.call("PATCH", path, {"volume_share_max_bps": 1}, seen_before)
    assert code_of(answer) == "precondition_failed"


def test_firm_stops_itself_and_another_of_it_lifts(people: People, trader: RestClient) -> None:
    """Its own switch, of its own things alone."""
    boss, second = (people.client(Role.FIRM_ADMIN, ALPHA) for _ in range(2))
    order = limit("buy", "0.1", "10000")
    open_order = trader.order("POST", f"{ALPHAS}/orders", order)
    kill = {"scope": "firm", "scope_id": ALPHA, "reason": "lost its mind"}
    for other_scope, code in (
        ({**kill, "scope_id": BETA}, "not_found"),
        ({**kill, "scope": "account", "scope_id": 2}, "not_found"),
        ({**kill, "scope": "instrument"}, "not_found"),
        ({"scope": "everything", "reason": "x"}, "other_firm"),
    ):
        answer = boss.call("POST", "/v1/kill-switches/pull", other_scope)
        assert code_of(answer) == code, other_scope
    pulled = boss.order("POST", "/v1/kill-switches/pull", kill)
    assert (pulled["level"], pulled["actor"].split("-")[0]) == ("firm", "user:firm_admin")
    assert trader.get("/v1/kill-switches")["items"] == [
        {key: value for key, value in pulled.items() if key != "engine_seq"}
    ]
    assert people.client(Role.VIEWER, BETA).get("/v1/kill-switches")["items"] == []
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "killed"
    path = f"{ALPHAS}/orders/{open_order['order_id']}"
    assert told(trader.get(path), "ord_status") == [("4",)]
    assert code_of(boss.call("POST", "/v1/kill-switches/lift", kill)) == "same_operator"
    assert second.call("POST", "/v1/kill-switches/lift", kill).status == 200
    assert trader.get("/v1/kill-switches")["items"] == []


def test_venues_kill_switch_is_pulled_by_one_and_lifted_by_two(
    people: People, trader: RestClient
) -> None:
    """Pulled at once; nobody approves what he has proposed himself."""
    risk = people.client(Role.RISK_OFFICER)
    boss = people.client(Role.FIRM_ADMIN, ALPHA)
    order = limit("buy", "0.1", "10000")
    kill = {"scope": "firm", "scope_id": ALPHA, "reason": "lost its mind"}
    assert risk.order("POST", "/v1/kill-switches/pull", kill)["level"] == "operator"
    assert code_of(boss.call("POST", "/v1/kill-switches/lift", kill)) == "not_killed"
    lift = risk.call("POST", "/v1/kill-switches/lift", {**kill, "reason": "found it again"})
    assert (lift.status, lift.body["status"], lift.body["subject"]) == (202, "pending", "firm:1")
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "killed"
    approve = f"/v1/approvals/{lift.body['approval_id']}/approve"
    assert code_of(risk.call("POST", approve)) == "four_eyes"
    assert code_of(boss.call("POST", approve)) == "permission_needed"
    pending = people.admin.get_all("/v1/approvals?pending=true")
    assert [one["approval_id"] for one in pending] == [lift.body["approval_id"]]
    approved = people.admin.order("POST", approve)
    change = people.admin.get(f"/v1/changes/{approved['change_id']}")
    assert (approved["status"], change["status"], change["refusal"]) == (
        "approved", "applied", None,
    )  # fmt: skip
    assert code_of(people.admin.call("POST", approve)) == "approval_approved"
    placed = trader.order("POST", f"{ALPHAS}/orders", order)
    trader.order("DELETE", f"{ALPHAS}/orders/{placed['order_id']}")
    assert code_of(risk.call("POST", "/v1/kill-switches/lift", kill)) == "not_killed"


def test_control_of_a_user_is_tightened_by_one_and_loosened_by_two(
    people: People, trader: RestClient
) -> None:
    """It holds for the user's own orders, until a second person lets it go."""
    risk = people.client(Role.RISK_OFFICER)
    order = limit("buy", "0.1", "10000")
    control = {
        "level": "OPERATOR",
        "scope": "USER",
        "scope_id": trader.get("/v1/me")["user_id"],
        "control": "ORDER_QTY",
        "symbol": "BTC-USD",
        "value": "0.05",
    }
    assert risk.order("PUT", "/v1/risk/controls", control)["value"] == "0.0500"
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "max_order_qty"
    wider = risk.call("PUT", "/v1/risk/controls", {**control, "value": "100"})
    assert (wider.status, wider.body["status"]) == (202, "pending")
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "max_order_qty"
    approve = f"/v1/approvals/{wider.body['approval_id']}/approve"
    assert code_of(risk.call("POST", approve)) == "four_eyes"
    people.admin.order("POST", approve)
    placed = trader.order("POST", f"{ALPHAS}/orders", order)
    trader.order("DELETE", f"{ALPHAS}/orders/{placed['order_id']}")


def test_override_takes_two_holds_for_a_while_and_is_taken_back_by_one(
    people: People, trader: RestClient
) -> None:
    """One order passes a limit that holds for all others; the list says who wanted it."""
    risk = people.client(Role.RISK_OFFICER)
    overrides = f"{ALPHAS}/overrides"
    control = {"level": "FIRM", "scope": "ACCOUNT", "scope_id": 1, "control": "ORDER_QTY"}
    control |= {"symbol": "BTC-USD", "value": "0.05"}
    risk.order("PUT", "/v1/risk/controls", control)
    order = limit("buy", "0.1", "10000", cl_ord_id="larger")
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "fat_finger_qty"
    wanted = {"code": "FAT_FINGER_QTY", "symbol": "BTC-USD", "cl_ord_id": "larger"}
    body = {**wanted, "value": "0.1", "expires_at": "2100-01-01T00:00:00Z", "reason": "as agreed"}
    unknown = risk.call("POST", overrides, {**body, "code": "INSUFFICIENT_BALANCE"})
    assert (unknown.status, code_of(unknown)) == (422, "invalid")
    assert code_of(trader.call("POST", overrides, body)) == "permission_needed"
    proposal = risk.order("POST", overrides, body)
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "fat_finger_qty"
    people.admin.order("POST", f"/v1/approvals/{proposal['approval_id']}/approve")
    (granted,) = risk.get(overrides)["items"]
    people_named = granted.pop("actor"), granted.pop("approver")
    assert len(set(people_named)) == 2
    assert granted == {
        **wanted, "value": "0.1000", "expires_at": "2100-01-01T00:00:00Z", "asset": None,
    }  # fmt: skip
    placed = trader.order("POST", f"{ALPHAS}/orders", order)
    trader.order("DELETE", f"{ALPHAS}/orders/{placed['order_id']}")
    other = limit("buy", "0.1", "10000", cl_ord_id="another")
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", other)) == "fat_finger_qty"
    assert risk.order("POST", f"{overrides}/revoke", wanted)["cl_ord_id"] == "larger"
    assert code_of(risk.call("POST", f"{overrides}/revoke", wanted)) == "not_granted"
    assert risk.get(overrides)["items"] == []
    lifted = risk.order("PUT", "/v1/risk/controls", {**control, "value": None})
    people.admin.order("POST", f"/v1/approvals/{lifted['approval_id']}/approve")


def test_override_of_an_asset_names_it(people: People, trader: RestClient) -> None:
    """Its amount is in that asset, and lets nothing of another pass."""
    risk = people.client(Role.RISK_OFFICER)
    overrides = f"{ALPHAS}/overrides"
    control = {"level": "FIRM", "scope": "ACCOUNT", "scope_id": 1, "control": "ORDER_ASSET"}
    control |= {"asset": "USD", "value": "500"}
    risk.order("PUT", "/v1/risk/controls", control)
    order = limit("buy", "0.1", "10000")
    assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == "max_asset"
    wanted = {"code": "MAX_ASSET", "asset": "USD"}
    body = {**wanted, "value": "1000", "expires_at": "2100-01-01T00:00:00Z", "reason": "as agreed"}
    for asset, code, problem in (
        (None, "MAX_ASSET", "invalid"),
        ("USD", "FAT_FINGER_QTY", "invalid"),
        ("NONE", "MAX_ASSET", "not_found"),
    ):
        answer = risk.call("POST", overrides, {**body, "asset": asset, "code": code})
        assert code_of(answer) == problem
    proposals = [risk.order("POST", overrides, {**body, "asset": each}) for each in ("BTC", "USD")]
    for proposal, refused in zip(proposals, ("max_asset", None), strict=True):
        people.admin.order("POST", f"/v1/approvals/{proposal['approval_id']}/approve")
        assert code_of(trader.call("POST", f"{ALPHAS}/orders", order)) == refused
    assert [(item["asset"], item["value"]) for item in risk.get(overrides)["items"]] == [
        ("BTC", "1000.00000000"), ("USD", "1000.00000000"),
    ]  # fmt: skip
    trader.order("POST", f"{ALPHAS}/mass-cancel")
    for each in ("BTC", "USD"):
        risk.order("POST", f"{overrides}/revoke", {**wanted, "asset": each})
    lifted = risk.order("PUT", "/v1/risk/controls", {**control, "value": None})
    people.admin.order("POST", f"/v1/approvals/{lifted['approval_id']}/approve")


def test_rejected_proposal_changes_nothing(people: People) -> None:
    """Who has proposed it may take it back himself."""
    risk = people.client(Role.RISK_OFFICER)
    kill = {"scope": "account", "scope_id": 2, "reason": "a test"}
    risk.order("POST", "/v1/kill-switches/pull", kill)
    first, second = (risk.order("POST", "/v1/kill-switches/lift", kill) for _ in range(2))
    path = f"/v1/approvals/{first['approval_id']}"
    rejected = risk.order("POST", f"{path}/reject", {"reason": "too early"})
    assert (rejected["status"], rejected["change_id"]) == ("rejected", None)
    assert code_of(people.admin.call("POST", f"{path}/approve")) == "approval_rejected"
    assert [one["scope_id"] for one in risk.get("/v1/kill-switches")["items"]] == [2]
    people.admin.order("POST", f"/v1/approvals/{second['approval_id']}/approve")
    assert risk.get("/v1/kill-switches")["items"] == []


def test_limits_are_tightened_by_one_and_loosened_by_two(people: People) -> None:
    """Of accounts, firms and throttles; who has not seen what holds changes nothing."""
    risk = people.client(Role.RISK_OFFICER)
    path = f"{BETAS}/limits"
    etag = risk.call("GET", path).headers["etag"]
    tight = {"order_qty_max": "5", "notional_max": "400000"}
    seen = {"If-Match": etag, "Idempotency-Key": "tight"}
    first = risk.call("PUT", f"{path}/SOL-USD", tight, seen)
    assert (first.status, first.body["order_qty_max"]) == (200, "5.0000")
    assert first.body["engine_seq"] > 0
    late = people.admin.call("PUT", f"{path}/SOL-USD", tight, {"If-Match": etag})
    assert code_of(late) == "precondition_failed"
    assert risk.call("PUT", f"{path}/SOL-USD", tight, seen).body == first.body
    assert first.headers["etag"] == risk.call("GET", path).headers["etag"] != etag
    for number, (target, narrow, wide) in enumerate(
        (
            (f"{path}/SOL-USD", tight, {**tight, "notional_max": "400001"}),
            (
                f"{BETAS}/throttle",
                {"order_rate": 10, "order_burst": 10},
                {"order_rate": None, "order_burst": None},
            ),
            (
                f"/v1/firms/{BETA}/limits/SOL-USD",
                {"order_qty_max": None, "notional_max": "4000"},
                {"order_qty_max": None, "notional_max": None},
            ),
        )
    ):
        assert risk.call("PUT", target, narrow).status == 200, target
        key = {"Idempotency-Key": f"wide-{number}"}
        proposed = risk.call("PUT", target, wide, key)
        assert (proposed.status, proposed.body["status"]) == (202, "pending"), target
        approve = f"/v1/approvals/{proposed.body['approval_id']}/approve"
        assert code_of(risk.call("POST", approve)) == "four_eyes"
        approved = people.admin.order("POST", approve)
        change = people.admin.get(f"/v1/changes/{approved['change_id']}")
        assert change["status"] == "applied", change
        # What was proposed once is not proposed again, also now that it holds.
        again = risk.call("PUT", target, wide, key)
        assert (again.status, again.body) == (202, proposed.body)
    found = {item["symbol"]: item for item in risk.get(path)["items"]}
    assert found["SOL-USD"]["notional_max"] == "400001.00000000"
    assert risk.get(f"{BETAS}/throttle")["order_rate"] is None
    assert risk.get(f"/v1/firms/{BETA}/limits")["items"] == []


def test_who_approves_sees_what_changes_and_nothing_else(people: People) -> None:
    """Before and after are shown; once something else holds the proposal is not approved."""
    risk = people.client(Role.RISK_OFFICER)
    target = f"/v1/accounts/{ALPHAS_SECOND}/limits/ETH-USD"
    held = {"symbol": "ETH-USD", "order_qty_max": "7.0000", "notional_max": "70000.00000000"}
    risk.order("PUT", target, {"order_qty_max": "7", "notional_max": "70000"})
    wide = {"order_qty_max": "9", "notional_max": "70000"}
    proposed = risk.order("PUT", target, wide)
    path = f"/v1/approvals/{proposed['approval_id']}"
    assert people.admin.get(path) == proposed
    assert (proposed["before"], proposed["after"]) == (
        {"account_id": ALPHAS_SECOND, **held},
        {"symbol": "ETH-USD", **wide},
    )
    people.admin.order("PUT", target, {"order_qty_max": "1", "notional_max": "1000"})
    assert code_of(people.admin.call("POST", f"{path}/approve")) == "approval_outdated"
    assert people.admin.get(path)["status"] == "pending"
    # As soon as all is again as who has proposed it saw it, it may be approved.
    again = risk.order("PUT", target, {"order_qty_max": "7", "notional_max": "70000"})
    people.admin.order("POST", f"/v1/approvals/{again['approval_id']}/approve")
    approved = people.admin.order("POST", f"{path}/approve")
    assert approved["status"] == "approved"
    query = f"/v1/audit?subject=account:{ALPHAS_SECOND}&limit=1"
    (entry,) = people.admin.get(query)["items"]
    assert (entry["action"], entry["before"], entry["after"]) == (
        "limits_ordered", proposed["before"], proposed["after"],
    )  # fmt: skip


def test_credit_is_lent_by_two_and_taken_back_by_one(people: People) -> None:
    """To an account and to a firm; what the account may use says so at once."""
    risk = people.client(Role.RISK_OFFICER)
    before = balances(people.admin, BETAS)["USD"]
    for owner in (BETAS, f"/v1/firms/{BETA}"):
        lines = f"{owner}/credit-lines"
        etag = risk.call("GET", lines).headers["etag"]
        proposed = risk.call("PUT", f"{lines}/USD", {"limit": "1000"}, {"If-Match": etag})
        assert (proposed.status, proposed.body["before"], proposed.body["after"]) == (
            202,
            {"asset": "USD", "limit": "0.00000000"},
            {"asset": "USD", "limit": "1000.00000000"},
        )
        people.admin.order("POST", f"/v1/approvals/{proposed.body['approval_id']}/approve")
        assert risk.get(lines)["items"] == [{"asset": "USD", "limit": "1000.00000000"}]
        late = risk.call("PUT", f"{lines}/USD", {"limit": "0"}, {"If-Match": etag})
        assert code_of(late) == "precondition_failed"
        for asset, amount, code in (("NONE", "1", "not_found"), ("USD", "0.000000001", "invalid")):
            answer = risk.call("PUT", f"{lines}/{asset}", {"limit": amount})
            assert code_of(answer) == code
    lent = balances(people.admin, BETAS)["USD"]
    assert float(lent["available"]) == float(before["available"]) + 2000
    for owner in (BETAS, f"/v1/firms/{BETA}"):
        taken = risk.call("PUT", f"{owner}/credit-lines/USD", {"limit": "0"})
        assert (taken.status, taken.body["limit"]) == (200, "0.00000000")
        assert risk.get(f"{owner}/credit-lines")["items"] == []
    assert balances(people.admin, BETAS)["USD"] == before


def test_trade_is_undone_or_corrected_by_two(
    people: People, trader: RestClient, other: RestClient
) -> None:
    """Money goes back, both accounts' trades say so; a second time there is nothing to undo."""
    risk = people.client(Role.RISK_OFFICER)
    paths = (ALPHAS, BETAS)
    before = [balances(people.admin, path) for path in paths]

    def trade(price: str) -> str:
        sold = other.order("POST", f"{BETAS}/orders", limit("sell", "0.5", price))
        trader.order("POST", f"{ALPHAS}/orders", limit("buy", "0.5", price))
        query = f"/v1/trades?order_id={sold['order_id']}"
        people.venue.wait_for(lambda: people.admin.get(query)["items"])
        (found,) = people.admin.get(query)["items"]
        return f"/v1/trades/{found['trade_id']}"

    def decide(path: str, body: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        proposed = risk.call("POST", path, body)
        assert proposed.status == 202, proposed
        approve = f"/v1/approvals/{proposed.body['approval_id']}/approve"
        assert code_of(risk.call("POST", approve)) == "four_eyes"
        approved = people.admin.order("POST", approve)
        return proposed.body, people.admin.get(f"/v1/changes/{approved['change_id']}")

    wrong = trade("61000")
    bust = {"reason": "clearly erroneous"}
    assert code_of(trader.call("POST", f"{wrong}/bust", bust)) == "permission_needed"
    proposed, change = decide(f"{wrong}/bust", bust)
    assert (proposed["before"]["qty"], proposed["before"]["price"]) == ("0.5000", "61000.00")
    assert change["status"] == "applied"
    assert [balances(people.admin, path) for path in paths] == before
    trade_id = int(wrong.rpartition("/")[2])
    people.venue.wait_for(lambda: _state_of(people, trade_id) == ("busted", "0.5000", "61000.00"))
    _, change = decide(f"{wrong}/bust", bust)
    assert (change["status"], change["refusal"].split(":")[0]) == ("refused", "TRADE_BUSTED")
    dear = trade("62000")
    body = {"qty": "0.5", "price": "61000", "reason": "price moved back"}
    _, change = decide(f"{dear}/correct", body)
    assert change["status"] == "applied"
    after = balances(people.admin, ALPHAS)["USD"]
    assert float(before[0]["USD"]["balance"]) - float(after["balance"]) == 30_500
    trade_id = int(dear.rpartition("/")[2])
    people.venue.wait_for(
        lambda: _state_of(people, trade_id) == ("corrected", "0.5000", "61000.00")
    )
    decide(f"{dear}/bust", bust)
    assert [balances(people.admin, path) for path in paths] == before
    assert code_of(risk.call("POST", "/v1/trades/999999999/bust", bust)) == "not_found"


def _state_of(people: People, trade_id: int) -> tuple[str, str, str]:
    for found in people.admin.get("/v1/trades")["items"]:
        if found["trade_id"] == trade_id:
            return found["state"], found["qty"], found["price"]
    raise AssertionError(trade_id)


def test_all_orders_of_a_firm_are_cancelled(
    people: People, trader: RestClient, other: RestClient
) -> None:
    """Of all its accounts, by itself or by the venue; nobody else's."""
    second = f"/v1/accounts/{ALPHAS_SECOND}"
    boss = people.client(Role.FIRM_ADMIN, ALPHA)
    order = limit("buy", "0.1", "10000")
    orders = [
        client.order("POST", f"{path}/orders", order)["order_id"]
        for client, path in ((trader, ALPHAS), (trader, second), (other, BETAS))
    ]
    one_side = boss.order("POST", f"/v1/firms/{ALPHA}/mass-cancel", {"side": "sell"})
    done = boss.order("POST", f"/v1/firms/{ALPHA}/mass-cancel")
    assert (one_side["total"], done["order_ids"]) == (0, orders[:2])
    assert code_of(boss.call("POST", f"/v1/firms/{BETA}/mass-cancel")) == "not_found"
    assert people.admin.order("POST", f"/v1/firms/{BETA}/mass-cancel")["order_ids"] == orders[2:]


def test_silent_accounts_orders_are_cancelled(people: People, other: RestClient) -> None:
    """Once its timer has run out, in words that its reports bear; not while it is put off.

    Whoever may read the account sees when that is.
    """
    path = f"{BETAS}/cancel-all-after"
    never = {"account_id": 2, "expires_at": None}
    assert people.admin.get(path) == never
    first = other.order("POST", path, {"timeout_s": 86_400})
    order_id = other.order("POST", f"{BETAS}/orders", limit("buy", "0.1", "10000"))["order_id"]
    assert people.admin.get(path) == other.get(path) == {**never, "expires_at": first["expires_at"]}
    stopped = other.order("POST", path, {"timeout_s": 0})
    assert other.get(path) == never
    assert (first["account_id"], stopped["expires_at"]) == (2, None)
    assert first["expires_at"] > other.order("POST", path, {"timeout_s": 1})["expires_at"]
    found = f"{BETAS}/orders/{order_id}"
    people.venue.wait_for(lambda: told(other.get(found), "ord_status") == [("4",)])
    assert [
        (report["order_id"], report["text"])
        for report in other.get(f"{BETAS}/reports")["items"]
        if report["reason"] == "DEAD_MAN"
    ] == [(str(order_id), "DEAD_MAN: the account's dead-man timer has expired")]
    assert other.get(path) == never
    for client, body in ((other, {"timeout_s": -1}), (other, {"timeout_s": 86_401}), (other, {})):
        assert code_of(client.call("POST", path, body)) == "invalid"
    assert code_of(people.admin.call("POST", path, {"timeout_s": 1})) == "permission_needed"


def test_dead_man_timer_is_set_and_read_on_the_command_line(people: People) -> None:
    """By a trader of the firm; one of another firm finds no such account."""
    name, password, _ = people.add(Role.TRADER, BETA)
    as_trader = {"WCX_OPERATOR": name, "WCX_OPERATOR_PASSWORD": password}
    name, password, _ = people.add(Role.TRADER, ALPHA)
    as_stranger = {"WCX_OPERATOR": name, "WCX_OPERATOR_PASSWORD": password}
    command = ("account", "cancel-all-after", "DEMO2")
    done = json.loads(wcx(people.venue, *command, "3600", "--json", **as_trader).stdout)
    assert (done["account_id"], done["expires_at"] is None) == (2, False)
    shown = json.loads(wcx(people.venue, *command, "--json", **as_trader).stdout)
    assert shown == {"account_id": 2, "expires_at": done["expires_at"]}
    refused = wcx(people.venue, *command, "0", **as_stranger)
    assert refused == Ended(1, "", "wcx: no account DEMO2\n")
    assert wcx(people.venue, *command, "0", **as_trader).code == 0
    assert wcx(people.venue, *command, **as_trader).stdout == ("account_id  2\nexpires_at  -\n")


def test_two_tighten_at_once(people: People) -> None:
    """Both have read the same: one of them is told that it has changed since."""
    path = f"/v1/accounts/{ALPHAS_SECOND}/limits"
    etag = people.admin.call("GET", path).headers["etag"]
    clients = [people.client(Role.RISK_OFFICER) for _ in range(2)]

    def tighten(number: int) -> int:
        body = {"order_qty_max": str(4 - number), "notional_max": "300000"}
        answer = clients[number].call("PUT", f"{path}/SOL-USD", body, {"If-Match": etag})
        return answer.status

    with ThreadPoolExecutor(2) as workers:
        assert sorted(workers.map(tighten, range(2))) == [200, 412]


def test_instruments_are_defined_and_their_markets_steered(
    people: People, trader: RestClient
) -> None:
    """Assets, an instrument, its state and its fees: known at once, and refused a second time.

    A FIX client that has subscribed is told of the instrument and of its state.
    """
    admin = people.admin
    subscriber = RawClient(people.venue.fix_port, "T19")
    subscriber.log_on()
    subscriber.send(
        "x", (Tag.SECURITY_REQ_ID, "l"), (Tag.SECURITY_LIST_REQUEST_TYPE, "4"),
        (Tag.SUBSCRIPTION_REQUEST_TYPE, "1"),
    )  # fmt: skip
    before = int(subscriber.receive_type("y")[Tag.NO_RELATED_SYM])
    subscriber.send("g", (Tag.TRAD_SES_REQ_ID, "s"), (Tag.SUBSCRIPTION_REQUEST_TYPE, "1"))
    assert len([subscriber.receive_type("h") for _ in range(before)]) == before
    asset = admin.order("POST", "/v1/assets", {"symbol": "ADA", "decimals": 8})
    assert asset["engine_seq"] > 0
    body = {
        "symbol": "ADA-USD", "base": "ADA", "quote": "USD", "price_decimals": 4, "qty_decimals": 2,
        "tick_size": "0.0001", "lot_size": "0.01",
    }  # fmt: skip
    made = admin.order("POST", "/v1/instruments", body)
    assert (made["tick_size"], made["state"]) == ("0.0001", "continuous")
    assert code_of(admin.call("POST", "/v1/instruments", body)) == "already_defined"
    assert code_of(admin.call("POST", "/v1/instruments", {**body, "tick_size": "0.00001"})) == (
        "invalid"
    )
    state = {"state": "halted", "reason": "news"}
    assert admin.order("PUT", "/v1/instruments/ADA-USD/state", state)["state"] == "halted"
    listed = {one["symbol"]: one["state"] for one in trader.get_all("/v1/instruments")}
    assert listed["ADA-USD"] == "halted"
    update = subscriber.receive_type("y")
    assert (update[Tag.SECURITY_REQ_ID], update[Tag.SYMBOL]) == ("l", "ADA-USD")
    for status in ("2", "1"):
        update = subscriber.receive_type("h")
        told = update[Tag.TRAD_SES_REQ_ID], update[Tag.TRADING_SESSION_ID]
        assert (*told, update[Tag.TRAD_SES_STATUS]) == ("s", "ADA-USD", status)
    subscriber.cut()
    fees = {"tier": 1, "maker_ppm": -50, "taker_ppm": 400}
    assert admin.order("PUT", "/v1/instruments/ADA-USD/fees", fees)["engine_seq"] > 0
    assert [(one["symbol"], one["tier"]) for one in trader.get("/v1/fees")["items"]] == [
        ("ADA-USD", 1)
    ]
    assert admin.order("PUT", f"/v1/firms/{ALPHA}/fee-tier", {"tier": 1})["tier"] == 1


def test_who_has_traded_is_audited(people: People, trader: RestClient) -> None:
    """Behind the order, which waits for no database."""
    placed = trader.order("POST", f"{ALPHAS}/orders", limit("buy", "0.1", "10000"))
    path = f"{ALPHAS}/orders/{placed['order_id']}"
    trader.order("PATCH", path, {"order_qty": "0.2", "price": "10000"})
    trader.order("DELETE", path)
    trader.order("POST", f"{ALPHAS}/mass-cancel")
    name = trader.get("/v1/me")["name"]
    query = f"/v1/audit?actor=user:{name}&limit=1000"
    wanted = {"order_placed", "order_amended", "order_canceled", "orders_mass_canceled"}

    def seen() -> set[str]:
        return {entry["action"] for entry in people.admin.get(query)["items"]}

    people.venue.wait_for(lambda: wanted <= seen())


def test_change_waits_for_the_engine(people: People) -> None:
    """While it does not answer the change is taken with 202; it is done later, and once."""
    venue = people.venue
    path = f"/v1/firms/{BETA}/fee-tier"
    headers = {"Idempotency-Key": "tier-for-beta"}
    engine = venue.running_pid("engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        waiting = people.admin.call("PUT", path, {"tier": 7}, headers)
    finally:
        os.kill(engine, signal.SIGCONT)
    assert (waiting.status, waiting.body["engine_seq"]) == (202, None)
    change = f"/v1/changes/{waiting.body['change_id']}"
    venue.wait_for(lambda: people.admin.get(change)["status"] == "applied")
    again = people.admin.call("PUT", path, {"tier": 7}, headers)
    assert (again.status, again.body["change_id"]) == (200, waiting.body["change_id"])
    assert again.body["engine_seq"] == people.admin.get(change)["engine_seq"]


def test_answers_have_their_headers(people: People, trader: RestClient) -> None:
    """A name for each request, what browsers must not do, and the size of a budget."""
    answer = trader.call("GET", "/v1/instruments", headers={"X-Request-Id": "mine-1"})
    found = {name: answer.headers.get(name) for name in (
        "x-request-id", "cache-control", "x-content-type-options", "content-security-policy",
        "access-control-allow-origin", "ratelimit-limit",
    )}  # fmt: skip
    assert found == {
        "x-request-id": "mine-1",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "access-control-allow-origin": None,
        "ratelimit-limit": "200",
    }
    odd = trader.call("GET", "/v1/instruments", headers={"X-Request-Id": "a b"})
    assert len(odd.headers["x-request-id"]) == 16
    big = trader.call("POST", f"{ALPHAS}/orders", {"symbol": "x" * 70_000})
    assert code_of(big) == "body_too_large"
