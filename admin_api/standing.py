"""What holds in the exchange until something is said to the contrary, as the engine has told it."""

from engine.controls import Level
from engine.events import (
    Event,
    KillSwitchLifted,
    KillSwitchPulled,
    TradingStateChanged,
)
from engine.fee_rates import FeeRates
from engine.ledger_events import (
    FeesSet,
    FirmFeeTierSet,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.scope import Scope
from engine.units import FirmId, InstrumentId


class Standing:
    """Kill switches, states of markets, fees, withdrawals under way. One event loop's own."""

    def __init__(self) -> None:
        self.kill_switches: dict[tuple[Scope, int, Level], KillSwitchPulled] = {}
        self.market_states: dict[InstrumentId, TradingStateChanged] = {}
        self.fees: dict[tuple[InstrumentId, int], FeeRates] = {}
        self.fee_tiers: dict[FirmId, int] = {}
        self.withdrawals: dict[int, WithdrawalRequested] = {}

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
            case WithdrawalRequested(withdrawal_id):
                self.withdrawals[withdrawal_id] = event
            case WithdrawalSettled(withdrawal_id):
                self.withdrawals.pop(withdrawal_id, None)
            case _:
                pass
