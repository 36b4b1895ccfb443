"""The projector's own connection to PostgreSQL: one, and patient."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from psycopg import AsyncConnection

from store.postgres import CONNECT_TIMEOUT_S, Connection

STATEMENT_TIMEOUT_MS: Final = 60_000
LOCK_TIMEOUT_MS: Final = 10_000


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Connection]:
    """Lend a connection in which each statement is a transaction of its own, unless one is begun.

    A commit does not wait for the disk, which is the journal's: what a crash of PostgreSQL takes
    back is written again, since the position goes back with it. Raises StoreError.
    """
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
        " -c synchronous_commit=off"
    )
    connection = await AsyncConnection.connect(
        url, connect_timeout=CONNECT_TIMEOUT_S, options=options, autocommit=True
    )
    async with connection:
        yield connection
