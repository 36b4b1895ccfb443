"""The connection pool to PostgreSQL, and what is needed before there can be one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg import AsyncConnection, conninfo, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 5000
POOL_WAIT_S: Final = 5.0
POOL_CONNECTIONS_MAX: Final = 8
RETRY_S: Final = 0.1

Connection = AsyncConnection[TupleRow]
"""What `Database.transaction` lends, and the functions of `store` are given."""

StoreError = psycopg.Error
"""Raised by everything in `store` when PostgreSQL does not do as asked, or cannot be reached."""


CLIENT_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


class Database:
    """PostgreSQL as the doors use it: a bounded pool in which every statement has a timeout.

    Belongs to one event loop.
    """

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=POOL_CONNECTIONS_MAX,
            timeout=POOL_WAIT_S,
            # A connection may have died with the server since: nobody is refused for that.
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            },
            open=False,
        )

    async def open(self) -> None:
        """Connect. Raises StoreError when PostgreSQL is not there within 5 seconds."""
        await self._pool.open(wait=True, timeout=POOL_WAIT_S)

    async def close(self) -> None:
        """Hang up."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Lend a connection with a transaction that ends with the block: commit, or roll back.

        Raises StoreError when no connection is to be had within 5 seconds.
        """
        async with self._pool.connection() as connection:
            yield connection

    async def ping(self) -> None:
        """Ask PostgreSQL for an answer. Raises StoreError when there is none."""
        async with self.transaction() as connection:
            await connection.execute("SELECT 1")


async def wait_until_reachable(url: str, *, timeout_s: float) -> None:
    """Return when PostgreSQL answers. Raises StoreError when it does not within the time."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            async with await AsyncConnection.connect(url, connect_timeout=CONNECT_TIMEOUT_S):
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(RETRY_S)


def client_variables(url: str) -> dict[str, str]:
    """Return the environment in which PostgreSQL's own programs find the database."""
    parameters = conninfo.conninfo_to_dict(url)
    return {
        variable: str(parameters[name])
        for name, variable in CLIENT_VARIABLES.items()
        if parameters.get(name) is not None
    }


async def ensure_database(url: str, name: str) -> str:
    """Create the database if it is not there, and return its URL. `url` names another one."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if await found.fetchone() is None:
            await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return conninfo.make_conninfo(url, dbname=name)
