"""The projector: follows the engine and keeps the read model true, a batch of records at a time.

It only watches. Whatever goes wrong here, the venue trades on, and the projector tries again from
the position that PostgreSQL has.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog

from engine.runtime import faults
from engine.runtime.journal import JournalDamagedError, RecordsGoneError, read_records
from engine.runtime.record_source import RecordSource
from engine.runtime.record_trace import RecordTrace
from engine.units import Seq
from store.postgres import Connection, StoreError
from store.projector.connection import connect
from store.projector.metrics import ProjectorMetrics
from store.projector.position_file import write_position_file
from store.projector.projection import VERSION, Projection, checksum_of
from store.projector.rebuild import RebuildRunsError, rebuild
from store.projector.rows import Position
from store.projector.tables import PositionMovedError, Tables

RECORDS_PER_BATCH: Final = 2_000
ROWS_PER_BATCH: Final = 20_000
FLUSH_S: Final = 1.0
"""So often what was committed is flushed to the disk, and the position file says so."""
BATCH_S: Final = 0.05
"""A batch begins so long after the one before: larger ones cost far less for each order."""
RETRY_S: Final = 1.0

log = structlog.get_logger("projector")


class Projector:
    """Writes what `source` hands out. Belongs to one event loop."""

    def __init__(
        self, url: str, source: RecordSource, metrics: ProjectorMetrics, position_file: Path
    ) -> None:
        self._url = url
        self._source = source
        self._metrics = metrics
        self._position_file = position_file
        self._flushed_seq = Seq(-1)
        self._trace = RecordTrace("record_projected")
        self._flush_at_s = 0.0

    async def run(self) -> None:
        """Keep the read model true until cancelled."""
        while True:
            try:
                await self._follow()
            except PositionMovedError:
                log.info("read_model_was_replaced")
                continue
            except StoreError as error:
                self._note_failure("store", error)
            except (JournalDamagedError, OSError) as error:
                self._note_failure("journal", error)
            except RebuildRunsError:
                log.info("waits_for_a_rebuild")
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        async with connect(self._url) as connection:
            tables = Tables(connection)
            await tables.prepare()
            await self._ensure_it_is_ours(tables)
            projection = await tables.load()
            self._metrics.note_position(projection.position)
            log.info("read_model_followed", seq=projection.position.seq)
            while True:
                records = await self._source.take(
                    projection.position.seq, records_max=RECORDS_PER_BATCH, wait_s=FLUSH_S
                )
                began_s = time.monotonic()
                self._check_goes_on(projection.position)
                after = projection.position
                for record in records:
                    projection.add(record)
                    if projection.batch.row_count >= ROWS_PER_BATCH:
                        await self._write(connection, tables, projection, after)
                        after = projection.position
                if after != projection.position:
                    await self._write(connection, tables, projection, after)
                    self._trace.note(records)
                elif projection.position.seq != self._flushed_seq:
                    await self._flush(connection, projection.position.seq)
                if len(records) < RECORDS_PER_BATCH:
                    await asyncio.sleep(began_s + BATCH_S - time.monotonic())

    async def _write(
        self, connection: Connection, tables: Tables, projection: Projection, after: Position
    ) -> None:
        started_s = time.monotonic()
        async with connection.transaction():
            await tables.write(projection.take_batch(), after=after)
        faults.reach("projector.after_commit")
        self._metrics.batch_seconds.observe(time.monotonic() - started_s)
        self._metrics.records.inc(projection.position.seq - after.seq)
        self._metrics.note_position(projection.position)
        if time.monotonic() >= self._flush_at_s:
            await self._flush(connection, projection.position.seq)

    async def _flush(self, connection: Connection, seq: Seq) -> None:
        """Make durable what is committed up to `seq`, and say so in the position file."""
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = on")
            # A commit that has written something, if only a message, waits for all before it.
            await connection.execute("SELECT pg_logical_emit_message(true, 'wcx', 'flush')")
        await asyncio.to_thread(write_position_file, self._position_file, seq)
        self._flushed_seq = seq
        self._flush_at_s = time.monotonic() + FLUSH_S

    async def _ensure_it_is_ours(self, tables: Tables) -> None:
        """Build the read model anew if it is of another version, or tells of another journal."""
        position = await tables.read_position()
        while self._source.durable_seq is None:
            await self._source.take(position.seq, records_max=1, wait_s=FLUSH_S)
        durable_seq = self._source.durable_seq
        version = await tables.find_version()
        if position.seq and version != VERSION:
            log.warning("read_model_of_another_version", found=version, expected=VERSION)
        elif not await asyncio.to_thread(self._is_of_this_journal, position, durable_seq):
            log.warning("read_model_of_another_journal", seq=position.seq, durable_seq=durable_seq)
        else:
            return
        position = await rebuild(self._url, self._source.journal_dir, until=durable_seq)
        self._metrics.rebuilds.inc()
        log.info("read_model_built_anew", seq=position.seq)

    def _is_of_this_journal(self, position: Position, durable_seq: Seq) -> bool:
        """Whether the last record that the read model knows of is the journal's."""
        if position.seq == 0:
            return True
        if position.seq > durable_seq:
            return False
        try:
            (record,) = read_records(
                self._source.journal_dir, after_seq=position.seq - 1, until_seq=position.seq
            )
        except RecordsGoneError:
            log.warning("journal_does_not_reach_back", seq=position.seq)
            return True
        return (record.now_ns, checksum_of(record)) == position[1:]

    def _check_goes_on(self, position: Position) -> None:
        """Start over when the journal has lost its end, as after a power cut without fsync."""
        durable_seq = self._source.durable_seq
        if durable_seq is not None and durable_seq < position.seq:
            log.warning("journal_has_lost_its_end", seq=position.seq, durable_seq=durable_seq)
            raise PositionMovedError

    def _note_failure(self, cause: str, error: Exception) -> None:
        self._metrics.failures.labels(cause).inc()
        log.warning("projector_tries_again", cause=cause, error=" ".join(str(error).split()))
