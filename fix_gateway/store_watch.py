"""Keeps a gateway process's sessions as PostgreSQL says, while it runs."""

import asyncio
from typing import Final

import structlog

from fix_gateway.metrics import GatewayMetrics
from fix_gateway.roster import Roster
from store.postgres import Database, StoreError
from store.sessions import fingerprint_sessions, list_live_credential_ids, list_sessions

STORE_RETRY_S: Final = 0.5
LOOK_S: Final = 5.0

log = structlog.get_logger("gateway")


class StoreWatch:
    """Reads sessions and credentials and hands them to the roster."""

    def __init__(self, database: Database, roster: Roster, metrics: GatewayMetrics) -> None:
        self._database = database
        self._roster = roster
        self._fingerprint = ""
        self._turn = asyncio.Lock()
        self._metrics = metrics

    async def load(self) -> None:
        """Read for the first time. Waits for PostgreSQL as long as it takes."""
        while True:
            try:
                await self._database.open()
                await self.refresh()
            except StoreError as error:
                self._metrics.store_available.set(0)
                log.warning("store_away", error=str(error))
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

    async def refresh(self) -> None:
        """Read everything and apply it. Raises StoreError when PostgreSQL is away.

        Clients whose session or credential is not live any more are on their way out then; new
        sessions are still to be taken.
        """
        async with self._turn:
            await self._read(always=True)

    async def watch(self) -> None:
        """Look every few seconds whether something has changed, until cancelled.

        The net below explicit refreshes: it also finds credentials that have just expired.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                async with self._turn:
                    await self._read(always=False)
            except StoreError as error:
                self._metrics.store_available.set(0)
                log.warning("store_away", error=str(error))

    async def _read(self, *, always: bool) -> None:
        in_use = self._roster.credentials_in_use()
        async with self._database.transaction() as connection:
            fingerprint = await fingerprint_sessions(connection)
            rows = None
            if always or fingerprint != self._fingerprint:
                rows = await list_sessions(connection)
            live = await list_live_credential_ids(connection, in_use) if in_use else []
        self._metrics.store_available.set(1)
        if rows is not None:
            self._roster.apply(rows)
        self._fingerprint = fingerprint
        self._roster.log_out_credentials(set(in_use).difference(live))
