"""What a price is measured from: the last trade, the mid of a fresh book, the operator's price."""

from typing import NamedTuple

from engine.book import OrderBook
from engine.controls import InstrumentRules
from engine.gate_state import PriceSource
from engine.instrument import BPS
from engine.units import InstrumentId, Price


class ReferencePrice(NamedTuple):
    """A price and of when it is."""

    price: Price
    at_ns: int


class Source:
    """What is known of an instrument's price, as it goes on: a `PriceSource` that lives."""

    __slots__ = (
        "book_changed_at_ns",
        "instrument_id",
        "operator_at_ns",
        "operator_price",
        "trade_at_ns",
        "trade_price",
    )

    def __init__(self, state: PriceSource) -> None:
        self.instrument_id = state.instrument_id
        self.trade_price = state.trade_price
        self.trade_at_ns = state.trade_at_ns
        self.operator_price = state.operator_price
        self.operator_at_ns = state.operator_at_ns
        self.book_changed_at_ns = state.book_changed_at_ns

    @classmethod
    def unknown(cls, instrument_id: InstrumentId) -> "Source":
        """Return what is known of an instrument that nobody has traded yet."""
        return cls(PriceSource(instrument_id))

    def state(self) -> PriceSource:
        """Return what it takes to go on from here."""
        return PriceSource(
            self.instrument_id,
            self.trade_price,
            self.trade_at_ns,
            self.operator_price,
            self.operator_at_ns,
            self.book_changed_at_ns,
        )

    def mark(self) -> Price:
        """Return what a position is valued at, however old it is. 0 when there is nothing."""
        return self.trade_price or self.operator_price


def find_reference(
    source: Source, rules: InstrumentRules, book: OrderBook, now_ns: int
) -> ReferencePrice | None:
    """Return what prices are measured from now, None when nothing is fresh enough.

    The first that there is of: the last trade, the mid of the book (rounded down), the operator's
    price. An age of 0 in the rules is any age.
    """
    age_max_ns = rules.trade_age_max_ns
    if source.trade_price and (not age_max_ns or now_ns - source.trade_at_ns <= age_max_ns):
        return ReferencePrice(source.trade_price, source.trade_at_ns)
    bid, ask = book.bids.best, book.asks.best
    if bid is not None and ask is not None and bid.price < ask.price:
        changed_at_ns = source.book_changed_at_ns
        if _is_fresh(changed_at_ns, rules.book_age_max_ns, now_ns):
            return ReferencePrice(Price((bid.price + ask.price) // 2), changed_at_ns)
    if source.operator_price and _is_fresh(
        source.operator_at_ns, rules.operator_age_max_ns, now_ns
    ):
        return ReferencePrice(source.operator_price, source.operator_at_ns)
    return None


def find_band(
    reference: Price, up_bps: int, down_bps: int, tick: Price
) -> tuple[Price | None, Price | None]:
    """Return the lowest and the highest price so far from the reference, on ticks, rounded inwards.

    Without hundredths of a percent there is no bound on that side.
    """
    low = lowest_price(reference, down_bps, tick) if down_bps else None
    high = highest_price(reference, up_bps, tick) if up_bps else None
    return low, high


def lowest_price(reference: Price, bps: int, tick: Price) -> Price:
    """Return the lowest price on a tick that is no more below the reference than that."""
    return Price(-(-reference * (BPS - bps) // (BPS * tick)) * tick)


def highest_price(reference: Price, bps: int, tick: Price) -> Price:
    """Return the highest price on a tick that is no more above the reference than that."""
    return Price(reference * (BPS + bps) // (BPS * tick) * tick)


def _is_fresh(at_ns: int, age_max_ns: int, now_ns: int) -> bool:
    return not age_max_ns or now_ns - at_ns <= age_max_ns
