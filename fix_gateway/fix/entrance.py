"""How a client gets into its session: authentic, within bounds, alone, and granted by the engine.

Whoever is refused because of name, secret or address learns nothing of which it was, neither from
the words nor from the time. What an authentic client did wrong it is told precisely.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from engine.runtime.client import LinkClosedError
from engine.units import SessionId
from fix_gateway.fix.fields import MsgType, Tag, join_fields
from fix_gateway.fix.logon import (
    Admission,
    HeartBtIntBounds,
    Logon,
    SessionStatus,
    check_asked_modes,
    check_heart_bt_int,
    check_version,
)
from fix_gateway.fix.sessions import FixSession
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow

REFUSED: Final = "logon refused"
PASSWORD_INCORRECT: Final = "the password is not correct"  # noqa: S105 - What a client is told.
PROBE_POLL_S: Final = 0.02
PENDING_PER_NAME_MAX: Final = 4
REFUSED_REMEMBERED_MAX: Final = 10_000

LIFE_QUESTION: Final = join_fields(
    [(Tag.MSG_TYPE, MsgType.TEST_REQUEST), (Tag.TEST_REQ_ID, "LIFE")]
)

log = structlog.get_logger("fix.entrance")


@dataclass(frozen=True)
class Arrival:
    """Where a connection comes from. `client_cert_sha256` is of the certificate it has proven."""

    host: str
    port: int
    is_tls: bool = False
    client_cert_sha256: str | None = None

    @property
    def peer(self) -> str:
        """Address and port as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Authentic:
    """The Logon is what it says it is. `credential_id` has proven it."""

    credential_id: int


@dataclass(frozen=True)
class Refusal:
    """A Logon is refused. The client is told `text`; `cause` is for the operator."""

    text: str
    cause: str
    session_status: SessionStatus = SessionStatus.INVALID_USERNAME_OR_PASSWORD


@dataclass(frozen=True)
class GaveUp:
    """A connection ends without a word. `cause` is for the operator.

    QuickFIX counts every Logout, whatever its number, and would pass over the next message that it
    has not received yet; so a client whose fault it is not is never sent one.
    """

    cause: str


@dataclass(frozen=True)
class Entry:
    """The client may be attached to the session, at once and without waiting for anything."""

    session: FixSession
    admission: Admission


Outcome = Entry | Refusal | GaveUp


class Authenticator(Protocol):
    """Says whether a Logon is authentic, and changes what it is proven with."""

    async def authenticate(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> Authentic | Refusal:
        """Say whether the Logon opens the session; None takes as long and never does.

        Raises AuthenticationUnavailableError when that cannot be found out now.
        """

    async def change_password(
        self, session_id: SessionId, username: str, password: str, new_password: str
    ) -> str | None:
        """Let another password open the session from now on, and this one no longer.

        Returns in words why not, None when it is done. Raises AuthenticationUnavailableError.
        """


class AuthenticationUnavailableError(Exception):
    """Nobody can be authenticated at the moment."""


@dataclass(frozen=True)
class EntranceLimits:
    """Bounds of a Logon, in seconds.

    A refusal that must reveal nothing comes after a multiple of `refusal_delay_s`. A client that
    is connected and does not answer within `probe_wait_s` makes room for one that logs on.
    """

    logon_wait_s: float
    refusal_delay_s: float
    probe_wait_s: float
    heart_bt_int: HeartBtIntBounds


class Entrance:
    """Decides about Logons. Belongs to the gateway's one thread.

    It counts the Logons that it refuses, by session and address: a client on QuickFIX counts the
    Logout that answers one, whatever its number, and would then pass over as many messages that it
    has not received. When it is let in, so many numbers are left out, and it is told again what it
    has not proven to have.
    """

    def __init__(
        self,
        sessions: Mapping[tuple[str, str], FixSession],
        authenticator: Authenticator,
        limits: EntranceLimits,
        metrics: GatewayMetrics,
        *,
        gateway_comp_id: str,
    ) -> None:
        self.authenticator = authenticator
        self.gateway_comp_id = gateway_comp_id
        self._sessions = sessions
        self._limits = limits
        self._metrics = metrics
        self._pending: dict[tuple[str, str], int] = {}
        self._refused: OrderedDict[tuple[tuple[str, str], str], int] = OrderedDict()
        self.why_closed: Callable[[FixSessionRow], str | None] = lambda _row: None
        """Says in words why no client of a session may be logged on now, None if it may."""
        self.is_ready = asyncio.Event()
        """Set once the process has its sessions. Others pass connections on to it before that."""

    def serves(self, names: tuple[str, str]) -> bool:
        """Whether this process has the session of that version and CompID."""
        return names in self._sessions

    async def log_on(self, logon: Logon, arrival: Arrival) -> Outcome:
        """Return what is to become of the connection. Takes as long as it must, up to a limit."""
        name = (logon.begin_string, logon.client_comp_id)
        if self._pending.get(name, 0) >= PENDING_PER_NAME_MAX:
            return GaveUp("too many connections try to log on to this session")
        self._pending[name] = self._pending.get(name, 0) + 1
        try:
            await asyncio.wait_for(self.is_ready.wait(), self._limits.logon_wait_s)
            outcome = await self._consider(logon, arrival)
        except (AuthenticationUnavailableError, LinkClosedError, TimeoutError) as error:
            return GaveUp(f"not available now: {error!r}")
        finally:
            self._pending[name] -= 1
            if not self._pending[name]:
                del self._pending[name]
        if isinstance(outcome, Refusal) and self.serves(name):
            self._refused[(name, arrival.host)] = self._refused.get((name, arrival.host), 0) + 1
            if len(self._refused) > REFUSED_REMEMBERED_MAX:
                self._refused.popitem(last=False)
        return outcome

    async def _consider(self, logon: Logon, arrival: Arrival) -> Outcome:
        came_at_s = time.monotonic()
        session = self._sessions.get((logon.begin_string, logon.client_comp_id))
        is_addressed = logon.gateway_comp_id == self.gateway_comp_id
        row = session.row if session is not None and is_addressed else None
        proof = await self.authenticator.authenticate(row, logon, arrival)
        if isinstance(proof, Refusal):
            if proof.text == REFUSED:
                await self._take_as_long_as_any(came_at_s)
            return proof
        assert session is not None
        mistake = check_heart_bt_int(logon, self._heart_bt_int_bounds(session))
        mistake = mistake or check_version(logon) or check_asked_modes(logon)
        if mistake is not None:
            return Refusal(mistake, mistake, SessionStatus.LOGOUT_COMPLETE)
        closed = self.why_closed(session.row)
        if closed is not None and logon.is_reset:
            # Others are told in their session: a client on QuickFIX counts every Logout, so that of
            # a session which goes on with its numbers must bear one of them.
            return Refusal(closed, closed, SessionStatus.LOGONS_NOT_ALLOWED_AT_THIS_TIME)
        if logon.new_password:
            refusal = await self.authenticator.change_password(
                session.row.session_id, logon.username, logon.password, logon.new_password
            )
            if refusal is not None:
                return Refusal(
                    f"NewPassword(925) {refusal}",
                    "the new password was refused",
                    SessionStatus.NEW_PASSWORD_DOES_NOT_COMPLY_WITH_POLICY,
                )
        return await self._enter(session, logon, arrival, proof.credential_id)

    async def _enter(
        self, session: FixSession, logon: Logon, arrival: Arrival, credential_id: int
    ) -> Outcome:
        if not await self._make_room(session):
            # Without a message: the numbers of the live session are not this newcomer's to use.
            return GaveUp("the session is logged on already")
        # The engine may be on its way back: many a client takes a refusal for the last word.
        if not await session.wait_until_granted(self._limits.logon_wait_s):
            return GaveUp("not available now: the engine has not granted the session")
        if logon.is_reset:
            # To its end, also when this connection is given up meanwhile: whoever misses the
            # engine's answer does not hold the session any more.
            refusal = await asyncio.shield(asyncio.ensure_future(session.start_epoch()))
            if refusal is not None:
                return GaveUp(f"not available now: no reset, {refusal}")
        if session.has_client:
            return GaveUp("the session was logged on meanwhile")
        if not session.is_granted:
            return GaveUp("not available now: the session has been given up meanwhile")
        refused = self._refused.pop(((logon.begin_string, logon.client_comp_id), arrival.host), 0)
        return Entry(
            session, Admission.of(logon, arrival.peer, credential_id, refused_before=refused)
        )

    async def _make_room(self, session: FixSession) -> bool:
        """Let go of a predecessor who does not answer. Returns False when one does.

        Of a connection that was cut without a word nothing is heard, for minutes: only a question
        tells it from one that is quiet.
        """
        predecessor = session.client
        if predecessor is None:
            return True
        received = session.received_count
        session.send(LIFE_QUESTION)
        deadline_s = time.monotonic() + self._limits.probe_wait_s
        while session.client is predecessor and session.received_count == received:
            if time.monotonic() > deadline_s:
                log.warning("half_open_client_evicted", session=session.row.client_comp_id)
                self._metrics.evictions.inc()
                session.evict()
                break
            await asyncio.sleep(PROBE_POLL_S)
        return not session.has_client

    async def _take_as_long_as_any(self, came_at_s: float) -> None:
        """Wait until a multiple of the delay has passed: the time must not tell what was wrong."""
        delay_s = self._limits.refusal_delay_s
        passed_s = time.monotonic() - came_at_s
        await asyncio.sleep(math.ceil(passed_s / delay_s) * delay_s - passed_s)

    def _heart_bt_int_bounds(self, session: FixSession) -> HeartBtIntBounds:
        """Return the session's own bounds, or else those of the gateway."""
        own, general = session.row, self._limits.heart_bt_int
        return HeartBtIntBounds(
            own.heart_bt_int_min_s or general.min_s, own.heart_bt_int_max_s or general.max_s
        )
