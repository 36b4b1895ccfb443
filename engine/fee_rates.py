"""What a trade costs: rates in millionths of its value, and the one rule of their rounding."""

from typing import Final

import msgspec

from engine.units import Money

PPM: Final = 1_000_000
FEE_PPM_MAX: Final = 100_000
"""A tenth of the value: what a seller is paid always covers his fee."""


class FeeRates(msgspec.Struct, frozen=True, array_like=True):
    """What is charged of a trade's value in the quote asset, in millionths; below 0 it is paid out.

    `maker_ppm` for the order that was in the book, `taker_ppm` for the one that came in.
    """

    maker_ppm: int
    taker_ppm: int

    def fee(self, notional: Money, *, is_resting: bool) -> Money:
        """Return what one fill costs, below 0 for a rebate. Rounded towards zero, to a unit.

        So a client never pays more than the exact rate, and fills too small for a unit earn none.
        """
        return _share(notional, self.maker_ppm if is_resting else self.taker_ppm)

    def worst_fee(self, notional: Money) -> Money:
        """Return the most that fills of that value can cost in all, however they are cut up."""
        return _share(notional, max(self.maker_ppm, self.taker_ppm, 0))

    @property
    def is_usable(self) -> bool:
        """Whether the rates lie within what the ledger can always settle."""
        return max(abs(self.maker_ppm), abs(self.taker_ppm)) <= FEE_PPM_MAX


def _share(notional: Money, ppm: int) -> Money:
    if ppm >= 0:
        return Money(notional * ppm // PPM)
    return Money(-(notional * -ppm // PPM))
