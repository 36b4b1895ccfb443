"""Searches in the read model, each true up to a record of the journal that it names.

Numbers come as decimal text, times as RFC 3339 has them. Searches may be narrowed to a firm: what
belongs to others is not there then.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from psycopg import errors
from psycopg.rows import class_row, scalar_row

from engine.units import AccountId, FirmId, OrderId, Seq, TradeId
from store.postgres import Connection, Database

BEFORE_NONE: Final = 2**63 - 1
"""A place that is behind every other: where the newest first begins."""

R = TypeVar("R")


class SearchTooLongError(Exception):
    """The database has given the search up: it would have to look at too much."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The read model as it is after the record `seq`, whatever is written meanwhile."""

    connection: Connection
    seq: Seq


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: None is anything. `until` is the first moment that is not meant."""

    firm_id: FirmId | None = None
    account_id: int | None = None
    order_id: int | None = None
    cl_ord_id: str | None = None
    symbol: str | None = None
    ord_status: str | None = None
    exec_type: str | None = None
    is_open: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderFound:
    """An order. `account` is its name, None for one of an account that there is not."""

    order_id: int
    account_id: int
    account: str | None
    firm_id: int | None
    session_id: int
    symbol: str
    cl_ord_id: str
    side: str
    ord_type: str
    time_in_force: str
    price: str | None
    order_qty: str
    leaves_qty: str
    cum_qty: str
    avg_px: str
    ord_status: str
    reason: str | None
    text: str | None
    terms: dict[str, Any] | None
    entered_at: str
    changed_at: str
    last_seq: int


@dataclass(frozen=True, slots=True)
class OrderEventFound:
    """Something that happened to an order. `report` has the fields that apply."""

    seq: int
    event_index: int
    happened_at: str
    kind: str
    order_id: int | None
    account_id: int
    report: dict[str, Any]
    refusal: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TradeFound:
    """A match. `sees_buyer` and `sees_seller` say which of the two sides may be shown."""

    trade_id: int
    seq: int
    happened_at: str
    symbol: str
    price: str
    qty: str
    notional: str
    aggressor_side: str | None
    buy_order_id: int
    buy_account_id: int
    buy_fee: str
    buy_fee_asset: str | None
    sell_order_id: int
    sell_account_id: int
    sell_fee: str
    sell_fee_asset: str | None
    state: str
    changed_seq: int | None
    sees_buyer: bool
    sees_seller: bool


@dataclass(frozen=True, slots=True)
class BalanceFound:
    """What an account has of an asset since the record `last_seq`."""

    asset: str
    balance: str
    last_seq: int


@dataclass(frozen=True, slots=True)
class LedgerEntryFound:
    """A line of an account's statement: `balance` is what it had afterwards."""

    seq: int
    event_index: int
    posting_index: int
    happened_at: str
    asset: str
    amount: str
    balance: str
    kind: str
    reference: str
    order_id: int | None


def _time(column: str) -> str:
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS {column}"


ORDER_COLUMNS: Final = (
    "o.order_id, o.account_id, a.name AS account, a.firm_id, o.session_id, o.symbol, o.cl_ord_id,"
    " o.side, o.ord_type, o.time_in_force, o.price::text, o.order_qty::text, o.leaves_qty::text,"
    " o.cum_qty::text, o.avg_px::text, o.ord_status, o.reason, o.text, o.terms,"
    f" {_time('entered_at')}, {_time('changed_at')}, o.last_seq"
)
EVENT_COLUMNS: Final = (
    f"seq, event_index, {_time('happened_at')}, kind, order_id, account_id, report, refusal"
)
TRADE_COLUMNS: Final = (
    f"trade_id, seq, {_time('happened_at')}, symbol, price::text, qty::text, notional::text,"
    " aggressor_side, buy_order_id, buy_account_id, buy_fee::text, buy_fee_asset, sell_order_id,"
    " sell_account_id, sell_fee::text, sell_fee_asset, state, changed_seq"
)
OF_FIRM: Final = "(SELECT account_id FROM read_model.accounts WHERE firm_id = %(firm_id)s)"


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Lend the read model as it is at this moment, for a few statements.

    Raises SearchTooLongError when one of them takes longer than any may, StoreError.
    """
    try:
        async with _snapshot(database) as at:
            yield at
    except errors.QueryCanceled:
        raise SearchTooLongError from None


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[Snapshot]:
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Before anything is read: a read model that was built anew does not come in between.
        await connection.execute("LOCK TABLE read_model.position IN ACCESS SHARE MODE")
        async with connection.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute("SELECT seq FROM read_model.position")
            yield Snapshot(connection, Seq(await cursor.fetchone() or 0))


async def find_read_model_seq(connection: Connection) -> Seq:
    """Return the last record that the read model knows of."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT seq FROM read_model.position")
        return Seq(await cursor.fetchone() or 0)


async def find_account_firm(at: Snapshot, account_id: int) -> FirmId | None:
    """Return whose account it is, None when the exchange knows none of that identity."""
    async with at.connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT firm_id FROM read_model.accounts WHERE account_id = %s", [account_id]
        )
        return await cursor.fetchone()


async def list_orders(
    at: Snapshot, search: Search, *, before_id: int, limit: int
) -> list[OrderFound]:
    """Return orders entered before one, the newest first. A ClOrdID finds former names too."""
    conditions = {
        "o.order_id < %(before_id)s": True,
        f"o.account_id IN {OF_FIRM}": search.firm_id is not None,
        "o.account_id = %(account_id)s": search.account_id is not None,
        "o.order_id = %(order_id)s": search.order_id is not None,
        "o.order_id IN (SELECT order_id FROM read_model.order_events"
        " WHERE cl_ord_id = %(cl_ord_id)s)": search.cl_ord_id is not None,
        "o.symbol = %(symbol)s": search.symbol is not None,
        "o.ord_status = %(ord_status)s": search.ord_status is not None,
        "o.leaves_qty > 0": search.is_open is True,
        "o.leaves_qty = 0": search.is_open is False,
        "o.entered_at >= %(since)s": search.since is not None,
        "o.entered_at < %(until)s": search.until is not None,
    }
    query = (
        f"SELECT {ORDER_COLUMNS} FROM read_model.orders o"
        f" LEFT JOIN read_model.accounts a USING (account_id) WHERE {_all_of(conditions)}"
        " ORDER BY o.order_id DESC LIMIT %(limit)s"
    )
    return await _find(at, OrderFound, query, search, before_id=before_id, limit=limit)


async def find_order(
    at: Snapshot, order_id: OrderId, *, firm_id: FirmId | None
) -> OrderFound | None:
    """Return the order of that number, None when there is none, or none of the firm."""
    search = Search(firm_id=firm_id, order_id=order_id)
    found = await list_orders(at, search, before_id=BEFORE_NONE, limit=1)
    return found[0] if found else None


async def list_order_events(
    at: Snapshot, order_id: int, *, after: tuple[int, ...], limit: int
) -> list[OrderEventFound]:
    """Return what happened to an order after a place, in order."""
    return await _find(
        at,
        OrderEventFound,
        f"SELECT {EVENT_COLUMNS} FROM read_model.order_events WHERE order_id = %(order_id)s"
        " AND (seq, event_index) > (%(seq)s, %(index)s)"
        " ORDER BY seq, event_index LIMIT %(limit)s",
        Search(order_id=order_id),
        seq=after[0],
        index=after[1],
        limit=limit,
    )


async def list_executions(
    at: Snapshot, search: Search, *, before: tuple[int, ...], limit: int
) -> list[OrderEventFound]:
    """Return what was told by ExecutionReport(8) before a place, the newest first."""
    conditions = {
        "exec_type IS NOT NULL AND (seq, event_index) < (%(seq)s, %(index)s)": True,
        f"account_id IN {OF_FIRM}": search.firm_id is not None,
        "account_id = %(account_id)s": search.account_id is not None,
        "order_id = %(order_id)s": search.order_id is not None,
        "cl_ord_id = %(cl_ord_id)s": search.cl_ord_id is not None,
        "symbol = %(symbol)s": search.symbol is not None,
        "exec_type = %(exec_type)s": search.exec_type is not None,
        "happened_at >= %(since)s": search.since is not None,
        "happened_at < %(until)s": search.until is not None,
    }
    query = (
        f"SELECT {EVENT_COLUMNS} FROM read_model.order_events WHERE {_all_of(conditions)}"
        " ORDER BY order_events.seq DESC, event_index DESC LIMIT %(limit)s"
    )
    return await _find(
        at, OrderEventFound, query, search, seq=before[0], index=before[1], limit=limit
    )


async def list_trades(
    at: Snapshot, search: Search, *, before_id: int, limit: int
) -> list[TradeFound]:
    """Return matches before one, the newest first; of an account or firm, where either side is."""
    conditions = {
        "trade_id < %(before_id)s": True,
        f"(buy_account_id IN {OF_FIRM} OR sell_account_id IN {OF_FIRM})": (
            search.firm_id is not None
        ),
        "%(account_id)s IN (buy_account_id, sell_account_id)": search.account_id is not None,
        "%(order_id)s IN (buy_order_id, sell_order_id)": search.order_id is not None,
        "symbol = %(symbol)s": search.symbol is not None,
        "happened_at >= %(since)s": search.since is not None,
        "happened_at < %(until)s": search.until is not None,
    }
    sees = "%(firm_id)s::integer IS NULL OR {}_account_id IN " + OF_FIRM
    query = (
        f"SELECT {TRADE_COLUMNS}, {sees.format('buy')} AS sees_buyer,"
        f" {sees.format('sell')} AS sees_seller"
        f" FROM read_model.trades WHERE {_all_of(conditions)}"
        " ORDER BY trade_id DESC LIMIT %(limit)s"
    )
    return await _find(at, TradeFound, query, search, before_id=before_id, limit=limit)


async def find_trade(at: Snapshot, trade_id: TradeId) -> TradeFound | None:
    """Return the match of that number, None when there is none."""
    found = await list_trades(at, Search(), before_id=trade_id + 1, limit=1)
    return found[0] if found and found[0].trade_id == trade_id else None


async def list_balances(at: Snapshot, account_id: AccountId) -> list[BalanceFound]:
    """Return what an account has of each asset that it ever had any of."""
    return await _find(
        at,
        BalanceFound,
        "SELECT asset, balance::text, last_seq FROM read_model.balances"
        " WHERE account_id = %(account_id)s ORDER BY asset",
        Search(account_id=account_id),
    )


async def list_ledger_entries(
    at: Snapshot,
    account_id: AccountId,
    *,
    asset: str | None,
    before: tuple[int, ...],
    limit: int,
) -> list[LedgerEntryFound]:
    """Return an account's entries before a place, the newest first."""
    conditions = {
        "account_id = %(account_id)s": True,
        "(seq, event_index, posting_index) < (%(seq)s, %(index)s, %(posting)s)": True,
        "asset = %(asset)s": asset is not None,
    }
    query = (
        f"SELECT seq, event_index, posting_index, {_time('happened_at')}, asset, amount::text,"
        " balance::text, kind, reference, order_id"
        f" FROM read_model.ledger_entries WHERE {_all_of(conditions)}"
        " ORDER BY ledger_entries.seq DESC, event_index DESC, posting_index DESC LIMIT %(limit)s"
    )
    seq, index, posting = before
    return await _find(
        at,
        LedgerEntryFound,
        query,
        Search(account_id=account_id),
        asset=asset,
        seq=seq,
        index=index,
        posting=posting,
        limit=limit,
    )


def _all_of(conditions: dict[str, bool]) -> str:
    """Return those conditions that are asked for as one."""
    return " AND ".join(text for text, is_asked in conditions.items() if is_asked)


async def _find(
    at: Snapshot, kind: type[R], query: str, search: Search, **values: object
) -> list[R]:
    names = {name: getattr(search, name) for name in search.__slots__}
    async with at.connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(query.encode(), {**names, **values})
        return await cursor.fetchall()
