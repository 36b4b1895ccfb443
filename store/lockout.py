"""Lockout: who has shown wrong secrets must wait, longer each time, and everybody else must not.

Counted per name and address, never per name alone: nobody can lock a client out from elsewhere.
Shared by all processes through Redis; what this process has seen itself holds also while Redis is
away. It is asked at logons only and never touches who is logged on.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, cast

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

FREE_FAILURES: Final = 3
DELAY_MAX_S: Final = 300.0
MEMORY_S: Final = 900.0
REMEMBERED_MAX: Final = 10_000
REDIS_WAIT_S: Final = 0.25
REDIS_AWAY_S: Final = 5.0
V6_SITE_BITS: Final = 64

log = structlog.get_logger("lockout")

# One step: the failure is counted, and the moment until which to wait follows from the count.
NOTE_FAILURE: Final = """
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local over = failures - tonumber(ARGV[1])
local wait_ms = 0
if over > 0 then
    wait_ms = math.min(tonumber(ARGV[2]), 1000 * 2 ^ (over - 1))
end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], 'until_ms', string.format('%.0f', now_ms + wait_ms))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return failures
"""
WAIT_MS: Final = """
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'until_ms') or '0')
local now = redis.call('TIME')
return math.max(0, until_ms - (now[1] * 1000 + math.floor(now[2] / 1000)))
"""
QUESTION_BITS: Final = 62
USE_ONCE: Final = """
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[1]) then return 0 end
return redis.call('GET', KEYS[1]) == ARGV[2] and 0 or 1
"""


@dataclass(slots=True)
class Failures:
    """What one name and address have done lately."""

    count: int
    until_s: float
    forgotten_at_s: float


class Lockout:
    """Knows who must wait before showing a secret again. Belongs to one event loop.

    `url` None: what is shared by nobody is known to this process alone.
    """

    def __init__(self, url: str | None, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._redis: redis.asyncio.Redis | None = None
        if url is not None:
            self._redis = redis.asyncio.Redis.from_url(
                url,
                socket_timeout=REDIS_WAIT_S,
                socket_connect_timeout=REDIS_WAIT_S,
                retry=Retry(NoBackoff(), 1),
            )
        self._clock_s = clock_s
        self._failures: OrderedDict[str, Failures] = OrderedDict()
        self._away_until_s = 0.0

    async def wait_s(self, name: str, address: str) -> float:
        """Return how many seconds the name must not be tried from the address, 0.0 for none."""
        key = _key(name, address)
        local_s = self._local_wait_s(key)
        if local_s > 0:
            return local_s
        shared_ms = await self._ask(WAIT_MS, key)
        return shared_ms / 1000

    async def note_failure(self, name: str, address: str) -> None:
        """A wrong secret was shown."""
        key = _key(name, address)
        now_s = self._clock_s()
        found = self._failures.pop(key, None)
        count = 1 if found is None or found.forgotten_at_s < now_s else found.count + 1
        until_s = now_s + delay_s(count)
        self._failures[key] = Failures(count, until_s, now_s + MEMORY_S)
        if len(self._failures) > REMEMBERED_MAX:
            self._failures.popitem(last=False)
        await self._ask(
            NOTE_FAILURE, key, FREE_FAILURES, int(DELAY_MAX_S * 1000), int(MEMORY_S * 1000)
        )

    async def note_success(self, name: str, address: str) -> None:
        """The right secret was shown: the past is forgotten."""
        key = _key(name, address)
        self._failures.pop(key, None)
        await self._ask("return redis.call('DEL', KEYS[1])", key)

    async def is_first_use(self, digest: bytes, *, within_s: float) -> bool:
        """Whether nobody has asked about this digest within the time; now somebody has.

        Without Redis, whether nobody has asked this process.
        """
        key = f"wcx:used:{digest.hex()}"
        now_s = self._clock_s()
        found = self._failures.get(key)
        if found is not None and found.forgotten_at_s > now_s:
            return False
        self._failures[key] = Failures(0, 0.0, now_s + within_s)
        if len(self._failures) > REMEMBERED_MAX:
            self._failures.popitem(last=False)
        # The driver asks again when an answer is lost: its own mark must not look like another's.
        question = secrets.randbits(QUESTION_BITS)
        return await self._ask(USE_ONCE, key, int(within_s * 1000), question) == 0

    async def is_shared(self) -> bool:
        """Whether Redis answers, so that all processes know of the same failures."""
        if self._redis is None:
            return False
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        """Hang up."""
        if self._redis is not None:
            await self._redis.aclose()

    def _local_wait_s(self, key: str) -> float:
        found = self._failures.get(key)
        return 0.0 if found is None else max(0.0, found.until_s - self._clock_s())

    async def _ask(self, script: str, key: str, *arguments: int) -> int:
        """Return what the script says, 0 while Redis is away: then it is not asked for a while."""
        if self._redis is None or self._clock_s() < self._away_until_s:
            return 0
        try:
            answer = self._redis.eval(script, 1, key, *(str(value) for value in arguments))
            return int(await cast("Awaitable[int]", answer))
        except (RedisError, OSError) as error:
            self._away_until_s = self._clock_s() + REDIS_AWAY_S
            log.warning("redis_away", error=repr(error))
            return 0


def delay_s(failure_count: int) -> float:
    """Return how long to wait after so many failures in a row: none at first, then doubling."""
    over = failure_count - FREE_FAILURES
    return 0.0 if over <= 0 else min(DELAY_MAX_S, 2.0 ** min(over - 1, 30))


def _key(name: str, address: str) -> str:
    """Return the key of a name at an address; of IPv6 the network, which one client has whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        site = address
    else:
        if isinstance(parsed, IPv6Address):
            site = str(int(parsed) >> (128 - V6_SITE_BITS))
        else:
            site = str(parsed)
    digest = hashlib.sha256(f"{site}\0{name}".encode("utf-8", "replace")).hexdigest()
    return f"wcx:lockout:{digest}"
