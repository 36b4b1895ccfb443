"""What the sessions of a gateway share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.events import CommandRefused, SessionOpened
from engine.runtime.feed import Position, SessionEvent
from engine.units import SessionId
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.intake import TakesCommands
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.translate import Translator
from fix_gateway.metrics import GatewayMetrics


class Engine(TakesCommands, Protocol):
    """The engine, as a session sees it."""

    async def open_session(
        self, session_id: SessionId, *, generation: int, reset: bool
    ) -> SessionOpened | CommandRefused:
        """Ask for a session. Raises LinkClosedError or TimeoutError."""

    def read_session_events(self, session_id: SessionId, after: Position) -> Iterator[SessionEvent]:
        """Return what the session was told after a position, from the journal files.

        Blocks as it is advanced; on any thread.
        """


@dataclass(frozen=True)
class SessionTools:
    """What all sessions of a gateway share."""

    engine: Engine
    builder: ReportBuilder
    translator: Translator
    metrics: GatewayMetrics
    gateway_comp_id: str
    store_dir: Path
    sockets_dir: Path
    proof_wait_s: float
    resend_pace: ResendPace
