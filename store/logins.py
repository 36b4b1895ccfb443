"""Logins: from a password to the logout, with the refresh tokens between them; and API keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

LOGIN_COLUMNS: Final = (
    "login_id, user_id, created_at, last_used_at, expires_at, address, user_agent, mfa_at"
)
KEY_COLUMNS: Final = (
    "key_id, user_id, name, secret_hash, scopes, created_at, expires_at, revoked_at"
)


@dataclass(frozen=True, slots=True)
class LoginRow:
    """A login that is live. `mfa_at` is when its second factor was last shown."""

    login_id: str
    user_id: int
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    mfa_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A login that begins. `lifetime_s` is how long it may be refreshed."""

    login_id: str
    user_id: int
    address: str
    user_agent: str
    lifetime_s: int
    with_mfa: bool


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token that was once given, and whether it has served already."""

    login_id: str
    is_used: bool


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """An API key to be."""

    key_id: str
    user_id: int
    name: str
    secret_hash: str
    scopes: list[str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """An API key of a user. Of its secret there is a hash alone."""

    key_id: str
    user_id: int
    name: str
    secret_hash: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


async def add_login(connection: AsyncConnection[TupleRow], login: NewLogin) -> LoginRow:
    """Begin a login."""
    async with connection.cursor(row_factory=class_row(LoginRow)) as cursor:
        await cursor.execute(
            "INSERT INTO logins (login_id, user_id, address, user_agent, expires_at, mfa_at)"
            " VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s),"
            f" CASE WHEN %s THEN now() END) RETURNING {LOGIN_COLUMNS}",
            [
                login.login_id,
                login.user_id,
                login.address,
                login.user_agent,
                login.lifetime_s,
                login.with_mfa,
            ],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def find_login(connection: AsyncConnection[TupleRow], login_id: str) -> LoginRow | None:
    """Return the login, locked until the end, None for one that has ended."""
    async with connection.cursor(row_factory=class_row(LoginRow)) as cursor:
        await cursor.execute(
            f"SELECT {LOGIN_COLUMNS} FROM logins"
            " WHERE login_id = %s AND revoked_at IS NULL AND expires_at > now() FOR UPDATE",
            [login_id],
        )
        return await cursor.fetchone()


async def list_logins(connection: AsyncConnection[TupleRow], user_id: int) -> list[LoginRow]:
    """Return the user's live logins, the newest first."""
    async with connection.cursor(row_factory=class_row(LoginRow)) as cursor:
        await cursor.execute(
            f"SELECT {LOGIN_COLUMNS} FROM logins WHERE user_id = %s AND revoked_at IS NULL"
            " AND expires_at > now() ORDER BY created_at DESC, login_id",
            [user_id],
        )
        return await cursor.fetchall()


async def note_mfa(connection: AsyncConnection[TupleRow], login_id: str) -> None:
    """The second factor of the login was shown just now."""
    await connection.execute("UPDATE logins SET mfa_at = now() WHERE login_id = %s", [login_id])


async def end_logins(
    connection: AsyncConnection[TupleRow], login_ids: list[str], why: str
) -> list[str]:
    """End logins, and let no access token rest on them. Returns those that were live."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "UPDATE logins SET revoked_at = now(), revoked_why = %s"
            " WHERE login_id = ANY(%s) AND revoked_at IS NULL RETURNING login_id",
            [why, login_ids],
        )
        ended: list[str] = await cursor.fetchall()
    await add_revocations(connection, [f"login:{login_id}" for login_id in ended])
    return ended


async def add_refresh_token(
    connection: AsyncConnection[TupleRow], login_id: str, token_hash: str
) -> None:
    """Let a token refresh the login, once."""
    await connection.execute(
        "INSERT INTO refresh_tokens (token_hash, login_id) VALUES (%s, %s)", [token_hash, login_id]
    )
    await connection.execute(
        "UPDATE logins SET last_used_at = now() WHERE login_id = %s", [login_id]
    )


async def use_refresh_token(
    connection: AsyncConnection[TupleRow], token_hash: str
) -> RefreshToken | None:
    """Use a token up and say whether it was used before. None for one that was never given."""
    async with connection.cursor(row_factory=class_row(RefreshToken)) as cursor:
        await cursor.execute(
            "SELECT login_id, used_at IS NOT NULL AS is_used FROM refresh_tokens"
            " WHERE token_hash = %s FOR UPDATE",
            [token_hash],
        )
        found = await cursor.fetchone()
    if found is not None:
        await connection.execute(
            "UPDATE refresh_tokens SET used_at = now() WHERE token_hash = %s", [token_hash]
        )
    return found


async def add_api_key(connection: AsyncConnection[TupleRow], key: NewApiKey) -> ApiKeyRow:
    """Add a key."""
    async with connection.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(
            "INSERT INTO api_keys (key_id, user_id, name, secret_hash, scopes, expires_at)"
            f" VALUES (%s, %s, %s, %s, %s, %s) RETURNING {KEY_COLUMNS}",
            [key.key_id, key.user_id, key.name, key.secret_hash, key.scopes, key.expires_at],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def find_api_key(connection: AsyncConnection[TupleRow], key_id: str) -> ApiKeyRow | None:
    """Return the key, live or not, None when there is none."""
    async with connection.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(f"SELECT {KEY_COLUMNS} FROM api_keys WHERE key_id = %s", [key_id])
        return await cursor.fetchone()


async def list_api_keys(connection: AsyncConnection[TupleRow], user_id: int) -> list[ApiKeyRow]:
    """Return the user's keys that are neither revoked nor too old, the oldest first."""
    async with connection.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(
            f"SELECT {KEY_COLUMNS} FROM api_keys WHERE user_id = %s AND revoked_at IS NULL"
            " AND expires_at > now() ORDER BY created_at, key_id",
            [user_id],
        )
        return await cursor.fetchall()


async def revoke_api_key(connection: AsyncConnection[TupleRow], key_id: str) -> None:
    """Let a key open nothing any more."""
    await connection.execute(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s", [key_id]
    )
    await add_revocations(connection, [f"key:{key_id}"])


async def add_revocations(connection: AsyncConnection[TupleRow], subjects: list[str]) -> None:
    """Write down on what no access may rest any more."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO revocations (subject) VALUES (%s)", [(subject,) for subject in subjects]
        )


async def list_revoked(connection: AsyncConnection[TupleRow], *, within_s: int) -> list[str]:
    """Return on what no access may rest, of what was revoked within so many seconds."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT DISTINCT subject FROM revocations WHERE at > now() - make_interval(secs => %s)",
            [within_s],
        )
        return await cursor.fetchall()


async def forget_old(connection: AsyncConnection[TupleRow], *, within_s: int) -> None:
    """Remove revocations, and refresh tokens of logins, that nothing depends on any more."""
    await connection.execute(
        "DELETE FROM revocations WHERE at < now() - make_interval(secs => %s)", [within_s]
    )
    await connection.execute(
        "DELETE FROM refresh_tokens t USING logins l WHERE l.login_id = t.login_id"
        " AND least(l.expires_at, l.revoked_at) < now() - make_interval(secs => %s)",
        [within_s],
    )
