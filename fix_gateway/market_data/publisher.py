"""The publisher: reads what the engine says and tells the broker. It only watches.

Nothing waits for it: a slow broker makes it fall behind in the journal, never the engine. What must
arrive (trades, executions, status) is sent until the broker confirms it, in order; what shows how
things are (depth, top, statistics) is told as it is when its turn comes.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from engine.runtime.codec import Record
from engine.runtime.record_source import RecordSource
from engine.runtime.record_trace import RecordTrace
from engine.units import InstrumentId, Seq
from fix_gateway.market_data.broker import Broker, BrokerError
from fix_gateway.market_data.checkpoint import read_checkpoint, write_checkpoint
from fix_gateway.market_data.conflation import Conflated, ConflatedDepth
from fix_gateway.market_data.market import Changes, Market
from fix_gateway.market_data.messages import (
    HEARTBEAT_TOPIC,
    HeartbeatMessage,
    Published,
    encode,
    format_time,
)
from fix_gateway.market_data.metrics import PublisherMetrics

ONLINE, OFFLINE = "online", "offline"
LAST_WILL: Final = Published(HEARTBEAT_TOPIC, encode(HeartbeatMessage(OFFLINE)), is_retained=True)
OUTBOX_MAX: Final = 2_000
OUTBOX_PART: Final = 100
CONFIRMED_MAX: Final = 500
TOP_INTERVAL_S: Final = 0.1
TRADED_INTERVAL_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
CHECKPOINT_S: Final = 10.0
RETRY_MIN_S: Final = 0.2
RETRY_MAX_S: Final = 5.0
SLICE_RECORDS: Final = 500
WAIT_S: Final = 1.0
STREAM_BYTES: Final = 4

log = structlog.get_logger("market_data")


@dataclass(frozen=True)
class PublisherConfig:
    """What the settings say."""

    directory: Path
    depth_intervals_ms: Sequence[int]
    snapshot_interval_s: float
    snapshot_levels_max: int


class Publisher:
    """Publishes one venue's market data. Belongs to one event loop."""

    def __init__(
        self,
        config: PublisherConfig,
        source: RecordSource,
        broker: Broker,
        metrics: PublisherMetrics,
    ) -> None:
        self._config = config
        self._source = source
        self._broker = broker
        self._metrics = metrics
        self._market: Market
        self._outbox: deque[Published] = deque()
        # What was confirmed last: a broker that is killed may lose that again.
        self._confirmed: deque[Published] = deque(maxlen=CONFIRMED_MAX)
        self._has_room = asyncio.Event()
        self._is_due = asyncio.Event()
        self._depths = [ConflatedDepth(interval) for interval in config.depth_intervals_ms]
        self._snapshots = Conflated(config.snapshot_interval_s)
        self._tops = Conflated(TOP_INTERVAL_S)
        self._traded = Conflated(TRADED_INTERVAL_S)
        self._heartbeat_due_s = 0.0
        self._checkpoint_due_s = 0.0
        self._checkpoint_seq = 0
        self._trace = RecordTrace("record_received")

    async def run(self) -> None:
        """Publish until cancelled. Raises JournalDamagedError when records cannot be read."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._source.run())
            await self._go_on()
            group.create_task(self._follow())
            group.create_task(self._keep_publishing())

    async def _go_on(self) -> None:
        """Know the market as it was when everything had been published, else as it is now."""
        durable_seq = await self._wait_for_engine()
        directory = self._config.directory
        found = await asyncio.to_thread(read_checkpoint, directory, durable_seq=durable_seq)
        if found is not None:
            self._market = Market.restore(found)
            log.info("checkpoint_read", seq=found.seq, stream=found.stream)
            return
        market = Market(secrets.token_hex(STREAM_BYTES))
        while market.seq < durable_seq:
            market.apply(await self._next_records(market.seq))
        self._market = market
        log.info("market_rebuilt", seq=market.seq, stream=market.stream)

    async def _wait_for_engine(self) -> Seq:
        while self._source.durable_seq is None:
            await self._source.take(Seq(0), records_max=1, wait_s=WAIT_S)
        return self._source.durable_seq

    async def _next_records(self, after_seq: int) -> list[Record]:
        """Return the next records, as soon as there is one."""
        while True:
            found = await self._source.take(
                Seq(after_seq), records_max=SLICE_RECORDS, wait_s=WAIT_S
            )
            if found:
                return found

    async def _follow(self) -> None:
        while True:
            records = await self._next_records(self._market.seq)
            self._note(self._market.apply(records))
            self._trace.note(records)
            durable_seq = self._source.durable_seq or 0
            self._metrics.last_seq.set(self._market.seq)
            self._metrics.feed_lag.set(max(0, durable_seq - self._market.seq))
            while len(self._outbox) > OUTBOX_MAX:
                self._has_room.clear()
                await self._has_room.wait()

    def _note(self, changes: Changes) -> None:
        self._outbox += changes.messages
        for depth in self._depths:
            depth.note(changes.levels)
        changed = [level.instrument_id for level in changes.levels]
        self._snapshots.note(changed)
        self._tops.note(changed)
        self._traded.note(changes.traded)
        self._is_due.set()

    async def _keep_publishing(self) -> None:
        retry_s = RETRY_MIN_S
        while True:
            try:
                async with self._broker.connected():
                    log.info("broker_available", protocol=self._broker.protocol.name)
                    self._metrics.broker_available.set(1)
                    retry_s = RETRY_MIN_S
                    await self._publish()
            except BrokerError as error:
                self._metrics.reconnects.inc()
                log.warning("broker_unavailable", error=str(error), retry_s=retry_s)
            finally:
                self._metrics.broker_available.set(0)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_MAX_S)

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._show_everything()
            await self._send("must_arrive", list(self._confirmed))
            while True:
                await self._send_outbox()
                await self._send_due(loop.time())
                await self._write_checkpoint(loop.time())
                if not self._outbox:
                    await self._wait(loop.time())
        except asyncio.CancelledError:
            await self._say_goodbye()
            raise

    async def _show_everything(self) -> None:
        """Tell subscribers how everything is: what they knew may be older than they think."""
        market = self._market
        instruments = market.instruments()
        messages = [*market.instrument_messages(), *market.status_messages()]
        for instrument_id in instruments:
            messages.append(self._snapshot(instrument_id))
            messages.append(market.top(instrument_id))
        # What the broker has lost with its memory is in there.
        self._traded.note(instruments)
        for depth in self._depths:
            depth.start_from(instruments, market.seq)
        await self._send("snapshot", [*messages, self._heartbeat()])

    async def _send_outbox(self) -> None:
        part = list(islice(self._outbox, OUTBOX_PART))
        if part:
            await self._send("must_arrive", part)
            for message in part:
                self._outbox.popleft()
                # What is retained has just been shown as it is now.
                if not message.is_retained:
                    self._confirmed.append(message)
            self._has_room.set()
        self._metrics.outbox_messages.set(len(self._outbox))

    async def _send_due(self, now_s: float) -> None:
        market = self._market
        for depth in self._depths:
            updates = [
                market.update(
                    change.instrument_id, change.levels, prev_seq=change.prev_seq, name=depth.name
                )
                for change in depth.take(now_s, market.seq)
            ]
            await self._send("depth", updates, is_confirmed=False)
        await self._send("top", [market.top(key) for key in self._tops.take(now_s)])
        await self._send("snapshot", [self._snapshot(key) for key in self._snapshots.take(now_s)])
        # Never ahead of the trades themselves, or what is still to come would look lost.
        traded = [] if self._outbox else self._traded.take(now_s)
        found = [
            message for key in traded for message in (market.minute(key), market.recent_trades(key))
        ]
        await self._send("trading", [message for message in found if message is not None])
        if now_s >= self._heartbeat_due_s:
            self._heartbeat_due_s = now_s + HEARTBEAT_S
            self._metrics.engine_available.set(self._source.is_linked)
            await self._send("heartbeat", [self._heartbeat()])

    async def _send(
        self, kind: str, messages: Sequence[Published], *, is_confirmed: bool = True
    ) -> None:
        if messages:
            await self._broker.publish(messages, is_confirmed=is_confirmed)
            self._metrics.published[kind].inc(len(messages))

    async def _write_checkpoint(self, now_s: float) -> None:
        if now_s < self._checkpoint_due_s or self._outbox:
            return
        self._checkpoint_due_s = now_s + CHECKPOINT_S
        saved = self._market.save()
        if saved.seq == self._checkpoint_seq:
            return
        try:
            await asyncio.to_thread(write_checkpoint, self._config.directory, saved)
            self._checkpoint_seq = saved.seq
        except OSError as error:
            log.warning("checkpoint_not_written", error=str(error))

    async def _wait(self, now_s: float) -> None:
        """Wait until something is due."""
        sources: list[Conflated | ConflatedDepth] = [
            *self._depths,
            self._snapshots,
            self._tops,
            self._traded,
        ]
        waits_s = [wait for source in sources if (wait := source.due_in_s(now_s)) is not None]
        waits_s.append(max(0.0, self._heartbeat_due_s - now_s))
        self._is_due.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_due.wait(), min(waits_s))

    async def _say_goodbye(self) -> None:
        """Write down how far everything is published, and tell subscribers."""
        self._checkpoint_due_s = 0.0
        await self._write_checkpoint(0.0)
        with contextlib.suppress(BrokerError):
            await self._send("heartbeat", [LAST_WILL])

    def _snapshot(self, instrument_id: InstrumentId) -> Published:
        return self._market.snapshot(instrument_id, self._config.snapshot_levels_max)

    def _heartbeat(self) -> Published:
        market = self._market
        message = HeartbeatMessage(ONLINE, market.stream, market.seq, format_time(market.now_ns))
        return Published(HEARTBEAT_TOPIC, encode(message), is_retained=True)
