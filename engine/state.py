"""The whole state of the exchange as data: what the state hash is made of, and its invariants."""

from collections import defaultdict

import msgspec

from engine.dead_man import DeadManTimer
from engine.fee_rates import FeeRates
from engine.floor import with_fee
from engine.gate_state import GateState
from engine.instrument import Account, Asset, Instrument, InstrumentDefinition, make_instrument
from engine.kept import (
    FeeSchedule,
    FirmCredit,
    FirmTier,
    FormerName,
    PulledSwitch,
    SelfTradeDefault,
    Sweep,
    Withdrawal,
)
from engine.ledger import VENUE_ACCOUNTS
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.live_order import Order
from engine.matching import limit_of
from engine.order import OrderView, OrdStatus, Side, TriggerDirection
from engine.order_memory import CLOSED_MAX
from engine.presence import Attendance
from engine.status_reports import StatusRequest
from engine.trade_amendments import AmendedTrade
from engine.trading_state import MarketState, TradingState
from engine.units import (
    AccountId,
    AssetId,
    FirmId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    SessionId,
    TradeId,
)


class BalanceState(msgspec.Struct, frozen=True, array_like=True):
    """What an account has of an asset. Account 0 is the outside world, -2 the venue's fees."""

    account_id: AccountId
    asset_id: AssetId
    balance: Money
    held: Money
    credit: Money = Money(0)


class GrantState(msgspec.Struct, frozen=True, array_like=True):
    """A FIX session's owner and position."""

    session_id: SessionId
    generation: int
    epoch: int
    watermark: int
    is_held: bool


class OrderState(msgspec.Struct, frozen=True, array_like=True):
    """An order that is still known. `closed_at_ns` is 0 while it is open."""

    order: OrderView
    held: Money
    expires_at_ns: int
    closed_at_ns: int = 0
    outlives_connection: bool = False
    fees: FeeRates | None = None
    amend_count: int = 0

    def make_order(self) -> Order:
        """Return the order itself, with no place in a book yet."""
        view = self.order
        return Order(
            order_id=view.order_id,
            account_id=view.account_id,
            session_id=view.session_id,
            instrument_id=view.instrument_id,
            cl_ord_id=view.cl_ord_id,
            side=view.side,
            ord_type=view.ord_type,
            time_in_force=view.time_in_force,
            price=view.price,
            order_qty=view.order_qty,
            leaves_qty=view.leaves_qty,
            cum_qty=view.cum_qty,
            cum_notional=view.cum_notional,
            ord_status=view.ord_status,
            held=self.held,
            expires_at_ns=self.expires_at_ns,
            outlives_connection=self.outlives_connection,
            terms=view.terms,
            is_waiting=view.is_waiting,
            hidden_qty=view.hidden_qty,
            fees=self.fees,
            user_id=view.user_id,
            amend_count=self.amend_count,
        )


class ExchangeState(msgspec.Struct, frozen=True, array_like=True):
    """Everything that the next command's outcome can depend on, in an order that is reproducible.

    Open orders stand by instrument, bids before asks, in the order in which they would trade; stop
    orders that wait stand behind both, those that a price has reached last. `unsorted_expiries`
    are those that end together in another order than that of their numbers.
    """

    assets: list[Asset]
    instruments: list[InstrumentDefinition]
    accounts: list[Account]
    limits: list[RiskLimits]
    balances: list[BalanceState]
    references: list[tuple[AccountId, str]]
    grants: list[GrantState]
    open_orders: list[OrderState]
    closed_orders: list[OrderState]
    trade_id_last: TradeId
    is_storage_low: bool = False
    scope_limits: list[ScopeLimits] = []
    throttles: list[AccountThrottle] = []
    attendances: list[Attendance] = []
    kill_switches: list[PulledSwitch] = []
    sweeps: list[Sweep] = []
    former_names: list[FormerName] = []
    self_trade_defaults: list[SelfTradeDefault] = []
    status_requests: list[StatusRequest] = []
    fee_schedules: list[FeeSchedule] = []
    fee_tiers: list[FirmTier] = []
    withdrawals: list[Withdrawal] = []
    markets: list[MarketState] = []
    gate: GateState = GateState()
    amended_trades: list[AmendedTrade] = []
    cl_ord_ids_max: int = CLOSED_MAX
    reached_stops: list[tuple[OrderId, Price]] = []
    firm_credits: list[FirmCredit] = []
    dead_man_timers: list[DeadManTimer] = []
    unsorted_expiries: list[OrderId] = []


def make_instruments(state: ExchangeState) -> dict[InstrumentId, Instrument]:
    """Return the instruments of the state, joined with their assets."""
    assets = {asset.asset_id: asset for asset in state.assets}
    instruments = {}
    for definition in state.instruments:
        base, quote = assets[definition.base_asset_id], assets[definition.quote_asset_id]
        instrument = make_instrument(definition, base, quote)
        assert instrument is not None
        instruments[definition.instrument_id] = instrument
    return instruments


def undrawn_credits(state: ExchangeState) -> dict[tuple[FirmId, AssetId], int]:
    """Return how much is left of the firms' lines of credit, for those that have one."""
    firms = {account.account_id: account.firm_id for account in state.accounts}
    undrawn = {
        (credit.firm_id, credit.asset_id): int(credit.limit) for credit in state.firm_credits
    }
    for line in state.balances:
        if line.account_id not in VENUE_ACCOUNTS:
            key = (firms[line.account_id], line.asset_id)
            if key in undrawn:
                undrawn[key] -= max(0, line.held - line.balance - line.credit)
    return undrawn


def find_faults(state: ExchangeState) -> list[str]:
    """Return every invariant that the state breaks, in words. An empty list is a sound exchange."""
    return [
        *_unbalanced_assets(state),
        *_wrong_holds(state),
        *_overdrawn(state),
        *_wrong_orders(state),
        *_crossed_books(state),
        *_missed_stops(state),
    ]


def _unbalanced_assets(state: ExchangeState) -> list[str]:
    totals: defaultdict[AssetId, int] = defaultdict(int)
    for line in state.balances:
        totals[line.asset_id] += line.balance
    return [
        f"balances of asset {asset_id} sum to {total}, not 0"
        for asset_id, total in totals.items()
        if total
    ]


def _wrong_holds(state: ExchangeState) -> list[str]:
    needed: defaultdict[tuple[AccountId, AssetId], int] = defaultdict(int)
    instruments = make_instruments(state)
    for item in state.open_orders:
        order = item.order
        instrument = instruments[order.instrument_id]
        if order.side is Side.BUY:
            price = limit_of(order, instrument)
            assert price is not None
            amount = instrument.notional(price, order.leaves_qty)
            if item.fees is not None:
                amount = with_fee(amount, item.fees)
            needed[(order.account_id, instrument.quote.asset_id)] += amount
        else:
            amount = instrument.base_amount(order.leaves_qty)
            needed[(order.account_id, instrument.base.asset_id)] += amount
    for withdrawal in state.withdrawals:
        needed[(withdrawal.account_id, withdrawal.asset_id)] += withdrawal.amount
    faults = []
    for line in state.balances:
        open_amount = needed.pop((line.account_id, line.asset_id), 0)
        if line.held != open_amount:
            faults.append(
                f"account {line.account_id} holds {line.held} of asset {line.asset_id}, "
                f"its open orders and withdrawals need {open_amount}"
            )
    faults.extend(f"no balance for the holds of account and asset {key}" for key in needed)
    return faults


def _overdrawn(state: ExchangeState) -> list[str]:
    """Accounts that hold more than they have, beyond their own credit and their firm's."""
    faults = []
    undrawn = undrawn_credits(state)
    firms = {account.account_id: account.firm_id for account in state.accounts}
    for line in state.balances:
        if line.balance + line.credit >= line.held or line.account_id in VENUE_ACCOUNTS:
            continue
        if (firms[line.account_id], line.asset_id) not in undrawn:
            faults.append(
                f"account {line.account_id} has {line.balance} of asset {line.asset_id} and a "
                f"credit of {line.credit}, less than the {line.held} it holds"
            )
    faults.extend(
        f"firm {firm_id} has drawn {-left} of asset {asset_id} beyond its line"
        for (firm_id, asset_id), left in undrawn.items()
        if left < 0
    )
    return faults


def _wrong_orders(state: ExchangeState) -> list[str]:
    faults = []
    for item in state.open_orders:
        order = item.order
        if order.order_qty != order.cum_qty + order.leaves_qty or order.leaves_qty <= 0:
            faults.append(
                f"open order {order.order_id}: OrderQty {order.order_qty}, "
                f"CumQty {order.cum_qty}, LeavesQty {order.leaves_qty}"
            )
    faults.extend(
        f"open order {order.order_id} shows {order.shown_qty} and hides {order.hidden_qty}"
        for order in (item.order for item in state.open_orders)
        if not _shows_what_it_may(order)
    )
    faults.extend(
        f"ended order {item.order.order_id} still has LeavesQty or a hold"
        for item in state.closed_orders
        if item.order.leaves_qty or item.held
    )
    faults.extend(
        f"order {item.order.order_id} counts as filled with {item.order.cum_qty} of "
        f"{item.order.order_qty}"
        for item in state.closed_orders
        if item.order.ord_status is OrdStatus.FILLED and item.order.cum_qty != item.order.order_qty
    )
    return faults


def _shows_what_it_may(order: OrderView) -> bool:
    display_qty = 0 if order.terms is None else order.terms.display_qty
    if not display_qty:
        return order.hidden_qty == 0
    return order.hidden_qty >= 0 and 0 < order.shown_qty <= display_qty


def _crossed_books(state: ExchangeState) -> list[str]:
    best: dict[tuple[InstrumentId, Side], int] = {}
    for item in state.open_orders:
        if not item.order.is_waiting:
            assert item.order.price is not None
            best.setdefault((item.order.instrument_id, item.order.side), item.order.price)
    faults = []
    may_cross = {market.instrument_id for market in state.markets if market.rules.may_cross}
    for (instrument_id, side), price in best.items():
        if instrument_id in may_cross:
            continue
        ask = best.get((instrument_id, Side.SELL))
        if side is Side.BUY and ask is not None and price >= ask:
            faults.append(f"instrument {instrument_id} is crossed: bid {price}, ask {ask}")
    return faults


def _missed_stops(state: ExchangeState) -> list[str]:
    last_prices = {
        market.instrument_id: market.last_price
        for market in state.markets
        if market.state is TradingState.CONTINUOUS and market.last_price is not None
    }
    reached = {order_id for order_id, _ in state.reached_stops}
    faults = []
    for item in state.open_orders:
        order, terms = item.order, item.order.terms
        price = last_prices.get(order.instrument_id)
        if not order.is_waiting or price is None or order.order_id in reached:
            continue
        assert terms is not None
        assert terms.stop_price is not None
        rises = terms.trigger_direction(order.side) is TriggerDirection.UP
        if price >= terms.stop_price if rises else price <= terms.stop_price:
            faults.append(f"stop order {order.order_id} waits though the last price is {price}")
    return faults
