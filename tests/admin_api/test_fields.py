"""What fields of several bodies may hold."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from admin_api.schemas.fields import Timestamp

TIME = TypeAdapter(Timestamp)


def test_time_is_taken_with_its_offset() -> None:
    """As RFC 3339 has it."""
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for text in ("2026-11-23T12:00:00Z", "2026-11-23 13:00:00+01:00", "2026-11-23t12:00z"):
        assert TIME.validate_python(text) == noon


@pytest.mark.parametrize(
    "value",
    ["0", "1795435200", 1795435200, 1.5, True, None, "2026-11-23", "2026-11-23T12:00:00", ""],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    """A number above all: is it seconds or milliseconds?"""
    with pytest.raises(ValidationError):
        TIME.validate_python(value)
