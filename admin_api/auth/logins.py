"""Logging in: a name, a password and a code against tokens; and going on with a refresh token."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from admin_api.auth.policy import LoginPolicy
from admin_api.auth.second_factor import SecondFactor
from admin_api.auth.tokens import Tokens, now_s
from admin_api.auth.totp import hash_token
from admin_api.auth.user import User
from admin_api.metrics import AdminMetrics
from store.audit import AuditEntry, add_audit_entries
from store.logins import (
    LoginRow,
    NewLogin,
    add_login,
    add_refresh_token,
    end_logins,
    find_login,
    list_logins,
    use_refresh_token,
)
from store.passwords import PasswordVerifier
from store.postgres import Connection, Database
from store.revocations import Revocations
from store.users import NAME_PATTERN, Role, UserRow, UserStatus, find_user, find_user_named

REMEMBERED_MAX: Final = 10_000
LIVE_LOGINS_MAX: Final = 20
ID_BYTES: Final = 12
REFRESH_BYTES: Final = 32
USER_AGENT_MAX: Final = 200
# While another try of the same name from the same address is being looked at.
BUSY_WAIT_S: Final = 1.0

log = structlog.get_logger("admin.login")


class Cause(Enum):
    """Why a login was refused, for the audit log and never for the client."""

    UNKNOWN_NAME = "unknown name"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - It is about one.
    WRONG_CODE = "wrong code"
    NOT_ACTIVE = "not active"
    LOCKED_OUT = "locked out"
    UNKNOWN_TOKEN = "unknown refresh token"  # noqa: S105 - It is about one.
    REUSED_TOKEN = "refresh token shown twice"  # noqa: S105 - It is about one.
    LOGIN_ENDED = "the login has ended"


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """No token. `wait_s` is how long to wait when nothing was looked at, else 0.

    `needs_code`: the password was right, and the second factor is still to be shown.
    """

    wait_s: float = 0.0
    needs_code: bool = False


@dataclass(frozen=True, slots=True)
class Client:
    """From where somebody calls, and with what."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The two tokens of a login. The refresh token serves once, within `refresh_s` seconds."""

    user: User
    access_token: str
    refresh_token: str
    refresh_s: int


class Logins:
    """Gives tokens to users. Fails closed; belongs to one event loop.

    A refusal takes as long whatever was wrong. Tries of one name from one address are looked at one
    at a time, and after failures not before a wait that grows.
    """

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        metrics: AdminMetrics,
        second_factor: SecondFactor,
        revocations: Revocations,
        policy: LoginPolicy,
    ) -> None:
        self.policy = policy
        self.second_factor = second_factor
        self.verifier = PasswordVerifier()
        self.revocations = revocations
        self._database = database
        self._lockout = second_factor.lockout
        self._tokens = tokens
        self._metrics = metrics
        self._being_tried: set[tuple[str, str]] = set()
        # Until when further tries of one who must wait need no entry of their own.
        self._told_until_s: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def log_in(
        self, name: str, password: str, code: str | None, client: Client
    ) -> LoggedIn | LoginRefused:
        """Return tokens for the user, or that there are none. Both are audited.

        Raises StoreError, and VerifierBusyError when too many log in at once.
        """
        key = (name, client.address)
        # Names of users and of FIX clients are different things.
        locked = f"user:{name}"
        wait_s = await self._lockout.wait_s(locked, client.address)
        # Otherwise many guesses would pass before the first is known to be wrong.
        if wait_s > 0 or key in self._being_tried:
            return await self._refuse_early(key, wait_s or BUSY_WAIT_S)
        self._being_tried.add(key)
        try:
            found = await self._find_by_password(name, password)
            if isinstance(found, Cause):
                await self._lockout.note_failure(locked, client.address)
                await self._audit_refusal(found, name, client.address)
                return LoginRefused()
            if found.has_mfa and code is None:
                return LoginRefused(needs_code=True)
            outcome = await self._begin(found, code, client)
            if isinstance(outcome, LoggedIn):
                await self._lockout.note_success(locked, client.address)
            return outcome
        finally:
            self._being_tried.discard(key)

    async def refresh(self, refresh_token: str, client: Client) -> LoggedIn | LoginRefused:
        """Return new tokens for a refresh token. One shown twice was stolen: its login ends.

        Raises StoreError.
        """
        async with self._database.transaction() as connection:
            found = await use_refresh_token(connection, hash_token(refresh_token))
            if found is None:
                self._count(Cause.UNKNOWN_TOKEN)
                return LoginRefused()
            login = await find_login(connection, found.login_id)
            if login is None:
                self._count(Cause.LOGIN_ENDED)
                return LoginRefused()
            user = await find_user(connection, login.user_id)
            assert user is not None
            if not found.is_used and user.status == UserStatus.ACTIVE:
                return await self._give(connection, user, login)
            cause = Cause.REUSED_TOKEN if found.is_used else Cause.NOT_ACTIVE
            await end_logins(connection, [login.login_id], cause.value)
            entry = AuditEntry(
                f"address:{client.address}",
                "login_ended",
                f"user:{user.name}",
                {"login_id": login.login_id, "cause": cause.value},
                address=client.address,
            )
            await add_audit_entries(connection, [entry])
        self._count(cause)
        log.warning("login_ended", user=user.name, login_id=login.login_id, cause=cause.value)
        await self.revocations.tell([f"login:{login.login_id}"])
        return LoginRefused()

    async def check_password(self, user: UserRow, password: str, address: str) -> float | bool:
        """Return whether it is the user's password, or how many seconds to wait before a try.

        Raises VerifierBusyError.
        """
        locked = f"user:{user.name}"
        wait_s = await self._lockout.wait_s(locked, address)
        if wait_s > 0:
            return wait_s
        is_right = await self.verifier.find(password, [user.password_hash]) is not None
        if is_right:
            await self._lockout.note_success(locked, address)
        else:
            await self._lockout.note_failure(locked, address)
        return is_right

    async def reissue(self, connection: Connection, user: UserRow, login_id: str) -> str | None:
        """Return an access token of what is true of the user and login now, None if it ended."""
        login = await find_login(connection, login_id)
        if login is None:
            return None
        return self._tokens.issue(self._as_user(user, login), now_s=now_s())

    async def is_lockout_shared(self) -> bool:
        """Whether what is known of failed logins is known to all processes."""
        return await self._lockout.is_shared()

    async def close(self) -> None:
        """Let the worker threads end, and hang up."""
        self.verifier.close()
        await self._lockout.close()

    async def _find_by_password(self, name: str, password: str) -> UserRow | Cause:
        # PostgreSQL is asked for a name that nobody can have, too, but not by that name.
        possible = name if NAME_PATTERN.fullmatch(name) else ""
        async with self._database.transaction() as connection:
            user = await find_user_named(connection, possible)
        hashes = [] if user is None else [user.password_hash]
        fitting = await self.verifier.find(password, hashes)
        if user is None:
            return Cause.UNKNOWN_NAME
        if fitting is None:
            return Cause.WRONG_PASSWORD
        return user if user.status == UserStatus.ACTIVE else Cause.NOT_ACTIVE

    async def _begin(
        self, user: UserRow, code: str | None, client: Client
    ) -> LoggedIn | LoginRefused:
        wait_s = await self.second_factor.wait_s(user) if user.has_mfa else 0.0
        if wait_s > 0:
            return await self._refuse_early((user.name, client.address), wait_s)
        async with self._database.transaction() as connection:
            is_shown = user.has_mfa and await self.second_factor.check(connection, user, code or "")
            if is_shown or not user.has_mfa:
                login = await add_login(
                    connection,
                    NewLogin(
                        secrets.token_hex(ID_BYTES),
                        user.user_id,
                        client.address,
                        client.user_agent[:USER_AGENT_MAX],
                        self.policy.login_lifetime_s,
                        is_shown,
                    ),
                )
                ended = await self._end_oldest(connection, user.user_id)
                entry = AuditEntry(
                    f"user:{user.name}" if user.firm_id else f"operator:{user.name}",
                    "logged_in",
                    f"user:{user.name}",
                    {"login_id": login.login_id},
                    address=client.address,
                )
                await add_audit_entries(connection, [entry])
                given = await self._give(connection, user, login)
            else:
                given = None
                ended = []
        await self.revocations.tell([f"login:{login_id}" for login_id in ended])
        if given is None:
            await self._audit_refusal(Cause.WRONG_CODE, user.name, client.address)
            return LoginRefused()
        return given

    async def _end_oldest(self, connection: Connection, user_id: int) -> list[str]:
        live = await list_logins(connection, user_id)
        oldest = [login.login_id for login in live[LIVE_LOGINS_MAX:]]
        return await end_logins(connection, oldest, "too many logins") if oldest else []

    async def _give(self, connection: Connection, row: UserRow, login: LoginRow) -> LoggedIn:
        refresh_token = secrets.token_urlsafe(REFRESH_BYTES)
        await add_refresh_token(connection, login.login_id, hash_token(refresh_token))
        user = self._as_user(row, login)
        left_s = int(login.expires_at.timestamp()) - now_s()
        return LoggedIn(user, self._tokens.issue(user, now_s=now_s()), refresh_token, left_s)

    def _as_user(self, row: UserRow, login: LoginRow) -> User:
        mfa_at_s = None
        if row.has_mfa:
            mfa_at_s = 0 if login.mfa_at is None else int(login.mfa_at.timestamp())
        role = Role(row.role)
        return User(
            user_id=row.user_id,
            name=row.name,
            role=role,
            firm_id=row.firm_id,
            rests_on=f"login:{login.login_id}",
            mfa_at_s=mfa_at_s,
            must_enrol=role in self.policy.mfa_roles and not row.has_mfa,
        )

    async def _refuse_early(self, key: tuple[str, str], wait_s: float) -> LoginRefused:
        """Refuse unseen. Of each wait the first is audited: a flood shall not fill the log."""
        now_at_s = time.monotonic()
        if self._told_until_s.get(key, 0.0) <= now_at_s:
            self._told_until_s[key] = now_at_s + wait_s
            if len(self._told_until_s) > REMEMBERED_MAX:
                self._told_until_s.popitem(last=False)
            name, address = key
            await self._audit_refusal(Cause.LOCKED_OUT, name, address)
        else:
            self._count(Cause.LOCKED_OUT)
        return LoginRefused(wait_s)

    def _count(self, cause: Cause) -> None:
        self._metrics.login_refusals.labels(cause.name.lower()).inc()

    async def _audit_refusal(self, cause: Cause, name: str, address: str) -> None:
        self._count(cause)
        # What nobody can be named may be a password that was typed into the wrong field.
        subject = f"user:{name}" if NAME_PATTERN.fullmatch(name) else "user:?"
        log.info("login_refused", address=address, subject=subject, cause=cause.value)
        entry = AuditEntry(
            f"address:{address}",
            "login_refused",
            subject,
            {"cause": cause.value},
            address=address,
        )
        async with self._database.transaction() as connection:
            await add_audit_entries(connection, [entry])
