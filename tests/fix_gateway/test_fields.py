"""Fields as texts, and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix_gateway.fix.fields import (
    UtcTimestamps,
    join_fields,
    parse_message,
    parse_utc_timestamp,
    printable,
)

SECOND_NS = 1_000_000_000
MOMENT_NS = 1_795_392_000 * SECOND_NS


def test_first_of_a_repeated_tag_counts() -> None:
    """Tags that repeat belong to groups, of which nothing is read."""
    assert parse_message("35=D\x01453=2\x01448=A\x01448=B\x01") == {35: "D", 453: "2", 448: "A"}


def test_data_field_hides_no_fields() -> None:
    """An OrderQty inside EncodedText(355) is text, not an order's quantity."""
    text = "35=D\x01354=9\x01355=ab\x0138=7\x01c\x0138=1\x01"
    assert parse_message(text) == {35: "D", 354: "9", 355: "ab\x0138=7\x01c", 38: "1"}


def test_value_may_hold_an_equals_sign() -> None:
    """Only the first one separates."""
    assert parse_message("58=a=b=c\x01") == {58: "a=b=c"}


@given(st.integers(0, 4_000_000_000 * SECOND_NS))
def test_times_survive_to_the_microsecond(time_ns: int) -> None:
    """What is formatted is parsed to the same microsecond."""
    text = UtcTimestamps().format(time_ns)
    assert parse_utc_timestamp(text) == time_ns // 1000 * 1000


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("20261123-00:00:00", MOMENT_NS),
        ("20261123-00:00:00.000", MOMENT_NS),
        ("20261123-00:00:00.001", MOMENT_NS + 1_000_000),
        ("20261123-00:00:00.000001", MOMENT_NS + 1000),
        ("20261123-00:00:00.000000001", MOMENT_NS + 1),
        ("20261122-23:59:60", MOMENT_NS),
        ("20261123-00:00:00.5", None),
        ("20261123 00:00:00", None),
        ("20261323-00:00:00", None),
        ("20260230-00:00:00", None),
        ("20261123-24:00:00", None),
        ("20261123-00:00:61", None),
        ("\u0662\u0660\u0662\u06661123-00:00:00", None),
        ("19691231-23:59:59", None),
        ("99991231-23:59:59", None),
        ("", None),
    ],
)
def test_times_of_every_legal_precision_are_read(text: str, time_ns: int | None) -> None:
    """Seconds, milli-, micro- and nanoseconds, a leap second; nothing else."""
    assert parse_utc_timestamp(text) == time_ns


@given(st.text())
def test_printable_text_may_stand_in_any_field(text: str) -> None:
    """Of the same length, and safe to hand to QuickFIX and to logs."""
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isascii()
    assert "\x01" not in join_fields([(58, shown)])[:-1]
