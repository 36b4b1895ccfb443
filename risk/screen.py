"""The limits of a plan, merged ahead of time: says with a few comparisons that all checks pass.

Most orders are inside all limits, and the checks would say so one after the other. So the tightest
of each kind is found once, when the plan is made. What the screen does not let through at once is
for the checks to decide: it refuses nothing, and lets nothing through that they would refuse. A
test holds the one against the other.
"""

from typing import Final

from engine.commands import NewOrder
from engine.controls import Control, InstrumentRules
from engine.gate import Candidate
from engine.instrument import BPS, Instrument
from engine.order import Side
from engine.units import INT_MAX
from risk.checks import counts_of, holding_of
from risk.holdings import PLAIN_TYPES
from risk.instrument_checks import has_reference, volume_share_of
from risk.plans import NO_ROWS, Plan, windows_of

BUY = Side.BUY
ORDER_QTY, ORDER_VALUE, ORDER_ASSET = Control.ORDER_QTY, Control.ORDER_VALUE, Control.ORDER_ASSET
OPEN_ORDERS, PER_SIDE = Control.OPEN_ORDERS, Control.OPEN_ORDERS_PER_SIDE
MESSAGES, ICEBERG_ORDERS, POSITION = Control.MESSAGES, Control.ICEBERG_ORDERS, Control.POSITION
NOT_ANY: Final = -1


class Ranges:
    """The rules of an instrument, merged: the same for the screens of all who trade in it."""

    __slots__ = (
        "buy_bps",
        "has_reference",
        "market_qty_max",
        "notional_factor",
        "notional_max",
        "notional_min",
        "price_max",
        "price_min",
        "qty_max",
        "qty_min",
        "sell_bps",
        "trade_age_max_ns",
        "width",
    )

    def __init__(self, instrument: Instrument, rules: InstrumentRules | None) -> None:
        rules = rules or InstrumentRules(instrument.instrument_id)
        self.notional_factor = instrument.notional_factor
        self.price_min, self.price_max = rules.price_min, rules.price_max or INT_MAX
        self.qty_min, self.qty_max = rules.order_qty_min, rules.order_qty_max or INT_MAX
        if rules.volume_share_max_bps:
            # Nothing passes while the volume is not known: for the check to say so.
            self.qty_max = min(self.qty_max, volume_share_of(rules))
        self.market_qty_max = rules.market_qty_max or INT_MAX
        self.notional_min = rules.notional_min
        self.notional_max = rules.notional_max or INT_MAX
        self.has_reference = has_reference(rules)
        self.trade_age_max_ns = rules.trade_age_max_ns or INT_MAX
        self.buy_bps = _bps_of(rules.buy_down_bps, rules.buy_up_bps)
        self.sell_bps = _bps_of(rules.sell_down_bps, rules.sell_up_bps)
        self.width = rules.band_ticks * instrument.definition.tick_size or INT_MAX


class Screen:
    """The merged limits of one plan: made with it, thrown away with it."""

    __slots__ = (
        "_base_factor",
        "_counted",
        "_credited",
        "_has_counts",
        "_has_sums",
        "_notional_max",
        "_open_orders",
        "_open_orders_per_side",
        "_plan",
        "_positions",
        "_qty_max",
        "_ranges",
        "_source",
        "_takes_icebergs",
        "_throttle",
    )

    def __init__(self, plan: Plan, ranges: Ranges) -> None:
        self._plan = plan
        self._ranges = ranges
        self._source = plan.source
        self._throttle = plan.throttle
        self._base_factor = plan.instrument.base_factor
        self._qty_max, self._notional_max = ranges.qty_max, ranges.notional_max
        if plan.limits is None:
            self._qty_max = NOT_ANY
        for limits in plan.order_limits:
            if limits.order_qty_max is not None and limits.order_qty_max < self._qty_max:
                self._qty_max = limits.order_qty_max
            if limits.notional_max is not None and limits.notional_max < self._notional_max:
                self._notional_max = limits.notional_max
        self._takes_icebergs = True
        self._has_counts = self._has_sums = False
        if plan.rows:
            self._merge_orders(plan)
            self._merge_counts(plan)
            self._merge_sums(plan)

    def lets_through(self, entry: Candidate) -> bool:
        """Whether all checks of the plan let the order pass. False: they have to be asked."""
        order, funding, ranges = entry.order, entry.funding, self._ranges
        price, order_qty, notional = order.price, order.order_qty, funding.notional
        if price is None:
            is_inside = order_qty <= ranges.market_qty_max
        else:
            is_inside = (
                ranges.price_min <= price <= ranges.price_max and notional >= ranges.notional_min
            )
        return (
            is_inside
            and ranges.qty_min <= order_qty <= self._qty_max
            and notional <= self._notional_max
            and funding.needed <= funding.available
            and order.ord_type in PLAIN_TYPES
            and entry.replaced is None
            and (order.terms is None or self._takes_icebergs or not order.terms.display_qty)
            and (self._throttle is None or self._throttle.has_room(entry.now_ns))
            and (not ranges.has_reference or self._is_near(order, entry.now_ns))
            and (not self._has_counts or self._has_room(order, entry.now_ns))
            and (not self._has_sums or self._stays_below(entry))
        )

    def _is_near(self, order: NewOrder, now_ns: int) -> bool:
        """Whether the order's price is near the last trade's, if that is what it is measured by.

        On ticks, which prices are, it is the same whether the bounds are rounded to ticks or not.
        """
        source, ranges, price = self._source, self._ranges, order.price
        reference = source.trade_price
        if not reference or now_ns - source.trade_at_ns > ranges.trade_age_max_ns:
            return False
        if price is None:
            value = reference * order.order_qty * ranges.notional_factor
            return ranges.notional_min <= value <= self._notional_max
        low_bps, high_bps = ranges.buy_bps if order.side is BUY else ranges.sell_bps
        return (
            reference * low_bps <= price * BPS <= reference * high_bps
            and -ranges.width <= price - reference <= ranges.width
        )

    def _has_room(self, order: NewOrder, now_ns: int) -> bool:
        """Whether one more order is inside all that is counted."""
        for counts, most in self._open_orders:
            if counts.buys + counts.sells >= most:
                return False
        for counts, most in self._open_orders_per_side:
            if (counts.buys if order.side is BUY else counts.sells) >= most:
                return False
        for tally in self._counted:
            if tally.used >= tally.most:
                return False
        is_current = now_ns < self._plan.windows_end_ns
        for window in self._credited:
            if (window.used if is_current else window.total(now_ns)) >= window.most:
                return False
        return True

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
        for window in plan.bought if is_buy else plan.sold:
            if window.used + notional > window.most:
                return False
        is_current = entry.now_ns < plan.windows_end_ns
        for window in plan.netted:
            # What is below 0 may be forgotten too: the sum can grow by itself.
            net = window.used if is_current else window.total(entry.now_ns)
            if abs(net + (notional if is_buy else -notional)) > window.most:
                return False
        return plan.loss_max is None or plan.loss(entry.now_ns) <= plan.loss_max

    def _merge_orders(self, plan: Plan) -> None:
        find, base = plan.rows.get, plan.instrument.base.asset_id
        for row in find(ORDER_QTY, NO_ROWS):
            self._qty_max = min(self._qty_max, row.value)
        for row in find(ORDER_VALUE, NO_ROWS):
            self._notional_max = min(self._notional_max, row.value)
        for row in find(ORDER_ASSET, NO_ROWS):
            if row.asset_id == base:
                self._qty_max = min(self._qty_max, row.value // self._base_factor)
            else:
                self._notional_max = min(self._notional_max, row.value)
        # Others than plain orders are for the checks; these may be icebergs.
        self._takes_icebergs = ICEBERG_ORDERS not in plan.rows

    def _merge_counts(self, plan: Plan) -> None:
        find = plan.rows.get
        self._open_orders = [
            (counts_of(plan, row), row.value) for row in find(OPEN_ORDERS, NO_ROWS)
        ]
        self._open_orders_per_side = [
            (counts_of(plan, row), row.value) for row in find(PER_SIDE, NO_ROWS)
        ]
        self._counted = (*windows_of(find(MESSAGES, NO_ROWS)), *plan.unfilled, *plan.repetitions)
        self._credited = plan.credited
        self._has_counts = bool(
            self._open_orders or self._open_orders_per_side or self._counted or self._credited
        )

    def _merge_sums(self, plan: Plan) -> None:
        base = plan.instrument.base.asset_id
        self._positions = [
            (holding_of(plan, row), row.value)
            for row in plan.rows.get(POSITION, NO_ROWS)
            if row.asset_id == base
        ]
        self._has_sums = bool(plan.exposures or self._positions or plan.losses)


def _bps_of(down_bps: int, up_bps: int) -> tuple[int, int]:
    """Return the least and the most of the reference price, in its 1/10,000, 0 for any distance."""
    return BPS - down_bps if down_bps else 0, BPS + up_bps if up_bps else INT_MAX
