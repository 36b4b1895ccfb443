"""The phases of trading: markets go from one trading state to another, by command or by time."""

from typing import Final

from engine.commands import SetTradingState
from engine.events import CommandRefused, Event, TradingStateChanged
from engine.execution import Execution
from engine.floor import Floor
from engine.gate import Rejection
from engine.reasons import RejectReason
from engine.trading_state import RULES, MarketState, TradingState
from engine.uncrossing import Uncrossing, find_uncrossing, next_pair
from engine.units import InstrumentId, Qty

UNCROSSED_MAX: Final = 1000
EXCHANGE: Final = "exchange"
TIME_HAS_COME: Final = "the time has come"
GOES_ON: Final = "orders have left while the market opened"
UNCROSSED: Final = "no orders cross any more"
OPENING = TradingState.OPENING


class Phases:
    """Moves markets between trading states. Belongs to the thread that applies commands."""

    def __init__(self, floor: Floor, execution: Execution) -> None:
        self._floor = floor
        self._execution = execution
        # Those that go on by themselves: when their time has come, or at once while they open.
        self._moving: dict[InstrumentId, MarketState] = {}

    def restore(self, market: MarketState) -> None:
        """Put back the state of a market. Its book is open."""
        self._floor.books[market.instrument_id].market = market
        self._note(market)

    def events(self) -> list[TradingStateChanged]:
        """Return in which state each market is now, as the events that say so."""
        markets = [book.market for book in self._floor.books.values()]
        return [
            TradingStateChanged(
                each.instrument_id, each.state, each.state, "", "", ends_at_ns=each.ends_at_ns
            )
            for each in markets
        ]

    def change(self, now_ns: int, command: SetTradingState) -> list[Event]:
        """Put a market into another state, or say why not."""
        rejection = self._refusal(now_ns, command)
        if rejection is not None:
            return [
                CommandRefused(rejection.reason, limit=rejection.limit, actual=rejection.actual)
            ]
        market = self._floor.books[command.instrument_id].market
        if command.reference_price is not None:
            market.reference_price = command.reference_price
        events: list[Event] = []
        self._go_to(market, command, events)
        self._uncross(now_ns, market, events, UNCROSSED_MAX)
        return events

    def advance(self, now_ns: int) -> list[Event]:
        """Let markets go on whose time has come, and openings that are under way.

        At most `UNCROSSED_MAX` matches at a time: what is left stays due.
        """
        events: list[Event] = []
        budget = UNCROSSED_MAX
        due = [market for market in self._moving.values() if _due_ns(market) <= now_ns]
        for market in sorted(due, key=lambda market: (_due_ns(market), market.instrument_id)):
            if market.state is not OPENING:
                self._end_phase(now_ns, market, events)
            if budget:
                budget -= self._uncross(now_ns, market, events, budget)
        return events

    def next_ns(self) -> int | None:
        """Return when `advance` next has something to do, None when no market waits for a time."""
        return min(map(_due_ns, self._moving.values()), default=None)

    def indicate(self, instrument_id: InstrumentId) -> Uncrossing | None:
        """Return at what price the book would be uncrossed now, None when no orders cross."""
        instrument = self._floor.reference.instruments[instrument_id]
        return find_uncrossing(self._floor.books[instrument_id], instrument.definition.tick_size)

    def _refusal(self, now_ns: int, command: SetTradingState) -> Rejection | None:
        instrument = self._floor.reference.instruments.get(command.instrument_id)
        if instrument is None:
            return Rejection(RejectReason.SYMBOL_UNKNOWN, actual=command.instrument_id)
        state, ends_at_ns = command.state, command.ends_at_ns
        if state is OPENING:
            return Rejection(RejectReason.STATE_NOT_SETTABLE, actual=state.value)
        if ends_at_ns and (state is TradingState.CONTINUOUS or ends_at_ns <= now_ns):
            return Rejection(RejectReason.AMOUNT_INVALID, now_ns, ends_at_ns)
        if command.collects_ns < 0 or (command.collects_ns and not ends_at_ns):
            return Rejection(RejectReason.AMOUNT_INVALID, actual=command.collects_ns)
        price, tick_size = command.reference_price, instrument.definition.tick_size
        if price is not None and (price <= 0 or price % tick_size):
            return Rejection(RejectReason.TICK_SIZE, tick_size, price)
        return None

    def _end_phase(self, now_ns: int, market: MarketState, events: list[Event]) -> None:
        """Go on by itself: collect orders first if that was wished, else open."""
        state, ends_at_ns = TradingState.CONTINUOUS, 0
        if market.collects_ns and market.state is not TradingState.PRE_OPEN:
            # From now, however late it is: whoever wants to take part is given all of the time.
            state, ends_at_ns = TradingState.PRE_OPEN, now_ns + market.collects_ns
        command = SetTradingState(market.instrument_id, state, TIME_HAS_COME, EXCHANGE, ends_at_ns)
        self._go_to(market, command, events)

    def _go_to(self, market: MarketState, command: SetTradingState, events: list[Event]) -> None:
        """Enter a state, or OPENING on the way to one in which no orders may cross."""
        old_state, state = market.state, command.state
        market.ends_at_ns, market.collects_ns = command.ends_at_ns, command.collects_ns
        market.opening_price = None
        if market.rules.may_cross and not RULES[state].may_cross:
            market.opens_to = state
            self._open(market, command.reason, command.actor, events)
        else:
            market.state = state
            self._reach_stops(market)
            events.append(
                TradingStateChanged(
                    market.instrument_id,
                    old_state,
                    state,
                    command.reason,
                    command.actor,
                    market.ends_at_ns,
                )
            )
        self._note(market)

    def _open(self, market: MarketState, reason: str, actor: str, events: list[Event]) -> None:
        """Begin an uncrossing, or begin anew where cancels have spoilt the first."""
        old_state, market.state = market.state, OPENING
        found = self.indicate(market.instrument_id)
        volume = Qty(0)
        if found is not None:
            market.opening_price, volume = found.price, found.volume
        events.append(
            TradingStateChanged(
                instrument_id=market.instrument_id,
                old_state=old_state,
                state=OPENING,
                reason=reason,
                actor=actor,
                price=market.opening_price,
                volume=volume,
            )
        )

    def _uncross(
        self, now_ns: int, market: MarketState, events: list[Event], match_count_max: int
    ) -> int:
        """Go on with an opening, if one is under way. Returns how many matches there were."""
        book = self._floor.books[market.instrument_id]
        match_count = 0
        while market.state is OPENING and match_count < match_count_max:
            price = market.opening_price
            pair = None if price is None else next_pair(book, price)
            if pair is not None:
                self._execution.cross(*pair, now_ns, events)
                match_count += 1
            elif book.is_crossed:
                # Orders were cancelled or have expired since the price was found.
                self._open(market, GOES_ON, EXCHANGE, events)
            else:
                self._close_opening(market, events)
        return match_count

    def _close_opening(self, market: MarketState, events: list[Event]) -> None:
        market.state = market.opens_to
        market.opening_price = market.reference_price = None
        self._reach_stops(market)
        events.append(
            TradingStateChanged(
                market.instrument_id,
                OPENING,
                market.state,
                UNCROSSED,
                EXCHANGE,
                market.ends_at_ns,
            )
        )
        self._note(market)

    def _reach_stops(self, market: MarketState) -> None:
        """Trigger the stop orders whose price was reached while nothing was matched."""
        if market.state is TradingState.CONTINUOUS and market.last_price is not None:
            self._floor.reach_stops(self._floor.books[market.instrument_id], market.last_price)

    def _note(self, market: MarketState) -> None:
        """Remember whether the market goes on by itself."""
        if market.state is OPENING or market.ends_at_ns:
            self._moving[market.instrument_id] = market
        else:
            self._moving.pop(market.instrument_id, None)


def _due_ns(market: MarketState) -> int:
    return 0 if market.state is OPENING else market.ends_at_ns
