"""The gateway process: store, engine link, sessions and edge, put together and taken apart."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import structlog

from engine.commands import SessionCommand
from engine.events import (
    CommandRefused,
    Event,
    InstrumentDefined,
    ReferenceEvent,
    TradingStateChanged,
    recipients,
)
from engine.reference import Reference
from engine.runtime.client import LinkClosedError
from engine.runtime.codec import Record, Welcome
from engine.runtime.feed import Position, SessionEvent, is_copied
from engine.runtime.record_trace import RecordTrace
from engine.session_events import SessionReset
from engine.units import InstrumentId, SessionId
from fix_gateway.announcements import find_announcement
from fix_gateway.audit_trail import AuditTrail
from fix_gateway.authentication import LogonAuthenticator, LogonWindow
from fix_gateway.control import ControlServer
from fix_gateway.fix.connection import Connection
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.edge import Edge, EdgeLimits
from fix_gateway.fix.engine_link import GatewayLink
from fix_gateway.fix.entrance import Arrival, Entrance, EntranceLimits
from fix_gateway.fix.market_data_desk import MarketDataDesk
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.session_tools import SessionTools
from fix_gateway.fix.sessions import FixSession
from fix_gateway.fix.throttle import ThrottleDefaults
from fix_gateway.fix.tls import TlsCertificate, TlsFiles
from fix_gateway.fix.translate import Translator
from fix_gateway.market_data.books import Books
from fix_gateway.market_data.checkpoint import bring_up
from fix_gateway.metrics import ALL, ENGINE, REPORT, TO_ENGINE, GatewayMetrics
from fix_gateway.neighbours import Worker, control_socket
from fix_gateway.roster import Roster
from fix_gateway.store_watch import StoreWatch
from fix_gateway.timetable import Maintenance, Timetable, build_news
from store.lockout import Lockout
from store.postgres import Database

TICK_S: Final = 1.0
LOGOUT_POLL_S: Final = 0.02
EVENTS_PER_SLICE: Final = 5000
FAR: Final = 1 << 62
NS_PER_S: Final = 1_000_000_000
SAMPLED_RECORDS: Final = 16
SAMPLED_AGE_MAX_NS: Final = 60 * NS_PER_S

log = structlog.get_logger("gateway")


@dataclass(frozen=True)
class MarketDataConfig:
    """How often market data sessions are told, and where the publisher keeps its checkpoint."""

    interval_s: float
    checkpoint_dir: Path


@dataclass(frozen=True)
class GatewayConfig:
    """What the composition root hands in. `market_data`: None if there are no such sessions."""

    worker: Worker
    host: str
    port: int
    comp_id: str
    journal_dir: Path
    store_dir: Path
    sockets_dir: Path
    engine_socket: Path
    logout_wait_s: float
    proof_wait_s: float
    resend_order_age_max_ns: int
    notices_s: list[float]
    limits: EdgeLimits
    entrance_limits: EntranceLimits
    logon_window: LogonWindow
    tls_host: str
    tls_port: int
    tls_files: TlsFiles
    redis_url: str | None
    throttle: ThrottleDefaults
    market_data: MarketDataConfig | None = None


class Gateway:
    """One gateway process. Everything in it happens on the thread of its event loop."""

    def __init__(self, config: GatewayConfig, database: Database) -> None:
        self.metrics = GatewayMetrics()
        self._config = config
        self._database = database
        self._reference = Reference()
        self._link = GatewayLink(config.engine_socket, config.journal_dir, self)
        self._books = Books(self._reference)
        self._trace = RecordTrace("record_received")
        tools = self._tools = SessionTools(
            engine=self._link,
            reference=self._reference,
            translators={
                begin_string: Translator(
                    self._reference,
                    version,
                    resend_order_age_max_ns=config.resend_order_age_max_ns,
                )
                for begin_string, version in BEGIN_STRINGS.items()
            },
            metrics=self.metrics,
            gateway_comp_id=config.comp_id,
            store_dir=config.store_dir,
            sockets_dir=config.sockets_dir,
            proof_wait_s=config.proof_wait_s,
            resend_pace=ResendPace(),
            worker=config.worker.number,
            throttle=config.throttle,
            market_data=self._make_desk(),
        )
        self._roster = Roster(tools, config.worker, config.logout_wait_s)
        self._store_watch = StoreWatch(database, self._roster, self.metrics)
        self._timetable = Timetable(self._roster, config.notices_s)
        self._control = ControlServer(self)
        # Sessions that are kept informed, and those with something to deliver.
        self._told: dict[SessionId, FixSession] = {}
        self._touched: dict[FixSession, None] = {}
        # When a command whose way is measured was received, and when we were told of it.
        self._sampled: list[tuple[int, int]] = []
        self._is_caught_up = asyncio.Event()
        self._opening = asyncio.Lock()
        self._audit = AuditTrail(database)
        self._lockout = Lockout(config.redis_url)
        self._authenticator = LogonAuthenticator(
            database, self._lockout, self._audit, self.metrics, config.logon_window
        )
        entrance = self._entrance = Entrance(
            self._roster.by_names,
            self._authenticator,
            config.entrance_limits,
            self.metrics,
            gateway_comp_id=config.comp_id,
        )
        entrance.why_closed = self._timetable.why_closed
        self._edge = Edge(entrance, config.limits, self.metrics, flush=self._flush)
        self._edge.neighbours = self._roster.neighbours
        self._certificate = TlsCertificate(config.tls_files)

    async def serve(self, stopped: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Serve clients until `stopped` is set. `on_ready` is called when the door is open.

        Waits for PostgreSQL and the engine as long as it takes. Raises OSError when the port is
        taken, and whatever else makes it impossible to go on: clients are logged out first.
        """
        work = asyncio.ensure_future(self._work(on_ready))
        stop = asyncio.ensure_future(stopped.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        await self._log_everybody_out()
        work.cancel()
        (fault,) = await asyncio.gather(work, return_exceptions=True)
        for session in self._roster.sessions.values():
            session.close()
        self._authenticator.close()
        await self._audit.write()
        await self._lockout.close()
        await self._database.close()
        if isinstance(fault, Exception):
            raise fault

    async def _work(self, on_ready: Callable[[], None]) -> None:
        config = self._config
        # First of all: who does not answer there is taken for dead by the other processes.
        await self._control.open(control_socket(config.sockets_dir, config.worker.number))
        await self._store_watch.load()
        self._roster.take_stores()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            await self._is_caught_up.wait()
            self._entrance.is_ready.set()
            is_shared = config.worker.count > 1
            port = self._edge.open(config.host, config.port, is_shared=is_shared)
            tls_port = self._edge.open(
                config.tls_host, config.tls_port, self._certificate, is_shared=is_shared
            )
            group.create_task(self._tick())
            group.create_task(self._follow())
            group.create_task(self._store_watch.watch())
            group.create_task(self._audit.run())
            if self._tools.market_data is not None:
                interval_s = cast("MarketDataConfig", config.market_data).interval_s
                group.create_task(self._tools.market_data.run(interval_s))
            log.info(
                "door_opened",
                host=config.host,
                port=port,
                tls_host=config.tls_host,
                tls_port=tls_port,
                sessions=len(self._roster.sessions),
            )
            on_ready()

    async def _log_everybody_out(self) -> None:
        """Let nobody in any more, log all clients out and wait a little for their answers."""
        self._edge.close()
        self._control.close()
        sessions = list(self._roster.sessions.values())
        for session in sessions:
            session.log_out("the gateway is shutting down")
        deadline_s = time.monotonic() + self._config.logout_wait_s
        while any(session.has_client for session in sessions):
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(LOGOUT_POLL_S)
        self._edge.abort_connections()
        await asyncio.sleep(0)  # Their ends are told in the next turn of the loop.

    # The control socket (`control.Controlled`).

    async def refresh(self) -> None:
        """Read sessions and credentials again; return once they hold. Raises StoreError."""
        await self._is_caught_up.wait()
        await self._store_watch.refresh()
        await self._follow_roster()
        deadline_s = time.monotonic() + 2 * self._config.logout_wait_s
        while not self._roster.is_settled and time.monotonic() < deadline_s:
            await asyncio.sleep(LOGOUT_POLL_S)
            await self._follow_roster()

    def log_out(self, session_id: SessionId, text: str) -> bool:
        """Log the client out. Returns whether there was one."""
        session = self._roster.sessions.get(session_id)
        if session is None or not session.has_client:
            return False
        session.end_client(text)
        return True

    def plan_maintenance(self, at: datetime | None, text: str) -> None:
        """Log everybody out then and let nobody in any more, or call that off."""
        self._timetable.plan_maintenance(None if at is None else Maintenance(at, text))

    def describe(self) -> dict[str, Any]:
        """Return how the process and its sessions are, ready for JSON."""
        return {"worker": self._config.worker.number, "sessions": self._roster.describe()}

    def take_relayed(self, arrival: Arrival) -> Connection:
        """Return the protocol for a client's connection that is passed on."""
        return self._edge.take_relayed(arrival)

    # The engine (`engine_link.LinkOwner`).

    async def on_linked(self, welcome: Welcome, *, is_first: bool) -> None:
        """The engine is there again: learn what exists, regain the sessions, catch up."""
        for event in welcome.events:
            if isinstance(event, ReferenceEvent):
                self._reference.learn(event)
            elif isinstance(event, TradingStateChanged):
                self._tools.trading_states[event.instrument_id] = event.state
        sessions = list(self._roster.sessions.values())
        await asyncio.gather(*(self._open(session) for session in sessions))
        if is_first:
            await self._read_the_market()
            await self._read_the_past([session for session in sessions if session.is_granted])
            self._is_caught_up.set()
        for session in sessions:
            self._keep_informed(session)

    def on_record(self, record: Record) -> None:
        """Take in what has happened: new reference data, and what sessions are to be told."""
        if not record.seq % SAMPLED_RECORDS:
            self._sample(record)
        if self._trace.is_on:
            self._trace.note((record,))
        events = record.events()
        for event_index, event in enumerate(events):
            if isinstance(event, ReferenceEvent):
                self._reference.learn(event)
                if isinstance(event, InstrumentDefined):
                    self._tell_watchers(event.instrument.instrument_id, is_new=True)
            elif isinstance(event, SessionReset) and event.session_id in self._roster.sessions:
                session = self._roster.sessions[event.session_id]
                session.end_epoch()
                self._timetable.note_reset(session)
            elif isinstance(event, TradingStateChanged):
                self._tools.trading_states[event.instrument_id] = event.state
                self._tell_watchers(event.instrument_id, is_new=False)
            else:
                self._tell(record, Position(record.seq, event_index), event)
        if self._tools.market_data is not None:
            self._books.apply(record.seq, record.now_ns, events)

    def _tell(self, record: Record, position: Position, event: Event) -> None:
        """Tell an event to whom it is addressed, and to those who listen to its account."""
        addressed = recipients(event)
        if not addressed:
            self._announce(event)
        for session_id in addressed:
            self._push(
                SessionEvent(
                    session_id, position, record.now_ns, event, command_bytes=record.command_bytes
                )
            )
        listeners = self._tools.listeners
        if not listeners or not is_copied(event):
            return
        account = self._reference.accounts.get(event.order.account_id)
        for session_id, listening in listeners.items():
            if account is not None and listening.hears(account) and session_id not in addressed:
                self._push(
                    SessionEvent(
                        session_id,
                        position,
                        record.now_ns,
                        event,
                        is_copy=True,
                        command_bytes=record.command_bytes,
                    )
                )

    def _tell_watchers(self, instrument_id: InstrumentId, *, is_new: bool) -> None:
        """Tell those of an instrument who have subscribed to news of the venue."""
        for watch in list(self._tools.watches.values()):
            watch.tell(self._reference.instruments[instrument_id], is_new=is_new)

    def _announce(self, event: Event) -> None:
        """Tell those who are logged on of what is addressed to nobody but concerns them."""
        announcement = find_announcement(event)
        if announcement is None:
            return
        for session in self._roster.sessions.values():
            if announcement.concerns(session.row):
                session.send(build_news(announcement.headline, announcement.text))

    def _push(self, event: SessionEvent) -> None:
        session = self._told.get(event.session_id)
        if session is not None:
            session.push(event)
            self._touched[session] = None

    def on_batch_end(self) -> None:
        """Send the reports of the batch, and let clients be read again if they waited for it."""
        touched, self._touched = self._touched, {}
        for session in touched:
            session.deliver()
        for received_at_ns, told_at_ns in self._sampled:
            now_ns = time.time_ns()
            self.metrics.stages[REPORT].observe((now_ns - told_at_ns) / NS_PER_S)
            self.metrics.stages[ALL].observe((now_ns - received_at_ns) / NS_PER_S)
        self._sampled.clear()
        self._regulate()

    def _sample(self, record: Record) -> None:
        """Measure how long a command of a session of ours has taken so far."""
        command = record.command()
        if not isinstance(command, SessionCommand) or command.session_id not in self._told:
            return
        received_at_ns, told_at_ns = command.received_at_ns, time.time_ns()
        # What was in doubt was received by a process that is gone, or long ago.
        if 0 < told_at_ns - received_at_ns < SAMPLED_AGE_MAX_NS:
            self.metrics.stages[TO_ENGINE].observe((record.now_ns - received_at_ns) / NS_PER_S)
            self.metrics.stages[ENGINE].observe((told_at_ns - record.now_ns) / NS_PER_S)
            self._sampled.append((received_at_ns, told_at_ns))

    def on_available(self, *, is_available: bool) -> None:
        """The engine takes commands, or does not any more."""
        self.metrics.engine_available.set(is_available)
        if not is_available:
            for session in self._roster.sessions.values():
                session.revoke()
        self._regulate()

    def on_unsendable(self, command: SessionCommand) -> None:
        """A command was not sent for a fault of our own: its client is told so."""
        session = self._roster.sessions.get(command.session_id)
        if session is not None:
            session.refuse_unsendable(command)

    # Its own work.

    async def _open(self, session: FixSession) -> None:
        event = await self._link.open_session(
            session.row.session_id, generation=session.generation, reset=False
        )
        if isinstance(event, CommandRefused):
            log.warning("session_held", session=session.row.client_comp_id)
            return
        session.adopt(event, self._link.last_seq)

    def _keep_informed(self, session: FixSession) -> None:
        """From now on tell a session that is granted what happens; the past is in the journal."""
        if session.is_granted and session.row.session_id not in self._told:
            log.info("session_taken_over", session=session.row.client_comp_id)
            session.skip_to(Position(self._link.last_seq, FAR))
            self._told[session.row.session_id] = session

    def _make_desk(self) -> MarketDataDesk | None:
        if self._config.market_data is None:
            return None
        return MarketDataDesk(self._books, self._reference, self.metrics.updates_skipped.inc)

    async def _read_the_market(self) -> None:
        """Know the books as they are, where somebody is to be told of them."""
        config = self._config
        if config.market_data is not None:
            directory, last_seq = config.market_data.checkpoint_dir, self._link.last_seq
            await asyncio.to_thread(
                bring_up, self._books, directory, config.journal_dir, until_seq=last_seq
            )
            log.info("books_known", seq=last_seq)

    async def _read_the_past(self, sessions: list[FixSession]) -> None:
        """Give every session what it has not proven to have, in one pass over the journal."""
        told = {session.row.session_id: session for session in sessions}
        accounts = self._reference.accounts
        events = self._link.read_events(
            {session_id: session.proven for session_id, session in told.items()},
            {
                session_id: listening.heard(accounts)
                for session_id, listening in self._tools.listeners.items()
                if session_id in told
            },
        )
        while part := await asyncio.to_thread(lambda: list(islice(events, EVENTS_PER_SLICE))):
            for event in part:
                told[event.session_id].push(event)
        for session in sessions:
            session.rewind()
        self._told.update(told)

    def _flush(self) -> None:
        self._link.flush()
        self._regulate()

    def _regulate(self) -> None:
        self._edge.pause(is_paused=self._link.is_full)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._link.check_progress(now_s)
            self.metrics.link_depth.set(self._link.depth)
            if self._tools.market_data is not None:
                self.metrics.subscriptions.set(self._tools.market_data.subscription_count)
            for session in self._roster.sessions.values():
                session.tick(now_s)
            self._link.flush()
            self._certificate.refresh()

    async def _follow(self) -> None:
        """Once a second, or more slowly where the engine is waited for: who is to be served."""
        while True:
            await asyncio.sleep(TICK_S)
            self._roster.neighbours.look()
            await self._follow_roster()
            for session in self._timetable.look():
                with contextlib.suppress(LinkClosedError, TimeoutError):
                    await self._link.reset_session(session.row.session_id)

    async def _follow_roster(self) -> None:
        """Let go of sessions that are not this process's any more, and take those that are.

        One at a time: the acceptor of a new one keeps this thread busy for a while.
        """
        async with self._opening:
            if self._link.is_available:
                for session in self._roster.let_go():
                    self._give_back(session)
            self._roster.take_stores()
            for session in list(self._roster.sessions.values()):
                if session.is_granted or not self._link.is_available:
                    continue
                try:
                    await self._open(session)
                except (LinkClosedError, TimeoutError):
                    return
                self._keep_informed(session)

    def _give_back(self, session: FixSession) -> None:
        session_id, generation = session.row.session_id, session.generation
        self._told.pop(session_id, None)
        self._touched.pop(session, None)
        session.give_back()
        if generation:
            self._link.release_session(session_id, generation)
        log.info("session_given_back", session=session.row.client_comp_id)
