"""Budgets: how often somebody may call, counted in Redis for all processes together.

The generic cell rate algorithm, as in `risk.rate_limiter`, in one step of Redis and by its clock.
"""

import hashlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, cast

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

REDIS_WAIT_S: Final = 0.25
REDIS_AWAY_S: Final = 1.0
US_PER_S: Final = 1_000_000

# KEYS[1] holds when the last call that was let through is paid off, in microseconds. ARGV: the time
# that one call costs, and the burst. Returns whether it was let through, how many more would be,
# for how long to wait, and when all is paid off.
TAKE: Final = """
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local cost_us, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid_us = math.max(now_us, tonumber(redis.call('GET', KEYS[1]) or '0'))
local over_us = paid_us + cost_us - now_us - burst * cost_us
if over_us > 0 then
    return {0, 0, over_us, paid_us - now_us}
end
paid_us = paid_us + cost_us
redis.call('SET', KEYS[1], string.format('%.0f', paid_us),
    'PX', math.ceil((paid_us - now_us) / 1000) + 1000)
return {1, math.floor((burst * cost_us - paid_us + now_us) / cost_us), 0, paid_us - now_us}
"""

log = structlog.get_logger("budgets")


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left to somebody. `wait_s` is how long a call that `is_refused` has to wait."""

    limit: int
    remaining: int
    wait_s: float
    reset_s: float

    @property
    def is_refused(self) -> bool:
        """Whether this call is one too many. It has cost nothing."""
        return self.wait_s > 0


class Budgets:
    """Counts calls. Belongs to one event loop.

    Says nothing while Redis is away: whoever asks decides whether that means yes or no.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=REDIS_WAIT_S,
            socket_connect_timeout=REDIS_WAIT_S,
            retry=Retry(NoBackoff(), 1),
        )
        self._away_until_s = 0.0

    async def take(self, name: str, *, rate: int, burst: int) -> Budget | None:
        """Count a call of somebody who may make `rate` a second and `burst` at once.

        Returns None while Redis is away.
        """
        if time.monotonic() < self._away_until_s:
            return None
        key = f"wcx:budget:{hashlib.sha256(name.encode()).hexdigest()}"
        try:
            answer = self._redis.eval(TAKE, 1, key, str(US_PER_S // rate), str(burst))
            _, remaining, wait_us, reset_us = await cast("Awaitable[list[int]]", answer)
        except (RedisError, OSError) as error:
            self._away_until_s = time.monotonic() + REDIS_AWAY_S
            log.warning("redis_away", error=repr(error))
            return None
        return Budget(burst, remaining, wait_us / US_PER_S, reset_us / US_PER_S)

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()
