"""Text becomes a scaled int exactly or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.units import INT_MAX, format_fixed, parse_fixed


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("4.35", 2, 435),
        ("4.3", 2, 430),
        ("4", 2, 400),
        ("4.", 2, 400),
        (".5", 2, 50),
        ("004.350", 2, 435),
        ("0", 0, 0),
        ("7", 0, 7),
        ("7.000", 0, 7),
        ("92233720368547758.07", 2, INT_MAX),
    ],
)
def test_exact_numbers_are_taken(text: str, decimals: int, value: int) -> None:
    """Any legal notation of a number that the scale holds gives that number."""
    assert parse_fixed(text, decimals) == value


@pytest.mark.parametrize(
    "text",
    [
        "4.355", "1e3", "NaN", "inf", "-1", "+1", "", ".", "1.2.3", " 1", "1 ", "1_000", "٣", "1,5",
        "0x10", "92233720368547758.08", "9" * 31, "1" + "0" * 5000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """What cannot be held exactly in two decimals, or is no plain number, is refused."""
    assert parse_fixed(text, 2) is None


@given(st.integers(-INT_MAX, INT_MAX), st.integers(0, 18))
def test_formatting_keeps_every_digit(value: int, decimals: int) -> None:
    """The text of a number parses to the number again."""
    text = format_fixed(value, decimals)
    assert parse_fixed(text.removeprefix("-"), decimals) == abs(value)
    assert text.startswith("-") == (value < 0)


@given(st.text(max_size=40), st.integers(0, 18))
def test_no_text_makes_it_raise(text: str, decimals: int) -> None:
    """Whatever a client sends, the answer is a number in range or None."""
    value = parse_fixed(text, decimals)
    assert value is None or 0 <= value <= INT_MAX
