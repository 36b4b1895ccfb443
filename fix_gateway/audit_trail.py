"""What the gateway audits, written to the store in the background: a Logon never waits for it."""

import asyncio
from collections import deque
from typing import Final

import structlog

from store.audit import AuditEntry, add_audit_entries
from store.postgres import Database, StoreError

ENTRIES_MAX: Final = 10_000
ENTRIES_PER_WRITE: Final = 500
WRITE_S: Final = 0.5

log = structlog.get_logger("audit")


class AuditTrail:
    """Keeps entries until the store has them. Belongs to one event loop.

    The store may be away for long: of what is too much the oldest is lost, but it stands in the
    log, as every entry does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: deque[AuditEntry] = deque(maxlen=ENTRIES_MAX)

    def add(self, entry: AuditEntry) -> None:
        """Note that something has happened."""
        log.info(
            "audit", actor=entry.actor, action=entry.action, subject=entry.subject, **entry.detail
        )
        self._entries.append(entry)

    async def run(self) -> None:
        """Write what comes until cancelled."""
        while True:
            await asyncio.sleep(WRITE_S)
            await self.write()

    async def write(self) -> None:
        """Write what there is, as far as the store takes it."""
        while self._entries:
            part = [
                self._entries.popleft() for _ in range(min(len(self._entries), ENTRIES_PER_WRITE))
            ]
            try:
                async with self._database.transaction() as connection:
                    await add_audit_entries(connection, part)
            except StoreError as error:
                log.warning("audit_waits", error=str(error), entries=len(part))
                self._entries.extendleft(reversed(part))
                return
