"""An exchange that was put back from its state goes on like the one the state was taken of."""

import random
from itertools import chain

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import (
    AdjustBalance,
    AdvanceTime,
    CancelOrder,
    Command,
    DefineAsset,
    DefineInstrument,
    LiftKillSwitch,
    NewOrder,
    OpenAccount,
    PullKillSwitch,
    ReplaceOrder,
    SetClOrdIdsMax,
    SetDeadManTimer,
    SetSelfTradeMode,
    SetStorageLow,
    SetTradingState,
)
from engine.controls import Level
from engine.events import Event, Trade
from engine.exchange import Exchange
from engine.fee_rates import FEE_PPM_MAX, FeeRates
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.ledger_commands import (
    RequestWithdrawal,
    SetCreditLine,
    SetFees,
    SetFirmCreditLine,
    SetFirmFeeTier,
    SettleWithdrawal,
    TransferFunds,
)
from engine.limits import RiskLimits, ScopeLimits
from engine.order import OrderTerms, SelfTradeMode, Side, TimeInForce, TriggerDirection
from engine.order_memory import CLOSED_AGE_MAX_NS
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from engine.risk_commands import SetAccountThrottle, SetRiskLimits, SetScopeLimits
from engine.runtime.codec import encode_events
from engine.runtime.replay import hash_state
from engine.scope import Scope
from engine.session_commands import (
    LogOffSession,
    LogOnSession,
    OpenSession,
    ReleaseAllSessions,
    ReleaseSession,
    ResetSession,
)
from engine.state import ExchangeState, find_faults
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeSide
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
from tests.exchange_desk import START_NS, type_of
from tests.model.scribbled_controls import scribble_control

COMMANDS_MAX = 400
UNIT = 100_000_000


class Scribbler:
    """Draws commands, most of which have an effect: few identities, so that they meet."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._msg_seq_num = 0
        self._trades: list[BookedTrade] = []

    def note(self, seq: int, events: list[Event]) -> None:
        """Take in what came of the last command: its trades can be undone."""
        trades = [(index, event) for index, event in enumerate(events) if isinstance(event, Trade)]
        for (index, taker), (_, maker) in zip(trades[::2], trades[1::2], strict=True):
            self._trades.append(
                BookedTrade(
                    taker.trade_id,
                    seq,
                    taker.order.instrument_id,
                    taker.qty,
                    taker.price,
                    TradeSide(taker.order, index, taker.fee),
                    TradeSide(maker.order, index + 1, maker.fee),
                )
            )

    def _amend_trade(self) -> Command:
        rng = self._rng
        if not self._trades:
            return AdvanceTime()
        trade, is_forced = rng.choice(self._trades), rng.random() < 0.3
        if rng.random() < 0.5:
            return BustTrade(trade, "mistake", "carol", is_forced)
        qty, price = Qty(rng.randint(0, trade.qty)), Price(rng.randint(90, 110))
        return CorrectTrade(trade, qty, price, "mistake", "carol", is_forced)

    def command(self) -> Command:
        """Return the next command."""
        rng = self._rng
        pick = rng.random()
        if pick < 0.5:
            return self._new_order()
        if pick < 0.58:
            return self._cancel()
        if pick < 0.65:
            return self._replace()
        if pick < 0.72:
            return AdvanceTime()
        if pick < 0.78:
            return OpenSession(self._session(), rng.randint(0, 3), rng.random() < 0.2)
        if pick < 0.805:
            return ReleaseSession(self._session(), rng.randint(1, 3))
        if pick < 0.85:
            rare: list[Command] = [
                ReleaseAllSessions(),
                ResetSession(self._session()),
                SetStorageLow(rng.random() < 0.3),
                self._self_trade_mode(),
                self._switch(),
                SetDeadManTimer(self._account(), rng.choice([-1, 0, 1, 10**9, 10**11])),
                self._request(),
                self._request(),
                self._trading_state(),
                self._trading_state(),
                self._amend_trade(),
                SetClOrdIdsMax(rng.choice([5, 50, 200_000])),
            ]
            return rng.choice(rare)
        if pick < 0.89:
            return self._presence()
        if pick < 0.95:
            is_about_money = rng.random() < 0.6
            return self._about_money() if is_about_money else scribble_control(rng, START_NS)
        return self._definition()

    def _about_money(self) -> Command:
        rng = self._rng
        rates = FeeRates(rng.randint(-50_000, 50_000), rng.randint(-50_000, FEE_PPM_MAX + 5))
        amount, reference = Money(rng.randint(-1, 10 * UNIT)), f"r{rng.randint(1, 40)}"
        commands: list[Command] = [
            SetFees(self._instrument(), rng.randint(0, 2), rng.choice([None, rates])),
            SetFirmFeeTier(FirmId(rng.randint(1, 3)), rng.randint(0, 2)),
            RequestWithdrawal(self._account(), self._asset(), amount, reference),
            SettleWithdrawal(rng.randint(1, COMMANDS_MAX), rng.random() < 0.5),
            TransferFunds(self._account(), self._account(), self._asset(), amount, reference),
            SetCreditLine(self._account(), self._asset(), amount),
            SetFirmCreditLine(FirmId(self._account()), self._asset(), amount),
        ]
        if rng.random() < 0.4:
            amount = Money(rng.choice([-1, 1, 1, 5]) * UNIT * rng.randint(0, 50))
            return AdjustBalance(self._account(), self._asset(), amount, reference)
        return rng.choice(commands)

    def _presence(self) -> Command:
        rng = self._rng
        session_id, generation = self._session(), rng.randint(1, 3)
        if rng.random() < 0.4:
            return LogOffSession(session_id, generation, rng.random() < 0.3)
        return LogOnSession(
            session_id,
            generation,
            self._account(),
            rng.choice([None, Scope.SESSION, Scope.ACCOUNT]),
            rng.choice([0, 1, 10**9, 10**11]),
            rng.random() < 0.5,
            rng.random() < 0.5,
        )

    def _request(self) -> Command:
        rng = self._rng
        scope = rng.choice(list(Scope))
        scope_id = 0 if scope is Scope.EVERYTHING else rng.randint(1, 3)
        account_id = rng.choice([AccountId(0), self._account(), self._account()])
        instrument_id = InstrumentId(rng.choice([0, 0, 1, 2, 9]))
        side = rng.choice([None, None, *Side])
        nobody = (SessionId(0), 0, 0, 0)
        commands: list[Command] = [
            MassCancel(
                *nobody, account_id, self._cl_ord_id(), scope, scope_id, instrument_id, side
            ),
            ReportOpenOrders(*nobody, account_id, "q", scope, scope_id, instrument_id, side),
            ReportOrder(*nobody, account_id, self._cl_ord_id(), side=side),
            ReportBalances(*nobody, account_id, "b"),
        ]
        return rng.choice(commands)

    def _switch(self) -> Command:
        rng = self._rng
        scope = rng.choice(list(Scope))
        scope_id = 0 if scope is Scope.EVERYTHING else rng.randint(1, 3)
        actor, level = rng.choice(["ann", "ben", ""]), rng.choice(list(Level))
        if rng.random() < 0.4:
            return PullKillSwitch(scope, scope_id, "trouble", actor, level)
        return LiftKillSwitch(scope, scope_id, "all is well", actor, level)

    def _trading_state(self) -> SetTradingState:
        rng = self._rng
        state = rng.choice([*TradingState, *[TradingState.PRE_OPEN, TradingState.CONTINUOUS] * 3])
        ends_at_ns = 0
        if state is not TradingState.CONTINUOUS:
            ends_at_ns = START_NS + rng.choice([0, 10**12, 10**15, 10**16])
        return SetTradingState(
            self._instrument(),
            state,
            "a whim",
            "somebody",
            ends_at_ns,
            rng.choice([0, 10**12]),
            rng.choice([None, Price(101)]),
        )

    def _self_trade_mode(self) -> SetSelfTradeMode:
        rng = self._rng
        scope = rng.choice([Scope.EVERYTHING, Scope.SESSION, Scope.FIRM])
        scope_id = 0 if scope is Scope.EVERYTHING else rng.randint(0, 3)
        return SetSelfTradeMode(scope, scope_id, rng.choice([None, *SelfTradeMode]))

    def _wider_limits(self) -> Command:
        rng = self._rng
        qty, notional = rng.choice([None, Qty(15)]), rng.choice([None, Money(10**5)])
        scope = rng.choice([Scope.FIRM, Scope.SESSION])
        return SetScopeLimits(
            ScopeLimits(scope, rng.randint(1, 3), self._instrument(), qty, notional)
        )

    def _definition(self) -> Command:
        rng = self._rng
        pick = rng.randint(0, 5)
        if pick == 4:
            return self._wider_limits()
        if pick == 5:
            rate = rng.choice([None, 1, 7])
            return SetAccountThrottle(self._account(), rate, rate and rng.randint(1, 9))
        if pick == 0:
            return SetRiskLimits(
                RiskLimits(
                    self._account(),
                    self._instrument(),
                    Qty(rng.choice([10, 10**9])),
                    Money(10**16),
                )
            )
        if pick == 1:
            return DefineAsset(Asset(self._asset(), f"A{rng.randint(1, 3)}", 8))
        if pick == 2:
            account_id = self._account()
            return OpenAccount(Account(account_id, FirmId(account_id % 2 + 1), f"N{account_id}"))
        instrument_id = self._instrument()
        base, quote = (AssetId(2), AssetId(1)) if instrument_id == 1 else (AssetId(3), AssetId(1))
        return DefineInstrument(
            InstrumentDefinition(
                instrument_id, f"I{instrument_id}", base, quote, 2, 4, Price(1), Qty(1)
            )
        )

    def _new_order(self) -> NewOrder:
        rng = self._rng
        session_id = rng.choice([SessionId(0), self._session()])
        self._msg_seq_num += rng.randint(0, 2)
        price = None if rng.random() < 0.1 else Price(rng.randint(95, 105))
        is_stop = rng.random() < 0.2
        time = rng.choice(list(TimeInForce))
        terms = OrderTerms(
            is_post_only=rng.random() < 0.1,
            min_qty=Qty(rng.choice([0, 0, 0, 5])),
            expires_at_ns=START_NS + rng.randint(0, 10**16) if time is TimeInForce.GTD else 0,
            self_trade=rng.choice([None, None, *SelfTradeMode]),
            self_trade_group=rng.randint(0, 1),
            stop_price=Price(rng.randint(95, 105)) if is_stop else None,
            trigger=rng.choice([None, *TriggerDirection]) if is_stop else None,
            display_qty=Qty(rng.choice([0, 0, 1, 3])),
        )
        return NewOrder(
            session_id=session_id,
            generation=rng.randint(1, 3) if session_id else 0,
            epoch=1 if session_id else 0,
            msg_seq_num=self._msg_seq_num if session_id else 0,
            account_id=self._account(),
            instrument_id=self._instrument(),
            cl_ord_id=self._cl_ord_id(),
            side=rng.choice(list(Side)),
            ord_type=type_of(price, terms if is_stop else None),
            time_in_force=time,
            order_qty=Qty(rng.randint(1, 20)),
            price=price,
            is_poss_resend=rng.random() < 0.2,
            orig_sent_at_ns=rng.choice([0, 0, START_NS + rng.randint(0, 10**12)]),
            outlives_connection=rng.random() < 0.3,
            terms=terms if time is TimeInForce.GTD or is_stop else rng.choice([None, terms]),
        )

    def _cancel(self) -> CancelOrder:
        rng = self._rng
        return CancelOrder(
            session_id=SessionId(0),
            generation=0,
            epoch=0,
            msg_seq_num=0,
            account_id=self._account(),
            cl_ord_id=ClOrdId(f"x{rng.randint(1, 10**6)}"),
            orig_cl_ord_id=self._cl_ord_id(),
            order_id=OrderId(rng.choice([0, 0, 0, rng.randint(1, COMMANDS_MAX)])),
        )

    def _replace(self) -> ReplaceOrder:
        rng = self._rng
        cancel = self._cancel()
        return ReplaceOrder(
            session_id=SessionId(0),
            generation=0,
            epoch=0,
            msg_seq_num=0,
            account_id=cancel.account_id,
            cl_ord_id=self._cl_ord_id(),
            orig_cl_ord_id=rng.choice([cancel.orig_cl_ord_id, ClOrdId("")]),
            order_id=cancel.order_id,
            order_qty=Qty(rng.randint(0, 20)),
            price=rng.choice([None, *[Price(rng.randint(95, 105))] * 9]),
            is_poss_resend=rng.random() < 0.2,
            stop_price=rng.choice([None, None, Price(rng.randint(95, 105))]),
            display_qty=rng.choice([None, None, Qty(rng.randint(0, 5))]),
        )

    def _cl_ord_id(self) -> ClOrdId:
        return ClOrdId(f"c{self._rng.randint(1, 120)}")

    def _account(self) -> AccountId:
        return AccountId(self._rng.randint(1, 4))

    def _asset(self) -> AssetId:
        return AssetId(self._rng.randint(1, 3))

    def _instrument(self) -> InstrumentId:
        return InstrumentId(self._rng.randint(1, 2))

    def _session(self) -> SessionId:
        return SessionId(self._rng.randint(1, 3))


def opening(rng: random.Random) -> list[Command]:
    """Return what makes the exchange worth trading on, in an order of its own each time."""
    accounts = [AccountId(number) for number in (1, 2, 3)]
    rng.shuffle(accounts)
    commands: list[Command] = [
        *(DefineAsset(Asset(AssetId(number), f"A{number}", 8)) for number in (3, 1, 2)),
        *(
            DefineInstrument(
                InstrumentDefinition(
                    InstrumentId(number), f"I{number}", base, AssetId(1), 2, 4, Price(1), Qty(1)
                )
            )
            for number, base in ((2, AssetId(3)), (1, AssetId(2)))
        ),
    ]
    for account_id in accounts:
        commands.append(OpenAccount(Account(account_id, FirmId(1), f"N{account_id}")))
        for instrument_id in (InstrumentId(1), InstrumentId(2)):
            limits = RiskLimits(account_id, instrument_id, Qty(10**9), Money(10**16))
            commands.append(SetRiskLimits(limits))
        funded = [AssetId(1), AssetId(2), AssetId(3)]
        rng.shuffle(funded)
        commands += [
            AdjustBalance(account_id, asset_id, Money(UNIT), f"fund-{asset_id}")
            for asset_id in funded[: rng.randint(1, 3)]
        ]
    return commands


def copy_through_bytes(exchange: Exchange) -> Exchange:
    """Return an exchange made from the encoded state of another."""
    data = msgspec.msgpack.encode(exchange.state())
    state = msgspec.msgpack.decode(data, type=ExchangeState)
    return Exchange.restore(PreTradeGate(), state)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, COMMANDS_MAX))
def test_restored_exchange_decides_alike(seed: int, cut: int) -> None:
    """Whenever the state is taken, what follows is the same to the byte, and so is the end."""
    rng = random.Random(seed)
    scribbler = Scribbler(rng)
    exchange = Exchange(PreTradeGate())
    copy: Exchange | None = None
    now_ns = START_NS
    commands = chain(opening(rng), (scribbler.command() for _ in range(COMMANDS_MAX)))
    for seq, command in enumerate(commands, start=1):
        now_ns += rng.choice([1, 10**9, CLOSED_AGE_MAX_NS // 12])
        if seq == cut:
            copy = copy_through_bytes(exchange)
            assert copy.state() == exchange.state()
            assert copy.next_timer_ns() == exchange.next_timer_ns()
            assert copy.session_events() == exchange.session_events()
            assert copy.reference.events() == exchange.reference.events()
        events = exchange.apply(Seq(seq), now_ns, command)
        scribbler.note(seq, events)
        if copy is not None:
            assert encode_events(copy.apply(Seq(seq), now_ns, command)) == encode_events(events)
    assert find_faults(exchange.state()) == []
    if copy is not None:
        assert hash_state(copy.state()) == hash_state(exchange.state())
