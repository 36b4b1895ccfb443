"""FIX sessions and the credentials that open them."""

from dataclasses import dataclass, fields
from datetime import datetime, time
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from engine.units import AccountId, FirmId, SessionId


@dataclass(frozen=True, slots=True)
class FixSessionRow:
    """A FIX session as operators have set it up.

    Heartbeat bounds and throttles that are None: the gateway's own hold. Throttles are in messages
    per second, and at once. `allowed_networks` [] is anywhere; `client_cert_sha256` (hexadecimal)
    [] asks for no client certificate. The schedule's days are ISO, 1 is Monday, and its times UTC;
    without start and end it is open around the clock, without `schedule_reset` it is never reset
    by the clock.
    """

    session_id: SessionId
    firm_id: FirmId
    account_id: AccountId
    begin_string: str
    client_comp_id: str
    is_enabled: bool
    heart_bt_int_min_s: int | None
    heart_bt_int_max_s: int | None
    can_enter: bool
    can_cancel: bool
    is_drop_copy: bool
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
class NewFixSession:
    """What is needed to set up a session."""

    firm_id: FirmId
    account_id: AccountId
    begin_string: str
    client_comp_id: str
    heart_bt_int_min_s: int | None = None
    heart_bt_int_max_s: int | None = None


async def list_sessions(connection: AsyncConnection[TupleRow]) -> list[FixSessionRow]:
    """Return all sessions, by identity."""
    async with connection.cursor(row_factory=class_row(FixSessionRow)) as cursor:
        await cursor.execute(f"SELECT {SESSION_COLUMNS} FROM fix_sessions ORDER BY session_id")
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


async def ensure_session(
    connection: AsyncConnection[TupleRow], session: NewFixSession
) -> SessionId:
    """Return the session of that version and CompID, which is created if it is not there."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "INSERT INTO fix_sessions (firm_id, account_id, begin_string, client_comp_id,"
            " heart_bt_int_min_s, heart_bt_int_max_s) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (begin_string, client_comp_id) DO NOTHING",
            [
                session.firm_id,
                session.account_id,
                session.begin_string,
                session.client_comp_id,
                session.heart_bt_int_min_s,
                session.heart_bt_int_max_s,
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


async def add_credential(
    connection: AsyncConnection[TupleRow],
    session_id: SessionId,
    username: str,
    password_hash: str,
) -> None:
    """Let a username and password open the session."""
    await connection.execute(
        "INSERT INTO fix_credentials (session_id, username, password_hash) VALUES (%s, %s, %s)",
        [session_id, username, password_hash],
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
