"""Identities and fixed-point numbers: every price, quantity and amount of money is an int.

A number on the wire is decimal text; inside it is an int in the scale that its instrument or asset
declares. Text becomes an int once, at a door, exactly or not at all.
"""

from typing import Final, NewType

Seq = NewType("Seq", int)
"""A command's place in the journal, from 1, without gaps."""

OrderId = NewType("OrderId", int)
"""OrderID(37): the `seq` of the command that created the order."""

TradeId = NewType("TradeId", int)
"""TrdMatchID(880): one per match, the same on both sides."""

ClOrdId = NewType("ClOrdId", str)
"""ClOrdID(11): the client's name for an order or request."""

FirmId = NewType("FirmId", int)
AccountId = NewType("AccountId", int)
SessionId = NewType("SessionId", int)
UserId = NewType("UserId", int)
AssetId = NewType("AssetId", int)
InstrumentId = NewType("InstrumentId", int)

Price = NewType("Price", int)
"""In the instrument's price decimals."""

Qty = NewType("Qty", int)
"""In the instrument's quantity decimals."""

Money = NewType("Money", int)
"""In the asset's own decimals."""

INT_MAX: Final = 2**63 - 1
"""The largest number that the journal's encoding carries."""

DIGITS_MAX: Final = 30
"""More digits than any legal number has: longer text is refused before it is converted."""


CL_ORD_ID_LENGTH_MAX: Final = 36


def is_cl_ord_id(text: str) -> bool:
    """Whether the text may be a ClOrdID: 1 to 36 of A-Z, a-z, 0-9, `-` and `_`."""
    if len(text) > CL_ORD_ID_LENGTH_MAX or not text.isascii():
        return False
    return text.replace("-", "0").replace("_", "0").isalnum()


def parse_fixed(text: str, decimals: int) -> int | None:
    """Return the non-negative number that `text` names, scaled by 10 to the `decimals`.

    Returns None for what is not a plain decimal number in ASCII digits, and for what the scale
    cannot hold exactly: nothing is ever rounded. Zeros beyond the scale do no harm (`1.500`).
    The notation is FIX's own (FIX 4.4 vol. 1, "float"): no exponent, leading zeros allowed. A sign
    is refused too: nothing that a client sends may be negative.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if len(digits) > DIGITS_MAX or not (digits.isascii() and digits.isdigit()):
        return None
    if len(fraction) > decimals:
        if fraction[decimals:].strip("0"):
            return None
        fraction = fraction[:decimals]
    value = int(whole + fraction.ljust(decimals, "0") or "0")
    return value if value <= INT_MAX else None


def format_fixed(value: int, decimals: int) -> str:
    """Return decimal text for a scaled int, with exactly `decimals` digits after the point."""
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    if decimals == 0:
        return sign + digits
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"
