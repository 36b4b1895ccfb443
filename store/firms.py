"""Firms and their accounts."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from engine.units import AccountId, FirmId


@dataclass(frozen=True, slots=True)
class FirmRow:
    """A legal entity that trades."""

    firm_id: FirmId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account of a firm. `name` is what Account(1) says on the wire."""

    account_id: AccountId
    firm_id: FirmId
    name: str
    created_at: datetime


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


async def list_firms(
    connection: AsyncConnection[TupleRow], *, firm_id: FirmId | None, after_id: int, limit: int
) -> list[FirmRow]:
    """Return firms by identity from behind `after_id` on, or the one firm alone."""
    async with connection.cursor(row_factory=class_row(FirmRow)) as cursor:
        await cursor.execute(
            "SELECT firm_id, name, created_at FROM firms WHERE firm_id > %(after_id)s"
            " AND (%(firm_id)s::integer IS NULL OR firm_id = %(firm_id)s)"
            " ORDER BY firm_id LIMIT %(limit)s",
            {"after_id": after_id, "firm_id": firm_id, "limit": limit},
        )
        return await cursor.fetchall()


async def find_firm(connection: AsyncConnection[TupleRow], firm_id: FirmId) -> FirmRow | None:
    """Return the firm, None when there is none."""
    async with connection.cursor(row_factory=class_row(FirmRow)) as cursor:
        await cursor.execute(
            "SELECT firm_id, name, created_at FROM firms WHERE firm_id = %s", [firm_id]
        )
        return await cursor.fetchone()


async def find_firm_named(connection: AsyncConnection[TupleRow], name: str) -> FirmRow | None:
    """Return the firm of that name, None when there is none."""
    async with connection.cursor(row_factory=class_row(FirmRow)) as cursor:
        await cursor.execute("SELECT firm_id, name, created_at FROM firms WHERE name = %s", [name])
        return await cursor.fetchone()


async def list_accounts(
    connection: AsyncConnection[TupleRow], *, firm_id: FirmId | None, after_id: int, limit: int
) -> list[AccountRow]:
    """Return accounts by identity from behind `after_id` on, of one firm where given."""
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(
            "SELECT account_id, firm_id, name, created_at FROM accounts"
            " WHERE account_id > %(after_id)s"
            " AND (%(firm_id)s::integer IS NULL OR firm_id = %(firm_id)s)"
            " ORDER BY account_id LIMIT %(limit)s",
            {"after_id": after_id, "firm_id": firm_id, "limit": limit},
        )
        return await cursor.fetchall()


async def find_account(
    connection: AsyncConnection[TupleRow], account_id: AccountId
) -> AccountRow | None:
    """Return the account, None when there is none."""
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(
            "SELECT account_id, firm_id, name, created_at FROM accounts WHERE account_id = %s",
            [account_id],
        )
        return await cursor.fetchone()


async def find_account_named(
    connection: AsyncConnection[TupleRow], firm_id: FirmId, name: str
) -> AccountRow | None:
    """Return the firm's account of that name, None when there is none."""
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        await cursor.execute(
            "SELECT account_id, firm_id, name, created_at FROM accounts"
            " WHERE firm_id = %s AND name = %s",
            [firm_id, name],
        )
        return await cursor.fetchone()
