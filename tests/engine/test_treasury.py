"""Deposits, withdrawals, transfers and credit: each whole or not at all, and each once."""

import pytest

from engine.commands import AdjustBalance, Command, OpenAccount
from engine.events import CommandRefused, Event, OrderAccepted, OrderRejected
from engine.exchange import Exchange
from engine.instrument import Account
from engine.ledger import EXTERNAL
from engine.ledger_commands import (
    RequestWithdrawal,
    SetCreditLine,
    SetFirmCreditLine,
    SettleWithdrawal,
    TransferFunds,
)
from engine.ledger_events import (
    CreditLineSet,
    FirmCreditLineSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.limits import RiskLimits
from engine.reasons import RejectReason
from engine.risk_commands import SetRiskLimits
from engine.risk_events import CreditUsed
from engine.treasury import CREDIT_TOTAL_MAX
from engine.units import INT_MAX, AccountId, AssetId, FirmId, Money, Qty
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, BTC_USD, USD, Desk

ALICE_2 = AccountId(3)
NOBODY = AccountId(9)
FUNDS = {USD: Money(1000), BTC: Money(10**8)}


@pytest.fixture
def desk() -> Desk:
    """ALICE and BOB have 1000 units of USD each, ALICE's firm has another account."""
    desk = Desk(FUNDS)
    desk.apply(OpenAccount(Account(ALICE_2, FirmId(ALICE), "ALICE-2")))
    return desk


def withdraw(amount: int, reference: str = "w1") -> RequestWithdrawal:
    return RequestWithdrawal(ALICE, USD, Money(amount), reference)


def transfer(amount: int, reference: str = "t1", to: AccountId = ALICE_2) -> TransferFunds:
    return TransferFunds(ALICE, to, USD, Money(amount), reference)


def credit(limit: int) -> SetCreditLine:
    return SetCreditLine(ALICE, USD, Money(limit))


@pytest.mark.parametrize("is_paid", [True, False])
@pytest.mark.parametrize("is_restored", [True, False])
def test_withdrawal_has_two_steps(desk: Desk, is_paid: bool, is_restored: bool) -> None:
    """Held from the request on; paid out or free again when it is settled, once."""
    assert desk.apply(withdraw(400)) == [
        WithdrawalRequested(desk.seq, ALICE, USD, Money(400), "w1")
    ]
    withdrawal_id = desk.seq
    assert desk.balance(ALICE, USD) == (1000, 400)
    (refused,) = desk.buy(ALICE, 1, 7)
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.limit) == (RejectReason.INSUFFICIENT_BALANCE, 600)
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    left = 600 if is_paid else 1000
    settle = SettleWithdrawal(withdrawal_id, is_paid, "as the wallet says", "carol")
    assert desk.apply(settle) == [
        WithdrawalSettled(
            withdrawal_id,
            ALICE,
            USD,
            Money(400),
            Money(left),
            "w1",
            is_paid,
            "as the wallet says",
            "carol",
        )
    ]
    assert desk.balance(ALICE, USD) == (left, 0)
    assert desk.balance(EXTERNAL, USD) == (-1000 - left, 0)
    unknown = CommandRefused(RejectReason.WITHDRAWAL_UNKNOWN, actual=withdrawal_id)
    assert desk.apply(settle) == [unknown]
    assert desk.apply(withdraw(400)) == [CommandRefused(RejectReason.DUPLICATE_REFERENCE)]


def test_transfer_stays_within_the_firm(desk: Desk) -> None:
    """What one account has less the other has more; a repeat of the name does nothing."""
    assert desk.apply(transfer(300)) == [
        FundsTransferred(ALICE, ALICE_2, USD, Money(300), Money(700), Money(300), "t1")
    ]
    assert desk.balance(ALICE, USD) == (700, 0)
    assert desk.balance(ALICE_2, USD) == (300, 0)
    assert desk.apply(transfer(300)) == [CommandRefused(RejectReason.DUPLICATE_REFERENCE)]


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (
            withdraw(1001),
            CommandRefused(RejectReason.INSUFFICIENT_BALANCE, limit=1000, actual=1001),
        ),
        (withdraw(0), CommandRefused(RejectReason.AMOUNT_INVALID, actual=0)),
        (withdraw(-1), CommandRefused(RejectReason.AMOUNT_INVALID, actual=-1)),
        (withdraw(1, "fund-1"), CommandRefused(RejectReason.DUPLICATE_REFERENCE)),
        (
            RequestWithdrawal(NOBODY, USD, Money(1), "w"),
            CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=NOBODY),
        ),
        (
            RequestWithdrawal(ALICE, AssetId(9), Money(1), "w"),
            CommandRefused(RejectReason.ASSET_UNKNOWN, actual=9),
        ),
        (SettleWithdrawal(1, True), CommandRefused(RejectReason.WITHDRAWAL_UNKNOWN, actual=1)),
        (
            transfer(1001),
            CommandRefused(RejectReason.INSUFFICIENT_BALANCE, limit=1000, actual=1001),
        ),
        (transfer(0), CommandRefused(RejectReason.AMOUNT_INVALID, actual=0)),
        (transfer(1, to=BOB), CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=BOB)),
        (transfer(1, to=NOBODY), CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=NOBODY)),
        (transfer(1, to=ALICE), CommandRefused(RejectReason.SAME_ACCOUNT, actual=ALICE)),
        (transfer(1, "fund-1"), CommandRefused(RejectReason.DUPLICATE_REFERENCE)),
        (
            credit(-1),
            CommandRefused(RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=-1),
        ),
        (
            credit(CREDIT_TOTAL_MAX + 1),
            CommandRefused(
                RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=CREDIT_TOTAL_MAX + 1
            ),
        ),
        (
            SetCreditLine(NOBODY, USD, Money(1)),
            CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=NOBODY),
        ),
        (
            AdjustBalance(ALICE, USD, Money(-INT_MAX), "a"),
            CommandRefused(RejectReason.INSUFFICIENT_BALANCE, limit=1000, actual=INT_MAX),
        ),
    ],
)
def test_refusal_changes_nothing(desk: Desk, command: Command, refusal: CommandRefused) -> None:
    """With the numbers; another firm's account does not exist for this one."""
    before = desk.exchange.state()
    assert desk.apply(command) == [refusal]
    assert desk.exchange.state() == before


def test_credit_is_for_trading(desk: Desk) -> None:
    """The balance goes below zero down to the line, by trades alone: credit cannot be taken out."""
    assert desk.apply(credit(500)) == [CreditLineSet(ALICE, USD, Money(500))]
    desk.sell(BOB, 3, 5)
    (accepted, *_) = desk.buy(ALICE, 3, 5)
    assert isinstance(accepted, OrderAccepted)
    assert desk.balance(ALICE, USD) == (-500, 0)
    assert of_account(desk, ALICE) == (-500, 500)
    (refused,) = desk.buy(ALICE, 1, 1)
    assert isinstance(refused, OrderRejected)
    assert (refused.limit, refused.actual) == (0, 100)
    for command in (withdraw(1), transfer(1), AdjustBalance(ALICE, USD, Money(-1), "a")):
        assert desk.apply(command) == [
            CommandRefused(RejectReason.INSUFFICIENT_BALANCE, limit=0, actual=1)
        ]
    desk.apply(AdjustBalance(ALICE, USD, Money(600), "paid back"))
    assert of_account(desk, ALICE) == (100, 500)


def of_account(desk: Desk, account_id: AccountId) -> tuple[int, int]:
    """Return what the account has of USD, and how much it may owe, after a restart."""
    desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    (line,) = [
        line for line in desk.balances() if (line.account_id, line.asset_id) == (account_id, USD)
    ]
    return line.balance, line.credit


def test_credit_in_use_is_not_taken_away(desk: Desk) -> None:
    """Neither what is owed nor what open orders hold. The rest may go."""
    desk.apply(credit(500))
    desk.buy(ALICE, 3, 4)  # Holds 1200 of the 1000 that there are.
    in_use: list[Event] = [CommandRefused(RejectReason.CREDIT_IN_USE, limit=200, actual=199)]
    assert desk.apply(credit(199)) == in_use
    assert desk.apply(credit(200)) == [
        CreditLineSet(ALICE, USD, Money(200)),
        CreditUsed(ALICE, USD, 100, used=Money(200), credit=Money(200)),
    ]
    desk.cancel(ALICE, "c1", "x1")
    assert desk.apply(credit(0)) == [CreditLineSet(ALICE, USD, Money(0))]


def test_lines_of_credit_stand_until_they_are_taken_back(desk: Desk) -> None:
    """Those that there are, an account's own and a firm's, are told as their events."""
    lines = [*desk.apply(credit(70)), *desk.apply(firm_credit(80))]
    assert desk.exchange.standing_events() == lines
    (more,) = desk.apply(credit(90))
    assert desk.exchange.standing_events() == [more, lines[1]]
    desk.apply(credit(0))
    desk.apply(firm_credit(0))
    assert desk.exchange.standing_events() == []


def firm_credit(limit: int, firm_id: int = ALICE) -> SetFirmCreditLine:
    return SetFirmCreditLine(FirmId(firm_id), USD, Money(limit))


def available(desk: Desk, account_id: AccountId) -> int:
    """Return what new orders of the account may use of USD, after a restart."""
    desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    (line,) = (line for line in desk.exchange.balances_of(account_id) if line.asset_id == USD)
    return line.available


def test_accounts_share_the_line_of_their_firm(desk: Desk) -> None:
    """What one is short of the other cannot be, and it is there again once the debt is paid."""
    desk.apply(SetRiskLimits(RiskLimits(ALICE_2, BTC_USD, Qty(10**6), Money(10**9))))
    desk.apply(AdjustBalance(ALICE_2, USD, Money(300), "own"))
    desk.apply(SetCreditLine(ALICE_2, USD, Money(100)))
    assert desk.apply(firm_credit(500)) == [FirmCreditLineSet(FirmId(ALICE), USD, Money(500))]
    assert (available(desk, ALICE), available(desk, ALICE_2)) == (1500, 900)
    desk.buy(ALICE, 3, 4)  # Holds 1200 of the 1000 that there are.
    assert (available(desk, ALICE), available(desk, ALICE_2)) == (300, 700)
    desk.sell(BOB, 3, 4)
    assert desk.balance(ALICE, USD) == (-200, 0)
    desk.buy(ALICE_2, 7, 1)  # Holds 700: 300 its own, 100 its own credit, 300 the firm's.
    assert (available(desk, ALICE), available(desk, ALICE_2)) == (0, 0)
    (refused,) = desk.buy(ALICE, 1, 1)
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.limit, refused.actual) == (
        RejectReason.INSUFFICIENT_BALANCE,
        0,
        100,
    )
    desk.apply(AdjustBalance(ALICE, USD, Money(250), "paid back"))
    assert (available(desk, ALICE), available(desk, ALICE_2)) == (250, 200)


def test_line_of_a_firm_in_use_is_not_taken_away(desk: Desk) -> None:
    """Nor an account's own line, where the firm's could not bear what that bears."""
    desk.apply(firm_credit(150))
    desk.apply(credit(100))
    desk.buy(ALICE, 3, 4)  # Short of 200: 100 its own credit, 100 the firm's.
    before = desk.exchange.state()
    in_use = RejectReason.CREDIT_IN_USE
    assert desk.apply(firm_credit(99)) == [CommandRefused(in_use, limit=100, actual=99)]
    assert desk.apply(credit(49)) == [CommandRefused(in_use, limit=50, actual=49)]
    assert desk.exchange.state() == before
    assert desk.apply(credit(50)) == [CreditLineSet(ALICE, USD, Money(50))]
    desk.cancel(ALICE, "c1", "x1")
    assert desk.apply(firm_credit(0)) == [FirmCreditLineSet(FirmId(ALICE), USD, Money(0))]
    assert desk.exchange.state().firm_credits == []


def test_account_opened_later_shares_the_line(desk: Desk) -> None:
    """Before and after a restart alike."""
    desk.apply(firm_credit(500))
    for number, is_restored in enumerate([False, True], start=5):
        if is_restored:
            desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
        account_id = AccountId(number)
        desk.apply(OpenAccount(Account(account_id, FirmId(ALICE), f"ALICE-{number}")))
        desk.apply(AdjustBalance(account_id, USD, Money(1), "own"))
        assert available(desk, account_id) == 501


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (firm_credit(1, firm_id=9), CommandRefused(RejectReason.FIRM_UNKNOWN, actual=9)),
        (
            SetFirmCreditLine(FirmId(ALICE), AssetId(9), Money(1)),
            CommandRefused(RejectReason.ASSET_UNKNOWN, actual=9),
        ),
        (
            firm_credit(-1),
            CommandRefused(RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=-1),
        ),
        (
            firm_credit(CREDIT_TOTAL_MAX + 1),
            CommandRefused(
                RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=CREDIT_TOTAL_MAX + 1
            ),
        ),
    ],
)
def test_refused_line_of_a_firm_changes_nothing(
    desk: Desk, command: Command, refusal: CommandRefused
) -> None:
    before = desk.exchange.state()
    assert desk.apply(command) == [refusal]
    assert desk.exchange.state() == before


def test_all_lines_together_fit_the_journal(desk: Desk) -> None:
    """Also after a line was replaced: only what is in force counts."""
    half = CREDIT_TOTAL_MAX // 2
    desk.apply(credit(CREDIT_TOTAL_MAX))
    desk.apply(credit(half))
    desk.apply(SetCreditLine(BOB, USD, Money(half)))
    (refused,) = desk.apply(credit(half + 1))
    assert isinstance(refused, CommandRefused)
    assert refused.reason is RejectReason.AMOUNT_INVALID
