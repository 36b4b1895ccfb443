"""Who may do what: one table, and nothing else, decides."""

from enum import StrEnum
from typing import Final

from store.users import Role


class Permission(StrEnum):
    """What an endpoint asks for. Each endpoint names one.

    People of a firm have a permission for what is their firm's alone.
    """

    SELF = "self"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    FIRMS_READ = "firms:read"
    FIRMS_WRITE = "firms:write"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    CREDENTIALS_WRITE = "credentials:write"
    INSTRUMENTS_READ = "instruments:read"
    INSTRUMENTS_WRITE = "instruments:write"
    LIMITS_READ = "limits:read"
    LIMITS_WRITE = "limits:write"
    MARKETS_WRITE = "markets:write"
    KILL_READ = "kill:read"
    KILL_WRITE = "kill:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_CANCEL = "orders:cancel"
    TRADES_AMEND = "trades:amend"
    WALLETS_READ = "wallets:read"
    WALLETS_DEPOSIT = "wallets:deposit"
    WALLETS_TRANSFER = "wallets:transfer"
    WITHDRAWALS_REQUEST = "withdrawals:request"
    WITHDRAWALS_DECIDE = "withdrawals:decide"
    AUDIT_READ = "audit:read"
    NOTICES_WRITE = "notices:write"


P = Permission

_SEES_TRADING: Final = frozenset(
    {
        P.SELF,
        P.FIRMS_READ,
        P.ACCOUNTS_READ,
        P.SESSIONS_READ,
        P.INSTRUMENTS_READ,
        P.LIMITS_READ,
        P.KILL_READ,
        P.ORDERS_READ,
        P.WALLETS_READ,
    }
)
_SEES_ALL: Final = _SEES_TRADING | {P.USERS_READ, P.APPROVALS_READ}

TABLE: Final[dict[Role, frozenset[Permission]]] = {
    # Everything but trading for others.
    Role.ADMIN: frozenset(P) - {P.ORDERS_WRITE, P.WALLETS_TRANSFER, P.WITHDRAWALS_REQUEST},
    Role.RISK_OFFICER: _SEES_ALL
    | {
        P.AUDIT_READ,
        P.LIMITS_WRITE,
        P.MARKETS_WRITE,
        P.KILL_WRITE,
        P.ORDERS_CANCEL,
        P.TRADES_AMEND,
        P.APPROVALS_DECIDE,
    },
    Role.SUPPORT: _SEES_ALL,
    Role.AUDITOR: _SEES_ALL | {P.AUDIT_READ},
    Role.FIRM_ADMIN: _SEES_TRADING
    | {
        P.USERS_READ,
        P.USERS_WRITE,
        P.CREDENTIALS_WRITE,
        P.KILL_WRITE,
        P.ORDERS_CANCEL,
        P.WALLETS_TRANSFER,
        P.WITHDRAWALS_REQUEST,
    },
    Role.TRADER: _SEES_TRADING | {P.ORDERS_WRITE, P.ORDERS_CANCEL},
    Role.VIEWER: _SEES_TRADING,
}

DANGEROUS: Final = frozenset(
    {
        P.USERS_WRITE,
        P.CREDENTIALS_WRITE,
        P.INSTRUMENTS_WRITE,
        P.APPROVALS_DECIDE,
        P.TRADES_AMEND,
        P.WALLETS_DEPOSIT,
        P.WALLETS_TRANSFER,
        P.WITHDRAWALS_REQUEST,
        P.WITHDRAWALS_DECIDE,
    }
)
"""Asks for a second factor shown lately. What stops trading is not among it: that must be quick."""

NOT_FOR_KEYS: Final = DANGEROUS | {P.SELF}
"""What a machine cannot be allowed: it has no second factor, and keys do not make keys."""
