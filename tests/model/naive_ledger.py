"""A slow ledger that is plainly right: a list of all that ever moved, summed from scratch.

It is told which orders came, traded and went, and works out by itself what that costs. It shares no
code with the engine.
"""

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction

OUTSIDE = 0
VENUE = -2
Rates = tuple[int, int]
"""Maker and taker, in millionths."""


@dataclass
class NaiveHold:
    """An open order, as far as money is concerned. `price` None holds nothing."""

    account_id: int
    is_buy: bool
    price: int | None
    open_qty: int
    rates: Rates


@dataclass(frozen=True)
class NaiveSide:
    """One side of a trade, as it was settled."""

    account_id: int
    is_buy: bool
    fee: int


@dataclass(frozen=True)
class NaiveTrade:
    """A trade as it stands: aggressor first. One that was undone has no quantity."""

    qty: int
    price: int
    sides: tuple[NaiveSide, NaiveSide]


@dataclass(frozen=True)
class NaivePayout:
    """Money that waits to be paid out."""

    account_id: int
    asset: str
    amount: int


class NaiveLedger:
    """Assets are "base" and "quote"; `firms` says which firm an account is of."""

    def __init__(self, firms: dict[int, int], *, notional_factor: int, base_factor: int) -> None:
        self.firms = firms
        self._notional_factor = notional_factor
        self._base_factor = base_factor
        self.moves: list[tuple[int, str, int]] = []
        self.references: set[tuple[int, str]] = set()
        self.credit: dict[tuple[int, str], int] = {}
        self.firm_credit: dict[tuple[int, str], int] = {}
        self.payouts: dict[int, NaivePayout] = {}
        self.orders: dict[int, NaiveHold] = {}
        self.rates: dict[int, Rates] = {}
        self.tiers: dict[int, int] = {}

    def move(self, payer: int, payee: int, asset: str, amount: int) -> None:
        """Let money go from one to another."""
        self.moves += [(payer, asset, -amount), (payee, asset, amount)]

    def balance(self, account_id: int, asset: str) -> int:
        """Return what the account has."""
        return sum(amount for who, what, amount in self.moves if (who, what) == (account_id, asset))

    def held(self, account_id: int, asset: str) -> int:
        """Return what its open orders may cost, and what is to be paid out to it."""
        return sum(
            self.cost(order)
            for order in self.orders.values()
            if (order.account_id, "quote" if order.is_buy else "base") == (account_id, asset)
        ) + sum(
            payout.amount
            for payout in self.payouts.values()
            if (payout.account_id, payout.asset) == (account_id, asset)
        )

    def own(self, account_id: int, asset: str) -> int:
        """Return what may leave the account."""
        return max(0, self.balance(account_id, asset) - self.held(account_id, asset))

    def available(self, account_id: int, asset: str) -> int:
        """Return what new orders may use."""
        own = self.unheld(account_id, asset) + self.credit.get((account_id, asset), 0)
        limit = self.firm_credit.get((self.firms[account_id], asset), 0)
        if not limit:
            return own
        return max(0, own) + limit - self.drawn_by_firm(self.firms[account_id], asset)

    def unheld(self, account_id: int, asset: str) -> int:
        """Return what the account has that is not held, below zero what it is short of."""
        return self.balance(account_id, asset) - self.held(account_id, asset)

    def drawn(self, account_id: int, asset: str) -> int:
        """Return what the account is short of beyond its own credit."""
        own = self.unheld(account_id, asset) + self.credit.get((account_id, asset), 0)
        return max(0, -own)

    def drawn_by_firm(self, firm_id: int, asset: str) -> int:
        """Return what the firm's accounts are short of beyond their own credit."""
        return sum(
            self.drawn(account_id, asset)
            for account_id, owner_id in self.firms.items()
            if owner_id == firm_id
        )

    def rates_of(self, account_id: int) -> Rates:
        """Return what orders of the account are charged from now on."""
        tier = self.tiers.get(self.firms[account_id], 0)
        return self.rates.get(tier, self.rates.get(0, (0, 0)))

    def cost(self, order: NaiveHold) -> int:
        """Return the most that what is open of the order can cost."""
        if order.price is None:
            return 0
        if not order.is_buy:
            return order.open_qty * self._base_factor
        value = order.price * order.open_qty * self._notional_factor
        return value + share(value, max(0, *order.rates))

    def settlement(self, trade: NaiveTrade) -> list[tuple[int, str, int]]:
        """Return what the trade moves."""
        value = trade.price * trade.qty * self._notional_factor
        base = trade.qty * self._base_factor
        moves = []
        for side in trade.sides:
            sign = 1 if side.is_buy else -1
            moves += [
                (side.account_id, "quote", -sign * value - side.fee),
                (side.account_id, "base", sign * base),
                (VENUE, "quote", side.fee),
            ]
        return moves

    def change(self, trade: NaiveTrade, qty: int, price: int) -> NaiveTrade:
        """Return the trade at other figures, its fees in proportion to its value."""
        ratio = Fraction(qty * price, trade.qty * trade.price)
        first, second = trade.sides
        return NaiveTrade(
            qty,
            price,
            (
                replace(first, fee=int(first.fee * ratio)),
                replace(second, fee=int(second.fee * ratio)),
            ),
        )

    def shortages(self, moves: list[tuple[int, str, int]]) -> dict[tuple[int, str], int]:
        """Return which accounts would lack something beyond their own credit, and how much.

        What they have drawn from their firm's line already is not missing; no more is drawn for it.
        """
        after: Counter[tuple[int, str]] = Counter()
        for account_id, asset, amount in moves:
            if account_id != VENUE:
                after[(account_id, asset)] += amount
        lacking = {
            key: -(self.unheld(*key) + self.credit.get(key, 0) + amount) - self.drawn(*key)
            for key, amount in after.items()
        }
        return {key: amount for key, amount in lacking.items() if amount > 0}

    def fill(self, order_id: int, qty: int, price: int, *, is_resting: bool) -> int:
        """Settle one side of a trade. Returns the fee."""
        order = self.orders[order_id]
        value, base = price * qty * self._notional_factor, qty * self._base_factor
        fee = share(value, order.rates[0 if is_resting else 1])
        sign = 1 if order.is_buy else -1
        self.moves += [
            (order.account_id, "quote", -sign * value - fee),
            (order.account_id, "base", sign * base),
            (VENUE, "quote", fee),
        ]
        order.open_qty -= qty
        if not order.open_qty:
            del self.orders[order_id]
        return fee


def share(value: int, ppm: int) -> int:
    """Return so many millionths of a value, what is less than a unit being left out."""
    return int(Fraction(value * ppm, 1_000_000))
