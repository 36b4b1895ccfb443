"""Changes for the engine: written down with their audit entry, applied in order, each once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from engine.commands import Command
from engine.units import Seq

COLUMNS: Final = (
    "change_id, command, subject, ordered_by, ordered_at, status, applied_at, engine_seq, refusal"
)
# Two processes never apply changes side by side: they would overtake one another.
APPLIER_LOCK: Final = 0x7763_7802

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change. `refusal` is the engine's reason and words, where it has refused."""

    change_id: int
    command: bytes
    subject: str
    ordered_by: str
    ordered_at: datetime
    status: str
    applied_at: datetime | None
    engine_seq: Seq | None
    refusal: str | None


def encode_command(command: Command) -> bytes:
    """Return a command in the form in which it is kept until it is applied."""
    return _encoder.encode(command)


def decode_command(data: bytes) -> Command:
    """Return the command that was kept."""
    return _decoder.decode(data)


async def add_change(
    connection: AsyncConnection[TupleRow], command: bytes, *, subject: str, ordered_by: str
) -> int:
    """Let the engine do something as soon as it is there, behind what waits already."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        # Numbers are given in the order of the commits: nothing slips in below one that is done.
        await cursor.execute("LOCK TABLE changes IN SHARE ROW EXCLUSIVE MODE")
        await cursor.execute(
            "INSERT INTO changes (command, subject, ordered_by) VALUES (%s, %s, %s)"
            " RETURNING change_id",
            [command, subject, ordered_by],
        )
        return int(await cursor.fetchone() or 0)


async def find_change(connection: AsyncConnection[TupleRow], change_id: int) -> ChangeRow | None:
    """Return the change, None when there is none."""
    async with connection.cursor(row_factory=class_row(ChangeRow)) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM changes WHERE change_id = %s", [change_id])
        return await cursor.fetchone()


async def list_waiting(connection: AsyncConnection[TupleRow]) -> list[ChangeRow]:
    """Return what waits for the engine, in order."""
    async with connection.cursor(row_factory=class_row(ChangeRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM changes WHERE status = 'waiting' ORDER BY change_id LIMIT 1000"
        )
        return await cursor.fetchall()


async def take_next(connection: AsyncConnection[TupleRow]) -> ChangeRow | None:
    """Return the change that is due, None when there is none, or another process is at it.

    Until the transaction ends nobody else takes any.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [APPLIER_LOCK])
        if not await cursor.fetchone():
            return None
    async with connection.cursor(row_factory=class_row(ChangeRow)) as rows:
        await rows.execute(
            f"SELECT {COLUMNS} FROM changes WHERE status = 'waiting' ORDER BY change_id LIMIT 1"
        )
        return await rows.fetchone()


async def note_outcome(
    connection: AsyncConnection[TupleRow], change_id: int, seq: Seq, refusal: str | None
) -> ChangeRow:
    """The engine has done the change, or refused it."""
    status = "applied" if refusal is None else "refused"
    async with connection.cursor(row_factory=class_row(ChangeRow)) as cursor:
        await cursor.execute(
            "UPDATE changes SET status = %s, applied_at = now(), engine_seq = %s, refusal = %s"
            f" WHERE change_id = %s RETURNING {COLUMNS}",
            [status, seq, refusal, change_id],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row
