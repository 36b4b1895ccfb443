"""The order of precedence: which check comes first, and which have anything to look at."""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.commands import NewOrder
from engine.controls import Control, InstrumentRules
from engine.gate import Candidate, Rejection
from engine.order import Order, OrderView
from engine.units import AccountId, InstrumentId, SessionId, UserId
from risk.checks import (
    check_amendments,
    check_asset,
    check_balance,
    check_exposure,
    check_firm_qty,
    check_firm_value,
    check_icebergs,
    check_limits_exist,
    check_loss,
    check_notional,
    check_open_orders,
    check_open_orders_per_side,
    check_order_qty,
    check_position,
    check_rate,
    check_repetition,
    check_stops,
    check_unfilled,
)
from risk.instrument_checks import (
    check_band,
    check_collar,
    check_notional_range,
    check_price_range,
    check_qty_range,
    check_reference,
    has_collar,
    has_price_range,
    has_qty_range,
    has_reference,
    has_value,
)
from risk.plans import Plan
from risk.trader_checks import check_clock, check_mode, check_rights

TraderCheck = Callable[[Plan, NewOrder, Order | None], Rejection | None]
EntryCheck = Callable[[Plan, Candidate], Rejection | None]


class TraderStage(NamedTuple):
    """A check of who asks, and whether it has anything to look at."""

    check: TraderCheck
    applies: Callable[[Plan], bool]


class Stage(NamedTuple):
    """A check, and whether it has anything to look at: one that has not is left out of a plan."""

    check: EntryCheck
    applies: Callable[[Plan], bool]


def _always(_plan: Plan) -> bool:
    return True


def _with_rows(control: Control) -> Callable[[Plan], bool]:
    return lambda plan: control in plan.rows


def _with_rules(has: Callable[[InstrumentRules], object]) -> Callable[[Plan], bool]:
    return lambda plan: plan.rules is not None and bool(has(plan.rules))


TRADER_CHECKS: Final[tuple[TraderStage, ...]] = (
    TraderStage(check_rights, lambda plan: Control.RESTRICTED in plan.rows),
    TraderStage(check_mode, lambda plan: plan.mode is not None),
    TraderStage(check_clock, _with_rules(lambda rules: rules.clock_skew_max_ns)),
)
"""Before the order itself is looked at."""

CHECKS: Final[tuple[Stage, ...]] = (
    Stage(check_rate, lambda plan: plan.throttle is not None),
    Stage(check_limits_exist, lambda plan: plan.limits is None),
    Stage(check_price_range, _with_rules(has_price_range)),
    Stage(check_qty_range, _with_rules(has_qty_range)),
    Stage(check_repetition, _with_rows(Control.REPEATED_ORDERS)),
    Stage(check_order_qty, _always),
    Stage(check_notional, _always),
    Stage(check_firm_qty, _with_rows(Control.ORDER_QTY)),
    Stage(check_firm_value, _with_rows(Control.ORDER_VALUE)),
    Stage(check_asset, _with_rows(Control.ORDER_ASSET)),
    Stage(check_reference, _with_rules(has_reference)),
    Stage(check_notional_range, _with_rules(has_value)),
    Stage(check_collar, _with_rules(has_collar)),
    Stage(check_band, _with_rules(lambda rules: rules.band_ticks)),
    Stage(check_open_orders, _with_rows(Control.OPEN_ORDERS)),
    Stage(check_open_orders_per_side, _with_rows(Control.OPEN_ORDERS_PER_SIDE)),
    Stage(check_stops, _with_rows(Control.STOP_ORDERS)),
    Stage(check_icebergs, _with_rows(Control.ICEBERG_ORDERS)),
    Stage(check_amendments, _with_rows(Control.AMENDMENTS)),
    Stage(check_unfilled, _with_rows(Control.UNFILLED_ORDERS)),
    Stage(check_position, _with_rows(Control.POSITION)),
    Stage(check_exposure, lambda plan: bool(plan.exposures)),
    Stage(check_loss, lambda plan: bool(plan.losses)),
    Stage(check_balance, _always),
)
"""In the order of precedence: the first that refuses gives the reason."""


PlanKey = tuple[AccountId, InstrumentId, SessionId, UserId]


class Checked:
    """A plan with the checks that have something to look at in it, in order."""

    __slots__ = ("_key", "entry_checks", "plan", "trader_checks")

    def __init__(self, plan: Plan, key: PlanKey) -> None:
        self.plan = plan
        self._key = key
        self.trader_checks = tuple(stage.check for stage in TRADER_CHECKS if stage.applies(plan))
        self.entry_checks = tuple(stage.check for stage in CHECKS if stage.applies(plan))

    def fits(self, order: NewOrder | OrderView) -> bool:
        """Whether the order is one of those that the plan is for."""
        account_id, instrument_id, session_id, user_id = self._key
        return (
            order.account_id == account_id
            and order.instrument_id == instrument_id
            and order.session_id == session_id
            and order.user_id == user_id
        )
