"""The admin API's link to the engine: who owns which FIX session, and how the engine is."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from engine.events import Event, SessionOpened, SessionReleased
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import Record, Status
from engine.units import SessionId

RETRY_S: Final = 0.5
NAME: Final = "admin_api"

log = structlog.get_logger("admin.engine_link")


@dataclass(frozen=True, slots=True)
class Grant:
    """A session's owner as the engine sees it."""

    generation: int
    epoch: int
    is_held: bool


class EngineWatch:
    """Keeps a link to the engine up and follows what it says of sessions. One event loop's own."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._grants: dict[SessionId, Grant] = {}
        self._link: EngineLink | None = None

    def find_grant(self, session_id: SessionId) -> Grant | None:
        """Return who owns the session, None for one that was never granted."""
        return self._grants.get(session_id)

    async def status(self) -> Status | None:
        """Return how the engine is, None when it is away or does not answer."""
        if self._link is None:
            return None
        try:
            return await self._link.status()
        except (LinkClosedError, TimeoutError):
            return None

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._follow_once()
            except (OSError, LinkClosedError, TimeoutError):
                await asyncio.sleep(RETRY_S)

    async def _follow_once(self) -> None:
        closed = asyncio.Event()
        link = await EngineLink.connect(
            self._socket_path,
            NAME,
            on_records=self._take,
            on_closed=lambda _in_doubt: closed.set(),
        )
        self._learn(link.welcome.events)
        self._link = link
        log.info("engine_available")
        try:
            await closed.wait()
        finally:
            self._link = None
            link.close()
            log.info("engine_unavailable")

    def _take(self, records: list[Record]) -> None:
        for record in records:
            self._learn(record.events())

    def _learn(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, SessionOpened):
                grant = Grant(event.generation, event.epoch, is_held=True)
                self._grants[event.session_id] = grant
            elif isinstance(event, SessionReleased):
                before = self._grants.get(event.session_id)
                epoch = 0 if before is None else before.epoch
                grant = Grant(event.generation, epoch, is_held=False)
                self._grants[event.session_id] = grant
