"""What the gate knows of each market: its price, its rules, its breaker, and how far orders go."""

from collections.abc import Sequence

from engine.book import OrderBook
from engine.controls import InstrumentRules
from engine.events import (
    Trade,
    TradingStateChanged,
)
from engine.gate import Bound
from engine.gate_state import BreakerState, PriceSource
from engine.instrument import Instrument
from engine.order import Side
from engine.reasons import CancelReason
from engine.risk_events import (
    BreakerChanged,
)
from engine.trading_state import TradingState
from engine.units import InstrumentId, Price
from risk.circuit_breaker import Breaker
from risk.reference_price import find_band, find_reference

BUY = Side.BUY


class Markets:
    """All instruments' markets. Belongs to the thread that applies commands."""

    def __init__(self) -> None:
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.sources: dict[InstrumentId, PriceSource] = {}
        self.rules: dict[InstrumentId, InstrumentRules] = {}
        self._breakers: dict[InstrumentId, Breaker] = {}
        # The rules that say how far an order may trade once it is let in: of few instruments.
        self._bounding: dict[InstrumentId, InstrumentRules] = {}

    def add_instrument(self, instrument: Instrument) -> None:
        """An instrument exists."""
        instrument_id = instrument.instrument_id
        self.instruments[instrument_id] = instrument
        self.sources[instrument_id] = PriceSource(instrument_id)

    def set_rules(self, rules: InstrumentRules) -> None:
        """Let other rules hold from now on."""
        instrument_id = rules.instrument_id
        self.rules[instrument_id] = rules
        self._bounding.pop(instrument_id, None)
        if rules.execution_collar_bps or rules.market_protection_bps or rules.breaker:
            self._bounding[instrument_id] = rules
        breaker = self._breakers.get(instrument_id)
        if rules.breaker is None:
            self._breakers.pop(instrument_id, None)
        elif breaker is None:
            # Breakers stand in the order of the rules, as they do when these are restored.
            self.rules[instrument_id] = self.rules.pop(instrument_id)
            self._breakers[instrument_id] = Breaker(instrument_id, rules.breaker)
        else:
            breaker.set_rules(rules.breaker)

    def find_bound(
        self, instrument: Instrument, side: Side, book: OrderBook, now_ns: int, *, is_market: bool
    ) -> Bound | None:
        """Return how far an order may trade now, whatever its own price is, None for any price."""
        instrument_id = instrument.instrument_id
        rules = self._bounding.get(instrument_id)
        if rules is None:
            return None
        farthest = nearest = None
        reason = CancelReason.CIRCUIT_BREAKER
        band = self._band(instrument_id, now_ns)
        if band is not None:
            nearest, farthest = band if side is BUY else (band[1], band[0])
        protection_bps = rules.market_protection_bps if is_market else 0
        reference = None
        if protection_bps or rules.execution_collar_bps:
            reference = find_reference(self.sources[instrument_id], rules, book, now_ns)
        if reference is not None:
            tick = instrument.definition.tick_size
            for bps, reason_of_bps in (
                (rules.execution_collar_bps, CancelReason.EXECUTION_COLLAR),
                (protection_bps, CancelReason.MARKET_PROTECTION),
            ):
                if bps:
                    low, high = find_band(reference.price, bps, bps, tick)
                    price = high if side is BUY else low
                    assert price is not None
                    is_tighter = farthest is None or (
                        price < farthest if side is BUY else price > farthest
                    )
                    if is_tighter:
                        farthest, reason = price, reason_of_bps
        return None if farthest is None else Bound(farthest, reason, nearest)

    def breaker(self, instrument_id: InstrumentId) -> Breaker | None:
        """Return the instrument's circuit breaker, None for one without."""
        return self._breakers.get(instrument_id)

    def note_trade(self, breaker: Breaker, trade: Trade, now_ns: int) -> Sequence[BreakerChanged]:
        """Something traded, where there is a breaker. Returns what it has to tell."""
        told: Sequence[BreakerChanged] = ()
        if breaker.is_limited:
            band = self._band(trade.order.instrument_id, now_ns)
            if band is not None and band[0] < trade.price < band[1]:
                told = breaker.end_limit_state(band)
        breaker.note_trade(trade.price, now_ns)
        return told

    def learn_touch(self, instrument_id: InstrumentId, now_ns: int) -> Sequence[BreakerChanged]:
        """An order was stopped at the band. Returns what the breaker has to tell."""
        band = self._band(instrument_id, now_ns)
        if band is None:
            return ()
        return self._breakers[instrument_id].begin_limit_state(now_ns, band)

    def learn_state(self, event: TradingStateChanged, now_ns: int) -> None:
        """The market is in another trading state."""
        breaker = self._breakers.get(event.instrument_id)
        if breaker is None:
            return
        if event.state is TradingState.CONTINUOUS:
            if event.old_state is not TradingState.CONTINUOUS:
                breaker.note_opening(now_ns)
        else:
            breaker.note_stop()

    def next_ns(self) -> int | None:
        """Return when `take_due` next has something to tell, None when no market may pause."""
        times = (breaker.due_ns() for breaker in self._breakers.values())
        return min((due_ns for due_ns in times if due_ns is not None), default=None)

    def take_due(self, now_ns: int) -> list[BreakerChanged]:
        """Return which markets are to pause by now, each once."""
        told = []
        for instrument_id, breaker in self._breakers.items():
            due_ns = breaker.due_ns()
            if due_ns is not None and due_ns <= now_ns:
                band = self._band(instrument_id, now_ns)
                assert band is not None
                told.append(breaker.pause(now_ns, band))
        return told

    def breakers(self) -> list[BreakerState]:
        """Return what is remembered of the breakers."""
        return [breaker.state() for breaker in self._breakers.values()]

    def restore_breaker(self, state: BreakerState) -> None:
        """Put back what was remembered. The rules are set."""
        self._breakers[state.instrument_id].restore(state)

    def _band(self, instrument_id: InstrumentId, now_ns: int) -> tuple[Price, Price] | None:
        breaker = self._breakers.get(instrument_id)
        if breaker is None:
            return None
        tick = self.instruments[instrument_id].definition.tick_size
        return breaker.band(now_ns, self.sources[instrument_id].mark(), tick)
