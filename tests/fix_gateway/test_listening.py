"""Whom a session listens to beside its own orders."""

from dataclasses import replace

from engine.instrument import Account
from engine.units import AccountId, FirmId
from fix_gateway.fix.listening import EVERYTHING, OWN, Listeners, Listening
from tests.session_row import make_row

OURS = [Account(AccountId(number), FirmId(1), f"A{number}") for number in (1, 2, 3)]
THEIRS = Account(AccountId(9), FirmId(2), "B1")
ACCOUNTS = {account.account_id: account for account in (*OURS, THEIRS)}


def test_drop_copy_hears_its_firm_or_the_accounts_that_are_chosen() -> None:
    """Never those of another firm, whatever is chosen; nobody is heard any more once it ends."""
    listeners: Listeners = {}
    row = make_row(is_drop_copy=True)
    listening = Listening(row, listeners)
    assert listening.heard(ACCOUNTS) == {1, 2, 3}
    chosen = make_row(is_drop_copy=True, copied_account_ids=[2, 9])
    assert listening.change(chosen)
    assert listening.heard(ACCOUNTS) == listening.asked_about(ACCOUNTS) == {2}
    assert [listening.hears(account) for account in ACCOUNTS.values()] == [
        False, True, False, False,
    ]  # fmt: skip
    assert not listening.change(replace(chosen, order_rate=5))
    assert list(listeners) == [row.session_id]
    assert listening.change(make_row())
    assert (listeners, listening.heard(ACCOUNTS)) == ({}, frozenset())
    assert listening.asked_about(ACCOUNTS) == {row.account_id}


def test_account_that_is_opened_is_heard() -> None:
    """Of a drop copy session's firm."""
    listening = Listening(make_row(is_drop_copy=True), {})
    known = {OURS[0].account_id: OURS[0]}
    assert listening.heard(known) == {1}
    known[OURS[1].account_id] = OURS[1]
    assert listening.heard(known) == {1, 2}


def test_trading_session_hears_its_account_when_it_asks_to() -> None:
    """Until a Logon says otherwise."""
    listeners: Listeners = {}
    listening = Listening(make_row(), listeners)
    assert listening.heard(ACCOUNTS) == frozenset()
    assert listening.log_on(EVERYTHING)
    assert not listening.log_on(EVERYTHING)
    assert listening.heard(ACCOUNTS) == {1}
    assert listening.log_on(OWN)
    assert (listeners, listening.heard(ACCOUNTS)) == ({}, frozenset())
