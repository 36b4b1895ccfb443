"""Whether the audit log is whole: every row is followed back to the first one by its hash.

A row's hash is the SHA-256 of the former row's hash and of what the row says. PostgreSQL computes
it when a row is added; here it is computed once more, from what stands in the table.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from psycopg.rows import TupleRow, tuple_row

from store.postgres import Connection, Database

ROWS_PER_READ: Final = 5000
# In this order they are hashed, as text. The times are in microseconds since 1970.
FIELDS: Final = (
    "audit_id::text, ((extract(epoch FROM at) * 1000000)::bigint)::text, actor, action, subject,"
    " detail::text, reason, address, before::text, after::text, engine_seq::text"
)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last row of a chain, and its hash: with it, all rows before are known to be the same."""

    audit_id: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.audit_id}:{self.hash.hex()}"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was found. `head` is the last good row, None when there is none.

    `broken_id` is the first row that does not follow from the one before it, None for none.
    `is_expected_there` is False when an earlier head was given and is not part of the chain.
    """

    row_count: int
    head: ChainHead | None
    broken_id: int | None
    is_expected_there: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing was changed, put in between, or taken away."""
        return self.broken_id is None and self.is_expected_there


async def verify_audit_chain(
    database: Database, *, expected: ChainHead | None = None
) -> ChainReport:
    """Follow the chain from its first row to its end, or to the first row that is broken.

    That rows at the end were taken away shows only with an `expected` head, noted earlier.
    """
    head: ChainHead | None = None
    row_count = 0
    is_expected_there = expected is None
    while True:
        async with database.transaction() as connection:
            rows = await _read_rows(connection, 0 if head is None else head.audit_id)
        for audit_id, stored, *values in rows:
            computed = hash_row(b"" if head is None else head.hash, values)
            if computed != stored:
                return ChainReport(row_count, head, audit_id, is_expected_there)
            head = ChainHead(audit_id, computed)
            is_expected_there = is_expected_there or head == expected
            row_count += 1
        if len(rows) < ROWS_PER_READ:
            return ChainReport(row_count, head, None, is_expected_there)


def hash_row(former: bytes, values: list[str | None]) -> bytes:
    """Return the hash of a row that says `values` and follows the one whose hash is `former`."""
    parts = [former]
    for value in values:
        text = b"" if value is None else value.encode()
        parts.append(b"-" if value is None else b"%d:%b" % (len(text), text))
    return hashlib.sha256(b"".join(parts)).digest()


async def _read_rows(connection: Connection, after_id: int) -> list[TupleRow]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            f"SELECT audit_id, hash, {FIELDS} FROM audit_log WHERE audit_id > %s"
            " ORDER BY audit_log.audit_id LIMIT %s",
            [after_id, ROWS_PER_READ],
        )
        return await cursor.fetchall()
