"""The order of precedence: which check comes first, and which have anything to look at."""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.commands import NewOrder
from engine.controls import Control, InstrumentRules
from engine.gate import Candidate, Rejection
from engine.live_order import Order
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
    check_messages,
    check_messages_per_fill,
    check_notional,
    check_open_orders,
    check_open_orders_per_side,
    check_order_qty,
    check_other_asset,
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
    check_volume_share,
    has_collar,
    has_price_range,
    has_qty_range,
    has_reference,
    has_value,
)
from risk.plans import Plan
from risk.screen import Ranges, Screen
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


def _has_restrictions(plan: Plan) -> bool:
    return any(row.value for row in plan.rows.get(Control.RESTRICTED, ()))


TRADER_CHECKS: Final[tuple[TraderStage, ...]] = (
    TraderStage(check_rights, _has_restrictions),
    TraderStage(check_mode, lambda plan: plan.mode is not None),
    TraderStage(check_clock, _with_rules(lambda rules: rules.clock_skew_max_ns)),
)
"""Before the order itself is looked at."""

CHECKS: Final[tuple[Stage, ...]] = (
    Stage(check_rate, lambda plan: plan.throttle is not None),
    Stage(check_messages, _with_rows(Control.MESSAGES)),
    Stage(check_messages_per_fill, _with_rows(Control.MESSAGES_PER_FILL)),
    Stage(check_limits_exist, lambda plan: plan.limits is None),
    Stage(check_price_range, _with_rules(has_price_range)),
    Stage(check_qty_range, _with_rules(has_qty_range)),
    Stage(check_repetition, _with_rows(Control.REPEATED_ORDERS)),
    Stage(check_order_qty, _always),
    Stage(check_notional, _always),
    Stage(check_firm_qty, _with_rows(Control.ORDER_QTY)),
    Stage(check_firm_value, _with_rows(Control.ORDER_VALUE)),
    Stage(check_volume_share, _with_rules(lambda rules: rules.volume_share_max_bps)),
    Stage(check_asset, _with_rows(Control.ORDER_ASSET)),
    Stage(check_other_asset, _with_rows(Control.ORDER_ASSET)),
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
    """A plan with the checks that have something to look at in it, in order, and their screen."""

    __slots__ = ("_entry_checks", "plan", "screen", "trader_checks")

    def __init__(self, plan: Plan, ranges: Ranges) -> None:
        self.plan = plan
        self.screen = Screen(plan, ranges)
        self.trader_checks = tuple(stage.check for stage in TRADER_CHECKS if stage.applies(plan))
        self._entry_checks: tuple[EntryCheck, ...] | None = None

    def entry_checks(self) -> tuple[EntryCheck, ...]:
        """Return the checks of an order, found when the first order needs them."""
        if self._entry_checks is None:
            applying = (stage.check for stage in CHECKS if stage.applies(self.plan))
            self._entry_checks = tuple(applying)
        return self._entry_checks
