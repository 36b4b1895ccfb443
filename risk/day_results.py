"""What accounts have won or lost with what they traded today, in UTC."""

from engine.controls import DAY_NS
from engine.gate_state import DayResult
from engine.instrument import Instrument
from engine.units import AccountId, AssetId, InstrumentId
from risk.holdings import Desk, Traded
from risk.reference_price import Source

ResultLines = dict[InstrumentId, Traded]


class DayResults:
    """The results of all accounts. Belongs to the thread that applies commands.

    The result is realised and unrealised together: the money that the day's trades brought, and
    what they left of the asset at the price of the moment, less what was paid in fees. What an
    account had when the day began does not count.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[AccountId, AssetId], ResultLines] = {}

    def begin(self, desk: Desk, source: Source, now_ns: int) -> None:
        """Let the desk know what it has traded today, so that it goes on counting there."""
        instrument, day = desk.instrument, now_ns // DAY_NS
        of_asset = self._results.setdefault((desk.account_id, instrument.quote.asset_id), {})
        traded = of_asset.get(instrument.instrument_id)
        if traded is None or traded.day != day:
            traded = Traded(day, instrument.notional_factor, source)
            of_asset[instrument.instrument_id] = traded
        desk.today, desk.day_ends_ns = traded, (day + 1) * DAY_NS

    def find(self, account_id: AccountId, asset_id: AssetId) -> ResultLines | None:
        """Return what the account has traded for the asset, as it goes on, None for nothing yet."""
        return self._results.get((account_id, asset_id))

    def loss(self, account_id: AccountId, asset_id: AssetId, now_ns: int) -> int:
        """Return what the account has lost today in the asset, below zero for what it has won."""
        lines = self.find(account_id, asset_id)
        return 0 if lines is None else loss_of(lines, now_ns)

    def restore(self, result: DayResult, instrument: Instrument, source: Source) -> None:
        """Put back what was counted."""
        of_asset = self._results.setdefault((result.account_id, instrument.quote.asset_id), {})
        traded = Traded(result.day, instrument.notional_factor, source)
        traded.cash, traded.qty = result.cash, result.qty
        of_asset[result.instrument_id] = traded

    def results(self) -> list[DayResult]:
        """Return all results, the last day's of each account and instrument."""
        return [
            DayResult(account_id, instrument_id, traded.day, traded.cash, traded.qty)
            for (account_id, _), of_asset in self._results.items()
            for instrument_id, traded in of_asset.items()
        ]


def loss_of(lines: ResultLines, now_ns: int) -> int:
    """Return what was lost today, below zero for what was won."""
    day = now_ns // DAY_NS
    loss = 0
    for traded in lines.values():
        if traded.day == day:
            # `source.mark()`, written out: every order and every fill may ask.
            mark = traded.source.trade_price or traded.source.operator_price
            loss -= traded.cash + mark * traded.qty * traded.notional_factor
    return loss
