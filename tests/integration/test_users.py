"""Users over REST: what each role may do, second factors, keys, invitations and their end."""

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from admin_api.auth.permissions import TABLE, Permission
from fix_gateway.tools.rest import RestClient
from store.users import FIRM_ROLES, Role
from tests.integration.people import ALPHA, BETA, People, code_of
from tests.integration.venue_process import VenueProcess

NOWHERE = "999999999"
BETAS = {"firm_id": "2", "account_id": "2", "session_id": "2", "credential_id": "2"}
NEW_PASSWORD = "correct horse battery staple"
# Endpoints of people of a firm that take a body: one that would do, were it their own object.
BODIES: dict[tuple[str, str], object] = {
    ("PATCH", "/v1/users/{user_id}"): {"role": "viewer"},
    ("POST", "/v1/sessions/{session_id}/credentials"): {"kind": "password"},
    ("POST", "/v1/accounts/{account_id}/orders"): {
        "symbol": "BTC-USD", "side": "buy", "order_qty": "1", "price": "1",
    },
    ("PATCH", "/v1/accounts/{account_id}/orders/{order_id}"): {"order_qty": "1", "price": "1"},
    ("POST", "/v1/accounts/{account_id}/cancel-all-after"): {"timeout_s": 60},
    ("POST", "/v1/accounts/{account_id}/transfers"): {
        "asset": "USD", "amount": "1", "to_account_id": 1,
    },
    ("POST", "/v1/accounts/{account_id}/withdrawals"): {"asset": "USD", "amount": "1"},
    ("POST", "/v1/accounts/{account_id}/what-if"): {
        "symbol": "BTC-USD", "side": "BUY", "ord_type": "LIMIT", "order_qty": "1", "price": "1",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def people(shared_venue: VenueProcess) -> People:
    return People(shared_venue)


def test_every_endpoint_with_every_role(people: People) -> None:
    """The table decides, for each endpoint that the OpenAPI document has; objects do not matter."""
    wrong = []
    for role in Role:
        client = people.client(role)
        for method, path, permission, _ in people.operations():
            # What users do to themselves would end the login that asks.
            if permission in (None, Permission.SELF):
                continue
            # An object that is not there, and no body: nothing is changed by what is allowed.
            answer = client.call(method, re.sub(r"{\w+}", NOWHERE, path))
            is_refused = code_of(answer) == "permission_needed"
            if is_refused == (permission in TABLE[role]) or answer.status == 401:
                wrong.append((role, method, path, answer))
    assert wrong == []


def test_other_firms_do_not_exist(people: People) -> None:
    """Every endpoint with another firm's objects: 404, as for those that there are none of."""
    betas_user = people.add(Role.TRADER, BETA)[2]
    objects = {**BETAS, "user_id": str(betas_user)}
    wrong = []
    tried = 0
    for role in FIRM_ROLES:
        client = people.client(role)
        for method, path, permission, _ in people.operations():
            names = set(re.findall(r"{(\w+)}", path)) & set(objects)
            if not names or permission is None or permission not in TABLE[role]:
                continue
            filled = path.format_map({"symbol": "BTC-USD", "order_id": "1", **objects})
            answer = client.call(method, filled, BODIES.get((method, path)))
            tried += 1
            if answer.status != 404:
                wrong.append((role, method, path, answer))
    assert wrong == []
    assert tried > 10


def test_lists_show_a_firm_its_own_alone(people: People) -> None:
    """Firms, accounts, sessions and users of others are left out."""
    betas = people.add(Role.VIEWER, BETA)[2]
    client = people.client(Role.FIRM_ADMIN)
    assert [item["firm_id"] for item in client.get_all("/v1/firms")] == [1]
    assert [item["name"] for item in client.get_all("/v1/accounts")] == ["DEMO1", "DEMO3"]
    # Other tests may have set up more.
    known = people.admin.get_all("/v1/sessions")
    sessions = client.get_all("/v1/sessions")
    assert sessions == [item for item in known if item["firm_id"] == ALPHA]
    assert {"DEMO1", "DEMO3"} <= {item["client_comp_id"] for item in sessions}
    found = client.get_all("/v1/users")
    assert {item["firm_id"] for item in found} == {1}
    assert betas not in [item["user_id"] for item in found]
    assert betas in [item["user_id"] for item in people.admin.get_all("/v1/users")]


def test_firm_admin_manages_his_firm_alone(people: People) -> None:
    """He makes its people and no others, and cannot raise anybody above the firm."""
    client = people.client(Role.FIRM_ADMIN)
    mine = client.order("POST", "/v1/users", {"name": "a.trader", "role": "trader", "firm_id": 1})
    for body, status, code in (
        ({"name": "b", "role": "trader", "firm_id": 2}, 403, "other_firm"),
        ({"name": "b", "role": "admin"}, 403, "other_firm"),
        ({"name": "b", "role": "admin", "firm_id": 1}, 422, "invalid"),
        ({"name": "b", "role": "trader"}, 422, "invalid"),
        ({"name": "a.trader", "role": "viewer", "firm_id": 1}, 409, "name_taken"),
    ):
        answer = client.call("POST", "/v1/users", body)
        assert (answer.status, code_of(answer)) == (status, code), body
    path = f"/v1/users/{mine['user_id']}"
    assert code_of(client.call("PATCH", path, {"firm_id": 2})) == "other_firm"
    assert code_of(client.call("PATCH", path, {"role": "admin"})) == "invalid"
    assert client.order("PATCH", path, {"role": "viewer"})["role"] == "viewer"
    me = client.get("/v1/me")
    answer = client.call("PATCH", f"/v1/users/{me['user_id']}", {"role": "viewer"})
    assert code_of(answer) == "not_to_oneself"


def test_second_factor_over_rest(people: People) -> None:
    """Enrolled by QR code; then each login asks, and what is dangerous wants it fresh."""
    name, password, _ = people.add(Role.ADMIN)
    first = RestClient(people.url, name, password)
    other = RestClient(people.url, name, password)
    assert other.get("/v1/me")["has_mfa"] is False
    begun = first.order("POST", "/v1/me/mfa")
    assert begun["qr_svg"].startswith("data:image/svg+xml")
    totp = pyotp.TOTP(begun["secret"])
    assert code_of(first.call("POST", "/v1/me/mfa/confirm", {"code": "000000"})) == "code_wrong"
    enrolled = first.order("POST", "/v1/me/mfa/confirm", {"code": totp.now()})
    assert len(enrolled["recovery_codes"]) == 10
    fresh = people.with_token(enrolled["access_token"])
    invitation = {"role": "support"}
    assert fresh.call("POST", "/v1/invitations", invitation).status == 201
    # A login from before, and one that has not shown it: they look, and do nothing dangerous.
    refreshed = _login_again(people, name, password, enrolled["recovery_codes"][0])
    assert people.with_token(refreshed["access_token"]).get("/v1/users")
    assert code_of(fresh.call("POST", "/v1/me/mfa")) == "mfa_enrolled"
    stale = _stale(people, other)
    assert stale.call("GET", "/v1/users").status == 200
    assert code_of(stale.call("POST", "/v1/invitations", invitation)) == "step_up_needed"
    code = enrolled["recovery_codes"][1]
    stepped = stale.order("POST", "/v1/me/step-up", {"code": code})
    assert (
        people.with_token(stepped["access_token"])
        .call("POST", "/v1/invitations", invitation)
        .is_good
    )
    assert code_of(stale.call("POST", "/v1/me/step-up", {"code": code})) == "code_wrong"
    assert fresh.get("/v1/me")["recovery_codes_left"] == 8
    assert code_of(stale.call("DELETE", "/v1/me/mfa")) == "step_up_needed"
    assert fresh.call("DELETE", "/v1/me/mfa").status == 204
    assert RestClient(people.url, name, password).get("/v1/me")["has_mfa"] is False


def _login_again(people: People, name: str, password: str, code: str) -> dict[str, str]:
    body = {"name": name, "password": password}
    anybody = people.with_token("")
    assert code_of(anybody.call("POST", "/v1/login", body)) == "mfa_code_needed"
    given: dict[str, str] = anybody.order("POST", "/v1/login", {**body, "code": code})
    return given


def _stale(people: People, client: RestClient) -> RestClient:
    """Return the client's login with a token that was made after the second factor was."""
    body = {"refresh_token": client.refresh_token}
    given = people.with_token("").order("POST", "/v1/login/refresh", body)
    return people.with_token(given["access_token"])


def test_logout_and_revocation_hold_at_once(people: People) -> None:
    """The token has minutes to live and is worth nothing, wherever it was copied to."""
    name, password, user_id = people.add(Role.SUPPORT)
    first, second = (RestClient(people.url, name, password) for _ in range(2))
    assert first.get("/v1/me")["name"] == second.get("/v1/me")["name"] == name
    copied = [people.with_token(client.token or "") for client in (first, second)]
    logins = first.get("/v1/me/logins")["items"]
    assert [login["is_this"] for login in logins] == [False, True]
    assert first.call("POST", "/v1/logout").status == 204
    assert [client.call("GET", "/v1/me").status for client in copied] == [401, 200]
    people.admin.order("PATCH", f"/v1/users/{user_id}", {"status": "disabled"})
    assert copied[1].call("GET", "/v1/me").status == 401
    login = {"name": name, "password": password}
    assert code_of(people.with_token("").call("POST", "/v1/login", login)) == "login_refused"


def test_password_change_ends_other_logins(people: People) -> None:
    """The old one must be right, the new one good; whoever else was in is out."""
    name, password, _ = people.add(Role.VIEWER)
    first, second = (RestClient(people.url, name, password) for _ in range(2))
    first.get("/v1/me")
    second.get("/v1/me")
    copied = people.with_token(second.token or "")
    path = "/v1/me/password"
    for old, new, code in (
        (password, "short", "invalid"),
        (password, f"{name}-and-more", "invalid"),
        (password, "aaaaaaaaaaaaaaa", "invalid"),
        (password, "password12345", "invalid"),
        ("wrong", NEW_PASSWORD, "password_wrong"),
    ):
        answer = first.call("POST", path, {"old_password": old, "new_password": new})
        assert code_of(answer) == code, new
    body = {"old_password": password, "new_password": NEW_PASSWORD}
    assert first.call("POST", path, body).status == 204
    assert copied.call("GET", "/v1/me").status == 401
    assert first.call("GET", "/v1/me").status == 200
    assert RestClient(people.url, name, NEW_PASSWORD).get("/v1/me")["name"] == name


def test_api_key_does_what_its_scopes_say(people: People) -> None:
    """No more than the role, nothing of the user himself, and nothing once it is revoked."""
    owner = people.client(Role.RISK_OFFICER)
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"name": "dashboard", "scopes": ["limits:read", "sessions:read"], "expires_at": later}
    made = owner.order("POST", "/v1/me/api-keys", body)
    machine = people.with_token(made["key"])
    assert machine.call("GET", "/v1/sessions").status == 200
    assert code_of(machine.call("GET", "/v1/audit")) == "permission_needed"
    assert code_of(machine.call("GET", "/v1/me")) == "permission_needed"
    assert code_of(people.with_token(made["key"][:-1]).call("GET", "/v1/sessions")) == (
        "unauthenticated"
    )
    changes: tuple[dict[str, object], ...] = (
        {"scopes": ["firms:write"]},
        {"scopes": ["self"]},
        {"scopes": []},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": (datetime.now(UTC) + timedelta(days=400)).isoformat()},
    )
    for change in changes:
        assert code_of(owner.call("POST", "/v1/me/api-keys", {**body, **change})) == "invalid"
    assert [key["key_id"] for key in owner.get("/v1/me/api-keys")["items"]] == [made["key_id"]]
    assert owner.call("DELETE", f"/v1/me/api-keys/{made['key_id']}").status == 204
    assert machine.call("GET", "/v1/sessions").status == 401


def test_invitation_serves_once(people: People) -> None:
    """As what it says, for whoever has it; strangers without one stay outside."""
    anybody = people.with_token("")
    invited = people.admin.order("POST", "/v1/invitations", {"role": "trader", "firm_id": BETA})
    body = {"name": "invited", "password": NEW_PASSWORD}
    assert code_of(anybody.call("POST", "/v1/registrations", body)) == "invitation_needed"
    bad = {**body, "invitation": "made up"}
    assert code_of(anybody.call("POST", "/v1/registrations", bad)) == "invitation_bad"
    good = {**body, "invitation": invited["token"]}
    weak = {**good, "password": "123456789012"}
    assert code_of(anybody.call("POST", "/v1/registrations", weak)) == "invalid"
    made = anybody.order("POST", "/v1/registrations", good)
    assert (made["role"], made["firm_id"], made["status"]) == ("trader", BETA, "active")
    again = {**good, "name": "another"}
    assert code_of(anybody.call("POST", "/v1/registrations", again)) == "invitation_bad"
    assert RestClient(people.url, "invited", NEW_PASSWORD).get("/v1/me")["role"] == "trader"


def test_two_who_change_a_user(people: People) -> None:
    """The second is told that he has not seen what there is now."""
    _, _, user_id = people.add(Role.SUPPORT)
    path = f"/v1/users/{user_id}"
    etag = people.admin.call("GET", path).headers["etag"]
    first = people.admin.call("PATCH", path, {"role": "auditor"}, {"If-Match": etag})
    assert (first.status, first.body["role"]) == (200, "auditor")
    second = people.admin.call("PATCH", path, {"role": "admin"}, {"If-Match": etag})
    assert code_of(second) == "precondition_failed"
    assert people.admin.get(path)["role"] == "auditor"


def test_key_of_a_request_makes_it_happen_once(people: People) -> None:
    """The same answer again, without its secret; another request with the key is refused."""
    headers = {"Idempotency-Key": "once-and-only"}
    body = {"name": "once", "role": "support"}
    first = people.admin.call("POST", "/v1/users", body, headers)
    second = people.admin.call("POST", "/v1/users", body, headers)
    assert (first.status, second.status) == (201, 201)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.body == {**first.body, "password": None}
    other = people.admin.call("POST", "/v1/users", {**body, "name": "twice"}, headers)
    assert code_of(other) == "idempotency_key_reused"
    # Keys are each user's own.
    stranger = people.client(Role.ADMIN)
    assert code_of(stranger.call("POST", "/v1/users", body, headers)) == "name_taken"


def test_pages_follow_one_another(people: People) -> None:
    """Whatever the size, each item comes once; a cursor that no page has given is refused."""
    for _ in range(3):
        people.add(Role.VIEWER)
    whole = [item["user_id"] for item in people.admin.get_all("/v1/users")]
    assert len(whole) > 2
    found: list[int] = []
    cursor = ""
    while cursor is not None:
        page = people.admin.get(f"/v1/users?limit=2{cursor and '&cursor='}{cursor}")
        assert len(page["items"]) <= 2
        found += [item["user_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == whole
    for bad in ("x", "WzFd%20", "e30", "WyJhIl0", "W3RydWVd", "WzEsMl0"):
        assert code_of(people.admin.call("GET", f"/v1/users?cursor={bad}")) == "invalid"
