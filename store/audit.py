"""The audit log: who did what, and was it allowed. Rows are added and never changed.

PostgreSQL sees to that: it chains each row to the former one by a hash (`store.audit_chain`) and
refuses to change or remove any.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from engine.units import Seq

COLUMNS: Final = (
    "audit_id, at, actor, action, subject, detail, reason, address, before, after, engine_seq, hash"
)
INSERT: Final = (
    "INSERT INTO audit_log"
    " (at, actor, action, subject, detail, reason, address, before, after, engine_seq)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done or refused. What is JSON holds no secret.

    Actors are `operator:NAME`, `os:USER`, `fix:COMPID`, `address:ADDRESS` and `engine`. `reason` is
    why, in the actor's own words; `address` is from where; `before` and `after` are what was
    changed of the subject, as it stood and as it stands.
    """

    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)
    reason: str = ""
    address: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is kept, with the hash of all that was written down until then.

    `engine_seq` is the journal's record that it was taken from.
    """

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    reason: str
    address: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    engine_seq: Seq | None
    hash: bytes


async def add_audit_entries(
    connection: AsyncConnection[TupleRow], entries: list[AuditEntry]
) -> None:
    """Write entries down, in the transaction of what they tell about: as the last thing in it.

    Others who have something to write down wait for the end of the transaction.
    """
    async with connection.cursor() as cursor:
        await cursor.executemany(INSERT, [(*_values(entry), None) for entry in entries])


async def add_followed_entry(
    connection: AsyncConnection[TupleRow], entry: AuditEntry, *, seq: Seq
) -> None:
    """Write down what a record of the journal tells. Harmless the second time."""
    await connection.execute(
        f"{INSERT} ON CONFLICT (engine_seq) DO NOTHING", [*_values(entry), seq]
    )


def _values(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.at,
        entry.actor,
        entry.action,
        entry.subject,
        Jsonb(entry.detail),
        entry.reason,
        entry.address,
        None if entry.before is None else Jsonb(entry.before),
        None if entry.after is None else Jsonb(entry.after),
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
