"""Invitations: who may register, and as what. Each serves once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from engine.units import FirmId

COLUMNS: Final = (
    "invitation_id, role, firm_id, invited_by, created_at, expires_at,"
    " used_by IS NOT NULL AS is_used"
)


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation. Of its token there is a hash alone, and not here."""

    invitation_id: int
    role: str
    firm_id: FirmId | None
    invited_by: str
    created_at: datetime
    expires_at: datetime
    is_used: bool


async def add_invitation(
    connection: AsyncConnection[TupleRow],
    token_hash: str,
    *,
    role: str,
    firm_id: FirmId | None,
    invited_by: str,
    lifetime_s: int,
) -> InvitationRow:
    """Let whoever has the token register, within so many seconds."""
    async with connection.cursor(row_factory=class_row(InvitationRow)) as cursor:
        await cursor.execute(
            "INSERT INTO invitations (token_hash, role, firm_id, invited_by, expires_at)"
            " VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))"
            f" RETURNING {COLUMNS}",
            [token_hash, role, firm_id, invited_by, lifetime_s],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def find_open_invitation(
    connection: AsyncConnection[TupleRow], token_hash: str
) -> InvitationRow | None:
    """Return the invitation, locked until the end, None when it is unknown, used or too old."""
    async with connection.cursor(row_factory=class_row(InvitationRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM invitations"
            " WHERE token_hash = %s AND used_by IS NULL AND expires_at > now() FOR UPDATE",
            [token_hash],
        )
        return await cursor.fetchone()


async def use_invitation(
    connection: AsyncConnection[TupleRow], invitation_id: int, user_id: int
) -> None:
    """The invitation has served."""
    await connection.execute(
        "UPDATE invitations SET used_by = %s WHERE invitation_id = %s", [user_id, invitation_id]
    )
