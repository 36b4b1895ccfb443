"""What holds at a moment, as the events that say so: for whoever joins late."""

from engine.events import Event, KillSwitchPulled
from engine.gate import RiskGate
from engine.kill_switches import KillSwitches
from engine.risk_events import (
    AccountThrottleSet,
    InstrumentRulesSet,
    LimitSet,
    OverrideGranted,
    RiskLimitsSet,
    ScopeLimitsSet,
    TradingModeSet,
)


def rules_in_force(gate: RiskGate, kill_switches: KillSwitches) -> list[Event]:
    """Return which limits, rules of instruments, modes and kill switches hold now."""
    state = gate.state()
    return [
        *(LimitSet(limit, state.version) for limit in state.limits),
        *(InstrumentRulesSet(rules, state.version) for rules in state.rules),
        *(TradingModeSet(mode) for mode in state.modes),
        *(OverrideGranted(override) for override in state.overrides),
        *(
            KillSwitchPulled(
                switch.scope, switch.scope_id, switch.reason, switch.actor, switch.level
            )
            for switch in kill_switches.pulled()
        ),
        *(RiskLimitsSet(limits) for limits in gate.limits()),
        *(ScopeLimitsSet(limits) for limits in gate.scope_limits()),
        *(AccountThrottleSet(throttle.account_id, throttle) for throttle in gate.throttles()),
    ]
