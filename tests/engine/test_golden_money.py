"""A journal of everything about money that this rules version once wrote is still readable."""

from pathlib import Path
from typing import Final

from engine.commands import AdjustBalance, Command, OpenAccount
from engine.events import Event
from engine.exchange import Exchange
from engine.fee_rates import FeeRates
from engine.instrument import Account
from engine.ledger import FEES
from engine.ledger_commands import (
    RequestWithdrawal,
    SetCreditLine,
    SetFees,
    SetFirmFeeTier,
    SettleWithdrawal,
    TransferFunds,
)
from engine.order import Side
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from engine.runtime.codec import Record, encode_events
from engine.runtime.feed import find_trade
from engine.runtime.journal import Journal, inspect_tail, lock_journal, read_records
from engine.runtime.replay import replay
from engine.runtime.sequencer import Sequencer
from engine.scope import Scope
from engine.state import find_faults
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade
from engine.units import (
    AccountId,
    ClOrdId,
    FirmId,
    InstrumentId,
    Money,
    Price,
    Qty,
    Seq,
    SessionId,
    TradeId,
)
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, BTC_USD, START_NS, USD, new_order
from tests.venue_files import SET_UP

GOLDEN: Final = Path(__file__).parent / "golden" / "rules-1-money"
ALICE_2: Final = AccountId(3)
NOBODY: Final = (SessionId(0), 0, 0, 0)
# What everybody has in the end, the outside world and the venue's fees included.
BALANCES: Final = {
    (0, USD): -(2 * 10**12 - 30_700),
    (0, BTC): -(2 * 10**10),
    # Bought for 45,000 and a fee of 900, less 700 paid out, 30,700 transferred and 30,000 out.
    (ALICE, USD): 10**12 - 45_900 - 61_400,
    (ALICE, BTC): 10**10 + 50_000,
    (ALICE_2, USD): 30_700,
    (BOB, USD): 10**12 + 45_000 + 450,
    (BOB, BTC): 10**10 - 50_000,
    (FEES, USD): 450,
}


def write_golden_journal(directory: Path) -> None:
    """Write the golden file anew. By hand, when the format has changed before a release."""
    lock_journal(directory)
    now_ns = START_NS
    writer = Sequencer(
        Exchange(PreTradeGate()),
        Journal(directory, next_seq=Seq(1)),
        last_seq=Seq(0),
        last_ns=0,
        clock_ns=lambda: now_ns,
    )

    def apply(command: Command) -> list[Event]:
        return writer.commit([command]).events[0]

    def trade(buy: str, sell: str, qty: int, price: int) -> BookedTrade:
        apply(new_order(BOB, Side.SELL, qty, price, cl_ord_id=sell))
        events = apply(new_order(ALICE, Side.BUY, qty, price, cl_ord_id=buy))
        record = Record(writer.last_seq, now_ns, 1, 0, b"", encode_events(events))
        trade_id = TradeId(writer.exchange.state().trade_id_last)
        booked = find_trade(record, trade_id)
        assert booked is not None
        return booked

    for command in (
        *SET_UP,
        OpenAccount(Account(ALICE_2, FirmId(ALICE), "ALICE-2")),
        SetFees(BTC_USD, 0, FeeRates(-10_000, 30_000)),
        SetFees(BTC_USD, 1, FeeRates(0, 20_000)),
        SetFirmFeeTier(FirmId(ALICE), 1),
        SetFees(InstrumentId(9), 0, None),
    ):
        now_ns += 1000
        apply(command)
    busted = trade("b1", "s1", 10, 100)
    corrected = trade("b2", "s2", 10, 100)
    request_seq = writer.last_seq + 5
    for command in (
        BustTrade(busted, "erroneous", "carol"),
        BustTrade(busted, "erroneous", "carol"),
        CorrectTrade(corrected, Qty(5), Price(90), "price", "carol"),
        SetCreditLine(ALICE, USD, Money(500)),
        RequestWithdrawal(ALICE, USD, Money(700), "w1"),
        SettleWithdrawal(request_seq, False, "no", "wallet"),
        RequestWithdrawal(ALICE, USD, Money(700), "w2"),
        SettleWithdrawal(request_seq + 2, True, "paid", "wallet"),
        SettleWithdrawal(request_seq + 2, True, "paid", "wallet"),
        RequestWithdrawal(BOB, USD, Money(300), "w3"),
        TransferFunds(ALICE, ALICE_2, USD, Money(30_700), "t1"),
        TransferFunds(ALICE, BOB, USD, Money(1), "t2"),
        AdjustBalance(ALICE, USD, Money(-30_000), "out"),
        new_order(ALICE, Side.BUY, 1, 1, cl_ord_id="o1"),
        new_order(ALICE, Side.SELL, 1, 900, cl_ord_id="o2"),
        ReportOrder(*NOBODY, ALICE, ClOrdId("o1"), request_id="q1"),
        ReportOrder(*NOBODY, ALICE, ClOrdId("none"), request_id="q2"),
        ReportOpenOrders(*NOBODY, ALICE, "q3", Scope.ACCOUNT, ALICE),
        ReportBalances(*NOBODY, ALICE, "q4"),
        MassCancel(*NOBODY, ALICE, ClOrdId("m1"), Scope.FIRM, ALICE, side=Side.BUY),
        MassCancel(*NOBODY, AccountId(0), ClOrdId(""), Scope.EVERYTHING, 0),
        MassCancel(*NOBODY, ALICE, ClOrdId("m2"), Scope.FIRM, BOB),
    ):
        now_ns += 1000
        apply(command)


def test_old_journals_about_money_stay_readable() -> None:
    """The same events, compared one by one, and the same balances to the unit."""
    tail = inspect_tail(GOLDEN)
    exchange = Exchange(PreTradeGate())
    done = replay(exchange, read_records(GOLDEN, until_seq=tail.last_seq))
    assert done.last_seq == 42
    state = exchange.state()
    assert find_faults(state) == []
    assert {
        (line.account_id, line.asset_id): line.balance for line in state.balances if line.balance
    } == BALANCES
    assert [withdrawal.reference for withdrawal in state.withdrawals] == ["w3"]
