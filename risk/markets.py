"""What the gate knows of each market: its price, its rules, its breaker, and how far orders go."""

from collections.abc import Sequence

from engine.book import OrderBook
from engine.controls import InstrumentRules
from engine.events import Trade, TradingStateChanged
from engine.gate import Bound
from engine.gate_state import BreakerState
from engine.instrument import Instrument
from engine.order import Side
from engine.reasons import CancelReason
from engine.risk_events import BreakerChanged
from engine.trading_state import TradingState
from engine.units import InstrumentId, Price
from risk.circuit_breaker import Breaker
from risk.reference_price import Source, find_reference, highest_price, lowest_price

BUY = Side.BUY
CIRCUIT_BREAKER, EXECUTION_COLLAR, MARKET_PROTECTION = (
    CancelReason.CIRCUIT_BREAKER,
    CancelReason.EXECUTION_COLLAR,
    CancelReason.MARKET_PROTECTION,
)

NO_BAND = Price(0), Price(0)

_Bounding = tuple[InstrumentRules, Breaker | None, Source, Price]
"""What says how far orders may trade in an instrument: rules, breaker, price, and the tick."""


class Markets:
    """All instruments' markets. Belongs to the thread that applies commands."""

    def __init__(self) -> None:
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.sources: dict[InstrumentId, Source] = {}
        self.rules: dict[InstrumentId, InstrumentRules] = {}
        self._breakers: dict[InstrumentId, Breaker] = {}
        # The rules that say how far an order may trade once it is let in: of few instruments.
        self._bounding: dict[InstrumentId, _Bounding] = {}

    def add_instrument(self, instrument: Instrument) -> None:
        """An instrument exists."""
        instrument_id = instrument.instrument_id
        self.instruments[instrument_id] = instrument
        self.sources[instrument_id] = Source.unknown(instrument_id)

    def set_rules(self, rules: InstrumentRules) -> None:
        """Let other rules hold from now on."""
        instrument_id = rules.instrument_id
        self.rules[instrument_id] = rules
        breaker = self._breakers.get(instrument_id)
        if rules.breaker is None:
            self._breakers.pop(instrument_id, None)
        elif breaker is None:
            # Breakers stand in the order of the rules, as they do when these are restored.
            self.rules[instrument_id] = self.rules.pop(instrument_id)
            self._breakers[instrument_id] = Breaker(instrument_id, rules.breaker)
        else:
            breaker.set_rules(rules.breaker)
        self._bounding.pop(instrument_id, None)
        if rules.execution_collar_bps or rules.market_protection_bps or rules.breaker:
            self._bounding[instrument_id] = (
                rules,
                self._breakers.get(instrument_id),
                self.sources[instrument_id],
                self.instruments[instrument_id].definition.tick_size,
            )

    def find_bound(
        self, instrument: Instrument, side: Side, book: OrderBook, now_ns: int, *, is_market: bool
    ) -> Bound | None:
        """Return how far an order may trade now, whatever its own price is, None for any price."""
        bounding = self._bounding.get(instrument.instrument_id)
        if bounding is None:
            return None
        rules, breaker, source, tick = bounding
        is_buy = side is BUY
        farthest = nearest = None
        reason = CIRCUIT_BREAKER
        band = None if breaker is None else breaker.band(now_ns, source.mark(), tick)
        if band is not None:
            nearest, farthest = band if is_buy else (band[1], band[0])
        collar_bps = rules.execution_collar_bps
        protection_bps = rules.market_protection_bps if is_market else 0
        reference = None
        if collar_bps or protection_bps:
            reference = find_reference(source, rules, book, now_ns)
        if reference is not None:
            farthest_of = highest_price if is_buy else lowest_price
            for bps, reason_of_bps in (
                (collar_bps, EXECUTION_COLLAR),
                (protection_bps, MARKET_PROTECTION),
            ):
                if bps:
                    price = farthest_of(reference.price, bps, tick)
                    is_tighter = farthest is None or (
                        price < farthest if is_buy else price > farthest
                    )
                    if is_tighter:
                        farthest, reason = price, reason_of_bps
        return None if farthest is None else Bound(farthest, reason, nearest)

    def breaker(self, instrument_id: InstrumentId) -> Breaker | None:
        """Return the instrument's circuit breaker, None for one without."""
        return self._breakers.get(instrument_id)

    def end_limit_state(self, trade: Trade, now_ns: int) -> Sequence[BreakerChanged]:
        """Something trades in a limit state, which ends if that is within the band."""
        instrument_id = trade.order.instrument_id
        band = self._band(instrument_id, now_ns)
        if band is None or not band[0] < trade.price < band[1]:
            return ()
        return self._breakers[instrument_id].end_limit_state(band)

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
                # The operator may have taken back the price that the band was round.
                band = self._band(instrument_id, now_ns) or NO_BAND
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
