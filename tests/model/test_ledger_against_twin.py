"""Random money: the ledger and its slow twin must agree on every balance, hold and fee."""

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.commands import AdjustBalance, Command, OpenAccount
from engine.events import (
    BalanceAdjusted,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    Trade,
)
from engine.exchange import RULES_VERSION, Exchange
from engine.fee_rates import FeeRates
from engine.instrument import Account
from engine.ledger import CLEARING, postings_of
from engine.ledger_commands import (
    RequestWithdrawal,
    SetCreditLine,
    SetFees,
    SetFirmCreditLine,
    SetFirmFeeTier,
    SettleWithdrawal,
    TransferFunds,
)
from engine.ledger_events import (
    CreditLineSet,
    FeesSet,
    FirmCreditLineSet,
    FirmFeeTierSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.limits import RiskLimits
from engine.order import Side, TimeInForce
from engine.reasons import RejectReason
from engine.risk_commands import SetRiskLimits
from engine.risk_events import CreditUsed
from engine.runtime.codec import Record, encode_events
from engine.runtime.feed import find_trade
from engine.state import find_faults
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeCommand
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import AccountId, FirmId, Money, Price, Qty, Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    USD,
    Desk,
)
from tests.model.naive_ledger import (
    OUTSIDE,
    VENUE,
    NaiveHold,
    NaiveLedger,
    NaivePayout,
    NaiveSide,
    NaiveTrade,
)

ALICE_2 = AccountId(3)
FIRMS: dict[int, int] = {ALICE: 1, ALICE_2: 1, BOB: 2}
ACCOUNTS = st.sampled_from([ALICE, ALICE_2, BOB])
ASSETS = st.sampled_from(["quote", "base"])
ASSET_IDS = {"quote": USD, "base": BTC}
AMOUNTS = st.integers(-1, 400_000).map(Money)
REFERENCES = st.integers(1, 200).map("r{}".format)
PPM = st.integers(-100_000, 100_000)
FUNDS = {USD: Money(1_000_000), BTC: Money(1_000_000)}


class LedgerAgainstTwin(RuleBasedStateMachine):
    """Each rule applies one command; what it did to orders is told to the twin, money is not."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(FUNDS)
        self.desk.apply(OpenAccount(Account(ALICE_2, FirmId(1), "ALICE-2")))
        limits = RiskLimits(ALICE_2, BTC_USD, Qty(10**12), Money(10**17))
        self.desk.apply(SetRiskLimits(limits))
        self.twin = NaiveLedger(FIRMS, notional_factor=NOTIONAL_FACTOR, base_factor=BASE_FACTOR)
        self.posted: Counter[tuple[int, int]] = Counter()  # By account and asset.
        for account_id in (ALICE, BOB):
            for asset, asset_id in ASSET_IDS.items():
                self.twin.move(OUTSIDE, account_id, asset, FUNDS[asset_id])
                self.twin.references.add((account_id, f"fund-{asset_id}"))
                self.posted[(account_id, asset_id)] += FUNDS[asset_id]
                self.posted[(OUTSIDE, asset_id)] -= FUNDS[asset_id]
        self.names: dict[int, str] = {}
        self.trades: dict[int, tuple[BookedTrade, NaiveTrade]] = {}
        self.count = 0

    def apply(self, command: Command) -> Event:
        """Return what was done. That a line of credit is nearly used up may be told behind it."""
        event, *told = self.desk.apply(command)
        assert all(isinstance(each, CreditUsed) for each in told)
        return event

    def note(self, events: list[Event]) -> None:
        """Tell the twin which orders came, traded and went. Postings sum to zero in each event."""
        for event in events:
            totals: Counter[int] = Counter()
            for posting in postings_of(event):
                totals[posting.asset_id] += posting.amount
                self.posted[(posting.account_id, posting.asset_id)] += posting.amount
            assert not any(totals.values())
            match event:
                case OrderAccepted(order):
                    self.twin.orders[order.order_id] = NaiveHold(
                        order.account_id,
                        order.side is Side.BUY,
                        order.price,
                        order.order_qty,
                        self.twin.rates_of(order.account_id),
                    )
                    self.names[order.order_id] = order.cl_ord_id
                case Trade():
                    fee = self.twin.fill(
                        event.order.order_id, event.qty, event.price, is_resting=event.is_resting
                    )
                    assert event.fee == fee
                case OrderReplaced(order):
                    hold = self.twin.orders[order.order_id]
                    hold.price, hold.open_qty = order.price, order.leaves_qty
                    if not event.keeps_priority:
                        hold.rates = self.twin.rates_of(order.account_id)
                    self.names[order.order_id] = order.cl_ord_id
                case OrderCanceled(order):
                    del self.twin.orders[order.order_id]
        self.note_trades(events)

    def note_trades(self, events: list[Event]) -> None:
        """Keep the trades, as the journal would."""
        record = Record(
            Seq(self.desk.seq), self.desk.now_ns, RULES_VERSION, 0, b"", encode_events(events)
        )
        for event in events:
            if isinstance(event, Trade) and not event.is_resting:
                booked = find_trade(record, event.trade_id)
                assert booked is not None
                taker, maker = (
                    NaiveSide(side.order.account_id, side.order.side is Side.BUY, side.fee)
                    for side in (booked.aggressor, booked.resting)
                )
                trade = NaiveTrade(event.qty, event.price, (taker, maker))
                self.trades[event.trade_id] = (booked, trade)

    @rule(
        account_id=ACCOUNTS,
        side=st.sampled_from(list(Side)),
        qty=st.integers(1, 60),
        price=st.none() | st.integers(95, 105),
    )
    def enter(self, account_id: AccountId, side: Side, qty: int, price: int | None) -> None:
        time = TimeInForce.IOC if price is None else TimeInForce.GTC
        is_buy = side is Side.BUY
        order = NaiveHold(account_id, is_buy, price, qty, self.twin.rates_of(account_id))
        available = self.twin.available(account_id, "quote" if is_buy else "base")
        events = self.desk.enter(account_id, side, qty, price, time)
        is_refused = isinstance(events[0], OrderRejected)
        if price is not None:
            assert is_refused is (self.twin.cost(order) > available)
        if is_refused:
            assert len(events) == 1
        else:
            self.note(events)

    @rule(data=st.data(), qty=st.integers(1, 60), price=st.integers(95, 105))
    def amend(self, data: st.DataObject, qty: int, price: int) -> None:
        if self.twin.orders:
            order_id = data.draw(st.sampled_from(sorted(self.twin.orders)))
            self.count += 1
            account_id = AccountId(self.twin.orders[order_id].account_id)
            name = self.names[order_id]
            self.note(self.desk.amend(account_id, name, f"a{self.count}", qty, price))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.twin.orders:
            order_id = data.draw(st.sampled_from(sorted(self.twin.orders)))
            self.count += 1
            account_id = AccountId(self.twin.orders[order_id].account_id)
            events = self.desk.cancel(account_id, self.names[order_id], f"x{self.count}")
            assert isinstance(events[0], OrderCanceled)
            self.note(events)

    @rule(account_id=ACCOUNTS, asset=ASSETS, amount=AMOUNTS, sign=st.sampled_from([1, -1]))
    def adjust(self, account_id: AccountId, asset: str, amount: Money, sign: int) -> None:
        self.count += 1
        moved = Money(sign * amount)
        command = AdjustBalance(account_id, ASSET_IDS[asset], moved, f"adjust-{self.count}")
        may = moved != 0 and self.twin.own(account_id, asset) >= -moved
        event = self.apply(command)
        assert isinstance(event, BalanceAdjusted) is (may or moved > 0)
        if isinstance(event, BalanceAdjusted):
            self.twin.move(OUTSIDE, account_id, asset, moved)
            assert event.balance == self.twin.balance(account_id, asset)
        self.note([event])

    @rule(
        payer=ACCOUNTS, payee=ACCOUNTS, asset=ASSETS, amount=AMOUNTS, reference=REFERENCES
    )  # fmt: skip
    def transfer(
        self, payer: AccountId, payee: AccountId, asset: str, amount: Money, reference: str
    ) -> None:
        may = (
            FIRMS[payer] == FIRMS[payee]
            and payer != payee
            and 0 < amount <= self.twin.own(payer, asset)
            and (payer, reference) not in self.twin.references
        )
        command = TransferFunds(payer, payee, ASSET_IDS[asset], amount, reference)
        event = self.apply(command)
        assert isinstance(event, FundsTransferred) is may
        if may:
            self.twin.move(payer, payee, asset, amount)
            self.twin.references.add((payer, reference))
        self.note([event])

    @rule(account_id=ACCOUNTS, asset=ASSETS, amount=AMOUNTS, reference=REFERENCES)
    def request_withdrawal(
        self, account_id: AccountId, asset: str, amount: Money, reference: str
    ) -> None:
        may = (
            0 < amount <= self.twin.own(account_id, asset)
            and (account_id, reference) not in self.twin.references
        )
        command = RequestWithdrawal(account_id, ASSET_IDS[asset], amount, reference)
        event = self.apply(command)
        assert isinstance(event, WithdrawalRequested) is may
        if may:
            self.twin.payouts[self.desk.seq] = NaivePayout(account_id, asset, amount)
            self.twin.references.add((account_id, reference))

    @rule(data=st.data(), is_paid=st.booleans())
    def settle_withdrawal(self, data: st.DataObject, is_paid: bool) -> None:
        withdrawal_id = data.draw(st.sampled_from([1, *self.twin.payouts]))
        event = self.apply(SettleWithdrawal(withdrawal_id, is_paid))
        payout = self.twin.payouts.pop(withdrawal_id, None)
        if payout is None:
            unknown = RejectReason.WITHDRAWAL_UNKNOWN
            assert event == CommandRefused(unknown, actual=withdrawal_id)
            return
        assert isinstance(event, WithdrawalSettled)
        if is_paid:
            self.twin.move(payout.account_id, OUTSIDE, payout.asset, payout.amount)
        self.note([event])

    @rule(account_id=ACCOUNTS, asset=ASSETS, limit=AMOUNTS)
    def set_credit_line(self, account_id: AccountId, asset: str, limit: Money) -> None:
        firm_id = FIRMS[account_id]
        of_others = self.twin.drawn_by_firm(firm_id, asset) - self.twin.drawn(account_id, asset)
        left = self.twin.firm_credit.get((firm_id, asset), 0) - of_others
        used = -self.twin.unheld(account_id, asset) - left
        event = self.apply(SetCreditLine(account_id, ASSET_IDS[asset], limit))
        assert isinstance(event, CreditLineSet) is (limit >= max(0, used))
        if isinstance(event, CreditLineSet):
            self.twin.credit[(account_id, asset)] = limit

    @rule(firm_id=st.sampled_from([1, 2]), asset=ASSETS, limit=AMOUNTS)
    def set_firm_credit_line(self, firm_id: int, asset: str, limit: Money) -> None:
        drawn = self.twin.drawn_by_firm(firm_id, asset)
        command = SetFirmCreditLine(FirmId(firm_id), ASSET_IDS[asset], limit)
        event = self.apply(command)
        assert isinstance(event, FirmCreditLineSet) is (limit >= drawn)
        if isinstance(event, FirmCreditLineSet):
            self.twin.firm_credit[(firm_id, asset)] = limit

    @rule(data=st.data(), is_forced=st.booleans(), is_correction=st.booleans())
    def amend_trade(self, data: st.DataObject, is_forced: bool, is_correction: bool) -> None:
        if not self.trades:
            return
        trade_id = data.draw(st.sampled_from(sorted(self.trades)))
        booked, trade = self.trades[trade_id]
        command: TradeCommand = BustTrade(booked, "x", "carol", is_forced)
        qty, price = data.draw(st.integers(0, booked.qty)), data.draw(st.integers(90, 110))
        if is_correction:
            command = CorrectTrade(booked, Qty(qty), Price(price), "x", "carol", is_forced)
        events = self.desk.apply(command)
        if not trade.qty:
            assert events == [CommandRefused(RejectReason.TRADE_BUSTED, actual=trade_id)]
            return
        after = NaiveTrade(0, 0, (replace(trade.sides[0], fee=0), replace(trade.sides[1], fee=0)))
        if is_correction:
            if not 0 < qty <= trade.qty or (qty, price) == (trade.qty, trade.price):
                assert isinstance(events[0], CommandRefused)
                return
            after = self.twin.change(trade, qty, price)
        undone = [(who, asset, -amount) for who, asset, amount in self.twin.settlement(trade)]
        moves = undone + self.twin.settlement(after)
        short = self.twin.shortages(moves)
        if short and not is_forced:
            (refused,) = events
            assert isinstance(refused, CommandRefused)
            assert refused.reason is RejectReason.TRADE_NOT_COVERED
            return
        lines = [event for event in events if isinstance(event, CreditLineSet)]
        for key, amount in short.items():
            self.twin.credit[key] = self.twin.credit.get(key, 0) + amount
        assert {(line.account_id, line.asset_id, line.limit) for line in lines} == {
            (who, ASSET_IDS[asset], self.twin.credit[(who, asset)]) for who, asset in short
        }
        self.twin.moves += moves
        self.trades[trade_id] = (booked, after)
        sides = [event for event in events if isinstance(event, TradeBusted | TradeCorrected)]
        assert len(sides) == 2
        for event in sides:
            hold = self.twin.orders.get(event.order.order_id)
            assert event.order.leaves_qty == (0 if hold is None else hold.open_qty)
        self.note(events)

    @rule(tier=st.integers(0, 2), rates=st.none() | st.tuples(PPM, PPM))
    def set_fees(self, tier: int, rates: tuple[int, int] | None) -> None:
        command = SetFees(BTC_USD, tier, None if rates is None else FeeRates(*rates))
        assert self.desk.apply(command) == [FeesSet(BTC_USD, tier, command.rates)]
        self.twin.rates.pop(tier, None)
        if rates is not None:
            self.twin.rates[tier] = rates

    @rule(firm_id=st.sampled_from([1, 2]), tier=st.integers(0, 2))
    def set_tier(self, firm_id: int, tier: int) -> None:
        command = SetFirmFeeTier(FirmId(firm_id), tier)
        assert self.desk.apply(command) == [FirmFeeTierSet(FirmId(firm_id), tier)]
        self.twin.tiers[firm_id] = tier

    @rule()
    def go_on_from_a_snapshot(self) -> None:
        self.desk.exchange = Exchange.restore(PreTradeGate(), self.desk.exchange.state())

    @invariant()
    def balances_agree(self) -> None:
        lines = {
            (line.account_id, line.asset_id): (line.balance, line.held, line.credit)
            for line in self.desk.balances()
        }
        for account_id in (OUTSIDE, VENUE, *FIRMS):
            for asset, asset_id in ASSET_IDS.items():
                balance = self.twin.balance(account_id, asset)
                credit = self.twin.credit.get((account_id, asset), 0)
                expected = (balance, self.twin.held(account_id, asset), credit)
                assert lines.get((AccountId(account_id), asset_id), (0, 0, 0)) == expected
                assert self.posted[(account_id, asset_id)] == balance
        for asset_id in ASSET_IDS.values():
            assert self.posted[(CLEARING, asset_id)] == 0
        for account_id in FIRMS:
            lines_of = self.desk.exchange.balances_of(AccountId(account_id))
            for asset, asset_id in ASSET_IDS.items():
                available = [line.available for line in lines_of if line.asset_id == asset_id]
                assert available in ([], [self.twin.available(account_id, asset)])
        assert find_faults(self.desk.exchange.state()) == []


TestLedgerAgainstTwin = LedgerAgainstTwin.TestCase
TestLedgerAgainstTwin.settings = settings(
    max_examples=40,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
)
