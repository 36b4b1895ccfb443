"""Operators: the people who log in over REST."""

import re
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator. Of the password there is a hash alone."""

    operator_id: int
    name: str
    password_hash: str
    is_enabled: bool


async def find_operator(connection: AsyncConnection[TupleRow], name: str) -> OperatorRow | None:
    """Return the operator of that name, None when there is none."""
    async with connection.cursor(row_factory=class_row(OperatorRow)) as cursor:
        await cursor.execute(
            "SELECT operator_id, name, password_hash, is_enabled FROM operators WHERE name = %s",
            [name],
        )
        return await cursor.fetchone()


async def add_operator(
    connection: AsyncConnection[TupleRow], name: str, password_hash: str
) -> bool:
    """Let a name and password log in. False when the name is taken: nothing is changed then."""
    cursor = await connection.execute(
        "INSERT INTO operators (name, password_hash) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
        [name, password_hash],
    )
    return cursor.rowcount == 1


async def set_operator_password(
    connection: AsyncConnection[TupleRow], name: str, password_hash: str
) -> bool:
    """Give an operator another password. False when there is nobody of that name."""
    cursor = await connection.execute(
        "UPDATE operators SET password_hash = %s WHERE name = %s", [password_hash, name]
    )
    return cursor.rowcount == 1


async def set_operator_enabled(
    connection: AsyncConnection[TupleRow], name: str, *, is_enabled: bool
) -> bool:
    """Let an operator log in, or not any more. False when there is nobody of that name."""
    cursor = await connection.execute(
        "UPDATE operators SET is_enabled = %s WHERE name = %s", [is_enabled, name]
    )
    return cursor.rowcount == 1
