"""What the exchange asks of pre-trade risk, before an order may touch the book."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from engine.book import OrderBook
from engine.commands import NewOrder
from engine.controls import InstrumentRules, Limit, Override, RefusalDetail, TradingMode
from engine.events import (
    Event,
)
from engine.gate_state import GateState
from engine.instrument import Account, Instrument
from engine.limit_usage import Usage
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.live_order import Order
from engine.order import OrderView, Side
from engine.reasons import CancelReason, RejectReason
from engine.risk_events import (
    BreakerChanged,
)
from engine.scope import Scope
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId, Money, Price


class Rejection(NamedTuple):
    """A refusal with its numbers: what was allowed and what was asked, in the reason's own unit.

    `scope` is whose limit or kill switch it was, `detail` what else there is to say of it.
    """

    reason: RejectReason
    limit: int = 0
    actual: int = 0
    scope: Scope = Scope.ACCOUNT
    detail: RefusalDetail | None = None


class Funding(msgspec.Struct, frozen=True):
    """What an order would cost. `needed` and `available` are in the asset that pays for it."""

    notional: Money
    needed: Money
    available: Money


class Candidate(msgspec.Struct, frozen=True):
    """An order as it would be let in, with what the exchange knows of it.

    `replaced` is the order that it amends, as that stands, None for a new one.
    """

    order: NewOrder
    funding: Funding
    book: OrderBook
    now_ns: int
    replaced: Order | None = None


class Bound(msgspec.Struct, frozen=True):
    """The worst price at which an order may trade, and why its rest is cancelled beyond.

    `nearest` is the best price at which it may, None for any: it is cancelled whole, for
    CIRCUIT_BREAKER, when the book offers a better one, for that lies outside the band as well.
    """

    price: Price
    reason: CancelReason
    nearest: Price | None = None


Consequence = TradingMode | BreakerChanged
"""What a gate makes of what has happened: the exchange tells of it, and acts."""


class RiskGate(Protocol):
    """Decides whether an order may go on. Pure; what it does not know it refuses."""

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace the limits of an account in an instrument."""

    def limits(self) -> list[RiskLimits]:
        """Return all limits in force, in an order that depends on the commands alone."""

    def set_scope_limits(self, limits: ScopeLimits) -> None:
        """Replace the limits of a firm or a session in an instrument."""

    def scope_limits(self) -> list[ScopeLimits]:
        """Return those in force, in an order that depends on the commands alone."""

    def set_throttle(self, throttle: AccountThrottle) -> None:
        """Let the account enter orders that often, from the state of use that it bears."""

    def change_throttle(
        self, account_id: AccountId, rate: int, burst: int, now_ns: int
    ) -> AccountThrottle:
        """Let another rate and burst hold from now on, and return them with what has been used."""

    def lift_throttle(self, account_id: AccountId) -> None:
        """Let the account enter orders as often as it likes."""

    def throttles(self) -> list[AccountThrottle]:
        """Return those in force, with what has been used of them, by account."""

    def set_limit(self, limit: Limit) -> int:
        """Let a limit hold from now on. Returns the version of all limits from then on."""

    def tightest_above(self, limit: Limit) -> int | None:
        """Return the tightest value that levels wider than the limit's have set for the same."""

    def set_rules(self, rules: InstrumentRules) -> int:
        """Replace the rules of an instrument. Returns the version of all limits from then on."""

    def set_reference_price(
        self, instrument_id: InstrumentId, price: Price | None, now_ns: int
    ) -> None:
        """Take an operator's word for an instrument's price, None: not any more."""

    def set_mode(self, mode: TradingMode) -> None:
        """Put a scope into a mode, at a level."""

    def grant(self, override: Override, now_ns: int) -> None:
        """Let through what would be refused, for a while. Forgets what has expired."""

    def revoke(
        self,
        account_id: AccountId,
        reason: RejectReason,
        cl_ord_id: ClOrdId,
        instrument_id: InstrumentId,
        asset_id: AssetId,
    ) -> Override | None:
        """Take back what was granted for that, and return it, None for nothing."""

    def add_account(self, account: Account) -> None:
        """An account exists."""

    def add_instrument(self, instrument: Instrument) -> None:
        """An instrument exists."""

    def add_balance(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """An account has so much of an asset, as restored."""

    def add_open_order(self, order: OrderView) -> None:
        """An order is open, as restored."""

    def restore(self, state: GateState) -> None:
        """Go on as the gate would whose state it is. Accounts and instruments are known."""

    def state(self) -> GateState:
        """Return what is remembered, in an order that depends on the commands alone."""

    def check_trader(self, order: NewOrder, replaced: Order | None) -> Rejection | None:
        """Return why the trader may not do this at all at present, None when he may.

        Account and instrument exist. `replaced` is the order that is to be amended, None for a new
        one. Changes nothing.
        """

    def check_entry(self, entry: Candidate) -> Rejection | None:
        """Return why an order that is well-formed is refused, None when it may go on.

        Changes nothing: what is counted is counted when `learn` hears that it was let in.
        """

    def find_bound(
        self, instrument: Instrument, side: Side, book: OrderBook, now_ns: int, *, is_market: bool
    ) -> Bound | None:
        """Return how far an order may trade now, whatever its own price is, None for any price."""

    def usages(self, now_ns: int) -> Iterable[Usage]:
        """Return how much of the limits on what there is is used. Changes nothing."""

    def learn(self, now_ns: int, events: Sequence[Event]) -> Sequence[Consequence]:
        """Take in what has happened, and return what follows from it."""

    def take_due(self, now_ns: int) -> Sequence[BreakerChanged]:
        """Return which markets are to pause by now, each once."""

    def next_ns(self) -> int | None:
        """Return when `take_due` next has something to say, None when nothing waits."""
