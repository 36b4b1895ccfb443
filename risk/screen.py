"""The limits of a plan, merged ahead of time: says with a few comparisons that all checks pass.

Most orders are inside all limits, and the checks would say so one after the other. So the tightest
of each kind is found once, when the plan is made. What the screen does not let through at once is
for the checks to decide: it refuses nothing, and lets nothing through that they would refuse. A
test holds the one against the other.
"""

from collections.abc import Iterable
from typing import Final

from engine.commands import NewOrder
from engine.controls import Control, InstrumentRules
from engine.gate import Candidate
from engine.instrument import BPS
from engine.order import Side
from engine.units import INT_MAX
from risk.checks import counts_of, holding_of
from risk.holdings import PLAIN_TYPES
from risk.instrument_checks import has_reference, volume_share_of
from risk.limits import LimitRow
from risk.plans import Plan
from risk.windows import RollingSum

BUY = Side.BUY
NO_ROWS: Final[tuple[LimitRow, ...]] = ()


class Screen:
    """The merged limits of one plan: made with it, thrown away with it."""

    __slots__ = (
        "_alike",
        "_base_factor",
        "_buy_bps",
        "_buys",
        "_counted",
        "_credited",
        "_has_counts",
        "_has_reference",
        "_has_sums",
        "_is_open",
        "_loss_max",
        "_market_qty_max",
        "_nets",
        "_notional_factor",
        "_notional_max",
        "_notional_min",
        "_open_orders",
        "_open_orders_per_side",
        "_plan",
        "_positions",
        "_price_max",
        "_price_min",
        "_qty_max",
        "_qty_min",
        "_sell_bps",
        "_sells",
        "_takes_icebergs",
        "_trade_age_max_ns",
        "_width",
    )

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._is_open = plan.limits is not None
        self._base_factor = plan.instrument.base_factor
        self._notional_factor = plan.instrument.notional_factor
        rules = plan.rules or InstrumentRules(plan.instrument.instrument_id)
        self._merge_orders(plan, rules)
        self._merge_prices(plan, rules)
        self._merge_counts(plan)
        self._merge_sums(plan)

    def lets_through(self, entry: Candidate) -> bool:
        """Whether all checks of the plan let the order pass. False: they have to be asked."""
        order, funding, plan = entry.order, entry.funding, self._plan
        price, order_qty, notional = order.price, order.order_qty, funding.notional
        if price is None:
            is_inside = order_qty <= self._market_qty_max
        else:
            is_inside = (
                self._price_min <= price <= self._price_max and notional >= self._notional_min
            )
        return (
            is_inside
            and self._is_open
            and entry.replaced is None
            and order.ord_type in PLAIN_TYPES
            and self._qty_min <= order_qty <= self._qty_max
            and notional <= self._notional_max
            and funding.needed <= funding.available
            and (self._takes_icebergs or order.terms is None or not order.terms.display_qty)
            and (plan.throttle is None or not plan.throttle.wait_ns(entry.now_ns))
            and (not self._has_reference or self._is_near(order, entry.now_ns))
            and (not self._credited or self._is_credited(entry.now_ns))
            and (not self._has_counts or self._has_room(order))
            and (not self._has_sums or self._stays_below(entry))
        )

    def _is_near(self, order: NewOrder, now_ns: int) -> bool:
        """Whether the order's price is near the last trade's, if that is what it is measured by.

        On ticks, which prices are, it is the same whether the bounds are rounded to ticks or not.
        """
        source, price, age_max_ns = self._plan.source, order.price, self._trade_age_max_ns
        reference = source.trade_price
        if not reference or (age_max_ns and now_ns - source.trade_at_ns > age_max_ns):
            return False
        if price is None:
            value = reference * order.order_qty * self._notional_factor
            return self._notional_min <= value <= self._notional_max
        low_bps, high_bps = self._buy_bps if order.side is BUY else self._sell_bps
        return (
            reference * low_bps <= price * BPS <= reference * high_bps
            and -self._width <= price - reference <= self._width
        )

    def _has_room(self, order: NewOrder) -> bool:
        """Whether one more order is inside all that is counted."""
        is_buy = order.side is BUY
        for counts, most in self._open_orders:
            if counts.buys + counts.sells >= most:
                return False
        for counts, most in self._open_orders_per_side:
            if (counts.buys if is_buy else counts.sells) >= most:
                return False
        for window, most in self._counted:
            if window.kept >= most:
                return False
        for repetition, most in self._alike:  # noqa: SIM110  # A generator is a call more.
            if repetition.count >= most:
                return False
        return True

    def _is_credited(self, now_ns: int) -> bool:
        """Whether there were fills for all messages."""
        return all(window.total(now_ns) < most for window, most in self._credited)

    def _stays_below(self, entry: Candidate) -> bool:
        """Whether the order is inside all limits of amounts that add up."""
        order, notional, plan = entry.order, entry.funding.notional, self._plan
        is_buy = order.side is BUY
        amount = order.order_qty * self._base_factor
        for holding, most in self._positions:
            worst = holding.balance + holding.open_buy
            if not is_buy:
                worst = holding.open_sell - holding.balance
            if worst + amount > most:
                return False
        for window, most in self._buys if is_buy else self._sells:
            if window.kept + notional > most:
                return False
        for window, most in self._nets:
            if abs(window.total(entry.now_ns) + (notional if is_buy else -notional)) > most:
                return False
        if self._loss_max is None:
            return True
        quote = plan.instrument.quote.asset_id
        return plan.day.loss(plan.account.account_id, quote, entry.now_ns) <= self._loss_max

    def _merge_orders(self, plan: Plan, rules: InstrumentRules) -> None:
        rows = plan.rows
        base = plan.instrument.base.asset_id
        order_limits = plan.order_limits
        qtys: list[int | None] = [limits.order_qty_max for limits in order_limits]
        qtys += [row.value for row in rows.get(Control.ORDER_QTY, NO_ROWS)]
        if rules.volume_share_max_bps:
            # Nothing passes while the volume is not known: for the check to say so.
            qtys.append(volume_share_of(rules))
        notionals: list[int | None] = [limits.notional_max for limits in order_limits]
        notionals += [row.value for row in rows.get(Control.ORDER_VALUE, NO_ROWS)]
        for row in rows.get(Control.ORDER_ASSET, NO_ROWS):
            if row.asset_id == base:
                qtys.append(row.value // self._base_factor)
            else:
                notionals.append(row.value)
        self._qty_min, self._qty_max = rules.order_qty_min, _tightest(rules.order_qty_max, *qtys)
        self._market_qty_max = _tightest(rules.market_qty_max)
        self._notional_min = rules.notional_min
        self._notional_max = _tightest(rules.notional_max, *notionals)

    def _merge_prices(self, plan: Plan, rules: InstrumentRules) -> None:
        self._price_min, self._price_max = rules.price_min, _tightest(rules.price_max)
        self._has_reference = has_reference(rules)
        self._trade_age_max_ns = rules.trade_age_max_ns
        self._buy_bps = _bps_of(rules.buy_down_bps, rules.buy_up_bps)
        self._sell_bps = _bps_of(rules.sell_down_bps, rules.sell_up_bps)
        self._width = _tightest(rules.band_ticks * plan.instrument.definition.tick_size)

    def _merge_counts(self, plan: Plan) -> None:
        rows = plan.rows
        # Others than plain orders are for the checks; these may be icebergs.
        self._takes_icebergs = Control.ICEBERG_ORDERS not in rows
        self._open_orders = [
            (counts_of(plan, row), row.value) for row in rows.get(Control.OPEN_ORDERS, NO_ROWS)
        ]
        self._open_orders_per_side = [
            (counts_of(plan, row), row.value)
            for row in rows.get(Control.OPEN_ORDERS_PER_SIDE, NO_ROWS)
        ]
        self._counted = _windows_of(rows.get(Control.UNFILLED_ORDERS, NO_ROWS))
        self._counted += _windows_of(rows.get(Control.MESSAGES, NO_ROWS))
        self._credited = _windows_of(rows.get(Control.MESSAGES_PER_FILL, NO_ROWS))
        self._alike = [
            (row.repetition, row.value)
            for row in rows.get(Control.REPEATED_ORDERS, NO_ROWS)
            if row.repetition is not None
        ]
        self._has_counts = bool(
            self._open_orders or self._open_orders_per_side or self._counted or self._alike
        )

    def _merge_sums(self, plan: Plan) -> None:
        base = plan.instrument.base.asset_id
        self._positions = [
            (holding_of(plan, row), row.value)
            for row in plan.rows.get(Control.POSITION, NO_ROWS)
            if row.asset_id == base
        ]
        # What is below 0 may be forgotten too: the sum can grow by itself.
        nets = [row for row in plan.exposures if row.control is Control.NET_EXPOSURE]
        others = [row for row in plan.exposures if row.control is not Control.NET_EXPOSURE]
        self._nets = _windows_of(nets)
        self._buys = _windows_of(row for row in others if row.buy_sign)
        self._sells = _windows_of(row for row in others if row.sell_sign)
        self._loss_max = min((row.value for row in plan.losses), default=None)
        self._has_sums = bool(plan.exposures or self._positions or plan.losses)


def _tightest(demanded: int, *limits: int | None) -> int:
    """Return the least of a rule, 0 for none, and of limits, None for none."""
    return min([demanded or INT_MAX, *(limit for limit in limits if limit is not None)])


def _bps_of(down_bps: int, up_bps: int) -> tuple[int, int]:
    """Return the least and the most of the reference price, in its 1/10,000, 0 for any distance."""
    return BPS - down_bps if down_bps else 0, BPS + up_bps if up_bps else INT_MAX


def _windows_of(rows: Iterable[LimitRow]) -> list[tuple[RollingSum, int]]:
    return [(row.window, row.value) for row in rows if row.window is not None]
