"""PostgreSQL and the engine must know the same accounts: each difference is told."""

from datetime import UTC, datetime

from admin_api.reconciliation import find_differences
from engine.events import AccountOpened
from engine.instrument import Account
from engine.reference import Reference
from engine.units import AccountId, FirmId
from store.firms import AccountRow

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def row(account_id: int, firm_id: int, name: str) -> AccountRow:
    return AccountRow(AccountId(account_id), FirmId(firm_id), name, NOW)


def test_each_difference_is_told() -> None:
    """Missing here, missing there, and another one of the same number."""
    reference = Reference()
    for account in (
        Account(AccountId(1), FirmId(1), "SAME"),
        Account(AccountId(2), FirmId(1), "OTHER"),
        Account(AccountId(4), FirmId(2), "EXTRA"),
    ):
        reference.learn(AccountOpened(account))
    rows = [row(1, 1, "SAME"), row(2, 3, "MINE"), row(3, 1, "LATE")]
    assert find_differences(rows, reference) == [
        "account 2 is MINE of firm 3 in the database and OTHER of firm 1 in the exchange",
        "account 3 (LATE) is not in the exchange",
        "account 4 (EXTRA) is not in the database",
    ]
    assert find_differences(rows[:1], Reference()) == ["account 1 (SAME) is not in the exchange"]
