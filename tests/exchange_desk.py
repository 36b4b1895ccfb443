"""A small exchange to trade on in tests, and short words for its commands."""

import msgspec

from engine.commands import (
    AdjustBalance,
    AdvanceTime,
    CancelOrder,
    Command,
    DefineAsset,
    DefineInstrument,
    NewOrder,
    OpenAccount,
    ReplaceOrder,
    SetTradingState,
)
from engine.depth import DepthReader
from engine.events import Event
from engine.exchange import Exchange
from engine.gate import RiskGate
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.limits import RiskLimits
from engine.order import OrderTerms, OrderView, OrdStatus, OrdType, Side, TimeInForce
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from engine.risk_commands import SetRiskLimits
from engine.scope import Scope
from engine.state import BalanceState, find_faults
from engine.trading_state import TradingState
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    FirmId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    Qty,
    Seq,
    SessionId,
)
from risk.pre_trade import PreTradeGate

USD = AssetId(1)
BTC = AssetId(2)
BTC_USD = InstrumentId(1)
ALICE = AccountId(1)
BOB = AccountId(2)
NAMES = {ALICE: "ALICE", BOB: "BOB"}
NS_PER_S = 1_000_000_000
START_NS = 1_795_392_000 * NS_PER_S  # 2026-11-23T00:00:00Z.

# BTC-USD here: prices have 2 decimals, quantities 4; both assets have 8. One unit of price times
# one unit of quantity is 100 units of money, one unit of quantity is 10,000 units of BTC.
NOTIONAL_FACTOR = 100
BASE_FACTOR = 10_000
DEFAULT_FUNDS = {USD: Money(10_000_00000000), BTC: Money(100_00000000)}

BTC_USD_DEFINITION = InstrumentDefinition(BTC_USD, "BTC-USD", BTC, USD, 2, 4, Price(1), Qty(1))
REFERENCE_COMMANDS: list[Command] = [
    DefineAsset(Asset(USD, "USD", 8)),
    DefineAsset(Asset(BTC, "BTC", 8)),
    DefineInstrument(BTC_USD_DEFINITION),
]


def account_commands(
    account_id: AccountId,
    funds: dict[AssetId, Money],
    *,
    order_qty_max: int = 10**12,
    notional_max: int = 10**17,
) -> list[Command]:
    """Return what opens an account, funds it and sets its limits."""
    limits = RiskLimits(account_id, BTC_USD, Qty(order_qty_max), Money(notional_max))
    return [
        OpenAccount(
            Account(account_id, FirmId(account_id), NAMES.get(account_id, f"A{account_id}"))
        ),
        SetRiskLimits(limits),
        *(
            AdjustBalance(account_id, asset_id, amount, f"fund-{asset_id}")
            for asset_id, amount in funds.items()
            if amount
        ),
    ]


class Desk:
    """An exchange with BTC-USD and the accounts ALICE and BOB.

    Every command is followed by a check of all invariants. ClOrdIDs count up: c1, c2, ...
    """

    def __init__(
        self,
        funds: dict[AssetId, Money] | None = None,
        *,
        market_protection_bps: int = 0,
        gate: RiskGate | None = None,
    ) -> None:
        self.exchange = Exchange(gate or PreTradeGate())
        self.seq = 0
        self.now_ns = START_NS
        definition = msgspec.structs.replace(
            BTC_USD_DEFINITION, market_protection_bps=market_protection_bps
        )
        for command in [*REFERENCE_COMMANDS[:2], DefineInstrument(definition)]:
            self.apply(command)
        for account_id in (ALICE, BOB):
            for command in account_commands(account_id, funds or DEFAULT_FUNDS):
                self.apply(command)
        self._cl_ord_id = 0

    def apply(self, command: Command) -> list[Event]:
        """Apply a command and return its events; the exchange must be sound afterwards."""
        self.seq += 1
        self.now_ns += 1
        events = self.exchange.apply(Seq(self.seq), self.now_ns, command)
        assert find_faults(self.exchange.state()) == []
        return events

    def let_trigger(self, triggered_max: int) -> None:
        """Let so many stop orders enter at a time, until the exchange is another."""
        self.exchange._trading._cascade.triggered_max = triggered_max

    def enter(
        self,
        account_id: AccountId,
        side: Side,
        qty: int,
        price: int | None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        terms: OrderTerms | None = None,
    ) -> list[Event]:
        """Enter an order, a market order when `price` is None."""
        self._cl_ord_id += 1
        name = f"c{self._cl_ord_id}"
        order = new_order(account_id, side, qty, price, time_in_force, cl_ord_id=name, terms=terms)
        return self.apply(order)

    def buy(
        self,
        account_id: AccountId,
        qty: int,
        price: int | None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        terms: OrderTerms | None = None,
    ) -> list[Event]:
        """Enter a buy order."""
        return self.enter(account_id, Side.BUY, qty, price, time_in_force, terms)

    def sell(
        self,
        account_id: AccountId,
        qty: int,
        price: int | None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        terms: OrderTerms | None = None,
    ) -> list[Event]:
        """Enter a sell order."""
        return self.enter(account_id, Side.SELL, qty, price, time_in_force, terms)

    def cancel(self, account_id: AccountId, orig_cl_ord_id: str, cl_ord_id: str) -> list[Event]:
        """Cancel an order by its ClOrdID."""
        return self.apply(
            CancelOrder(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                cl_ord_id=ClOrdId(cl_ord_id),
                orig_cl_ord_id=ClOrdId(orig_cl_ord_id),
            )
        )

    def amend(
        self,
        account_id: AccountId,
        orig_cl_ord_id: str,
        cl_ord_id: str,
        qty: int,
        price: int | None,
        *,
        order_id: int = 0,
        is_poss_resend: bool = False,
        stop_price: int | None = None,
        display_qty: int | None = None,
    ) -> list[Event]:
        """Amend an order to another total quantity and price."""
        return self.apply(
            ReplaceOrder(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                cl_ord_id=ClOrdId(cl_ord_id),
                orig_cl_ord_id=ClOrdId(orig_cl_ord_id),
                order_qty=Qty(qty),
                price=None if price is None else Price(price),
                order_id=OrderId(order_id),
                is_poss_resend=is_poss_resend,
                stop_price=None if stop_price is None else Price(stop_price),
                display_qty=None if display_qty is None else Qty(display_qty),
            )
        )

    def mass_cancel(
        self,
        account_id: AccountId,
        cl_ord_id: str,
        scope: Scope,
        scope_id: int,
        *,
        side: Side | None = None,
        instrument_id: int = 0,
    ) -> list[Event]:
        """Cancel all open orders of a scope. Account 0 is the operator."""
        return self.apply(
            MassCancel(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                cl_ord_id=ClOrdId(cl_ord_id),
                scope=scope,
                scope_id=scope_id,
                instrument_id=InstrumentId(instrument_id),
                side=side,
            )
        )

    def report_open_orders(
        self,
        account_id: AccountId,
        request_id: str,
        scope: Scope,
        scope_id: int,
        *,
        side: Side | None = None,
        instrument_id: int = 0,
    ) -> list[Event]:
        """Ask for all open orders of a scope. Account 0 is the operator."""
        return self.apply(
            ReportOpenOrders(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                request_id=request_id,
                scope=scope,
                scope_id=scope_id,
                instrument_id=InstrumentId(instrument_id),
                side=side,
            )
        )

    def report_order(
        self, account_id: AccountId, cl_ord_id: str, request_id: str, *, order_id: int = 0
    ) -> list[Event]:
        """Ask for one order."""
        return self.apply(
            ReportOrder(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                cl_ord_id=ClOrdId(cl_ord_id),
                order_id=OrderId(order_id),
                request_id=request_id,
            )
        )

    def report_balances(self, account_id: AccountId, request_id: str) -> list[Event]:
        """Ask what the account has."""
        return self.apply(
            ReportBalances(SessionId(0), 0, 0, 0, account_id=account_id, request_id=request_id)
        )

    def set_state(
        self,
        state: TradingState,
        *,
        ends_at_ns: int = 0,
        collects_ns: int = 0,
        reference_price: int | None = None,
    ) -> list[Event]:
        """Put the market of BTC-USD into another state."""
        return self.apply(
            SetTradingState(
                BTC_USD,
                state,
                "a test",
                "somebody",
                ends_at_ns,
                collects_ns,
                None if reference_price is None else Price(reference_price),
            )
        )

    def advance_to(self, now_ns: int) -> list[Event]:
        """Let time pass."""
        self.now_ns = now_ns - 1
        return self.apply(AdvanceTime())

    def knows(self, account_id: AccountId, cl_ord_id: str) -> bool:
        """Whether the name still finds an order."""
        memory = self.exchange._trading.memory
        return memory.find_by_cl_ord_id(account_id, ClOrdId(cl_ord_id)) is not None

    def balance(self, account_id: AccountId, asset_id: AssetId) -> tuple[int, int]:
        """Return balance and hold of an account, zeros when it never had any."""
        for line in self.exchange.state().balances:
            if (line.account_id, line.asset_id) == (account_id, asset_id):
                return line.balance, line.held
        return 0, 0

    def balances(self) -> list[BalanceState]:
        """Return all balances that are not zero."""
        return self.exchange.state().balances


class WatchedDesk(Desk):
    """A desk that compares its book after every command with the depth that the events tell."""

    def __init__(
        self, funds: dict[AssetId, Money] | None = None, *, market_protection_bps: int = 0
    ) -> None:
        self.depth = DepthReader()
        super().__init__(funds, market_protection_bps=market_protection_bps)

    def apply(self, command: Command) -> list[Event]:
        """Apply a command and return its events, which must tell all that is new in the book."""
        events = super().apply(command)
        self.depth.apply(events)
        book = self.exchange._trading.books.get(BTC_USD)
        for side in () if book is None else (book.bids, book.asks):
            assert self.depth.depth(BTC_USD, side.side, 10**6) == side.depth(10**6)
        return events


def type_of(price: int | None, terms: OrderTerms | None) -> OrdType:
    """Return which type an order has by whether it has a price and a stop price."""
    if terms is None or terms.stop_price is None:
        return OrdType.MARKET if price is None else OrdType.LIMIT
    return OrdType.STOP if price is None else OrdType.STOP_LIMIT


def new_order(
    account_id: AccountId,
    side: Side,
    qty: int,
    price: int | None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    *,
    cl_ord_id: str,
    is_poss_resend: bool = False,
    terms: OrderTerms | None = None,
) -> NewOrder:
    """Return an order that comes over no FIX session."""
    return NewOrder(
        session_id=SessionId(0),
        generation=0,
        epoch=0,
        msg_seq_num=0,
        account_id=account_id,
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(cl_ord_id),
        side=side,
        ord_type=type_of(price, terms),
        time_in_force=time_in_force,
        order_qty=Qty(qty),
        price=None if price is None else Price(price),
        is_poss_resend=is_poss_resend,
        terms=terms,
    )


def view(
    order_id: int,
    account_id: AccountId,
    cl_ord_id: str,
    side: Side,
    *,
    qty: int,
    price: int | None,
    cum_qty: int = 0,
    cum_notional: int = 0,
    leaves_qty: int | None = None,
    ord_status: OrdStatus = OrdStatus.NEW,
    time_in_force: TimeInForce = TimeInForce.GTC,
) -> OrderView:
    """Return the view that an event should carry. LeavesQty is what CumQty leaves, if not given."""
    return OrderView(
        order_id=OrderId(order_id),
        account_id=account_id,
        session_id=SessionId(0),
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(cl_ord_id),
        side=side,
        ord_type=OrdType.MARKET if price is None else OrdType.LIMIT,
        time_in_force=time_in_force,
        price=None if price is None else Price(price),
        order_qty=Qty(qty),
        leaves_qty=Qty(qty - cum_qty if leaves_qty is None else leaves_qty),
        cum_qty=Qty(cum_qty),
        cum_notional=Money(cum_notional),
        ord_status=ord_status,
    )


def session_order(
    session_id: SessionId,
    generation: int,
    msg_seq_num: int,
    *,
    outlives_connection: bool = False,
    orig_sent_at_ns: int = 0,
) -> NewOrder:
    """Return a small GTC buy order of ALICE over a FIX session in epoch 1, far below the market."""
    return NewOrder(
        session_id=session_id,
        generation=generation,
        epoch=1,
        msg_seq_num=msg_seq_num,
        account_id=ALICE,
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(f"{session_id}-{msg_seq_num}"),
        side=Side.BUY,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Qty(1),
        price=Price(1),
        orig_sent_at_ns=orig_sent_at_ns,
        outlives_connection=outlives_connection,
    )
