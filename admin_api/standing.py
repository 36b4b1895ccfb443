"""What holds in the exchange until something is said to the contrary, as the engine has told it."""

from engine.controls import Level
from engine.events import (
    DeadManTimerExpired,
    DeadManTimerSet,
    Event,
    KillSwitchLifted,
    KillSwitchPulled,
    TradingStateChanged,
)
from engine.fee_rates import FeeRates
from engine.ledger_events import (
    CreditLineSet,
    FeesSet,
    FirmCreditLineSet,
    FirmFeeTierSet,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.scope import Scope
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money

CreditLines = dict[AssetId, Money]
"""How far below zero balances may go, by asset. One that is not there: not at all."""


class Standing:
    """Kill switches, states of markets, fees, credit, withdrawals, timers. One loop's own.

    `dead_man_timers` says when those that run expire.
    """

    def __init__(self) -> None:
        self.kill_switches: dict[tuple[Scope, int, Level], KillSwitchPulled] = {}
        self.market_states: dict[InstrumentId, TradingStateChanged] = {}
        self.fees: dict[tuple[InstrumentId, int], FeeRates] = {}
        self.fee_tiers: dict[FirmId, int] = {}
        self.credit_of_accounts: dict[AccountId, CreditLines] = {}
        self.credit_of_firms: dict[FirmId, CreditLines] = {}
        self.withdrawals: dict[int, WithdrawalRequested] = {}
        self.dead_man_timers: dict[AccountId, int] = {}

    def learn(self, event: Event) -> None:
        """Take in what an event says; most say nothing of this."""
        match event:
            case KillSwitchPulled():
                self.kill_switches[(event.scope, event.scope_id, event.level)] = event
            case KillSwitchLifted():
                self.kill_switches.pop((event.scope, event.scope_id, event.level), None)
            case TradingStateChanged(instrument_id):
                self.market_states[instrument_id] = event
            case FeesSet(instrument_id, tier, None):
                self.fees.pop((instrument_id, tier), None)
            case FeesSet(instrument_id, tier, FeeRates() as rates):
                self.fees[(instrument_id, tier)] = rates
            case FirmFeeTierSet(firm_id, tier):
                self.fee_tiers[firm_id] = tier
            case DeadManTimerSet(account_id, expires_at_ns) if expires_at_ns:
                self.dead_man_timers[account_id] = expires_at_ns
            case DeadManTimerSet(account_id) | DeadManTimerExpired(account_id):
                self.dead_man_timers.pop(account_id, None)
            case _:
                self._learn_of_money(event)

    def _learn_of_money(self, event: Event) -> None:
        match event:
            case CreditLineSet(account_id, asset_id, limit):
                _learn_line(self.credit_of_accounts.setdefault(account_id, {}), asset_id, limit)
            case FirmCreditLineSet(firm_id, asset_id, limit):
                _learn_line(self.credit_of_firms.setdefault(firm_id, {}), asset_id, limit)
            case WithdrawalRequested(withdrawal_id):
                self.withdrawals[withdrawal_id] = event
            case WithdrawalSettled(withdrawal_id):
                self.withdrawals.pop(withdrawal_id, None)
            case _:
                pass


def _learn_line(lines: CreditLines, asset_id: AssetId, limit: Money) -> None:
    if limit:
        lines[asset_id] = limit
    else:
        lines.pop(asset_id, None)
