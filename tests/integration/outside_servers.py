"""PostgreSQL, Redis and an MQTT broker that are there already, for `make test-outside`.

Each venue has a share: a database of its own, an empty Redis database, and, where it publishes,
the broker for itself alone, for topics have no prefix. Test processes that run at once keep apart
by advisory locks of the PostgreSQL server, which end with whoever holds them.
"""

import asyncio
import os
import re
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiomqtt
import psycopg
import redis
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from fix_gateway.market_data.broker import parse_broker_url
from store.postgres import ensure_database

VARIABLES: Final = ("WCX_TEST_DATABASE_URL", "WCX_TEST_REDIS_URL", "WCX_TEST_MQTT_URL")
TOPICS: Final = "wcx/v1/#"
MARK: Final = "wcx_test"
"""Stands in every Redis database that a test has had: what else has keys is somebody's, and left
alone.
"""

# Classes of locks: each Redis database, the broker, each test process.
LOCKS_OF_REDIS, LOCK_OF_BROKER, LOCKS_OF_PROCESSES = 0x776378, 0x776379, 0x77637A
LOCK_WAIT_S: Final = 250
TEMPLATE_WAIT_S: Final = 10.0
BROKER_WAIT_S: Final = 30.0


@dataclass(frozen=True)
class Share:
    """What a venue has of the servers."""

    database: str
    redis_number: int


class OutsideServers:
    """The servers, and who of this process has what of them."""

    def __init__(self, database_url: str, redis_url: str, mqtt_url: str) -> None:
        self.database_url = database_url
        self._redis_url = redis_url
        self._mqtt_url = mqtt_url
        self._token = secrets.randbits(31)
        self._prefix = f"{MARK}_{self._token:08x}_"
        self._count = 0
        self._shares: dict[Path, Share] = {}
        self._publishers: set[Path] = set()
        self._kept: set[Path] = set()
        self._template: str | None = None

    @cached_property
    def _connection(self) -> psycopg.Connection[TupleRow]:
        """Holds the locks."""
        connection = psycopg.connect(self.database_url, autocommit=True)
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
        return connection

    def open(self) -> None:
        """Begin, and drop what test processes have left that were killed."""
        self._lock("pg_advisory_lock", LOCKS_OF_PROCESSES, self._token)
        for name in self._databases(f"{MARK}_"):
            found = re.match(rf"{MARK}_([0-7][0-9a-f]{{7}})_", name)
            if found is None:
                continue
            token = int(found[1], 16)
            if self._lock("pg_try_advisory_lock", LOCKS_OF_PROCESSES, token):
                self._drop(name)
                self._lock("pg_advisory_unlock", LOCKS_OF_PROCESSES, token)

    def name(self, name: str) -> str:
        """Return what a database of this process is called on the server."""
        return f"{self._prefix}{name}"

    def settings_for(self, data_dir: Path, *, has_market_data: bool) -> dict[str, str]:
        """Return the settings with which the venue of this data directory is on the servers.

        The share is made at the first call. Of a directory that is a copy of the template's the
        database is a copy, too.
        """
        share = self._shares.get(data_dir)
        if share is None:
            share = Share(self._make_database(data_dir), self._take_redis())
            self._shares[data_dir] = share
        if has_market_data and data_dir not in self._publishers:
            self._lock("pg_advisory_lock", LOCK_OF_BROKER, 0)
            self._publishers.add(data_dir)
            asyncio.run(self._forget_retained())
        return {
            "WCX_DATABASE_URL": make_conninfo(self.database_url, dbname=share.database),
            "WCX_REDIS_URL": self._redis_url_of(share.redis_number),
            "WCX_MQTT_URL": self._mqtt_url,
        }

    def keep(self, data_dir: Path, *, is_template: bool = False) -> None:
        """Let this share live as long as the process; the template's venue must have stopped."""
        self._kept.add(data_dir)
        if is_template:
            self._template = self._shares[data_dir].database

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Take back, at the end of the block, what was given in it."""
        before = set(self._shares)
        yield
        for data_dir in set(self._shares) - before - self._kept:
            self._release(data_dir)

    def close(self) -> None:
        """Take back everything, and drop every database of this process."""
        for data_dir in list(self._shares):
            self._release(data_dir)
        for name in self._databases(self._prefix):
            self._drop(name)
        self._connection.close()

    def _databases(self, prefix: str) -> list[str]:
        found = self._connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
        )
        return [name for (name,) in found]

    def _make_database(self, data_dir: Path) -> str:
        self._count += 1
        name = self.name(str(self._count))
        original = self._template if (data_dir / "journal").exists() else None
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(original or "template1")
        )
        deadline_s = time.monotonic() + TEMPLATE_WAIT_S
        while True:
            try:
                self._connection.execute(statement)
            except psycopg.errors.ObjectInUse:  # Somebody is still hanging up.
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
            else:
                return name

    def _take_redis(self) -> int:
        """Lock and empty a Redis database that is nobody's."""
        with redis.Redis.from_url(self._redis_url) as client:
            total = int(client.config_get("databases")["databases"])
        own = {share.redis_number for share in self._shares.values()}
        for number in sorted(set(range(total)) - own):
            if not self._lock("pg_try_advisory_lock", LOCKS_OF_REDIS, number):
                continue
            with redis.Redis.from_url(self._redis_url_of(number)) as client:
                if not client.dbsize() or client.exists(MARK):
                    client.flushdb()
                    client.set(MARK, self._prefix)
                    return number
            self._lock("pg_advisory_unlock", LOCKS_OF_REDIS, number)
        raise RuntimeError(f"all {total} databases of the Redis server are in use")

    def _release(self, data_dir: Path) -> None:
        share = self._shares.pop(data_dir)
        self._drop(share.database)
        with redis.Redis.from_url(self._redis_url_of(share.redis_number)) as client:
            client.flushdb()
        self._lock("pg_advisory_unlock", LOCKS_OF_REDIS, share.redis_number)
        if data_dir in self._publishers:
            self._publishers.remove(data_dir)
            asyncio.run(self._forget_retained())
            self._lock("pg_advisory_unlock", LOCK_OF_BROKER, 0)

    def _lock(self, function: str, lock_class: int, number: int) -> bool:
        statement = sql.SQL("SELECT {}(%s, %s)").format(sql.Identifier(function))
        row = self._connection.execute(statement, [lock_class, number]).fetchone()
        return row is not None and row[0] is not False

    def _drop(self, name: str) -> None:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self._connection.execute(statement)

    def _redis_url_of(self, number: int) -> str:
        return urlsplit(self._redis_url)._replace(path=f"/{number}").geturl()

    async def _forget_retained(self) -> None:
        """Empty the broker's retained topics: they are of a venue that has ended."""
        address = parse_broker_url(self._mqtt_url)
        end = TOPICS.replace("#", f"end/{secrets.token_hex(8)}")
        async with (
            aiomqtt.Client(
                address.host,
                address.port,
                username=address.username,
                password=address.password,
                tls_context=ssl.create_default_context() if address.is_tls else None,
            ) as client,
            asyncio.timeout(BROKER_WAIT_S),
        ):
            await client.subscribe(TOPICS, qos=1)
            await client.publish(end, b"end", qos=1)
            async for message in client.messages:
                if str(message.topic) == end:
                    return
                if message.retain:
                    await client.publish(str(message.topic), b"", qos=1, retain=True)


def _find_servers() -> OutsideServers | None:
    urls = [os.environ.get(name, "") for name in VARIABLES]
    return OutsideServers(*urls) if all(urls) else None


SERVERS: Final = _find_servers()
"""None: every venue starts servers of its own."""


async def make_database(url: str, name: str) -> str:
    """Create a database of this test process on the server that the URL is about."""
    return await ensure_database(url, name if SERVERS is None else SERVERS.name(name))
