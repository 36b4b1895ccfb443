"""Order flow to measure order books with, the same for every engine and the same every time.

A is one liquid symbol as a published survey of matching engines describes it: most orders are
cancelled within a millisecond, prices crowd round a mid that wanders. B has the shape of
exchange-core's own generator: nearly all messages move a resting order. The third is ours: a book
of any depth, on which every message costs the same number of operations.
"""

import heapq
import math
import random
from bisect import bisect
from itertools import accumulate, islice
from typing import Final, NamedTuple

from benchmarks.books.our_book import OurBook
from benchmarks.messages import CANCEL, MODIFY, NEW, Message, Workload

SEED: Final = 1

# A. The published figures.
MID: Final = 33_504
DISTANCE_EXPONENT: Final = 2.23
HUMP_AT: Final = 8
HUMP_AMPLITUDE: Final = 5
QTY_MAX: Final = 100
IOC_SHARE: Final = 0.15
MODIFIED_SHARE: Final = 0.20
REPRICED_SHARE: Final = 0.80
CANCELED_SHARE: Final = 0.95
DUPLICATE_SHARE: Final = 0.02
LIFETIME_MEDIAN_NS: Final = 431_000
# What was not published, chosen so that the books end as theirs do (20.9 K orders on 60 levels in
# the static scenario, 2.7 K on 290 in the normal one, of a million orders).
ARRIVAL_MEAN_NS: Final = 1000
DISTANCE_MAX: Final = 30
HUMP_WIDTH: Final = 1.5
YEARS: Final = 1 / 252  # Volatility is a year's, the flow a trading day's.


class Scenario(NamedTuple):
    """How the mid moves: `sigma` is a year's volatility; half-way it has fallen by `swing`."""

    name: str
    sigma: float
    swing: float


STATIC: Final = Scenario("static", 0.0, 0.0)
NORMAL: Final = Scenario("normal", 0.15, 0.02)
SCENARIOS: Final = (
    STATIC,
    NORMAL,
    Scenario("swing-25", 0.5, 0.25),
    Scenario("swing-40", 0.5, 0.40),
    Scenario("flash-crash", 0.5, 0.60),
)


class _Resting:
    """An order that a later message is going to name."""

    __slots__ = ("is_buy", "order_id", "price", "qty")

    def __init__(self, order_id: int, is_buy: bool, qty: int, price: int) -> None:
        self.order_id = order_id
        self.is_buy = is_buy
        self.qty = qty
        self.price = price


class _LiquidSymbol:
    """Workload A in the making."""

    def __init__(self, scenario: Scenario, new_order_count: int, seed: int) -> None:
        self._scenario = scenario
        self._count = new_order_count
        self._rng = random.Random(f"{scenario.name} {seed}")
        self._log_mid = 0.0
        self._order_id = 0
        self._due: list[tuple[float, int, int, _Resting]] = []
        self._distances = list(accumulate(_distance_weights()))
        self.messages: list[Message] = []

    def generate(self) -> None:
        """Make all messages."""
        now_ns = 0.0
        for number in range(self._count):
            now_ns += self._rng.expovariate(1 / ARRIVAL_MEAN_NS)
            while self._due and self._due[0][0] <= now_ns:
                _, _, kind, resting = heapq.heappop(self._due)
                self._change(kind, resting)
            self._enter(now_ns, self._mid(number))

    def _mid(self, number: int) -> int:
        sigma = self._scenario.sigma
        step_years = YEARS / self._count
        self._log_mid += sigma * math.sqrt(step_years) * self._rng.gauss(0, 1)
        self._log_mid -= sigma * sigma * step_years / 2
        way = 1 - abs(2 * number / self._count - 1)  # From 0 to 1 half-way, and back.
        return round(MID * math.exp(self._log_mid) * (1 - self._scenario.swing * way))

    def _enter(self, now_ns: float, mid: int) -> None:
        rng = self._rng
        distance = bisect(self._distances, rng.random() * self._distances[-1]) + 1
        is_buy = rng.random() < 0.5
        is_ioc = rng.random() < IOC_SHARE
        # An order that stays is on its own side of the mid; one that does not comes to trade.
        price = mid + distance if is_buy is is_ioc else mid - distance
        qty = rng.randint(1, QTY_MAX)
        self._order_id += 1
        self.messages.append((NEW, self._order_id, 0, is_buy, qty, price, is_ioc))
        if is_ioc:
            return
        resting = _Resting(self._order_id, is_buy, qty, price)
        lifetime_ns = rng.expovariate(math.log(2) / LIFETIME_MEDIAN_NS)
        if rng.random() < MODIFIED_SHARE:
            self._plan(now_ns + lifetime_ns * rng.random(), MODIFY, resting)
        if rng.random() < CANCELED_SHARE:
            self._plan(now_ns + lifetime_ns, CANCEL, resting)

    def _plan(self, at_ns: float, kind: int, resting: _Resting) -> None:
        heapq.heappush(self._due, (at_ns, 2 * resting.order_id + kind, kind, resting))

    def _change(self, kind: int, resting: _Resting) -> None:
        message: Message
        if kind == CANCEL:
            message = (CANCEL, 0, resting.order_id, resting.is_buy, 0, 0, False)
        else:
            orig_id = resting.order_id
            self._order_id += 1
            resting.order_id = self._order_id
            resting.qty += 1
            if self._rng.random() < REPRICED_SHARE:
                resting.price += self._rng.choice((-1, 1))
            new_id, is_buy = resting.order_id, resting.is_buy
            message = (MODIFY, new_id, orig_id, is_buy, resting.qty, resting.price, False)
        self.messages.append(message)
        if self._rng.random() < DUPLICATE_SHARE:
            self.messages.append(message)


COUNTED_SHARE: Final = 20


def liquid_symbol(scenario: Scenario, new_order_count: int, seed: int = SEED) -> Workload:
    """Return workload A: about two messages for each of the new orders.

    The last twentieth is there to count our engine's calls.
    """
    making = _LiquidSymbol(scenario, new_order_count, seed)
    making.generate()
    counted_count = len(making.messages) // COUNTED_SHARE
    return Workload(f"A {scenario.name}", making.messages, counted_count=counted_count)


def _distance_weights() -> list[float]:
    return [
        distance**-DISTANCE_EXPONENT
        * (1 + HUMP_AMPLITUDE * math.exp(-(((distance - HUMP_AT) / HUMP_WIDTH) ** 2) / 2))
        for distance in range(1, DISTANCE_MAX + 1)
    ]


# B. exchange-core's figures, its "single pair".
RESTING_TARGET: Final = 1000
MOVE_SHARE: Final = 0.01
PICK_FROM: Final = 512
DIRECTION_EVERY: Final = 10_000


class _SinglePair:
    """Workload B in the making. It keeps a book, to know what rests and where trades happened."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(f"single pair {seed}")
        self._book = OurBook()
        self._roots: dict[int, int] = {}  # Of each chain of moves its first id: the newest.
        self._root_of: dict[int, int] = {}
        self._order_id = 0
        self._seen_fills = 0
        self._direction = 0
        self._last_price = int(10 ** (3.3 + rng.random() * 1.5 + rng.random() * 1.5))
        self._deviation = min(self._last_price // 20, 10_000)
        self._price_max = self._last_price + 5 * self._deviation
        self._price_min = self._last_price - 5 * self._deviation
        self.messages: list[Message] = []

    def prefill(self) -> None:
        """Enter orders that rest until the book is as large as it shall be."""
        while self._book.resting_count() < RESTING_TARGET:
            self._enter_resting()

    def generate(self, count: int) -> None:
        """Make the messages that are timed."""
        for number in range(count):
            if number % DIRECTION_EVERY == 0:
                self._direction = self._rng.choice((-1, 1))
            self._add_one()

    def _add_one(self) -> None:
        is_short = self._book.resting_count() < RESTING_TARGET
        dice = self._rng.randrange(10 if is_short else 40)
        if dice < 2 or not self._roots:
            if is_short:
                self._enter_resting()
            else:
                self._enter_instant()
            return
        at = self._rng.randrange(min(len(self._roots), PICK_FROM))
        order = self._book.find(next(islice(self._roots.values(), at, None)))
        assert order is not None
        assert order.price is not None
        if dice == 2:
            self._cancel(order.order_id)
        elif dice == 3:
            left = order.leaves_qty - self._rng.randint(1, order.leaves_qty)
            if left:
                self._replace(order.order_id, left, order.price)
            else:
                self._cancel(order.order_id)
        else:
            self._replace(order.order_id, order.leaves_qty, self._moved(order.price))

    def _is_buy(self) -> bool:
        return self._rng.randrange(4) + self._direction >= 2

    def _qty(self) -> int:
        return 1 + self._rng.randrange(6) * self._rng.randrange(6) * self._rng.randrange(6)

    def _enter_resting(self) -> None:
        is_buy = self._is_buy()
        spread = 1 + int(self._rng.random() ** 2 * self._deviation)
        drawn = sum(self._rng.randrange(spread) for _ in range(4)) // 4 * 2 - spread
        away = max(1, abs(drawn))
        price = self._last_price - away if is_buy else self._last_price + away
        self._enter(is_buy, self._qty(), self._bounded(price), is_ioc=False)

    def _enter_instant(self) -> None:
        is_buy = self._is_buy()
        self._enter(
            is_buy, self._qty(), self._price_max if is_buy else self._price_min, is_ioc=True
        )

    def _enter(self, is_buy: bool, qty: int, price: int, *, is_ioc: bool) -> None:
        self._order_id += 1
        self.messages.append((NEW, self._order_id, 0, is_buy, qty, price, is_ioc))
        self._root_of[self._order_id] = self._order_id
        self._roots[self._order_id] = self._order_id
        self._book.enter(self._order_id, is_buy, qty, price, is_ioc)
        self._learn_of_fills(self._order_id)

    def _cancel(self, order_id: int) -> None:
        self.messages.append((CANCEL, 0, order_id, False, 0, 0, False))
        self._book.cancel(order_id)
        del self._roots[self._root_of.pop(order_id)]

    def _replace(self, orig_id: int, qty: int, price: int) -> None:
        order = self._book.find(orig_id)
        assert order is not None
        is_buy = order.side.name == "BUY"
        self._order_id += 1
        self.messages.append((MODIFY, self._order_id, orig_id, is_buy, qty, price, False))
        root = self._root_of.pop(orig_id)
        self._root_of[self._order_id] = root
        self._roots[root] = self._order_id  # It keeps its place among those to pick from.
        self._book.cancel(orig_id)
        self._book.enter(self._order_id, is_buy, qty, price, is_ioc=False)
        self._learn_of_fills(self._order_id)

    def _learn_of_fills(self, aggressor_id: int) -> None:
        fills = self._book.fills()
        for _, resting_id, _, price in fills[self._seen_fills :]:
            self._last_price = price
            self._forget_unless_resting(resting_id)
        self._seen_fills = len(fills)
        self._forget_unless_resting(aggressor_id)

    def _forget_unless_resting(self, order_id: int) -> None:
        if self._book.find(order_id) is None:
            root = self._root_of.pop(order_id, None)
            if root is not None:
                del self._roots[root]

    def _moved(self, price: int) -> int:
        """Return a price a hundredth of the way nearer to the last trade, at least one tick."""
        way = self._last_price - price
        step = math.copysign(max(1, math.ceil(abs(way) * MOVE_SHARE)), way)
        return self._bounded(price + int(step))

    def _bounded(self, price: int) -> int:
        return min(self._price_max, max(self._price_min, price))


def single_pair(message_count: int, seed: int = SEED) -> Workload:
    """Return workload B: a book of a thousand orders, then `message_count` messages."""
    making = _SinglePair(seed)
    making.prefill()
    prefill_count = len(making.messages)
    making.generate(message_count)
    return Workload("B single pair", making.messages, prefill_count)


# Depth.
ORDERS_PER_LEVEL: Final = 100
DEEP_MID: Final = 1_000_000
DEEP_QTY: Final = 10
CYCLE: Final = 6
COUNTED: Final = 200 * CYCLE


def deep_book(resting_count: int, message_count: int, seed: int = SEED) -> Workload:
    """Return a book of `resting_count` orders, 100 on each level, and messages that keep it so.

    `message_count` of them are timed, some more are there to count our engine's calls.

    Six messages over and over: an order somewhere in the book is cancelled, another takes its
    place; an IOC takes the oldest order of the best level, another takes its place; an order opens
    a level inside the spread and is cancelled. So what the book has to do does not depend on its
    depth, only where in memory it has to do it.
    """
    rng = random.Random(f"deep {seed}")
    places = [
        (is_buy, DEEP_MID - level if is_buy else DEEP_MID + level)
        for level in range(1, resting_count // (2 * ORDERS_PER_LEVEL) + 1)
        for is_buy in (True, False)
        for _ in range(ORDERS_PER_LEVEL)
    ]
    rng.shuffle(places)
    messages: list[Message] = [
        (NEW, order_id, 0, is_buy, DEEP_QTY, price, False)
        for order_id, (is_buy, price) in enumerate(places, 1)
    ]
    prefill_count = order_id = len(messages)
    inner = [
        (number, place) for number, place in enumerate(places, 1) if abs(place[1] - DEEP_MID) > 1
    ]
    for _ in range((message_count + COUNTED) // CYCLE):
        at = rng.randrange(len(inner))
        canceled_id, (is_buy, price) = inner[at]
        inner[at] = (order_id + 1, (is_buy, price))
        messages += [
            (CANCEL, 0, canceled_id, False, 0, 0, False),
            (NEW, order_id + 1, 0, is_buy, DEEP_QTY, price, False),
            (NEW, order_id + 2, 0, True, DEEP_QTY, DEEP_MID + 1, True),
            (NEW, order_id + 3, 0, False, DEEP_QTY, DEEP_MID + 1, False),
            (NEW, order_id + 4, 0, True, DEEP_QTY, DEEP_MID, False),
            (CANCEL, 0, order_id + 4, False, 0, 0, False),
        ]
        order_id += 4
    return Workload(f"{resting_count} resting", messages, prefill_count, COUNTED)
