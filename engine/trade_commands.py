"""Commands about trades that have happened: an operator undoes one, or has it settled anew."""

import msgspec

from engine.order import OrderView
from engine.units import InstrumentId, Money, Price, Qty, TradeId


class TradeSide(msgspec.Struct, frozen=True, array_like=True):
    """One side of a trade: the order as the trade left it, the fee, and which event told of it."""

    order: OrderView
    event_index: int
    fee: Money


class BookedTrade(msgspec.Struct, frozen=True, array_like=True):
    """A trade as the journal's record `trade_seq` tells of it. Whoever asks has read it there.

    The engine keeps no trades: it compares with what it still knows, and believes the rest.
    """

    trade_id: TradeId
    trade_seq: int
    instrument_id: InstrumentId
    qty: Qty
    price: Price
    aggressor: TradeSide
    resting: TradeSide


class BustTrade(msgspec.Struct, frozen=True, array_like=True, tag=90):
    """Undo a trade: everything that it moved goes back, fees too, and no order is opened again.

    Refused when an account cannot give back what it got, unless it `is_forced`: then that account
    gets as much credit as it lacks.
    """

    trade: BookedTrade
    reason: str
    actor: str = ""
    is_forced: bool = False


class CorrectTrade(msgspec.Struct, frozen=True, array_like=True, tag=91):
    """Settle a trade anew at another price, or for less than it was. Otherwise as `BustTrade`.

    Fees change with the value.
    """

    trade: BookedTrade
    qty: Qty
    price: Price
    reason: str
    actor: str = ""
    is_forced: bool = False


TradeCommand = BustTrade | CorrectTrade
"""What an operator may do about a trade that has happened."""
