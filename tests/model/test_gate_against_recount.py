"""What the gate has learnt from the events is what a count of everything from scratch gives."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import AdjustBalance, AdvanceTime
from engine.controls import DAY_NS, NS_PER_S
from engine.events import Event, Trade
from engine.exchange import Exchange
from engine.order import Side, TimeInForce
from engine.state import ExchangeState, make_instruments
from engine.units import Money
from risk.pre_trade import PreTradeGate
from risk.reference_price import Source
from risk.windows import PARTS, RollingSum
from tests.exchange_desk import ALICE, BASE_FACTOR, BOB, BTC, USD, Desk

STEPS = 60
TIMES = (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK)


def step(desk: Desk, rng: random.Random, number: int) -> list[Event]:
    """Do something that changes what an account has or has open."""
    account_id = rng.choice([ALICE, BOB])
    pick = rng.random()
    name = f"c{rng.randint(1, number + 1)}"
    if pick < 0.6:
        price = rng.choice([None, *range(97, 104)])
        side = rng.choice(list(Side))
        return desk.enter(account_id, side, rng.randint(1, 9), price, rng.choice(TIMES))
    if pick < 0.75:
        return desk.cancel(account_id, name, f"x{number}")
    if pick < 0.9:
        qty, price = rng.randint(1, 12), rng.randint(97, 103)
        return desk.amend(account_id, name, f"a{number}", qty, price)
    if pick < 0.95:
        amount = Money(rng.randint(-50, 50))
        return desk.apply(AdjustBalance(account_id, BTC, amount, f"r{number}"))
    desk.now_ns += rng.choice([NS_PER_S, DAY_NS // 3])
    return desk.apply(AdvanceTime())


def counted(gate: PreTradeGate) -> list[tuple[int, ...]]:
    """Return what the gate knows of every account in the instrument."""
    return sorted(
        (
            desk.account_id,
            *(holding.balance for holding in (*desk.base, *desk.quote)),
            *(amount for held in desk.base for amount in (held.open_buy, held.open_sell)),
            *(amount for counts in desk.counts for amount in (counts.buys, counts.sells)),
        )
        for desk in gate._holdings.desks()
    )


def recounted(state: ExchangeState) -> list[tuple[int, ...]]:
    """Return the same from the balances and the open orders. Each account is a firm of its own."""
    lines = []
    for account_id in (ALICE, BOB):
        orders = [item.order for item in state.open_orders if item.order.account_id == account_id]
        of_assets = {
            line.asset_id: line.balance for line in state.balances if line.account_id == account_id
        }
        qtys: Counter[Side] = Counter()
        counts: Counter[Side] = Counter()
        for order in orders:
            qtys[order.side] += order.leaves_qty * BASE_FACTOR
            counts[order.side] += 1
        sides = (Side.BUY, Side.SELL)
        lines.append(
            (
                account_id,
                *[of_assets.get(BTC, 0)] * 2,
                *[of_assets.get(USD, 0)] * 2,
                *[qtys[side] for side in sides] * 2,
                *[counts[side] for side in sides] * 4,
            )
        )
    return lines


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_holdings_and_counts_are_those_of_a_recount(seed: int) -> None:
    """After every command, and in a gate that was restored; day results are those of the trades."""
    rng = random.Random(seed)
    desk = Desk({USD: Money(10**9), BTC: Money(10**7)})
    gate = desk.exchange._gate
    assert isinstance(gate, PreTradeGate)
    trades: list[tuple[int, Trade]] = []
    for account_id in (ALICE, BOB):
        gate._holdings.desk(account_id, desk.exchange.reference.instruments_by_symbol[
            "BTC-USD"
        ].instrument_id)  # fmt: skip
    state = desk.exchange.state()
    for number in range(STEPS):
        events = step(desk, rng, number)
        trades += [(desk.now_ns, event) for event in events if isinstance(event, Trade)]
        state = desk.exchange.state()
        assert counted(gate) == recounted(state)
    restored = PreTradeGate()
    Exchange.restore(restored, state)
    for known in gate._holdings.desks():
        restored._holdings.desk(known.account_id, known.instrument.instrument_id)
    assert counted(restored) == counted(gate)
    (instrument,) = make_instruments(state).values()
    mark = Source(gate.state().sources[0]).mark()
    for account_id in (ALICE, BOB):
        today = [
            trade
            for at_ns, trade in trades
            if trade.order.account_id == account_id and at_ns // DAY_NS == desk.now_ns // DAY_NS
        ]
        signs = [1 if trade.order.side is Side.BUY else -1 for trade in today]
        cash = sum(-sign * trade.notional for sign, trade in zip(signs, today, strict=True))
        qty = sum(sign * trade.qty for sign, trade in zip(signs, today, strict=True))
        worth = qty * mark * instrument.notional_factor
        assert gate._day.loss(account_id, USD, desk.now_ns) == -(cash + worth)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), window_ns=st.sampled_from([NS_PER_S, 60 * NS_PER_S]))
def test_rolling_sum_never_forgets_too_early(seed: int, window_ns: int) -> None:
    """It counts what was added within the window, and at most one part of it more."""
    rng = random.Random(seed)
    rolling = RollingSum(window_ns)
    added: list[tuple[int, int]] = []
    now_ns = rng.randint(0, 10**18)
    part_ns = -(-window_ns // PARTS)
    for _ in range(200):
        now_ns += rng.choice([0, 1, part_ns - 1, part_ns, window_ns // 3, 2 * window_ns])
        if rng.random() < 0.7:
            amount = rng.randint(1, 100)
            rolling.add(amount, now_ns)
            added.append((now_ns, amount))
        total = rolling.total(now_ns)
        assert rolling.total(now_ns) == total, "looking changes nothing"
        within = sum(amount for at_ns, amount in added if now_ns - at_ns <= window_ns)
        at_most = sum(amount for at_ns, amount in added if now_ns - at_ns < window_ns + part_ns)
        assert within <= total <= at_most
        copy = RollingSum(window_ns)
        copy.restore(*rolling.state())
        later_ns = now_ns + rng.randint(0, window_ns)
        assert copy.total(later_ns) == rolling.total(later_ns)


@settings(max_examples=50)
@given(amounts=st.lists(st.integers(1, 9), max_size=20), taken=st.integers(0, 200))
def test_taking_back_leaves_nothing_below_zero(amounts: list[int], taken: int) -> None:
    """What is credited is at most what was counted."""
    rolling = RollingSum(NS_PER_S)
    for number, amount in enumerate(amounts):
        rolling.add(amount, number * 10**7)
    rolling.take_back(taken, len(amounts) * 10**7)
    assert rolling.total(len(amounts) * 10**7) == max(0, sum(amounts) - taken)


def test_window_of_a_day_is_the_calendar_day() -> None:
    """What was counted before midnight is forgotten at midnight."""
    rolling = RollingSum(DAY_NS)
    rolling.add(5, DAY_NS - 1)
    assert rolling.total(DAY_NS - 1) == 5
    assert rolling.total(DAY_NS) == 0
    rolling.add(7, DAY_NS)
    assert rolling.total(2 * DAY_NS - 1) == 7
