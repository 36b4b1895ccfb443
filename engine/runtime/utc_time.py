"""Times as people write them: ISO 8601 in UTC, to the nanosecond."""

import re
from datetime import UTC, datetime
from typing import Final

NS_PER_S: Final = 1_000_000_000
FRACTION_DIGITS: Final = 9
TIME: Final = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,9}))?(?:Z|\+00:00)",
    re.ASCII,
)


def parse_time_ns(text: str) -> int | None:
    """Return the nanoseconds since 1970, None for what is not a time in UTC, `Z` and all."""
    match = TIME.fullmatch(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match["whole"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    fraction = (match["fraction"] or "").ljust(FRACTION_DIGITS, "0")
    return int(whole.timestamp()) * NS_PER_S + int(fraction)


def format_time_ns(time_ns: int) -> str:
    """Return the time in UTC, with all nine digits of its fraction."""
    seconds, fraction = divmod(time_ns, NS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction:0{FRACTION_DIGITS}}Z"
