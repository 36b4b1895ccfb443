"""Firms and their accounts."""

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, scalar_row

from engine.units import AccountId, FirmId


async def ensure_firm(connection: AsyncConnection[TupleRow], name: str) -> FirmId:
    """Return the firm of that name, which is created if it is not there."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "INSERT INTO firms (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [name]
        )
        await cursor.execute("SELECT firm_id FROM firms WHERE name = %s", [name])
        return FirmId(await cursor.fetchone())  # type: ignore[arg-type]  # It exists now.


async def ensure_account(
    connection: AsyncConnection[TupleRow], firm_id: FirmId, name: str
) -> AccountId:
    """Return the firm's account of that name, which is created if it is not there."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "INSERT INTO accounts (firm_id, name) VALUES (%s, %s)"
            " ON CONFLICT (firm_id, name) DO NOTHING",
            [firm_id, name],
        )
        await cursor.execute(
            "SELECT account_id FROM accounts WHERE firm_id = %s AND name = %s", [firm_id, name]
        )
        return AccountId(await cursor.fetchone())  # type: ignore[arg-type]  # It exists now.
