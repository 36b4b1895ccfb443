"""What was revoked lately, known in every process that checks access: asked without any waiting.

PostgreSQL holds the truth and is read every second; Redis carries each revocation at once. While
one of the two answers, what is known here is complete to within seconds. When neither does, nobody
can say what was revoked: `is_current` is false, and whoever guards access must refuse.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import redis.asyncio
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from store.logins import forget_old, list_revoked
from store.postgres import Database, StoreError

CHANNEL: Final = "wcx:revoked"
PERIOD_S: Final = 1.0
SILENCE_MAX_S: Final = 5.0
REDIS_WAIT_S: Final = 2.0
FORGET_EVERY_S: Final = 60.0

log = structlog.get_logger("revocations")


class Revocations:
    """Subjects are `login:ID` and `key:ID`. Belongs to one event loop. Fails closed.

    `memory_s` is for how long a subject must be remembered: longer than any token lives.
    """

    def __init__(
        self,
        database: Database,
        url: str | None,
        *,
        memory_s: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._redis: redis.asyncio.Redis | None = None
        if url is not None:
            self._redis = redis.asyncio.Redis.from_url(
                url, socket_timeout=REDIS_WAIT_S, socket_connect_timeout=REDIS_WAIT_S
            )
        self._memory_s = memory_s
        self._clock_s = clock_s
        self._revoked: dict[str, float] = {}
        self._never_s = -SILENCE_MAX_S - 1.0 + clock_s()
        self._heard_at_s = self._never_s
        self._read_at_s = self._never_s
        self._forgotten_at_s = self._never_s

    @property
    def is_current(self) -> bool:
        """Whether all that was revoked until some seconds ago is known here."""
        return self._clock_s() - self._heard_at_s <= SILENCE_MAX_S

    def is_revoked(self, subject: str) -> bool:
        """Whether no access may rest on the subject any more."""
        return subject in self._revoked

    async def tell(self, subjects: Iterable[str]) -> None:
        """Spread what has just been written into PostgreSQL. Here it holds on return."""
        found = list(subjects)
        self._take(found)
        if self._redis is None:
            return
        try:
            for subject in found:
                await self._redis.publish(CHANNEL, subject)
        except (RedisError, OSError) as error:
            # The others read it within a second.
            log.warning("redis_away", error=repr(error))

    async def run(self) -> None:
        """Keep up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_on())
            if self._redis is not None:
                group.create_task(self._listen_on(self._redis))

    async def close(self) -> None:
        """Hang up."""
        if self._redis is not None:
            await self._redis.aclose()

    async def read(self) -> None:
        """Take over what PostgreSQL says. Raises StoreError."""
        began_at_s = self._clock_s()
        self._take(await self._list())
        oldest_s = began_at_s - self._memory_s
        self._revoked = {key: at_s for key, at_s in self._revoked.items() if at_s > oldest_s}
        self._read_at_s = began_at_s
        self._heard_at_s = max(self._heard_at_s, began_at_s)

    async def _list(self) -> list[str]:
        now_s = self._clock_s()
        async with self._database.transaction() as connection:
            if now_s - self._forgotten_at_s > FORGET_EVERY_S:
                await forget_old(connection, within_s=self._memory_s)
                self._forgotten_at_s = now_s
            return await list_revoked(connection, within_s=self._memory_s)

    def _take(self, subjects: Iterable[str]) -> None:
        now_s = self._clock_s()
        self._revoked.update((subject, now_s) for subject in subjects)

    async def _read_on(self) -> None:
        while True:
            try:
                await self.read()
            except StoreError as error:
                log.warning("store_away", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def _listen_on(self, client: redis.asyncio.Redis) -> None:
        while True:
            try:
                async with client.pubsub() as pubsub:
                    await self._listen(pubsub)
            except (RedisError, OSError) as error:
                log.warning("redis_away", error=repr(error))
                await asyncio.sleep(PERIOD_S)

    async def _listen(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(CHANNEL)
        subscribed_at_s = self._clock_s()
        while True:
            asked_at_s = self._clock_s()
            await pubsub.ping()
            while (message := await pubsub.get_message(timeout=PERIOD_S)) is not None:
                if message["type"] == "message":
                    self._take([message["data"].decode()])
                # What was said before we listened is known only if PostgreSQL was read since.
                elif message["type"] == "pong" and self._read_at_s >= subscribed_at_s:
                    self._heard_at_s = max(self._heard_at_s, asked_at_s)
