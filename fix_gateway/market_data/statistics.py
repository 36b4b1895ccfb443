"""Trading in figures, a minute at a time: prices, volume and the number of trades.

Pure: a minute is that of the engine's clock, as the records have it.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from engine.units import InstrumentId, Money, Price, Qty

NS_PER_MINUTE: Final = 60 * 1_000_000_000


class Minute(msgspec.Struct, frozen=True, array_like=True):
    """What was traded of an instrument in one minute. Without a trade there is no such minute."""

    starts_at_ns: int
    open_price: Price
    high_price: Price
    low_price: Price
    close_price: Price
    qty: Qty
    notional: Money
    trade_count: int


@dataclass(slots=True)
class MinuteStatistics:
    """The minute that is running of each instrument. Belongs to one thread."""

    running: dict[InstrumentId, Minute]

    def add(
        self, instrument_id: InstrumentId, now_ns: int, price: Price, qty: Qty, notional: Money
    ) -> None:
        """Count a trade. Minutes that were over before it have been taken by `take_finished`."""
        starts_at_ns = now_ns - now_ns % NS_PER_MINUTE
        before = self.running.get(instrument_id)
        if before is None:
            self.running[instrument_id] = Minute(
                starts_at_ns, price, price, price, price, qty, notional, 1
            )
            return
        assert before.starts_at_ns == starts_at_ns
        self.running[instrument_id] = Minute(
            starts_at_ns,
            before.open_price,
            max(before.high_price, price),
            min(before.low_price, price),
            price,
            Qty(before.qty + qty),
            Money(before.notional + notional),
            before.trade_count + 1,
        )

    def take_finished(self, now_ns: int) -> list[tuple[InstrumentId, Minute]]:
        """Return the minutes that are over at `now_ns`, and forget them."""
        starts_at_ns = now_ns - now_ns % NS_PER_MINUTE
        finished = [
            (instrument_id, minute)
            for instrument_id, minute in self.running.items()
            if minute.starts_at_ns < starts_at_ns
        ]
        for instrument_id, _ in finished:
            del self.running[instrument_id]
        return finished
