"""FIX sessions and the credentials that open them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, time
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, class_row, scalar_row

from engine.units import AccountId, FirmId, SessionId, UserId


@dataclass(frozen=True, slots=True)
class FixSessionRow:
    """A FIX session as operators have set it up.

    Its orders are the user's, or with `user_id` None nobody's. Heartbeat bounds and throttles that
    are None: the gateway's own hold. Throttles are in messages per second, and at once. A drop copy
    session with `copied_account_ids` [] is told of its whole firm. `timestamp_precision` None is
    that of the version; with `tells_timing` reports say when the gateway and the engine had the
    order, with `tells_error_codes` refusals have their code as a number too. `allowed_networks` []
    is anywhere; `client_cert_sha256` (hexadecimal) [] asks for no client certificate. The
    schedule's days are ISO, 1 is Monday, and its times UTC; without start and end it is open around
    the clock, without `schedule_reset` it is never reset by the clock.
    """

    session_id: SessionId
    firm_id: FirmId
    account_id: AccountId
    user_id: UserId | None
    begin_string: str
    client_comp_id: str
    is_enabled: bool
    heart_bt_int_min_s: int | None
    heart_bt_int_max_s: int | None
    can_enter: bool
    can_cancel: bool
    is_drop_copy: bool
    is_market_data: bool
    copied_account_ids: list[int]
    timestamp_precision: Literal["ms", "us", "ns"] | None
    tells_timing: bool
    tells_error_codes: bool
    allowed_networks: list[IPv4Network | IPv6Network]
    client_cert_sha256: list[str]
    order_rate: int | None
    order_burst: int | None
    cancel_rate: int | None
    cancel_burst: int | None
    throttle_policy: Literal["reject", "disconnect"]
    cancel_on_disconnect: Literal["off", "session", "account"]
    cancel_grace_ms: int
    cancel_on_logout: bool
    cancel_on_internal_loss: bool
    schedule_days: list[int]
    schedule_start: time | None
    schedule_end: time | None
    schedule_reset: time | None


SESSION_COLUMNS: Final = ", ".join(field.name for field in fields(FixSessionRow))


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """What opens a session: a password, of which there is a hash, or an Ed25519 key (PEM)."""

    credential_id: int
    session_id: SessionId
    username: str
    kind: Literal["password", "ed25519"]
    password_hash: str | None
    public_key: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


CREDENTIAL_COLUMNS: Final = ", ".join(f"c.{field.name}" for field in fields(CredentialRow))


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What is needed to let somebody in: either of the two secrets, as the kind says."""

    session_id: SessionId
    username: str
    kind: Literal["password", "ed25519"]
    password_hash: str | None = None
    public_key: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewFixSession:
    """What is needed to set up a session."""

    firm_id: FirmId
    account_id: AccountId
    begin_string: str
    client_comp_id: str
    heart_bt_int_min_s: int | None = None
    heart_bt_int_max_s: int | None = None
    is_market_data: bool = False


async def list_sessions(connection: AsyncConnection[TupleRow]) -> list[FixSessionRow]:
    """Return all sessions, by identity."""
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(f"SELECT {SESSION_COLUMNS} FROM fix_sessions ORDER BY session_id")
        return await cursor.fetchall()


async def page_sessions(
    connection: AsyncConnection[TupleRow], *, firm_id: FirmId | None, after_id: int, limit: int
) -> list[FixSessionRow]:
    """Return sessions by identity from behind `after_id` on, of one firm where given."""
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(
            f"SELECT {SESSION_COLUMNS} FROM fix_sessions WHERE session_id > %(after_id)s"
            " AND (%(firm_id)s::integer IS NULL OR firm_id = %(firm_id)s)"
            " ORDER BY session_id LIMIT %(limit)s",
            {"after_id": after_id, "firm_id": firm_id, "limit": limit},
        )
        return await cursor.fetchall()


async def find_live_credentials(
    connection: AsyncConnection[TupleRow], session_id: SessionId
) -> list[CredentialRow]:
    """Return the credentials that open the session now, [] when there are none.

    None of a disabled session, nor those that have expired or were revoked.
    """
    async with connection.cursor(row_factory=class_row(CredentialRow)) as cursor:
        await cursor.execute(
            f"SELECT {CREDENTIAL_COLUMNS} FROM fix_credentials c"
            " JOIN fix_sessions s ON s.session_id = c.session_id"
            " WHERE c.session_id = %s AND s.is_enabled"
            " AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now())"
            " ORDER BY c.credential_id",
            [session_id],
        )
        return await cursor.fetchall()


async def list_live_credential_ids(
    connection: AsyncConnection[TupleRow], credential_ids: list[int]
) -> list[int]:
    """Return those of the credentials that have neither expired nor been revoked."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT credential_id FROM fix_credentials WHERE credential_id = ANY(%s)"
            " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
            [credential_ids],
        )
        return await cursor.fetchall()


async def fingerprint_sessions(connection: AsyncConnection[TupleRow]) -> str:
    """Return a text that is another one when any session has changed."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT md5(coalesce(string_agg(s::text, E'\\n' ORDER BY session_id), ''))"
            " FROM fix_sessions s"
        )
        return str(await cursor.fetchone())


async def ensure_session(
    connection: AsyncConnection[TupleRow], session: NewFixSession
) -> SessionId:
    """Return the session of that version and CompID, which is created if it is not there."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "INSERT INTO fix_sessions (firm_id, account_id, begin_string, client_comp_id,"
            " heart_bt_int_min_s, heart_bt_int_max_s, is_market_data)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (begin_string, client_comp_id) DO NOTHING",
            [
                session.firm_id,
                session.account_id,
                session.begin_string,
                session.client_comp_id,
                session.heart_bt_int_min_s,
                session.heart_bt_int_max_s,
                session.is_market_data,
            ],
        )
        await cursor.execute(
            "SELECT session_id FROM fix_sessions WHERE begin_string = %s AND client_comp_id = %s",
            [session.begin_string, session.client_comp_id],
        )
        return SessionId(await cursor.fetchone())  # type: ignore[arg-type]  # It exists now.


async def has_credential(
    connection: AsyncConnection[TupleRow], session_id: SessionId, username: str
) -> bool:
    """Whether the session ever had a credential of that name, live or not."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT EXISTS (SELECT FROM fix_credentials WHERE session_id = %s AND username = %s)",
            [session_id, username],
        )
        return bool(await cursor.fetchone())


async def find_session(
    connection: AsyncConnection[TupleRow], session_id: SessionId, *, for_update: bool = False
) -> FixSessionRow | None:
    """Return the session, None when there is none. `for_update` keeps others from changing it."""
    lock = " FOR UPDATE" if for_update else ""
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(
            f"SELECT {SESSION_COLUMNS} FROM fix_sessions WHERE session_id = %s{lock}", [session_id]
        )
        return await cursor.fetchone()


async def create_session(
    connection: AsyncConnection[TupleRow], values: Mapping[str, object]
) -> FixSessionRow | None:
    """Set up a session with these columns and the defaults for the others.

    Returns None when there is one of that version and CompID: nothing is changed then.
    """
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(
            sql.SQL(
                "INSERT INTO fix_sessions ({}) VALUES ({})"
                " ON CONFLICT (begin_string, client_comp_id) DO NOTHING RETURNING {}"
            ).format(
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(map(_placeholder, values)),
                sql.SQL(SESSION_COLUMNS),
            ),
            _adapted(values),
        )
        return await cursor.fetchone()


async def update_session(
    connection: AsyncConnection[TupleRow], session_id: SessionId, values: Mapping[str, object]
) -> FixSessionRow:
    """Change columns of a session that exists, and return it."""
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(
            sql.SQL(
                "UPDATE fix_sessions SET {} WHERE session_id = %(session_id)s RETURNING {}"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), _placeholder(name))
                    for name in values
                ),
                sql.SQL(SESSION_COLUMNS),
            ),
            {**_adapted(values), "session_id": session_id},
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def list_sessions_of_user(
    connection: AsyncConnection[TupleRow], user_id: int
) -> list[SessionId]:
    """Return the sessions whose orders are the user's, by identity."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT session_id FROM fix_sessions WHERE user_id = %s ORDER BY session_id", [user_id]
        )
        return await cursor.fetchall()


async def create_credential(
    connection: AsyncConnection[TupleRow], credential: NewCredential
) -> CredentialRow:
    """Let another credential open the session, beside those that there are."""
    async with connection.cursor(row_factory=class_row(CredentialRow)) as cursor:
        await cursor.execute(
            "INSERT INTO fix_credentials AS c"
            " (session_id, username, kind, password_hash, public_key, expires_at)"
            f" VALUES (%s, %s, %s, %s, %s, %s) RETURNING {CREDENTIAL_COLUMNS}",
            [
                credential.session_id,
                credential.username,
                credential.kind,
                credential.password_hash,
                credential.public_key,
                credential.expires_at,
            ],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def list_credentials(
    connection: AsyncConnection[TupleRow], session_id: SessionId
) -> list[CredentialRow]:
    """Return all credentials that the session ever had, the oldest first."""
    async with connection.cursor(row_factory=class_row(CredentialRow)) as cursor:
        await cursor.execute(
            f"SELECT {CREDENTIAL_COLUMNS} FROM fix_credentials c"
            " WHERE c.session_id = %s ORDER BY c.credential_id",
            [session_id],
        )
        return await cursor.fetchall()


async def expire_credential(
    connection: AsyncConnection[TupleRow], credential_id: int, *, overlap_s: int
) -> None:
    """Let a credential open its session for so many seconds more, or for less if it ends before."""
    await connection.execute(
        "UPDATE fix_credentials"
        " SET expires_at = least(expires_at, now() + make_interval(secs => %s))"
        " WHERE credential_id = %s",
        [overlap_s, credential_id],
    )


async def note_credential_use(
    connection: AsyncConnection[TupleRow], credential_id: int, new_hash: str | None
) -> None:
    """Note that a credential has just opened its session, and keep a newer hash of it if given."""
    await connection.execute(
        "UPDATE fix_credentials SET last_used_at = now(),"
        " password_hash = coalesce(%s, password_hash) WHERE credential_id = %s",
        [new_hash, credential_id],
    )


async def replace_password(
    connection: AsyncConnection[TupleRow], credential_id: int, new_hash: str
) -> None:
    """Put another password in the place of a credential's own."""
    await connection.execute(
        "UPDATE fix_credentials SET password_hash = %s WHERE credential_id = %s",
        [new_hash, credential_id],
    )


async def revoke_credential(
    connection: AsyncConnection[TupleRow], session_id: SessionId, credential_id: int
) -> CredentialRow | None:
    """Let a credential open nothing any more. Returns None when the session has no such one.

    One that was revoked before keeps the time of it.
    """
    async with connection.cursor(row_factory=class_row(CredentialRow)) as cursor:
        await cursor.execute(
            "UPDATE fix_credentials c SET revoked_at = coalesce(c.revoked_at, now())"
            " WHERE c.session_id = %s AND c.credential_id = %s"
            f" RETURNING {CREDENTIAL_COLUMNS}",
            [session_id, credential_id],
        )
        return await cursor.fetchone()


def _placeholder(column: str) -> sql.Composable:
    if column == "allowed_networks":
        return sql.SQL("{}::cidr[]").format(sql.Placeholder(column))
    return sql.Placeholder(column)


def _adapted(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values as the driver knows them: it has no lists of both kinds of networks."""
    networks = values.get("allowed_networks")
    if not isinstance(networks, Sequence):
        return dict(values)
    return {**values, "allowed_networks": [str(network) for network in networks]}
