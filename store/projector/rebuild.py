"""The read model built anew from the journal's beginning, beside the one that is in use.

When the new one knows as much as the old one, the two change places in one transaction; readers
wait for that moment and no longer. The venue trades on and the projector goes on meanwhile.
"""

import asyncio
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from psycopg import errors, sql

from engine.runtime.journal import read_records
from engine.units import Seq
from store.postgres import Connection
from store.projector.connection import connect
from store.projector.projection import VERSION, Projection
from store.projector.rows import Position
from store.projector.tables import LIVE, TABLES, Tables

NEXT: Final = "read_model_next"
FORMER: Final = "read_model_former"
LOCK_KEY: Final = 0x7763_7803
RECORDS_PER_BATCH: Final = 5_000
ROWS_PER_BATCH: Final = 50_000
GAP_MAX: Final = 5_000
"""So many records may be missing when readers are asked to wait."""
SAY_EVERY: Final = 100_000
SWAP_RETRY_S: Final = 0.2


class RebuildRunsError(Exception):
    """Somebody else builds the read model anew at this moment."""


class _Swapped(NamedTuple):
    """Whether the new read model is in use, and how far the old one is, or was."""

    is_done: bool
    live_seq: Seq


async def rebuild(
    url: str,
    journal_dir: Path,
    *,
    until: Seq | None = None,
    say: Callable[[int], None] = lambda _seq: None,
) -> Position:
    """Build the read model anew and put it in the old one's place. Returns how far it goes.

    That is as far as the old one, or up to the durable record `until` where that is given: for an
    old one of which nothing is to be believed. `say` is told now and then how far it is. Raises
    RebuildRunsError, JournalDamagedError when the journal cannot be read from its first record on,
    and StoreError; the old one stays in use then.
    """
    async with connect(url) as connection:
        found = await connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY])
        if await found.fetchone() != (True,):
            raise RebuildRunsError
        await _make_next(connection)
        builder = _Builder(connection, journal_dir, say)
        await builder.prepare()
        target = until
        while True:
            if target is None:
                target = (await Tables(connection).read_position()).seq
            await builder.build(target)
            swapped = await _try_swap(connection, builder, until)
            if swapped.is_done:
                break
            target = swapped.live_seq
        await _drop(connection, FORMER)
        return builder.position


class _Builder:
    """Fills the tables of the new read model."""

    def __init__(
        self, connection: Connection, journal_dir: Path, say: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._journal_dir = journal_dir
        self._say = say
        self._said_seq = 0
        self._tables = Tables(connection, NEXT)
        self._projection = Projection.from_the_beginning()

    @property
    def position(self) -> Position:
        """The last record that is in the tables."""
        return self._projection.position

    async def prepare(self) -> None:
        """Make what writing needs."""
        await self._tables.prepare()

    async def build(self, until: Seq) -> None:
        """Bring the tables up to a record, in several transactions if it is far."""
        records = read_records(self._journal_dir, after_seq=self.position.seq, until_seq=until)
        while self.position.seq < until:
            after = self.position
            part = await asyncio.to_thread(lambda: list(islice(records, RECORDS_PER_BATCH)))
            for record in part:
                self._projection.add(record)
                if self._projection.batch.row_count >= ROWS_PER_BATCH:
                    await self._write(after)
                    after = self.position
            await self._write(after)
            if self.position.seq >= self._said_seq + SAY_EVERY:
                self._said_seq = self.position.seq
                self._say(self.position.seq)

    async def _write(self, after: Position) -> None:
        async with self._connection.transaction():
            await self._tables.write(self._projection.take_batch(), after=after)


async def _make_next(connection: Connection) -> None:
    """Make empty tables like those in use. What an earlier rebuild has left is removed."""
    await _drop(connection, NEXT)
    await _drop(connection, FORMER)
    async with connection.transaction():
        await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(NEXT)))
        for table in TABLES:
            statement = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
            new, old = sql.Identifier(NEXT, table), sql.Identifier(LIVE, table)
            await connection.execute(statement.format(new, old))
        await connection.execute(
            sql.SQL("INSERT INTO {} VALUES (true, %s, 0, 0, 0)").format(
                sql.Identifier(NEXT, "position")
            ),
            [VERSION],
        )


async def _try_swap(connection: Connection, builder: _Builder, until: Seq | None) -> _Swapped:
    """Let the two read models change places, unless the old one is too far ahead by now."""
    try:
        async with connection.transaction():
            # From here on nobody reads or writes the old one, until the transaction ends.
            await connection.execute(
                sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                    sql.Identifier(LIVE, "position")
                )
            )
            live_seq = (await Tables(connection).read_position()).seq
            if until is None:
                if live_seq > builder.position.seq + GAP_MAX:
                    return _Swapped(is_done=False, live_seq=live_seq)
                await builder.build(live_seq)
            for old, new in ((LIVE, FORMER), (NEXT, LIVE)):
                statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
                await connection.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))
            return _Swapped(is_done=True, live_seq=live_seq)
    except errors.LockNotAvailable:
        # Somebody reads for long: he is not to wait for us any longer.
        await asyncio.sleep(SWAP_RETRY_S)
        return _Swapped(is_done=False, live_seq=builder.position.seq)


async def _drop(connection: Connection, schema: str) -> None:
    statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
    await connection.execute(statement)
