"""Users: everybody who may log in over REST, and what they prove themselves with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, class_row, scalar_row

from engine.units import FirmId

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII)
COLUMNS: Final = (
    "user_id, name, role, firm_id, status, password_hash, created_at, password_changed_at,"
    " mfa_secret, mfa_confirmed_at, mfa_last_step"
)


class Role(StrEnum):
    """What somebody is there for. What a role may do stands in one table of the admin API."""

    ADMIN = "admin"
    RISK_OFFICER = "risk_officer"
    SUPPORT = "support"
    AUDITOR = "auditor"
    FIRM_ADMIN = "firm_admin"
    TRADER = "trader"
    VIEWER = "viewer"


FIRM_ROLES: Final = frozenset({Role.FIRM_ADMIN, Role.TRADER, Role.VIEWER})
"""Roles of a firm's own people. The others are the venue's."""


class UserStatus(StrEnum):
    """Whether somebody may log in. PENDING: has registered, and waits for a role."""

    PENDING = "pending"
    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user. Of the password there is a hash alone, and `mfa_secret` is sealed."""

    user_id: int
    name: str
    role: str
    firm_id: FirmId | None
    status: str
    password_hash: str
    created_at: datetime
    password_changed_at: datetime
    mfa_secret: str | None
    mfa_confirmed_at: datetime | None
    mfa_last_step: int

    @property
    def has_mfa(self) -> bool:
        """Whether a second factor is asked for at each login."""
        return self.mfa_confirmed_at is not None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be."""

    name: str
    role: Role
    firm_id: FirmId | None
    password_hash: str
    status: UserStatus = UserStatus.ACTIVE


async def add_user(connection: AsyncConnection[TupleRow], user: NewUser) -> UserRow | None:
    """Add a user. None when the name is taken: nothing is changed then."""
    async with connection.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(
            "INSERT INTO users (name, role, firm_id, status, password_hash)"
            " VALUES (%s, %s, %s, %s, %s)"
            f" ON CONFLICT (name) DO NOTHING RETURNING {COLUMNS}",
            [user.name, user.role, user.firm_id, user.status, user.password_hash],
        )
        return await cursor.fetchone()


async def find_user(
    connection: AsyncConnection[TupleRow], user_id: int, *, for_update: bool = True
) -> UserRow | None:
    """Return the user, None when there is none. `for_update` keeps others from changing it."""
    lock = " FOR UPDATE" if for_update else ""
    async with connection.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM users WHERE user_id = %s{lock}", [user_id])
        return await cursor.fetchone()


async def find_user_named(connection: AsyncConnection[TupleRow], name: str) -> UserRow | None:
    """Return the user of that name, None when there is none."""
    async with connection.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM users WHERE name = %s", [name])
        return await cursor.fetchone()


async def list_users(
    connection: AsyncConnection[TupleRow], *, firm_id: FirmId | None, after_id: int, limit: int
) -> list[UserRow]:
    """Return users by identity, of one firm where given, from behind `after_id` on."""
    async with connection.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM users WHERE user_id > %(after_id)s"
            " AND (%(firm_id)s::integer IS NULL OR firm_id = %(firm_id)s)"
            " ORDER BY user_id LIMIT %(limit)s",
            {"after_id": after_id, "firm_id": firm_id, "limit": limit},
        )
        return await cursor.fetchall()


async def update_user(
    connection: AsyncConnection[TupleRow], user_id: int, values: Mapping[str, object]
) -> UserRow:
    """Change columns of a user who exists, and return him."""
    async with connection.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(
            sql.SQL("UPDATE users SET {} WHERE user_id = %(user_id)s RETURNING {}").format(
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
                    for name in values
                ),
                sql.SQL(COLUMNS),
            ),
            {**values, "user_id": user_id},
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def set_password(
    connection: AsyncConnection[TupleRow], user_id: int, password_hash: str
) -> None:
    """Give a user another password."""
    await connection.execute(
        "UPDATE users SET password_hash = %s, password_changed_at = now() WHERE user_id = %s",
        [password_hash, user_id],
    )


async def keep_mfa_secret(
    connection: AsyncConnection[TupleRow], user_id: int, sealed: str | None
) -> None:
    """Put a secret in the place of the user's own, yet to be confirmed; None takes it away."""
    await connection.execute(
        "UPDATE users SET mfa_secret = %s, mfa_confirmed_at = NULL, mfa_last_step = 0"
        " WHERE user_id = %s",
        [sealed, user_id],
    )
    await connection.execute("DELETE FROM recovery_codes WHERE user_id = %s", [user_id])


async def confirm_mfa(
    connection: AsyncConnection[TupleRow], user_id: int, code_hashes: list[str]
) -> None:
    """Ask for the second factor from now on; each of the recovery codes serves once instead."""
    await connection.execute(
        "UPDATE users SET mfa_confirmed_at = now() WHERE user_id = %s", [user_id]
    )
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO recovery_codes (user_id, code_hash) VALUES (%s, %s)",
            [(user_id, code_hash) for code_hash in code_hashes],
        )


async def use_mfa_step(connection: AsyncConnection[TupleRow], user_id: int, step: int) -> bool:
    """Use a time step up, and all before it. False when it is used already."""
    cursor = await connection.execute(
        "UPDATE users SET mfa_last_step = %(step)s"
        " WHERE user_id = %(user_id)s AND mfa_last_step < %(step)s",
        {"user_id": user_id, "step": step},
    )
    return cursor.rowcount == 1


async def use_recovery_code(
    connection: AsyncConnection[TupleRow], user_id: int, code_hash: str
) -> bool:
    """Use a recovery code up. False when there is none of that kind any more."""
    cursor = await connection.execute(
        "UPDATE recovery_codes SET used_at = now()"
        " WHERE user_id = %s AND code_hash = %s AND used_at IS NULL",
        [user_id, code_hash],
    )
    return cursor.rowcount == 1


async def count_recovery_codes(connection: AsyncConnection[TupleRow], user_id: int) -> int:
    """Return how many recovery codes the user has left."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT count(*) FROM recovery_codes WHERE user_id = %s AND used_at IS NULL", [user_id]
        )
        return int(await cursor.fetchone() or 0)
