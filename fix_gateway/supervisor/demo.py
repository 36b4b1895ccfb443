"""What `wcx up --demo` makes: firms, accounts with money, instruments, limits and FIX sessions.

Made once: what is there already is left as it is, so a demo venue keeps its history over restarts.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.commands import AdjustBalance, Command, DefineAsset, DefineInstrument, OpenAccount
from engine.events import AccountOpened, CommandRefused
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.limits import RiskLimits
from engine.reasons import RejectReason
from engine.risk_commands import SetRiskLimits
from engine.runtime.client import EngineLink
from engine.units import AccountId, AssetId, InstrumentId, Money, Price, Qty
from store.audit import AuditEntry, add_audit_entries
from store.firms import ensure_account, ensure_firm
from store.passwords import hash_password
from store.postgres import Database
from store.sessions import (
    NewCredential,
    NewFixSession,
    create_credential,
    ensure_session,
    has_credential,
)
from store.users import NewUser, Role, add_user, find_user_named

PASSWORD: Final = "demo-password"  # noqa: S105 - Everybody may know it.
ADMIN: Final = "admin"
ADMIN_PASSWORD_BYTES: Final = 18
FIX_4_2, FIX_4_4, FIXT_1_1 = "FIX.4.2", "FIX.4.4", "FIXT.1.1"
TEST_HEART_BT_INT_MIN_S: Final = 1
DECIMALS: Final = 8
UNIT: Final = 10**DECIMALS
USD, BTC, ETH, SOL = AssetId(1), AssetId(2), AssetId(3), AssetId(4)
ASSETS: Final = (
    Asset(USD, "USD", DECIMALS),
    Asset(BTC, "BTC", DECIMALS),
    Asset(ETH, "ETH", DECIMALS),
    Asset(SOL, "SOL", DECIMALS),
)
FUNDS: Final = {USD: 1_000_000, BTC: 100, ETH: 1_000, SOL: 10_000}
NOTIONAL_MAX_USD: Final = 5_000_000
PRICE_DECIMALS: Final = 2
QTY_DECIMALS: Final = 4
ALREADY_THERE: Final = (RejectReason.ALREADY_DEFINED, RejectReason.DUPLICATE_REFERENCE)


@dataclass(frozen=True)
class DemoSession:
    """A FIX session, named like its account."""

    client_comp_id: str
    firm: str
    begin_string: str = FIX_4_4
    heart_bt_int_min_s: int | None = None
    is_market_data: bool = False


def _test_sessions(letter: str, count: int, begin_string: str) -> list[DemoSession]:
    """Return sessions for test clients, each of a firm of its own."""
    names = [f"{letter}{number:02}" for number in range(1, count + 1)]
    return [DemoSession(name, name, begin_string, TEST_HEART_BT_INT_MIN_S) for name in names]


SESSIONS: Final = (
    DemoSession("DEMO1", "ALPHA"),
    DemoSession("DEMO2", "BETA"),
    DemoSession("DEMO3", "ALPHA", FIX_4_2),
    DemoSession("DEMO4", "BETA", FIXT_1_1),
    *_test_sessions("T", 20, FIX_4_4),
    *_test_sessions("U", 5, FIX_4_2),
    *_test_sessions("V", 5, FIXT_1_1),
    *(
        DemoSession(f"MD{number}", f"MD{number}", begin_string, is_market_data=True)
        for number, begin_string in enumerate((FIX_4_4, FIX_4_2, FIXT_1_1), start=1)
    ),
)


class DemoConflictError(Exception):
    """The database and the journal do not belong to the same venue."""


def instruments() -> list[InstrumentDefinition]:
    """Return the demo's instruments, all against USD: tick 0.01, lot 0.0001."""
    return [
        InstrumentDefinition(
            instrument_id=InstrumentId(number),
            symbol=f"{asset.symbol}-USD",
            base_asset_id=asset.asset_id,
            quote_asset_id=USD,
            price_decimals=PRICE_DECIMALS,
            qty_decimals=QTY_DECIMALS,
            tick_size=Price(1),
            lot_size=Qty(1),
        )
        for number, asset in enumerate(ASSETS[1:], start=1)
    ]


async def seed_database(url: str, sessions: Sequence[DemoSession] = SESSIONS) -> list[Account]:
    """Put firms, accounts, sessions and their credentials into PostgreSQL; return the accounts."""
    database = Database(url)
    await database.open()
    accounts = []
    try:
        password_hash = ""
        async with database.transaction() as connection:
            for session in sessions:
                firm_id = await ensure_firm(connection, session.firm)
                account_id = await ensure_account(connection, firm_id, session.client_comp_id)
                accounts.append(Account(account_id, firm_id, session.client_comp_id))
                session_id = await ensure_session(
                    connection,
                    NewFixSession(
                        firm_id=firm_id,
                        account_id=account_id,
                        begin_string=session.begin_string,
                        client_comp_id=session.client_comp_id,
                        heart_bt_int_min_s=session.heart_bt_int_min_s,
                        is_market_data=session.is_market_data,
                    ),
                )
                name = session.client_comp_id
                if not await has_credential(connection, session_id, name):
                    # One hash serves all: it is the same password, and no secret.
                    password_hash = password_hash or hash_password(PASSWORD)
                    credential = NewCredential(session_id, name, "password", password_hash)
                    await create_credential(connection, credential)
    finally:
        await database.close()
    return accounts


async def ensure_admin(url: str, password_file: Path) -> str | None:
    """Make the user `admin` with a random password, which is kept in the file.

    Returns the password when it was made now, None when the operator was there already.
    """
    database = Database(url)
    await database.open()
    try:
        async with database.transaction() as connection:
            if await find_user_named(connection, ADMIN) is not None:
                return None
            # The file first: whoever is interrupted here takes the same password next time.
            password = _keep_password(password_file)
            password_hash = await asyncio.to_thread(hash_password, password)
            await add_user(connection, NewUser(ADMIN, Role.ADMIN, None, password_hash))
            entry = AuditEntry("os:wcx", "user_created", f"user:{ADMIN}", {"role": "admin"})
            await add_audit_entries(connection, [entry])
        return password
    finally:
        await database.close()


def _keep_password(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    password = secrets.token_urlsafe(ADMIN_PASSWORD_BYTES)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, f"{password}\n".encode())
    os.fsync(descriptor)
    os.close(descriptor)
    draft.replace(path)
    return password


async def seed_engine(socket_path: Path, accounts: list[Account]) -> None:
    """Put assets, instruments, accounts, money and limits into the exchange.

    Raises DemoConflictError when the journal knows other accounts than the database.
    """
    link = await EngineLink.connect(
        socket_path, "seed", on_records=lambda _records: None, on_closed=lambda _in_doubt: None
    )
    try:
        known = {
            event.account.account_id: event.account
            for event in link.welcome.events
            if isinstance(event, AccountOpened)
        }
        for account in accounts:
            if known.get(account.account_id, account) != account:
                raise DemoConflictError(
                    f"account {account.account_id} is {known[account.account_id]} in the journal "
                    f"and {account} in the database: remove the data directory, or name the "
                    "database that belongs to it"
                )
        for command in seed_commands(accounts):
            for event in (await link.submit(command)).events:
                if isinstance(event, CommandRefused) and event.reason not in ALREADY_THERE:
                    raise DemoConflictError(f"{command} was refused: {event.reason.name}")
    finally:
        link.close()


def seed_commands(accounts: list[Account]) -> list[Command]:
    """Return what makes the demo's exchange."""
    commands: list[Command] = [DefineAsset(asset) for asset in ASSETS]
    commands += [DefineInstrument(instrument) for instrument in instruments()]
    for account in accounts:
        commands.append(OpenAccount(account))
        commands += [
            AdjustBalance(account.account_id, asset_id, Money(amount * UNIT), f"demo-{asset_id}")
            for asset_id, amount in FUNDS.items()
        ]
        commands += [SetRiskLimits(limits) for limits in _limits(account.account_id)]
    return commands


def _limits(account_id: AccountId) -> list[RiskLimits]:
    """Return limits of twice what an account has of the base asset, and of 5,000,000 USD."""
    return [
        RiskLimits(
            account_id=account_id,
            instrument_id=instrument.instrument_id,
            order_qty_max=Qty(2 * FUNDS[instrument.base_asset_id] * 10**QTY_DECIMALS),
            notional_max=Money(NOTIONAL_MAX_USD * UNIT),
        )
        for instrument in instruments()
    ]
