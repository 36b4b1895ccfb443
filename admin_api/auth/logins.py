"""Logging in: name and password of an operator against a token."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from admin_api.auth.tokens import Tokens, now_s
from admin_api.metrics import AdminMetrics
from store.audit import AuditEntry, add_audit_entries
from store.lockout import Lockout
from store.operators import NAME_PATTERN, find_operator
from store.passwords import PasswordVerifier
from store.postgres import Database

REMEMBERED_MAX: Final = 10_000
# While another try of the same name from the same address is being looked at.
BUSY_WAIT_S: Final = 1.0

log = structlog.get_logger("admin.login")


class Cause(Enum):
    """Why a login was refused, for the audit log and never for the client."""

    UNKNOWN_NAME = "unknown name"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - It is about one.
    DISABLED = "disabled"
    LOCKED_OUT = "locked out"


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """No token. `wait_s` is how long to wait when the password was not looked at, else 0."""

    wait_s: float


class Logins:
    """Gives tokens to operators. Fails closed; belongs to one event loop.

    A refusal takes as long whatever was wrong. Tries of one name from one address are looked at one
    at a time, and after failures not before a wait that grows.
    """

    def __init__(
        self, database: Database, lockout: Lockout, tokens: Tokens, metrics: AdminMetrics
    ) -> None:
        self._database = database
        self._lockout = lockout
        self._tokens = tokens
        self._metrics = metrics
        self._verifier = PasswordVerifier()
        self._being_tried: set[tuple[str, str]] = set()
        # Until when further tries of one who must wait need no entry of their own.
        self._told_until_s: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def log_in(self, name: str, password: str, address: str) -> str | LoginRefused:
        """Return a token for the operator, or that there is none. Both are audited.

        Raises StoreError, and VerifierBusyError when too many log in at once.
        """
        key = (name, address)
        # Names of operators and of FIX clients are different things.
        locked = f"operator:{name}"
        wait_s = await self._lockout.wait_s(locked, address)
        # Otherwise many guesses would pass before the first is known to be wrong.
        if wait_s > 0 or key in self._being_tried:
            return await self._refuse_early(key, wait_s or BUSY_WAIT_S)
        self._being_tried.add(key)
        try:
            cause = await self._find_fault(name, password)
            if cause is not None:
                self._count(cause)
                await self._lockout.note_failure(locked, address)
                await self._audit(
                    f"address:{address}", "login_refused", name, address, cause=cause.value
                )
                return LoginRefused(0)
            await self._audit(f"operator:{name}", "logged_in", name, address)
            await self._lockout.note_success(locked, address)
        finally:
            self._being_tried.discard(key)
        return self._tokens.issue(name, now_s=now_s())

    async def close(self) -> None:
        """Let the worker threads end, and hang up."""
        self._verifier.close()
        await self._lockout.close()

    async def _find_fault(self, name: str, password: str) -> Cause | None:
        # PostgreSQL is asked for a name that nobody can have, too, but not by that name.
        possible = name if NAME_PATTERN.fullmatch(name) else ""
        async with self._database.transaction() as connection:
            operator = await find_operator(connection, possible)
        hashes = [] if operator is None else [operator.password_hash]
        fitting = await self._verifier.find(password, hashes)
        if operator is None:
            return Cause.UNKNOWN_NAME
        if fitting is None:
            return Cause.WRONG_PASSWORD
        return None if operator.is_enabled else Cause.DISABLED

    async def _refuse_early(self, key: tuple[str, str], wait_s: float) -> LoginRefused:
        """Refuse unseen. Of each wait the first is audited: a flood shall not fill the log."""
        self._count(Cause.LOCKED_OUT)
        now_at_s = time.monotonic()
        if self._told_until_s.get(key, 0.0) <= now_at_s:
            self._told_until_s[key] = now_at_s + wait_s
            if len(self._told_until_s) > REMEMBERED_MAX:
                self._told_until_s.popitem(last=False)
            name, address = key
            cause = Cause.LOCKED_OUT.value
            await self._audit(f"address:{address}", "login_refused", name, address, cause=cause)
        return LoginRefused(wait_s)

    def _count(self, cause: Cause) -> None:
        self._metrics.login_refusals.labels(cause.name.lower()).inc()

    async def _audit(self, actor: str, action: str, name: str, address: str, **detail: str) -> None:
        # What nobody can be named may be a password that was typed into the wrong field.
        subject = f"operator:{name}" if NAME_PATTERN.fullmatch(name) else "operator:?"
        log.info("audit", actor=actor, action=action, subject=subject, address=address, **detail)
        entry = AuditEntry(actor, action, subject, detail, address=address)
        async with self._database.transaction() as connection:
            await add_audit_entries(connection, [entry])
