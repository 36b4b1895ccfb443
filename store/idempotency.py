"""Requests that were done: who asks again with the same key gets the same answer."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb


@dataclass(frozen=True, slots=True)
class DoneRequest:
    """What was asked, as a fingerprint, and what was answered."""

    fingerprint: str
    status: int
    body: Any


async def claim_key(
    connection: AsyncConnection[TupleRow], actor: str, key: str, fingerprint: str
) -> DoneRequest | None:
    """Take the key for this request until the transaction ends; None when it was free.

    Waits for another request of the same key that is being done.
    """
    cursor = await connection.execute(
        "INSERT INTO requests_done (actor, key, fingerprint, status, body)"
        " VALUES (%s, %s, %s, 0, 'null') ON CONFLICT (actor, key) DO NOTHING",
        [actor, key, fingerprint],
    )
    if cursor.rowcount == 1:
        return None
    return await find_done(connection, actor, key)


async def keep_answer(
    connection: AsyncConnection[TupleRow], actor: str, key: str, status: int, body: object
) -> None:
    """Keep the answer, for who asks again."""
    await connection.execute(
        "UPDATE requests_done SET status = %s, body = %s WHERE actor = %s AND key = %s",
        [status, Jsonb(body), actor, key],
    )


async def find_done(
    connection: AsyncConnection[TupleRow], actor: str, key: str
) -> DoneRequest | None:
    """Return the request that bore the key, None when none did."""
    async with connection.cursor(row_factory=class_row(DoneRequest)) as found:
        await found.execute(
            "SELECT fingerprint, status, body FROM requests_done WHERE actor = %s AND key = %s",
            [actor, key],
        )
        return await found.fetchone()
