"""Assets, instruments and accounts: what exists, and the scales in which it is counted."""

from dataclasses import dataclass
from typing import Final

import msgspec

from engine.trading_state import TradingState
from engine.units import (
    INT_MAX,
    AccountId,
    AssetId,
    FirmId,
    InstrumentId,
    Money,
    Price,
    Qty,
    format_fixed,
    parse_fixed,
)

BPS: Final = 10_000


class Asset(msgspec.Struct, frozen=True, array_like=True):
    """Something that can be owned. Amounts are ints with `decimals` digits after the point."""

    asset_id: AssetId
    symbol: str
    decimals: int


class Account(msgspec.Struct, frozen=True, array_like=True):
    """An account of a firm. `name` is what Account(1) says on the wire."""

    account_id: AccountId
    firm_id: FirmId
    name: str


class InstrumentDefinition(msgspec.Struct, frozen=True, array_like=True):
    """What an operator says of an instrument.

    `tick_size` and `lot_size` are in the instrument's own decimals. `session_end_s` is when the
    trading day ends and DAY orders with it, in seconds after 00:00 UTC. `market_protection_bps` is
    how far from the best price a market order may trade, in hundredths of a percent; 0: anywhere.
    `initial_state` is the state that its market begins in.
    """

    instrument_id: InstrumentId
    symbol: str
    base_asset_id: AssetId
    quote_asset_id: AssetId
    price_decimals: int
    qty_decimals: int
    tick_size: Price
    lot_size: Qty
    session_end_s: int = 0
    market_protection_bps: int = 0
    initial_state: TradingState = TradingState.CONTINUOUS


@dataclass(frozen=True, slots=True)
class Instrument:
    """A defined instrument with the scales of its two assets: the one place where scales meet."""

    definition: InstrumentDefinition
    base: Asset
    quote: Asset
    notional_factor: int
    base_factor: int

    @property
    def instrument_id(self) -> InstrumentId:
        """The instrument's identity inside."""
        return self.definition.instrument_id

    @property
    def symbol(self) -> str:
        """Symbol(55)."""
        return self.definition.symbol

    def notional(self, price: Price, qty: Qty) -> Money:
        """Return what `qty` costs at `price`, in the quote asset. Exact: nothing is rounded."""
        return Money(price * qty * self.notional_factor)

    def base_amount(self, qty: Qty) -> Money:
        """Return `qty` as an amount of the base asset, in that asset's decimals."""
        return Money(qty * self.base_factor)

    def worst_price(self, best_price: Price, *, is_buy: bool) -> Price | None:
        """Return where a market order ends that finds `best_price`, None where it never does.

        On a tick, and never further away than the protection says; a sell's may be 0.
        """
        bps, tick = self.definition.market_protection_bps, self.definition.tick_size
        if not bps:
            return None
        if is_buy:
            return Price(best_price * (BPS + bps) // BPS // tick * tick)
        return Price(-(best_price * (bps - BPS) // BPS // tick * tick))

    def parse_price(self, text: str) -> Price | None:
        """Return the price that `text` names, None when it has no exact place in the scale."""
        value = parse_fixed(text, self.definition.price_decimals)
        return None if value is None else Price(value)

    def parse_qty(self, text: str) -> Qty | None:
        """Return the quantity that `text` names, None when it has no exact place in the scale."""
        value = parse_fixed(text, self.definition.qty_decimals)
        return None if value is None else Qty(value)

    def format_price(self, price: int) -> str:
        """Return Price(44) as text."""
        return format_fixed(price, self.definition.price_decimals)

    def format_qty(self, qty: int) -> str:
        """Return a quantity as text."""
        return format_fixed(qty, self.definition.qty_decimals)

    def format_notional(self, notional: int) -> str:
        """Return an amount of the quote asset as text."""
        return format_fixed(notional, self.quote.decimals)

    def format_average_price(self, cum_notional: Money, cum_qty: Qty) -> str:
        """Return AvgPx(6): "0" before the first fill, else two decimals finer than the price.

        The last digit is rounded half up. A figure for people: nothing is computed from it.
        """
        if cum_qty == 0:
            return "0"
        decimals = self.definition.price_decimals + 2
        denominator = cum_qty * self.notional_factor
        scaled = (cum_notional * 100 * 2 + denominator) // (denominator * 2)
        return format_fixed(scaled, decimals)


def make_instrument(
    definition: InstrumentDefinition, base: Asset, quote: Asset
) -> Instrument | None:
    """Join a definition with its assets.

    Returns None when a product of price and quantity would not fit the quote asset's decimals
    exactly, or a quantity the base asset's.
    """
    notional_decimals = quote.decimals - definition.price_decimals - definition.qty_decimals
    base_decimals = base.decimals - definition.qty_decimals
    if notional_decimals < 0 or base_decimals < 0:
        return None
    return Instrument(
        definition=definition,
        base=base,
        quote=quote,
        notional_factor=10**notional_decimals,
        base_factor=10**base_decimals,
    )


def fits_the_journal(amount: int) -> bool:
    """Whether an amount can be written down at all: the encoding ends at 64 bits."""
    return -INT_MAX <= amount <= INT_MAX
