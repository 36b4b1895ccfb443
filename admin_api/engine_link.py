"""The admin API's link to the engine: what exists, who owns which FIX session, how it is."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from admin_api.known_limits import KnownLimits
from admin_api.standing import Standing
from engine.commands import Command, NewOrder
from engine.events import Event, ReferenceEvent
from engine.reference import Reference
from engine.runtime.client import EngineLink, LinkClosedError, Outcome
from engine.runtime.codec import Balances, Book, Record, Status, WhatIf
from engine.session_events import SessionOpened, SessionReleased, SessionReset
from engine.units import AccountId, InstrumentId, Seq, SessionId

RETRY_S: Final = 0.5
NAME: Final = "admin_api"

log = structlog.get_logger("admin.engine_link")


@dataclass(frozen=True, slots=True)
class Grant:
    """A session's owner as the engine sees it."""

    generation: int
    epoch: int
    is_held: bool


class FeedReader(Protocol):
    """Who else wants to know what the engine says, in order."""

    def on_linked(self, durable_seq: Seq) -> None:
        """The link is up. Records up to `durable_seq` stand in the journal, the next ones come."""

    def on_record(self, record: Record, events: list[Event]) -> None:
        """This has happened, and is durable."""


class EngineWatch:
    """Keeps a link to the engine up and follows what it says. One event loop's own.

    `reference` is what exists as far as is known, and only grows; `limits` are those that hold.
    `durable_seq` is the last record that is known to be durable, None before the engine was there
    for the first time. `standing` is what else holds: kill switches, states of markets, fees,
    withdrawals under way.
    """

    def __init__(self, socket_path: Path, reader: FeedReader) -> None:
        self.reference = Reference()
        self.durable_seq: Seq | None = None
        self.limits = KnownLimits()
        self.standing = Standing()
        self._reader = reader
        self._socket_path = socket_path
        self._grants: dict[SessionId, Grant] = {}
        self._link: EngineLink | None = None

    @property
    def is_there(self) -> bool:
        """Whether the link is up."""
        return self._link is not None

    def find_grant(self, session_id: SessionId) -> Grant | None:
        """Return who owns the session, None for one that was never granted."""
        return self._grants.get(session_id)

    async def status(self) -> Status | None:
        """Return how the engine is, None when it is away or does not answer.

        After an answer `durable_seq` is past all that was told to anybody before the question.
        """
        if self._link is None:
            return None
        try:
            status = await self._link.status()
        except (LinkClosedError, TimeoutError):
            return None
        self.durable_seq = status.last_seq
        return status

    async def balances(self, account_id: AccountId) -> Balances | None:
        """Return what an account has, None when the engine is away or does not answer."""
        if self._link is None:
            return None
        try:
            return await self._link.balances(account_id)
        except (LinkClosedError, TimeoutError):
            return None

    async def book(self, instrument_id: InstrumentId, level_count_max: int) -> Book | None:
        """Return what stands in a book, None when the engine is away or does not answer."""
        if self._link is None:
            return None
        try:
            return await self._link.book(instrument_id, level_count_max)
        except (LinkClosedError, TimeoutError):
            return None

    async def submit(self, command: Command) -> Event:
        """Give the engine a command and return the first event that came of it, the answer.

        A refusal is an event too. Raises LinkClosedError or TimeoutError: then it may have been
        done or not.
        """
        event, *_ = (await self.ask(command)).events
        return event

    async def ask(self, command: Command) -> Outcome:
        """Give the engine a command, and return all that it has led to.

        Raises LinkClosedError or TimeoutError: then it may have been done or not.
        """
        if self._link is None:
            raise LinkClosedError("the engine is away")
        return await self._link.submit(command)

    async def what_if(self, order: NewOrder) -> WhatIf:
        """Return what would become of an order that is not entered.

        Raises LinkClosedError or TimeoutError.
        """
        if self._link is None:
            raise LinkClosedError("the engine is away")
        return await self._link.what_if(order)

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._follow_once()
            except (OSError, LinkClosedError, TimeoutError):
                await asyncio.sleep(RETRY_S)

    async def _follow_once(self) -> None:
        closed = asyncio.Event()
        early: list[Record] = []

        def take(records: list[Record]) -> None:
            # The welcome comes before them, also when they arrive before it was looked at.
            if self._link is None:
                early.extend(records)
            else:
                self._take(records)

        link = await EngineLink.connect(
            self._socket_path,
            NAME,
            on_records=take,
            on_closed=lambda _in_doubt: closed.set(),
        )
        # What was taken back meanwhile, nobody tells.
        self.limits = KnownLimits()
        self.standing = Standing()
        self.learn(link.welcome.events)
        self.durable_seq = Seq(link.welcome.next_seq - 1)
        self._reader.on_linked(self.durable_seq)
        self._link = link
        self._take(early)
        log.info("engine_available")
        try:
            await closed.wait()
        finally:
            self._link = None
            link.close()
            log.info("engine_unavailable")

    def _take(self, records: list[Record]) -> None:
        for record in records:
            events = record.events()
            self.learn(events)
            self.durable_seq = record.seq
            self._reader.on_record(record, events)

    def learn(self, events: list[Event]) -> None:
        """Take in what the engine has told."""
        for event in events:
            self.limits.learn(event)
            self.standing.learn(event)
            if isinstance(event, SessionOpened):
                grant = Grant(event.generation, event.epoch, is_held=True)
                self._grants[event.session_id] = grant
            elif isinstance(event, ReferenceEvent):
                self.reference.learn(event)
            elif isinstance(event, SessionReleased):
                before = self._grants.get(event.session_id)
                epoch = 0 if before is None else before.epoch
                grant = Grant(event.generation, epoch, is_held=False)
                self._grants[event.session_id] = grant
            elif isinstance(event, SessionReset):
                grant = Grant(event.generation, event.epoch, is_held=False)
                self._grants[event.session_id] = grant
