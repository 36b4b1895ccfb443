"""Money without trades: deposits, withdrawals, transfers, credit. Refused whole, or done whole."""

from typing import Final, assert_never

from engine.commands import AdjustBalance, LedgerCommand
from engine.events import BalanceAdjusted, CommandRefused, Event
from engine.fees import FeeTable
from engine.instrument import fits_the_journal
from engine.kept import FirmCredit, Withdrawal
from engine.ledger import EXTERNAL, Ledger
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
    FirmCreditLineSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import AccountId, AssetId, Money, Seq

CREDIT_TOTAL_MAX: Final = 2**62
"""Of all lines of an asset: what others own then still fits the journal."""


class Treasury:
    """What is said about money is checked and done here. Belongs to the applying thread."""

    __slots__ = ("_fees", "_ledger", "_reference")

    def __init__(self, reference: Reference, ledger: Ledger, fees: FeeTable) -> None:
        self._reference = reference
        self._ledger = ledger
        self._fees = fees

    def apply(self, seq: Seq, command: LedgerCommand) -> Event:
        """Do what is asked, or say why not."""
        match command:
            case AdjustBalance():
                return self._adjust_balance(command)
            case SetFees():
                return self._fees.set_fees(command)
            case SetFirmFeeTier():
                return self._fees.set_tier(command)
            case RequestWithdrawal():
                return self._request_withdrawal(seq, command)
            case SettleWithdrawal():
                return self._settle_withdrawal(command)
            case TransferFunds():
                return self._transfer(command)
            case SetCreditLine():
                return self._set_credit_line(command)
            case SetFirmCreditLine():
                return self._set_firm_credit_line(command)
            case _:
                assert_never(command)

    def _adjust_balance(self, command: AdjustBalance) -> Event:
        account_id, asset_id, amount = command.account_id, command.asset_id, command.amount
        refused = self._unnamed(account_id, asset_id, command.reference)
        if refused is not None:
            return refused
        balance = self._ledger.get_balance(account_id, asset_id)
        external = self._ledger.get_balance(EXTERNAL, asset_id)
        if amount == 0 or not fits_the_journal(external.balance - amount):
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=amount)
        if amount < 0 and balance.withdrawable + amount < 0:
            return CommandRefused(
                RejectReason.INSUFFICIENT_BALANCE, limit=balance.withdrawable, actual=-amount
            )
        adjusted = BalanceAdjusted(
            account_id=account_id,
            asset_id=asset_id,
            amount=amount,
            balance=Money(balance.balance + amount),
            reference=command.reference,
        )
        self._ledger.book(adjusted)
        return adjusted

    def _request_withdrawal(self, seq: Seq, command: RequestWithdrawal) -> Event:
        account_id, asset_id, amount = command.account_id, command.asset_id, command.amount
        refused = self._unnamed(account_id, asset_id, command.reference) or self._uncovered(
            account_id, asset_id, amount
        )
        if refused is not None:
            return refused
        external = self._ledger.get_balance(EXTERNAL, asset_id)
        if not fits_the_journal(external.balance + amount):
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=amount)
        withdrawal = Withdrawal(seq, account_id, asset_id, amount, command.reference)
        self._ledger.set_aside(withdrawal)
        return WithdrawalRequested(seq, account_id, asset_id, amount, command.reference)

    def _settle_withdrawal(self, command: SettleWithdrawal) -> Event:
        withdrawal = self._ledger.find_withdrawal(command.withdrawal_id)
        if withdrawal is None:
            return CommandRefused(RejectReason.WITHDRAWAL_UNKNOWN, actual=command.withdrawal_id)
        account_id, asset_id = withdrawal.account_id, withdrawal.asset_id
        paid = withdrawal.amount if command.is_paid else 0
        settled = WithdrawalSettled(
            withdrawal_id=command.withdrawal_id,
            account_id=account_id,
            asset_id=asset_id,
            amount=withdrawal.amount,
            balance=Money(self._ledger.get_balance(account_id, asset_id).balance - paid),
            reference=withdrawal.reference,
            is_paid=command.is_paid,
            reason=command.reason,
            actor=command.actor,
        )
        self._ledger.give_back(withdrawal)
        self._ledger.book(settled)
        return settled

    def _transfer(self, command: TransferFunds) -> Event:
        account_id, to_account_id = command.account_id, command.to_account_id
        asset_id, amount = command.asset_id, command.amount
        refused = self._unnamed(account_id, asset_id, command.reference)
        if refused is not None:
            return refused
        payee = self._reference.accounts.get(to_account_id)
        # Accounts of another firm do not exist for this one.
        if payee is None or payee.firm_id != self._reference.accounts[account_id].firm_id:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=to_account_id)
        if to_account_id == account_id:
            return CommandRefused(RejectReason.SAME_ACCOUNT, actual=to_account_id)
        refused = self._uncovered(account_id, asset_id, amount)
        if refused is not None:
            return refused
        balance = self._ledger.get_balance(account_id, asset_id).balance
        to_balance = self._ledger.get_balance(to_account_id, asset_id).balance
        transferred = FundsTransferred(
            account_id=account_id,
            to_account_id=to_account_id,
            asset_id=asset_id,
            amount=amount,
            balance=Money(balance - amount),
            to_balance=Money(to_balance + amount),
            reference=command.reference,
        )
        self._ledger.book(transferred)
        return transferred

    def _set_credit_line(self, command: SetCreditLine) -> Event:
        account_id, asset_id, limit = command.account_id, command.asset_id, command.limit
        refused = self._unknown(account_id, asset_id)
        if refused is not None:
            return refused
        balance = self._ledger.get_balance(account_id, asset_id)
        total = self._ledger.credit_total(asset_id) - balance.credit + limit
        if limit < 0 or total > CREDIT_TOTAL_MAX:
            return CommandRefused(RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=limit)
        used = balance.held - balance.balance - balance.room
        if limit < used:
            return CommandRefused(RejectReason.CREDIT_IN_USE, limit=used, actual=limit)
        line = CreditLineSet(account_id, asset_id, limit)
        self._ledger.set_credit(line)
        return line

    def _set_firm_credit_line(self, command: SetFirmCreditLine) -> Event:
        firm_id, asset_id, limit = command.firm_id, command.asset_id, command.limit
        accounts = self._reference.accounts_of(firm_id)
        if not accounts:
            return CommandRefused(RejectReason.FIRM_UNKNOWN, actual=firm_id)
        if asset_id not in self._reference.assets:
            return CommandRefused(RejectReason.ASSET_UNKNOWN, actual=asset_id)
        line = self._ledger.find_firm_line(firm_id, asset_id)
        total = self._ledger.credit_total(asset_id) - (0 if line is None else line.limit) + limit
        if limit < 0 or total > CREDIT_TOTAL_MAX:
            return CommandRefused(RejectReason.AMOUNT_INVALID, limit=CREDIT_TOTAL_MAX, actual=limit)
        if line is not None and limit < line.drawn:
            return CommandRefused(RejectReason.CREDIT_IN_USE, limit=line.drawn, actual=limit)
        self._ledger.set_firm_credit(
            FirmCredit(firm_id, asset_id, limit), [account.account_id for account in accounts]
        )
        return FirmCreditLineSet(firm_id, asset_id, limit)

    def _unknown(self, account_id: AccountId, asset_id: AssetId) -> CommandRefused | None:
        if account_id not in self._reference.accounts:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=account_id)
        if asset_id not in self._reference.assets:
            return CommandRefused(RejectReason.ASSET_UNKNOWN, actual=asset_id)
        return None

    def _unnamed(
        self, account_id: AccountId, asset_id: AssetId, reference: str
    ) -> CommandRefused | None:
        """Refuse what has no account or asset, or a name that the account has used."""
        refused = self._unknown(account_id, asset_id)
        if refused is None and self._ledger.has_reference(account_id, reference):
            return CommandRefused(RejectReason.DUPLICATE_REFERENCE)
        return refused

    def _uncovered(
        self, account_id: AccountId, asset_id: AssetId, amount: Money
    ) -> CommandRefused | None:
        """Refuse an amount that is none, or more than may leave the account."""
        withdrawable = self._ledger.get_balance(account_id, asset_id).withdrawable
        if amount <= 0:
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=amount)
        if amount > withdrawable:
            return CommandRefused(
                RejectReason.INSUFFICIENT_BALANCE, limit=withdrawable, actual=amount
            )
        return None
