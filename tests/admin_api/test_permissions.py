"""The table of permissions: who may do what, and that every endpoint asks."""

from typing import Any

import pytest
from fastapi import FastAPI

from admin_api.app import make_app
from admin_api.auth.permissions import DANGEROUS, NOT_FOR_KEYS, TABLE, Permission
from admin_api.auth.user import User
from engine.units import FirmId
from store.users import FIRM_ROLES, Role

P = Permission
METHODS = {"get", "put", "post", "delete", "patch"}
# What anybody may ask who can reach the port.
OPEN = {
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/v1/version"),
    ("post", "/v1/login"),
    ("post", "/v1/login/refresh"),
    ("post", "/v1/registrations"),
}


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_every_endpoint_names_one_permission(app_alone: FastAPI) -> None:
    """In the OpenAPI document, where clients read it too; the open ones are few and known."""
    unnamed = set()
    for method, path, operation in operations(app_alone):
        security = operation.get("security")
        if security is None:
            unnamed.add((method, path))
            continue
        ((scopes,),) = (entry.values() for entry in security)
        assert [Permission(scope) for scope in scopes] == [Permission(scopes[0])], (method, path)
    assert unnamed == OPEN & {(method, path) for method, path, _ in operations(app_alone)}


def test_every_permission_is_somebodys() -> None:
    """No permission that nobody has, and no role that cannot even see itself."""
    assert set(TABLE) == set(Role)
    assert frozenset().union(*TABLE.values()) == frozenset(P)
    assert all(P.SELF in permissions for permissions in TABLE.values())


def test_firm_people_never_reach_the_venue() -> None:
    """What concerns more than one firm is not theirs."""
    venue = {
        P.FIRMS_WRITE, P.ACCOUNTS_WRITE, P.SESSIONS_WRITE, P.INSTRUMENTS_WRITE, P.LIMITS_WRITE,
        P.APPROVALS_DECIDE, P.WALLETS_DEPOSIT, P.WITHDRAWALS_DECIDE, P.AUDIT_READ, P.NOTICES_WRITE,
        P.TRADES_AMEND,
    }  # fmt: skip
    for role in FIRM_ROLES:
        assert not TABLE[role] & venue, role


def test_who_only_looks_changes_nothing() -> None:
    """Support, auditors and viewers read; so much of their permissions says the name itself."""
    for role in (Role.SUPPORT, Role.AUDITOR, Role.VIEWER):
        assert {p for p in TABLE[role] if not p.value.endswith(":read")} == {P.SELF}


def test_nobody_asks_for_what_he_decides() -> None:
    """Who decides on withdrawals does not request them, and who trades does not let himself."""
    for role in Role:
        assert not {P.WITHDRAWALS_REQUEST, P.WITHDRAWALS_DECIDE} <= TABLE[role], role
        assert not {P.ORDERS_WRITE, P.LIMITS_WRITE} <= TABLE[role], role


@pytest.mark.parametrize("permission", [P.KILL_WRITE, P.ORDERS_CANCEL, P.LIMITS_WRITE])
def test_what_stops_trading_is_never_held_up(permission: Permission) -> None:
    """Nobody looks for his authenticator while money is being lost."""
    assert permission not in DANGEROUS


def test_keys_do_what_their_scopes_and_the_role_allow() -> None:
    """Neither alone is enough; a key makes no keys."""
    scopes = frozenset({P.ORDERS_WRITE, P.LIMITS_WRITE})
    machine = User(1, "bot", Role.TRADER, FirmId(1), "key:1", scopes=scopes)
    assert {p for p in P if machine.may(p)} == {P.ORDERS_WRITE}
    assert P.SELF in NOT_FOR_KEYS


@pytest.fixture(scope="module")
def app_alone() -> FastAPI:
    """The application without anything behind it: enough for its documentation."""
    return make_app(None)  # type: ignore[arg-type]  # Nobody calls it.
