"""The audit log: who did what, and was it allowed. Rows are added and never changed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from engine.units import Seq

COLUMNS: Final = "audit_id, at, actor, action, subject, detail, engine_seq"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done or refused. `detail` is JSON and holds no secret.

    Actors are `operator:NAME`, `os:USER`, `fix:COMPID`, `address:ADDRESS` and `engine`.
    """

    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is kept. `engine_seq` is the journal's record that it was taken from."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    engine_seq: Seq | None


async def add_audit_entries(
    connection: AsyncConnection[TupleRow], entries: list[AuditEntry]
) -> None:
    """Write entries down, in the transaction of what they tell about."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO audit_log (at, actor, action, subject, detail)"
            " VALUES (%s, %s, %s, %s, %s)",
            [
                (entry.at, entry.actor, entry.action, entry.subject, Jsonb(entry.detail))
                for entry in entries
            ],
        )


async def add_followed_entry(
    connection: AsyncConnection[TupleRow], entry: AuditEntry, *, seq: Seq
) -> None:
    """Write down what a record of the journal tells. Harmless the second time."""
    await connection.execute(
        "INSERT INTO audit_log (at, actor, action, subject, detail, engine_seq)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (engine_seq) DO NOTHING",
        [entry.at, entry.actor, entry.action, entry.subject, Jsonb(entry.detail), seq],
    )


async def get_followed_seq(connection: AsyncConnection[TupleRow]) -> Seq:
    """Return the last record of the journal that the log knows of, 0 for none."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT coalesce(max(engine_seq), 0) FROM audit_log")
        return Seq(await cursor.fetchone() or 0)


async def list_audit_rows(
    connection: AsyncConnection[TupleRow],
    *,
    before_id: int | None,
    subject: str | None,
    actor: str | None,
    limit: int,
) -> list[AuditRow]:
    """Return the newest rows before one, newest first; of one subject or actor where given."""
    async with connection.cursor(row_factory=class_row(AuditRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM audit_log"
            " WHERE (%(before_id)s::bigint IS NULL OR audit_id < %(before_id)s)"
            " AND (%(subject)s::text IS NULL OR subject = %(subject)s)"
            " AND (%(actor)s::text IS NULL OR actor = %(actor)s)"
            " ORDER BY audit_id DESC LIMIT %(limit)s",
            {"before_id": before_id, "subject": subject, "actor": actor, "limit": limit},
        )
        return await cursor.fetchall()
