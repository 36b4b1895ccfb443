"""Times of the journal as PostgreSQL and REST clients read them."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(time_ns: int) -> str:
    """Return a time as RFC 3339 has it, with the six decimals that FIX clients are sent."""
    moment = EPOCH + timedelta(microseconds=time_ns // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
