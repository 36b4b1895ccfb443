"""Whether PostgreSQL and the engine know the same accounts: compared once after each start."""

import asyncio
from typing import Final

import structlog

from admin_api.engine_link import EngineWatch
from engine.instrument import Account
from engine.reference import Reference
from store.changes import list_waiting
from store.firms import AccountRow, list_accounts
from store.postgres import Database, StoreError

POLL_S: Final = 0.5
ROWS_PER_READ: Final = 1000

log = structlog.get_logger("admin.reconciliation")


def find_differences(rows: list[AccountRow], reference: Reference) -> list[str]:
    """Return in words what one of the two knows otherwise than the other, or not at all."""
    found = []
    for row in rows:
        account = reference.accounts.get(row.account_id)
        if account is None:
            found.append(f"account {row.account_id} ({row.name}) is not in the exchange")
        elif account != Account(row.account_id, row.firm_id, row.name):
            found.append(
                f"account {row.account_id} is {row.name} of firm {row.firm_id} in the database and "
                f"{account.name} of firm {account.firm_id} in the exchange"
            )
    known = {row.account_id for row in rows}
    found += [
        f"account {account.account_id} ({account.name}) is not in the database"
        for account in reference.accounts.values()
        if account.account_id not in known
    ]
    return found


async def reconcile(database: Database, engine: EngineWatch) -> list[str]:
    """Compare once both are there and nothing waits to be applied; log and return differences."""
    rows: list[AccountRow] = []
    while True:
        try:
            async with database.transaction() as connection:
                is_settled = engine.is_there and not await list_waiting(connection)
                if is_settled:
                    rows.clear()
                    while page := await list_accounts(
                        connection,
                        firm_id=None,
                        after_id=rows[-1].account_id if rows else 0,
                        limit=ROWS_PER_READ,
                    ):
                        rows += page
                    break
        except StoreError as error:
            log.warning("store_away", error=str(error))
        await asyncio.sleep(POLL_S)
    differences = find_differences(rows, engine.reference)
    for difference in differences:
        log.error("reconciliation_difference", what=difference)
    log.info("reconciled", accounts=len(rows), differences=len(differences))
    return differences
