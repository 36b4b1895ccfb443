"""What a gate remembers between two orders, as data: part of the state of the exchange."""

import msgspec

from engine.controls import InstrumentRules, Limit, Override, TradingMode
from engine.units import AccountId, InstrumentId, Price


class PriceSource(msgspec.Struct, array_like=True):
    """What is known of an instrument's price. 0 is nothing."""

    instrument_id: InstrumentId
    trade_price: Price = Price(0)
    trade_at_ns: int = 0
    operator_price: Price = Price(0)
    operator_at_ns: int = 0
    book_changed_at_ns: int = 0


class DayResult(msgspec.Struct, array_like=True):
    """An account's trades of a day in an instrument: the money they brought, the quantity bought.

    `day` counts from 1970. Either number is below zero for what was paid and what was sold.
    """

    account_id: AccountId
    instrument_id: InstrumentId
    day: int
    cash: int = 0
    qty: int = 0


class UsageState(msgspec.Struct, frozen=True, array_like=True):
    """What was used of a limit that counts over a time: as a rolling sum, or as a repetition."""

    newest: int = 0
    parts: list[int] = []
    signature: list[int] = []
    count: int = 0
    since_ns: int = 0


class BreakerState(msgspec.Struct, frozen=True, array_like=True):
    """A circuit breaker: the prices of its window and how many, and since when it is as it is."""

    instrument_id: InstrumentId
    newest: int
    prices: list[int]
    counts: list[int]
    mean: Price
    opened_at_ns: int
    limited_since_ns: int


class GateState(msgspec.Struct, frozen=True, array_like=True):
    """Everything that a gate's next answer can depend on, beside limits that are kept elsewhere.

    `usages` belong to the rows of `limits`, one to each row, whatever levels it has. What accounts
    hold and have open is not here: it follows from the balances and the open orders.
    """

    version: int = 0
    limits: list[Limit] = []
    usages: list[UsageState] = []
    rules: list[InstrumentRules] = []
    sources: list[PriceSource] = []
    modes: list[TradingMode] = []
    overrides: list[Override] = []
    day_results: list[DayResult] = []
    breakers: list[BreakerState] = []
