"""Circuit breakers: trading stays within a band round its own mean, or pauses.

After the shape of the limit-up limit-down plan of the American equity markets: nothing trades
beyond the band; an order that would have starts a limit state; if nothing trades within the band
for a while after that, the market pauses and resumes by an uncrossing. The band is wider for a
while after trading has begun.
"""

from engine.controls import BreakerPhase, BreakerRules
from engine.gate_state import BreakerState
from engine.risk_events import BreakerChanged
from engine.units import InstrumentId, Price
from risk.reference_price import highest_price, lowest_price
from risk.windows import RollingSum


class Breaker:
    """The circuit breaker of one instrument. Belongs to the thread that applies commands.

    The limit state is on from `limited_since_ns`; 0: it is not.
    """

    def __init__(self, instrument_id: InstrumentId, rules: BreakerRules) -> None:
        self.rules = rules
        self._instrument_id = instrument_id
        self._prices = RollingSum(rules.window_ns)
        self._counts = RollingSum(rules.window_ns)
        self._mean = Price(0)
        self._opened_at_ns = 0
        self.limited_since_ns = 0

    def set_rules(self, rules: BreakerRules) -> None:
        """Let other rules hold from now on. Another window begins empty, from the mean so far."""
        if rules.window_ns != self.rules.window_ns:
            self._mean = self._last_mean()
            self._prices, self._counts = RollingSum(rules.window_ns), RollingSum(rules.window_ns)
        self.rules = rules

    def note_trade(self, price: Price, now_ns: int) -> None:
        """Something traded: the mean moves."""
        prices, counts = self._prices, self._counts
        if now_ns >= prices.ends_ns:
            prices.move_on(now_ns)
            counts.move_on(now_ns)
        prices.used += price
        counts.used += 1

    def note_opening(self, now_ns: int) -> None:
        """Orders are matched from now on."""
        self._opened_at_ns = now_ns

    def note_stop(self) -> None:
        """Orders are not matched any more: somebody else has stopped the market."""
        self.limited_since_ns = 0

    def mean(self, now_ns: int, otherwise: Price) -> Price:
        """Return what the band is round, 0 for nothing: the mean, or the last that there was."""
        counts, prices = self._counts, self._prices
        if now_ns < counts.ends_ns:
            count, total = counts.used, prices.used
        else:
            count, total = counts.total(now_ns), prices.total(now_ns)
        return Price(total // count) if count else self._last_mean() or otherwise

    def band(self, now_ns: int, otherwise: Price, tick: Price) -> tuple[Price, Price] | None:
        """Return between which prices orders trade now, on ticks, None when nothing is known."""
        mean = self.mean(now_ns, otherwise)
        if not mean:
            return None
        rules = self.rules
        bps = rules.band_bps
        if self._opened_at_ns and now_ns - self._opened_at_ns < rules.opening_ns:
            bps = max(bps, rules.opening_band_bps)
        return lowest_price(mean, bps, tick), highest_price(mean, bps, tick)

    def begin_limit_state(self, now_ns: int, band: tuple[Price, Price]) -> list[BreakerChanged]:
        """An order would have traded beyond the band. Returns what is to be told of it."""
        if self.limited_since_ns:
            return []
        self.limited_since_ns = now_ns
        return [self._tell(BreakerPhase.LIMIT_STATE, band, now_ns + self.rules.limit_state_ns)]

    def end_limit_state(self, band: tuple[Price, Price]) -> list[BreakerChanged]:
        """Something has traded within the band. Returns what is to be told of it."""
        if not self.limited_since_ns:
            return []
        self.limited_since_ns = 0
        return [self._tell(BreakerPhase.NORMAL, band, 0)]

    def due_ns(self) -> int | None:
        """Return when the market is to pause, None when it is not."""
        since_ns = self.limited_since_ns
        return since_ns + self.rules.limit_state_ns if since_ns else None

    def pause(self, now_ns: int, band: tuple[Price, Price]) -> BreakerChanged:
        """The limit state has lasted too long. Returns what is to be told of it."""
        self.limited_since_ns = 0
        return self._tell(BreakerPhase.PAUSE, band, now_ns + self.rules.pause_ns)

    def state(self) -> BreakerState:
        """Return what `restore` of a breaker with the same rules needs."""
        newest, prices = self._prices.state()
        return BreakerState(
            self._instrument_id,
            newest,
            prices,
            self._counts.state()[1],
            self._last_mean(),
            self._opened_at_ns,
            self.limited_since_ns,
        )

    def restore(self, state: BreakerState) -> None:
        """Go on from there."""
        self._prices.restore(state.newest, state.prices)
        self._counts.restore(state.newest, state.counts)
        self._mean = state.mean
        self._opened_at_ns = state.opened_at_ns
        self.limited_since_ns = state.limited_since_ns

    def _last_mean(self) -> Price:
        """Return the mean as it was when something traded last, 0 before that."""
        # Nothing has been looked through since: all that counted then is there.
        count = self._counts.used
        return Price(self._prices.used // count) if count else self._mean

    def _tell(
        self, phase: BreakerPhase, band: tuple[Price, Price], until_ns: int
    ) -> BreakerChanged:
        low, high = band
        collects_ns = self.rules.collects_ns if phase is BreakerPhase.PAUSE else 0
        return BreakerChanged(self._instrument_id, phase, low, high, until_ns, collects_ns)
