"""Times of the journal as PostgreSQL and REST clients read them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_S: Final = 1_000_000_000
NS_PER_US: Final = 1000


def format_time(time_ns: int) -> str:
    """Return a time as RFC 3339 has it, with the six decimals that FIX clients are sent."""
    second, rest_ns = divmod(time_ns, NS_PER_S)
    return f"{_format_second(second)}.{rest_ns // NS_PER_US:06}Z"


@lru_cache(maxsize=64)
def _format_second(second: int) -> str:
    """Cached: of all that happens in a second it is done once."""
    return f"{EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"
