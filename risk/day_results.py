"""What accounts have won or lost with what they traded today, in UTC."""

from collections.abc import Callable

import msgspec

from engine.controls import DAY_NS
from engine.events import Trade
from engine.gate_state import DayResult
from engine.instrument import Instrument
from engine.order import Side
from engine.units import AccountId, AssetId, InstrumentId, Price, Qty

BUY = Side.BUY


class DayResults:
    """The results of all accounts. Belongs to the thread that applies commands.

    The result is realised and unrealised together: the money that the day's trades brought, and
    what they left of the asset at the price of the moment, less what was paid in fees. What an
    account had when the day began does not count.
    """

    def __init__(self, mark_of: Callable[[InstrumentId], Price]) -> None:
        self._mark_of = mark_of
        self._results: dict[
            tuple[AccountId, AssetId], dict[InstrumentId, tuple[DayResult, Instrument]]
        ] = {}

    def learn(self, trade: Trade, instrument: Instrument, now_ns: int) -> None:
        """Count one side of a match."""
        account_id, day = trade.order.account_id, now_ns // DAY_NS
        of_asset = self._results.setdefault((account_id, instrument.quote.asset_id), {})
        known = of_asset.get(instrument.instrument_id)
        if known is None or known[0].day != day:
            known = DayResult(account_id, instrument.instrument_id, day), instrument
            of_asset[instrument.instrument_id] = known
        sign = 1 if trade.order.side is BUY else -1
        known[0].cash -= sign * trade.notional
        if trade.fee_asset_id == instrument.quote.asset_id:
            known[0].cash -= trade.fee
        known[0].qty += sign * trade.qty

    def loss(self, account_id: AccountId, asset_id: AssetId, now_ns: int) -> int:
        """Return what the account has lost today in the asset, below zero for what it has won."""
        day = now_ns // DAY_NS
        result = 0
        for known, instrument in self._results.get((account_id, asset_id), {}).values():
            if known.day == day:
                mark = self._mark_of(instrument.instrument_id)
                result += known.cash + instrument.notional(mark, Qty(known.qty))
        return -result

    def restore(self, result: DayResult, instrument: Instrument) -> None:
        """Put back what was counted."""
        of_asset = self._results.setdefault((result.account_id, instrument.quote.asset_id), {})
        of_asset[result.instrument_id] = msgspec.structs.replace(result), instrument

    def results(self) -> list[DayResult]:
        """Return copies of all results, the last day's of each account and instrument."""
        return [
            msgspec.structs.replace(known)
            for of_asset in self._results.values()
            for known, _ in of_asset.values()
        ]
