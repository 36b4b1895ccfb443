"""The gateway process: store, engine link, sessions and edge, put together and taken apart."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from engine.events import (
    CommandRefused,
    OrderEvent,
    ReferenceEvent,
    SessionReset,
    recipients,
)
from engine.reference import Reference
from engine.runtime.client import LinkClosedError
from engine.runtime.codec import Record, Welcome
from engine.runtime.feed import Position, SessionEvent
from engine.units import SessionId
from fix_gateway.audit_trail import AuditTrail
from fix_gateway.authentication import LogonAuthenticator, LogonWindow
from fix_gateway.fix.edge import Edge, EdgeLimits
from fix_gateway.fix.engine_link import GatewayLink
from fix_gateway.fix.entrance import Entrance, EntranceLimits
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.message_store import StoreInUseError
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.session_tools import SessionTools
from fix_gateway.fix.sessions import FixSession
from fix_gateway.fix.tls import TlsCertificate, TlsFiles
from fix_gateway.fix.translate import Translator
from fix_gateway.metrics import GatewayMetrics
from store.lockout import Lockout
from store.postgres import Database, StoreError
from store.sessions import FixSessionRow, list_sessions

TICK_S: Final = 1.0
STORE_RETRY_S: Final = 0.5
LOGOUT_POLL_S: Final = 0.02
EVENTS_PER_SLICE: Final = 5000
FAR: Final = 1 << 62

log = structlog.get_logger("gateway")


@dataclass(frozen=True)
class GatewayConfig:
    """What the composition root hands in."""

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
    limits: EdgeLimits
    entrance_limits: EntranceLimits
    logon_window: LogonWindow
    tls_host: str
    tls_port: int
    tls_files: TlsFiles
    redis_url: str | None


class Gateway:
    """One gateway process. Everything in it happens on the thread of its event loop."""

    def __init__(self, config: GatewayConfig, database: Database) -> None:
        self.metrics = GatewayMetrics()
        self._config = config
        self._database = database
        self._reference = Reference()
        self._link = GatewayLink(config.engine_socket, config.journal_dir, self)
        self._sessions: dict[SessionId, FixSession] = {}
        self._waiting_rows: list[FixSessionRow] = []
        self._by_names: dict[tuple[str, str], FixSession] = {}
        # Sessions that this process owns and keeps informed, and those with something to deliver.
        self._told: dict[SessionId, FixSession] = {}
        self._touched: dict[FixSession, None] = {}
        self._is_caught_up = asyncio.Event()
        self._audit = AuditTrail(database)
        self._lockout = Lockout(config.redis_url)
        self._authenticator = LogonAuthenticator(
            database, self._lockout, self._audit, self.metrics, config.logon_window
        )
        entrance = Entrance(
            self._by_names,
            self._authenticator,
            config.entrance_limits,
            self.metrics,
            gateway_comp_id=config.comp_id,
        )
        self._edge = Edge(entrance, config.limits, self.metrics, flush=self._flush)
        self._certificate = TlsCertificate(config.tls_files)
        self._tools = SessionTools(
            engine=self._link,
            builder=ReportBuilder(self._reference),
            translator=Translator(
                self._reference, resend_order_age_max_ns=config.resend_order_age_max_ns
            ),
            metrics=self.metrics,
            gateway_comp_id=config.comp_id,
            store_dir=config.store_dir,
            sockets_dir=config.sockets_dir,
            proof_wait_s=config.proof_wait_s,
            resend_pace=ResendPace(),
        )

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
        for session in self._sessions.values():
            session.close()
        self._authenticator.close()
        await self._audit.write()
        await self._lockout.close()
        await self._database.close()
        if isinstance(fault, Exception):
            raise fault

    async def _work(self, on_ready: Callable[[], None]) -> None:
        await self._load_sessions()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            await self._is_caught_up.wait()
            config = self._config
            port = self._edge.open(config.host, config.port)
            tls_port = self._edge.open(config.tls_host, config.tls_port, self._certificate)
            group.create_task(self._tick())
            group.create_task(self._audit.run())
            log.info(
                "door_opened",
                host=config.host,
                port=port,
                tls_host=config.tls_host,
                tls_port=tls_port,
                sessions=len(self._sessions),
            )
            on_ready()

    async def _log_everybody_out(self) -> None:
        """Let nobody in any more, log all clients out and wait a little for their answers."""
        self._edge.close()
        for session in self._sessions.values():
            session.log_out("the gateway is shutting down")
        deadline_s = time.monotonic() + self._config.logout_wait_s
        while any(session.has_client for session in self._sessions.values()):
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(LOGOUT_POLL_S)
        self._edge.abort_connections()
        await asyncio.sleep(0)  # Their ends are told in the next turn of the loop.

    # The engine (`engine_link.LinkOwner`).

    async def on_linked(self, welcome: Welcome, *, is_first: bool) -> None:
        """The engine is there again: learn what exists, regain the sessions, catch up."""
        for event in welcome.events:
            if isinstance(event, ReferenceEvent):
                self._reference.learn(event)
        await asyncio.gather(*(self._open(session) for session in self._sessions.values()))
        if is_first:
            await self._read_the_past()
            self._told = {
                session_id: session
                for session_id, session in self._sessions.items()
                if session.is_granted
            }
            self._is_caught_up.set()
        for session in self._sessions.values():
            self._keep_informed(session)

    def on_record(self, record: Record) -> None:
        """Take in what has happened: new reference data, and what sessions are to be told."""
        for event_index, event in enumerate(record.events()):
            if isinstance(event, ReferenceEvent):
                self._reference.learn(event)
            elif isinstance(event, SessionReset) and event.session_id in self._sessions:
                self._sessions[event.session_id].end_epoch()
            elif isinstance(event, OrderEvent):
                position = Position(record.seq, event_index)
                for session_id in recipients(event):
                    session = self._told.get(session_id)
                    if session is not None:
                        session.push(SessionEvent(session_id, position, record.now_ns, event))
                        self._touched[session] = None

    def on_batch_end(self) -> None:
        """Send the reports of the batch, and let clients be read again if they waited for it."""
        touched, self._touched = self._touched, {}
        for session in touched:
            session.deliver()
        self._regulate()

    def on_available(self, *, is_available: bool) -> None:
        """The engine takes commands, or does not any more."""
        self.metrics.engine_available.set(is_available)
        if not is_available:
            for session in self._sessions.values():
                session.revoke()
        self._regulate()

    # Its own work.

    async def _load_sessions(self) -> None:
        rows = await self._read_rows()
        for row in rows:
            if row.is_enabled:
                self._waiting_rows.append(row)
        self._take_stores()

    async def _read_rows(self) -> list[FixSessionRow]:
        while True:
            try:
                await self._database.open()
                async with self._database.transaction() as connection:
                    return await list_sessions(connection)
            except StoreError as error:
                log.warning("store_away", error=str(error))
                await asyncio.sleep(STORE_RETRY_S)

    def _take_stores(self) -> None:
        """Make the sessions whose stores nobody else owns; the others wait for their turn."""
        waiting, self._waiting_rows = self._waiting_rows, []
        for row in waiting:
            try:
                session = FixSession(row, self._tools)
            except StoreInUseError as error:
                log.warning("session_store_in_use", error=str(error))
                self._waiting_rows.append(row)
                continue
            self._sessions[row.session_id] = session
            self._by_names[(row.begin_string, row.client_comp_id)] = session

    async def _open(self, session: FixSession) -> None:
        event = await self._link.open_session(
            session.row.session_id, generation=session.generation, reset=False
        )
        if isinstance(event, CommandRefused):
            log.warning("session_held", session=session.row.client_comp_id)
            return
        session.adopt(event, self._link.last_seq)

    async def _open_late(self, session: FixSession) -> None:
        """Take over a session that another process held when this one started."""
        await self._open(session)
        self._keep_informed(session)

    def _keep_informed(self, session: FixSession) -> None:
        """From now on tell a session that is granted what happens; the past is in the journal."""
        if session.is_granted and session.row.session_id not in self._told:
            log.info("session_taken_over", session=session.row.client_comp_id)
            session.skip_to(Position(self._link.last_seq, FAR))
            self._told[session.row.session_id] = session

    async def _read_the_past(self) -> None:
        """Give every session what it has not proven to have, in one pass over the journal."""
        positions = {
            session_id: session.proven
            for session_id, session in self._sessions.items()
            if session.is_granted
        }
        events = self._link.read_events(positions)
        while part := await asyncio.to_thread(lambda: list(islice(events, EVENTS_PER_SLICE))):
            for event in part:
                self._sessions[event.session_id].push(event)
        for session_id in positions:
            self._sessions[session_id].rewind()

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
            for session in self._sessions.values():
                session.tick(now_s)
            self._link.flush()
            self._take_stores()
            self._certificate.refresh()
            if self._link.is_available:
                await self._retry_held()

    async def _retry_held(self) -> None:
        for session in self._sessions.values():
            if not session.is_granted:
                try:
                    await self._open_late(session)
                except (LinkClosedError, TimeoutError):
                    return
