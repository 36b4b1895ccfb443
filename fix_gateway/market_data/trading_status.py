"""Whether instruments are traded, as far as events say. Pure."""

from typing import Final, NamedTuple

import msgspec

from engine.events import (
    Event,
    KillSwitchLifted,
    KillSwitchPulled,
    StorageLowSet,
    TradingStateChanged,
)
from engine.instrument import InstrumentDefinition
from engine.scope import Scope
from engine.trading_state import TradingState
from engine.units import InstrumentId

WORDS: Final = {
    TradingState.PRE_OPEN: "pre_open",
    TradingState.OPENING: "opening",
    TradingState.CONTINUOUS: "open",
    TradingState.HALTED: "halted",
    TradingState.CANCEL_ONLY: "cancel_only",
    TradingState.POST_ONLY: "post_only",
    TradingState.CLOSED: "closed",
}


class Status(NamedTuple):
    """In which state an instrument is, why when it is not its own, and when that ends by itself."""

    status: str
    reason: str = ""
    ends_at_ns: int = 0


class SavedStatus(msgspec.Struct, frozen=True):
    """What is known of all instruments, to go on from."""

    is_halted: bool
    is_storage_low: bool
    states: dict[InstrumentId, tuple[TradingState, int]]


class TradingStatus:
    """The status of every instrument. Belongs to one thread.

    An instrument of which nothing was said is in the state that it was defined with.
    """

    def __init__(self) -> None:
        self._is_halted = False
        self._is_storage_low = False
        self._states: dict[InstrumentId, tuple[TradingState, int]] = {}

    def learn(self, event: Event) -> bool:
        """Take in an event; return whether it may have changed the status of any instrument."""
        match event:
            case TradingStateChanged():
                self._states[event.instrument_id] = event.state, event.ends_at_ns
            case KillSwitchPulled(Scope.EVERYTHING):
                self._is_halted = True
            case KillSwitchLifted(Scope.EVERYTHING):
                self._is_halted = False
            case StorageLowSet(is_low):
                self._is_storage_low = is_low
            case _:
                return False
        return True

    def status(self, definition: InstrumentDefinition) -> Status:
        """Return an instrument's status. The venue's own troubles go before."""
        if self._is_halted:
            # The operator's own words are not for everybody.
            return Status(WORDS[TradingState.HALTED], "an operator has stopped trading")
        if self._is_storage_low:
            reason = "the journal's disk is nearly full"
            return Status(WORDS[TradingState.CANCEL_ONLY], reason)
        state, ends_at_ns = self._states.get(
            definition.instrument_id, (definition.initial_state, 0)
        )
        return Status(WORDS[state], "", ends_at_ns)

    def save(self) -> SavedStatus:
        """Return what is known, for `restore`."""
        return SavedStatus(self._is_halted, self._is_storage_low, dict(self._states))

    @classmethod
    def restore(cls, saved: SavedStatus) -> "TradingStatus":
        """Return the status that was saved."""
        found = cls()
        found._is_halted, found._is_storage_low = saved.is_halted, saved.is_storage_low
        found._states = dict(saved.states)
        return found
