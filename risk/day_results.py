"""What accounts have won or lost with what they traded today, in UTC."""

import msgspec

from engine.controls import DAY_NS
from engine.events import Trade
from engine.gate_state import DayResult, PriceSource
from engine.instrument import Instrument
from engine.order import Side
from engine.units import AccountId, AssetId, InstrumentId

BUY = Side.BUY


class DayResults:
    """The results of all accounts. Belongs to the thread that applies commands.

    The result is realised and unrealised together: the money that the day's trades brought, and
    what they left of the asset at the price of the moment, less what was paid in fees. What an
    account had when the day began does not count.
    """

    def __init__(self) -> None:
        # Beside each result, what the quantity is multiplied with: a factor and the price.
        self._results: dict[
            tuple[AccountId, AssetId], dict[InstrumentId, tuple[DayResult, int, PriceSource]]
        ] = {}

    def learn(self, trade: Trade, instrument: Instrument, source: PriceSource, now_ns: int) -> None:
        """Count one side of a match."""
        account_id, day = trade.order.account_id, now_ns // DAY_NS
        of_asset = self._results.setdefault((account_id, instrument.quote.asset_id), {})
        known = of_asset.get(instrument.instrument_id)
        if known is None or known[0].day != day:
            result = DayResult(account_id, instrument.instrument_id, day)
            known = result, instrument.notional_factor, source
            of_asset[instrument.instrument_id] = known
        result = known[0]
        sign = 1 if trade.order.side is BUY else -1
        result.cash -= sign * trade.notional
        if trade.fee_asset_id == instrument.quote.asset_id:
            result.cash -= trade.fee
        result.qty += sign * trade.qty

    def loss(self, account_id: AccountId, asset_id: AssetId, now_ns: int) -> int:
        """Return what the account has lost today in the asset, below zero for what it has won."""
        day = now_ns // DAY_NS
        result = 0
        for known, factor, source in self._results.get((account_id, asset_id), {}).values():
            if known.day == day:
                result += known.cash
                if known.qty:
                    # `source.mark()`, written out: every order and every fill may ask.
                    mark = source.trade_price or source.operator_price
                    result += mark * known.qty * factor
        return -result

    def restore(self, result: DayResult, instrument: Instrument, source: PriceSource) -> None:
        """Put back what was counted."""
        of_asset = self._results.setdefault((result.account_id, instrument.quote.asset_id), {})
        known = msgspec.structs.replace(result), instrument.notional_factor, source
        of_asset[result.instrument_id] = known

    def results(self) -> list[DayResult]:
        """Return copies of all results, the last day's of each account and instrument."""
        return [
            msgspec.structs.replace(known)
            for of_asset in self._results.values()
            for known, _, _ in of_asset.values()
        ]
