"""Our whole state machine: `Exchange.apply`, with order memory, ledger, holds and events."""

from collections.abc import Sequence
from typing import Final

from benchmarks.controls import control_commands
from benchmarks.messages import MODIFY, NEW, Fill, Message, order_count
from engine.commands import (
    AdjustBalance,
    CancelOrder,
    Command,
    DefineAsset,
    DefineInstrument,
    NewOrder,
    OpenAccount,
)
from engine.events import CommandRefused, Event, OrderCanceled, Trade
from engine.exchange import Exchange
from engine.gate import Candidate, Consequence, Rejection, RiskGate
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.limits import RiskLimits
from engine.live_order import Order
from engine.order import OrdType, Side, TimeInForce
from engine.risk_commands import SetRiskLimits
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    FirmId,
    InstrumentId,
    Money,
    Price,
    Qty,
    Seq,
    SessionId,
)
from risk.pre_trade import PreTradeGate

ACCOUNTS: Final = 1000
USD, COIN = AssetId(1), AssetId(2)
COIN_USD = InstrumentId(1)
DEPOSIT = Money(9 * 10**14)  # Of each asset in each account: ten thousand of them fit 64 bits.
SESSION = SessionId(0)
MESSAGE_NS: Final = 500


class OpenGate:
    """Pre-trade risk that lets every order pass, to see what the exchange costs without it.

    For what an order does not ask of it it is a `PreTradeGate`, which may be compiled: then nothing
    may inherit from it.
    """

    def __init__(self) -> None:
        gate = PreTradeGate()
        for name in set(dir(gate)) - set(dir(self)):
            setattr(self, name, getattr(gate, name))

    def check_trader(self, order: NewOrder, replaced: Order | None) -> Rejection | None:
        """Return None."""
        return None

    def check_entry(self, entry: Candidate) -> Rejection | None:
        """Return None."""
        return None

    def learn(self, now_ns: int, events: Sequence[Event]) -> Sequence[Consequence]:
        """Return nothing."""
        return ()


class OurExchange:
    """One instrument and rich accounts. The commands are made before the clock runs."""

    def __init__(
        self, gate: RiskGate, *, has_all_controls: bool = False, account_count: int = ACCOUNTS
    ) -> None:
        self._exchange = Exchange(gate)
        self._account_count = account_count
        self._seq = 0
        self._new: list[NewOrder] = []
        self._cancel: list[CancelOrder] = []
        self._trades: list[list[Event]] = []
        for command in set_up_commands(account_count):
            self._apply(command)
        if has_all_controls:
            for command in control_commands(account_count, COIN_USD, COIN, USD):
                assert not isinstance(self._apply(command)[0], CommandRefused)

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make the commands, as they come off the wire decoded."""
        self._new = new_orders(messages, self._account_count)
        self._cancel = [cancel_of(order) for order in self._new]

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Apply the order's command."""
        events = self._apply(self._new[order_id - 1])
        if len(events) > 1:
            self._trades.append(events)

    def cancel(self, order_id: int) -> bool:
        """Apply a cancel of the order."""
        return type(self._apply(self._cancel[order_id - 1])[0]) is OrderCanceled

    def live_through(self, order_count: int) -> None:
        """Enter so many orders and cancel each of them, the accounts in turn."""
        messages: list[Message] = [
            (NEW, number, 0, True, 1, 1, False) for number in range(1, order_count + 1)
        ]
        for order in new_orders(messages, self._account_count, prefix="past"):
            self._apply(order)
            self._apply(cancel_of(order))

    def fills(self) -> list[Fill]:
        """Return all fills so far, put together from the two events of each match."""
        order_ids = {order.cl_ord_id: number for number, order in enumerate(self._new, 1)}
        fills = []
        for events in self._trades:
            trades = [event for event in events if isinstance(event, Trade)]
            for taker, maker in zip(trades[::2], trades[1::2], strict=True):
                assert maker.is_resting
                taker_id, maker_id = (
                    order_ids[taker.order.cl_ord_id],
                    order_ids[maker.order.cl_ord_id],
                )
                fills.append((taker_id, maker_id, int(maker.qty), int(maker.price)))
        return fills

    def resting_count(self) -> int:
        """Return how many orders rest."""
        return len(self._exchange.state().open_orders)

    def _apply(self, command: Command) -> list[Event]:
        self._seq = seq = self._seq + 1
        return self._exchange.apply(Seq(seq), seq * MESSAGE_NS, command)


def set_up_commands(account_count: int = ACCOUNTS) -> list[Command]:
    """Return what makes an exchange with one instrument and so many rich accounts."""
    commands: list[Command] = [
        DefineAsset(Asset(USD, "USD", 2)),
        DefineAsset(Asset(COIN, "COIN", 0)),
        DefineInstrument(
            InstrumentDefinition(COIN_USD, "COIN-USD", COIN, USD, 2, 0, Price(1), Qty(1))
        ),
    ]
    for number in range(1, account_count + 1):
        account_id = AccountId(number)
        commands += [
            OpenAccount(Account(account_id, FirmId(number), f"A{number}")),
            SetRiskLimits(RiskLimits(account_id, COIN_USD, Qty(10**9), Money(10**17))),
            AdjustBalance(account_id, USD, DEPOSIT, "usd"),
            AdjustBalance(account_id, COIN, DEPOSIT, "coin"),
        ]
    return commands


def cancel_of(order: NewOrder) -> CancelOrder:
    """Return the command that cancels the order."""
    return CancelOrder(
        SESSION, 0, 0, 0, order.account_id, ClOrdId("x" + order.cl_ord_id), order.cl_ord_id
    )


def new_orders(
    messages: Sequence[Message], account_count: int = ACCOUNTS, prefix: str = "o"
) -> list[NewOrder]:
    """Return the command of every order that the messages enter, by order id less one.

    Accounts take turns; an order that replaces another belongs to the same account.
    """
    accounts = [0] * (order_count(messages) + 1)
    orders: list[NewOrder] = []
    for kind, order_id, orig_id, is_buy, qty, price, is_ioc in messages:
        if kind not in (NEW, MODIFY):
            continue
        if order_id <= len(orders):  # A replacement that is sent twice.
            continue
        account = accounts[orig_id] if kind == MODIFY else order_id % account_count + 1
        accounts[order_id] = account
        orders.append(
            NewOrder(
                SESSION, 0, 0, 0, AccountId(account), COIN_USD, ClOrdId(f"{prefix}{order_id}"),
                Side.BUY if is_buy else Side.SELL, OrdType.LIMIT,
                TimeInForce.IOC if is_ioc else TimeInForce.GTC, Qty(qty), Price(price),
            )
        )  # fmt: skip
    return orders
