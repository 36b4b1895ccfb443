"""What accounts have won or lost with what they traded today, in UTC."""

import msgspec

from engine.controls import DAY_NS
from engine.gate_state import DayResult, PriceSource
from engine.instrument import Instrument
from engine.units import AccountId, AssetId, InstrumentId
from risk.holdings import Desk

ResultLines = dict[InstrumentId, tuple[DayResult, int, PriceSource]]
"""Results by instrument, each beside what its quantity is multiplied with: a factor, a price."""


class DayResults:
    """The results of all accounts. Belongs to the thread that applies commands.

    The result is realised and unrealised together: the money that the day's trades brought, and
    what they left of the asset at the price of the moment, less what was paid in fees. What an
    account had when the day began does not count.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[AccountId, AssetId], ResultLines] = {}

    def begin(self, desk: Desk, source: PriceSource, now_ns: int) -> None:
        """Let the desk know what it has traded today, so that it goes on counting there."""
        instrument_id, day = desk.instrument.instrument_id, now_ns // DAY_NS
        key = (desk.account_id, desk.instrument.quote.asset_id)
        of_asset = self._results.setdefault(key, {})
        known = of_asset.get(instrument_id)
        if known is None or known[0].day != day:
            result = DayResult(desk.account_id, instrument_id, day)
            known = result, desk.instrument.notional_factor, source
            of_asset[instrument_id] = known
        desk.today, desk.day_ends_ns = known[0], (day + 1) * DAY_NS

    def find(self, account_id: AccountId, asset_id: AssetId) -> ResultLines | None:
        """Return what the account has traded for the asset, as it goes on, None for nothing yet."""
        return self._results.get((account_id, asset_id))

    def loss(self, account_id: AccountId, asset_id: AssetId, now_ns: int) -> int:
        """Return what the account has lost today in the asset, below zero for what it has won."""
        lines = self.find(account_id, asset_id)
        return 0 if lines is None else loss_of(lines, now_ns)

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


def loss_of(lines: ResultLines, now_ns: int) -> int:
    """Return what was lost today, below zero for what was won."""
    day = now_ns // DAY_NS
    loss = 0
    for result, factor, source in lines.values():
        if result.day == day:
            # `source.mark()`, written out: every order and every fill may ask.
            mark = source.trade_price or source.operator_price
            loss -= result.cash + mark * result.qty * factor
    return loss
