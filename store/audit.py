"""The audit log: who did what, and was it allowed. Rows are added and never changed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class AuditEntry:
    """Something that happened. `detail` bears no secrets.

    `actor` is `operator:NAME`, `os:USER`, `fix:COMPID` or `address:HOST`.
    """

    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


async def add_audit_entries(
    connection: AsyncConnection[TupleRow], entries: list[AuditEntry]
) -> None:
    """Write entries down."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO audit_log (at, actor, action, subject, detail)"
            " VALUES (%s, %s, %s, %s, %s)",
            [
                (entry.at, entry.actor, entry.action, entry.subject, Jsonb(entry.detail))
                for entry in entries
            ],
        )
