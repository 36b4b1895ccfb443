"""Trading states: what an instrument's market takes at the moment, and whether it matches."""

from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from engine.reasons import RejectReason
from engine.units import InstrumentId, Price


class TradingState(Enum):
    """What the market of an instrument does at the moment."""

    PRE_OPEN = 1
    OPENING = 2
    CONTINUOUS = 3
    HALTED = 4
    CANCEL_ONLY = 5
    POST_ONLY = 6
    CLOSED = 7


class Entry(Enum):
    """Which new orders are taken: all, none, those that can wait for a match, or post-only ones."""

    ALL = auto()
    NONE = auto()
    WAITING = auto()
    POST_ONLY = auto()


class StateRules(NamedTuple):
    """What a state admits. Cancels are taken in every state, orders matched in CONTINUOUS alone.

    `may_cross`: bids may stand at or above asks, for nothing matches them. `refusal` is what
    an order is told that the state does not take.
    """

    entry: Entry
    takes_amendments: bool
    may_cross: bool
    refusal: RejectReason | None


RULES: Final = {
    TradingState.PRE_OPEN: StateRules(
        entry=Entry.WAITING,
        takes_amendments=True,
        may_cross=True,
        refusal=RejectReason.NOT_WHILE_COLLECTING,
    ),
    TradingState.OPENING: StateRules(
        entry=Entry.NONE,
        takes_amendments=False,
        may_cross=True,
        refusal=RejectReason.MARKET_OPENING,
    ),
    TradingState.CONTINUOUS: StateRules(
        entry=Entry.ALL,
        takes_amendments=True,
        may_cross=False,
        refusal=None,
    ),
    TradingState.HALTED: StateRules(
        entry=Entry.NONE,
        takes_amendments=False,
        may_cross=True,
        refusal=RejectReason.MARKET_HALTED,
    ),
    TradingState.CANCEL_ONLY: StateRules(
        entry=Entry.NONE,
        takes_amendments=False,
        may_cross=True,
        refusal=RejectReason.MARKET_CANCEL_ONLY,
    ),
    TradingState.POST_ONLY: StateRules(
        entry=Entry.POST_ONLY,
        takes_amendments=True,
        may_cross=False,
        refusal=RejectReason.MARKET_POST_ONLY,
    ),
    TradingState.CLOSED: StateRules(
        entry=Entry.NONE,
        takes_amendments=False,
        may_cross=True,
        refusal=RejectReason.MARKET_CLOSED,
    ),
}


class MarketState(msgspec.Struct, array_like=True):
    """The state of an instrument's market.

    It goes on by itself at `ends_at_ns`, 0 for never: after a state in which nothing is taken
    orders are collected for `collects_ns` first, unless that is 0, then the market opens.
    `last_price` is what traded last, `reference_price` what an operator has named for the next
    opening. While OPENING, what is matched trades at `opening_price`, and `opens_to` follows.
    """

    instrument_id: InstrumentId
    state: TradingState
    last_price: Price | None = None
    reference_price: Price | None = None
    ends_at_ns: int = 0
    collects_ns: int = 0
    opening_price: Price | None = None
    opens_to: TradingState = TradingState.CONTINUOUS

    @property
    def rules(self) -> StateRules:
        """What holds in the present state."""
        return RULES[self.state]
