"""Audit entries of what the engine has done at once: written as soon as PostgreSQL lets them.

An order waits for no database. Who has given it is written down behind it; the order itself stands
in the journal whatever happens here.
"""

import asyncio
from collections import deque
from itertools import islice
from typing import Final

import structlog

from store.audit import AuditEntry, add_audit_entries
from store.postgres import Database, StoreError

PENDING_MAX: Final = 50_000
WRITTEN_AT_ONCE: Final = 500
RETRY_S: Final = 1.0

log = structlog.get_logger("admin.audit_later")


class AuditLater:
    """A queue of entries, in order. Full, it drops the newest and says so. One event loop's own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: deque[AuditEntry] = deque()
        self._is_due = asyncio.Event()

    def add(self, entry: AuditEntry) -> None:
        """Have an entry written soon."""
        log.info("audit", actor=entry.actor, action=entry.action, subject=entry.subject)
        if len(self._pending) >= PENDING_MAX:
            log.error("audit_entry_dropped", actor=entry.actor, action=entry.action)
            return
        self._pending.append(entry)
        self._is_due.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            try:
                await self.write()
            except StoreError as error:
                log.warning("audit_waits_for_the_store", error=str(error))
                self._is_due.set()
                await asyncio.sleep(RETRY_S)

    async def write(self) -> None:
        """Write all that waits. Raises StoreError."""
        while self._pending:
            part = list(islice(self._pending, WRITTEN_AT_ONCE))
            async with self._database.transaction() as connection:
                await add_audit_entries(connection, part)
            for _ in part:
                self._pending.popleft()
