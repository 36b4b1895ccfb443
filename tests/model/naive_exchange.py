"""A slow exchange that is plainly right: one sorted list of orders, balances summed from scratch.

It knows one instrument and shares no code with the engine; it is the oracle of the random tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass
class NaiveOrder:
    """`price` None is a market order; `is_buy`, quantities and prices are plain ints.

    `stop` is what it waits for, while it `is_waiting`, as the last price `rises` or falls to it;
    `bound` is the worst price of a stop order that has no price.
    An iceberg shows at most `display` of itself, and `shown` at the moment.
    `place` is its place in the queue when that is not its `order_id`. `mode` is what it does when
    it meets an order of its account or of the same `owner`, "" for none.
    """

    order_id: int
    account_id: int
    is_buy: bool
    price: int | None
    open_qty: int
    is_day: bool
    filled_qty: int = 0
    place: float = 0
    ends_at_ns: int = 0
    mode: str = "allow"
    owner: str = ""
    stop: int | None = None
    rises: bool = False
    is_waiting: bool = False
    bound: int | None = None
    display: int = 0
    shown: int = 0

    def show(self) -> None:
        """Show as much as it may."""
        self.shown = min(self.display or self.open_qty, self.open_qty)

    def priority(self) -> tuple[int, float]:
        """Sorts what trades first to the front: the better price, then the older order."""
        assert self.price is not None
        return (-self.price if self.is_buy else self.price, self.place or self.order_id)


@dataclass(frozen=True)
class NaiveFill:
    """A match: who was in the book, for how much, at which price."""

    resting_id: int
    aggressor_id: int
    qty: int
    price: int


@dataclass(frozen=True)
class NaiveCut:
    """What an order loses because it has met one of the same owner, and whether it ends so."""

    order_id: int
    qty: int
    ends: bool


NaiveStep = NaiveFill | NaiveCut


class NaiveExchange:
    """Orders rest in one list; what an account has is recomputed from all that ever happened."""

    def __init__(self, *, notional_factor: int, base_factor: int, protection_bps: int = 0) -> None:
        self._protection_bps = protection_bps
        self._notional_factor = notional_factor
        self._base_factor = base_factor
        self.is_storage_low = False
        self.last_price: int | None = None
        self.reached: list[NaiveOrder] = []
        self.seq = 0
        self._place_count = 0
        self.resting: list[NaiveOrder] = []
        self.moves: list[tuple[int, str, int]] = []  # Account, "base" or "quote", amount.

    def deposit(self, account_id: int, asset: str, amount: int) -> None:
        """Give the account something to trade with."""
        self.moves.append((account_id, asset, amount))

    def balance(self, account_id: int, asset: str) -> int:
        """Return what the account has."""
        return sum(
            amount for owner, kind, amount in self.moves if (owner, kind) == (account_id, asset)
        )

    def held(self, account_id: int, asset: str) -> int:
        """Return what the account's resting orders may cost."""
        return sum(
            self._cost(order, order.open_qty)
            for order in self.resting
            if order.account_id == account_id and asset == ("quote" if order.is_buy else "base")
        )

    def candidates(self, order: NaiveOrder) -> list[NaiveOrder]:
        """Return the resting orders that would trade with `order`, in the order of priority."""
        crossing = [
            other
            for other in self.resting
            if not other.is_waiting and other.is_buy != order.is_buy and self._crosses(order, other)
        ]
        crossing.sort(key=NaiveOrder.priority)
        if order.price is order.stop is None and crossing and self._protection_bps:
            best = crossing[0].price or 0
            crossing = [
                other
                for other in crossing
                if abs((other.price or 0) - best) * 10_000 <= best * self._protection_bps
            ]
        return crossing

    def plan(self, order: NaiveOrder) -> list[NaiveStep]:
        """Return the fills that the order would have now, and what it would do to its own."""
        steps: list[NaiveStep] = []
        open_qty = order.open_qty
        for other, shown, rest in self.slices(self.candidates(order)):
            if not open_qty:
                break
            if NaiveCut(other.order_id, other.open_qty, True) in steps:
                continue  # An iceberg that is gone shows no more.
            qty = min(open_qty, shown)
            is_own = order.account_id == other.account_id or order.owner == other.owner != ""
            if order.mode == "allow" or not is_own:
                assert other.price is not None
                steps.append(NaiveFill(other.order_id, order.order_id, qty, other.price))
                open_qty -= qty
            elif order.mode == "decrement":
                steps.append(NaiveCut(other.order_id, qty, qty == shown + rest))
                steps.append(NaiveCut(order.order_id, qty, qty == open_qty))
                open_qty -= qty
            else:
                if order.mode in ("resting", "both"):
                    steps.append(NaiveCut(other.order_id, other.open_qty, True))
                if order.mode in ("aggressor", "both"):
                    steps.append(NaiveCut(order.order_id, open_qty, True))
                    open_qty = 0
        return steps

    def slices(self, orders: list[NaiveOrder]) -> Iterator[tuple[NaiveOrder, int, int]]:
        """Yield what is met in turn, how much of it is shown then, and how much not."""
        for price in dict.fromkeys(order.price for order in orders):
            turns = [
                (order, order.shown, order.open_qty - order.shown)
                for order in orders
                if order.price == price
            ]
            while turns:
                order, shown, rest = turns.pop(0)
                yield order, shown, rest
                if rest:
                    more = min(order.display, rest)
                    turns.append((order, more, rest - more))

    def next_place(self) -> float:
        """Return a place behind all orders that stand, and before those of later commands."""
        self._place_count += 1
        return self.seq + self._place_count / 100_000

    def lose(self, order: NaiveOrder, qty: int) -> None:
        """Take from what an order shows, and let it show more behind the others."""
        order.open_qty -= qty
        order.shown -= qty
        if not order.shown and order.open_qty:
            order.show()
            order.place = self.next_place()

    def tradable(self, order: NaiveOrder) -> int:
        """Return how much of the order would trade now."""
        return sum(step.qty for step in self.plan(order) if isinstance(step, NaiveFill))

    def can_pay(self, order: NaiveOrder) -> bool:
        """Whether the account has, free of other orders, what the order may cost."""
        asset = "quote" if order.is_buy else "base"
        if order.price is order.stop is None and order.is_buy:
            needed = sum(
                step.qty * step.price * self._notional_factor
                for step in self.plan(order)
                if isinstance(step, NaiveFill)
            )
        else:
            needed = self._cost(order, order.open_qty)
        free = self.balance(order.account_id, asset) - self.held(order.account_id, asset)
        return needed <= free

    def execute(self, order: NaiveOrder, steps: Sequence[NaiveStep], *, may_rest: bool) -> None:
        """Settle the planned steps, and put the rest into the book if it may stay."""
        by_id = {other.order_id: other for other in [*self.resting, order]}
        for fill in steps:
            if isinstance(fill, NaiveCut):
                other = by_id[fill.order_id]
                if other is order or fill.ends:
                    other.open_qty -= fill.qty
                else:
                    self.lose(other, fill.qty)
                continue
            self._settle(fill, order, by_id[fill.resting_id])
        self.resting = [other for other in self.resting if other.open_qty]
        order.show()
        if may_rest and order.open_qty:
            self.resting.append(order)

    def uncross(self, reference: int | None) -> tuple[int | None, list[NaiveFill]]:
        """Trade what crosses at the best one price. Returns it and the fills, bid before ask."""
        standing = [order for order in self.resting if not order.is_waiting]
        bids = sorted((order for order in standing if order.is_buy), key=NaiveOrder.priority)
        asks = sorted((order for order in standing if not order.is_buy), key=NaiveOrder.priority)
        if not bids or not asks or (bids[0].price or 0) < (asks[0].price or 0):
            return None, []
        high, low = bids[0].price or 0, asks[0].price or 0
        if reference is None:
            reference = self.last_price or (high + low) // 2

        def rank(price: int) -> tuple[int, int, int]:
            demand = sum(order.open_qty for order in bids if (order.price or 0) >= price)
            supply = sum(order.open_qty for order in asks if (order.price or 0) <= price)
            return -min(demand, supply), abs(demand - supply), abs(price - reference)

        price = min(range(low, high + 1), key=rank)
        willing_bids = [order for order in bids if (order.price or 0) >= price]
        willing_asks = [order for order in asks if (order.price or 0) <= price]
        fills = []
        while willing_bids and willing_asks:
            bid, ask = willing_bids[0], willing_asks[0]
            qty = min(bid.shown, ask.shown)
            fills.append(NaiveFill(ask.order_id, bid.order_id, qty, price))
            self._settle(fills[-1], bid, ask)
            bid.open_qty += qty
            self.lose(bid, qty)
            willing_bids = [order for order in willing_bids if order.open_qty]
            willing_asks = [order for order in willing_asks if order.open_qty]
            willing_bids.sort(key=NaiveOrder.priority)
            willing_asks.sort(key=NaiveOrder.priority)
        self.resting = [order for order in self.resting if order.open_qty]
        return price, fills

    def can_amend(self, order: NaiveOrder, qty: int, price: int | None, stop: int | None) -> bool:
        """Whether the account could pay for the resting order as it is to be."""
        others = [other for other in self.resting if other is not order]
        amended = replace(order, open_qty=qty - order.filled_qty, price=price)
        everything, self.resting = self.resting, others
        if stop is not None:
            amended.stop = stop
        if order.is_waiting:
            self.wait(amended)
            others.remove(amended)
        can_pay = self.can_pay(amended)
        self.resting = everything
        return can_pay

    def would_end_itself(self, order: NaiveOrder, qty: int, price: int) -> bool:
        """Whether the order as it is to be would meet its owner's and lose something."""
        amended = replace(order, open_qty=qty - order.filled_qty, price=price)
        return any(
            isinstance(step, NaiveCut) and step.order_id == order.order_id
            for step in self.plan(amended)
        )

    def amend(
        self,
        order: NaiveOrder,
        qty: int,
        price: int | None,
        stop: int | None,
        place: int,
        *,
        display: int | None,
        matches: bool,
    ) -> list[NaiveStep]:
        """Change an open order: to the back of the queue unless it only gets smaller."""
        is_only_smaller = (
            price == order.price
            and stop in (None, order.stop)
            and display in (None, order.display)
            and qty < order.filled_qty + order.open_qty
        )
        order.open_qty, order.price = qty - order.filled_qty, price
        if is_only_smaller:
            order.shown = min(order.shown, order.open_qty)
            return []
        order.display = order.display if display is None else display
        self.remove(order.order_id)
        order.place = place
        if order.is_waiting:
            order.stop = stop or order.stop
            self.wait(order)
            if matches:
                self.reach()
            return []
        steps = self.plan(order) if matches else []
        self.execute(order, steps, may_rest=True)
        return steps

    def remove(self, order_id: int) -> None:
        """Take an order out of the book."""
        self.resting = [order for order in self.resting if order.order_id != order_id]
        self.reached = [order for order in self.reached if order.order_id != order_id]

    def end_day(self, now_ns: int) -> list[int]:
        """Expire all DAY orders, and others whose end has come. Returns the ids, sorted."""
        expired = sorted(
            order.order_id
            for order in self.resting
            if order.is_day or 0 < order.ends_at_ns <= now_ns
        )
        self.resting = [order for order in self.resting if order.order_id not in expired]
        self.reached = [order for order in self.reached if order.order_id not in expired]
        return expired

    def depth(self, *, is_buy: bool) -> list[tuple[int, int, int]]:
        """Return price, quantity and order count per level, the best first."""
        lines: dict[int, tuple[int, int]] = {}
        standing = [order for order in self.resting if not order.is_waiting]
        for order in sorted(standing, key=NaiveOrder.priority):
            if order.is_buy == is_buy:
                assert order.price is not None
                qty, count = lines.get(order.price, (0, 0))
                lines[order.price] = (qty + order.shown, count + 1)
        return [(price, qty, count) for price, (qty, count) in lines.items()]

    def wait(self, order: NaiveOrder) -> None:
        """Let a stop order wait for its stop price, with what it may cost."""
        order.is_waiting = True
        order.show()
        bps = self._protection_bps if order.is_buy else -self._protection_bps
        assert order.stop is not None
        scaled = order.stop * (10_000 + bps)
        order.bound = scaled // 10_000 if order.is_buy else -(-scaled // 10_000)
        self.resting.append(order)

    def reach(self) -> None:
        """Let the last price trigger stop orders: the nearest first, then the oldest."""
        last = self.last_price

        def is_reached(order: NaiveOrder) -> bool:
            if last is None or order.stop is None or order in self.reached:
                return False
            return last >= order.stop if order.rises else last <= order.stop

        def rank(order: NaiveOrder) -> tuple[bool, int, float]:
            stop = order.stop or 0
            return not order.rises, stop if order.rises else -stop, order.place or order.order_id

        waiting = [order for order in self.resting if order.is_waiting and is_reached(order)]
        self.reached += sorted(waiting, key=rank)

    def run_stops(self) -> tuple[list[int], list[NaiveStep]]:
        """Let all that was triggered act. Returns who, in turn, and what came of it."""
        order_ids: list[int] = []
        steps: list[NaiveStep] = []
        while self.reached:
            order = self.reached.pop(0)
            self.resting = [other for other in self.resting if other is not order]
            order_ids.append(order.order_id)
            order.is_waiting, order.place = False, self.next_place()
            planned = self.plan(order)
            self.execute(order, planned, may_rest=order.price is not None)
            steps += planned
        return order_ids, steps

    def _settle(self, fill: NaiveFill, order: NaiveOrder, other: NaiveOrder) -> None:
        self.last_price = fill.price
        self.reach()
        self.lose(other, fill.qty)
        order.open_qty -= fill.qty
        other.filled_qty += fill.qty
        order.filled_qty += fill.qty
        buyer, seller = (order, other) if order.is_buy else (other, order)
        notional = fill.qty * fill.price * self._notional_factor
        base = fill.qty * self._base_factor
        self.moves += [
            (buyer.account_id, "quote", -notional),
            (seller.account_id, "quote", notional),
            (buyer.account_id, "base", base),
            (seller.account_id, "base", -base),
        ]

    def _cost(self, order: NaiveOrder, qty: int) -> int:
        if not order.is_buy:
            return qty * self._base_factor
        return qty * (order.price or order.bound or 0) * self._notional_factor

    @staticmethod
    def _crosses(order: NaiveOrder, other: NaiveOrder) -> bool:
        assert other.price is not None
        limit = order.price or order.bound
        if limit is None:
            return True
        return limit >= other.price if order.is_buy else limit <= other.price
