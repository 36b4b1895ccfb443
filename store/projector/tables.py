"""The read model's tables in PostgreSQL: read when the projector starts, written a batch at a time.

A batch and the position behind it are one transaction, so that after any crash the tables are true
up to the position and nothing beyond it is there.
"""

from typing import Final

import msgspec
from psycopg import AsyncCursor, sql
from psycopg.rows import TupleRow

from engine.events import AccountOpened, AssetDefined, InstrumentDefined
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.reference import Reference
from engine.runtime import faults
from engine.units import AccountId, AssetId, Money, Seq
from store.postgres import Connection
from store.projector.projection import VERSION, Balances, Projection
from store.projector.rows import Batch, OrderRow, Position, Row, TradeChange

LIVE: Final = "read_model"
"""The schema that is searched."""

TABLES: Final = (
    "position", "assets", "instruments", "accounts", "orders", "order_events", "trades",
    "ledger_entries", "balances",
)  # fmt: skip
# What never changes of an order once it is entered.
ORDER_CONSTANTS: Final = ("order_id", "account_id", "session_id", "entered_at")


class PositionMovedError(Exception):
    """Somebody else has written to the read model, or put another one in its place."""


class Tables:
    """The tables of one schema. Belongs to whoever holds the connection."""

    def __init__(self, connection: Connection, schema: str = LIVE) -> None:
        self._connection = connection
        self._schema = schema

    async def prepare(self) -> None:
        """Make what `write` needs. Once a connection, before its first transaction."""
        await self._connection.execute(
            self._sql("CREATE TEMPORARY TABLE staged_orders (LIKE {}.orders) ON COMMIT DELETE ROWS")
        )

    async def find_version(self) -> int:
        """Return which version of the projection has filled the tables, 0 for none."""
        found = await self._connection.execute(self._sql("SELECT version FROM {}.position"))
        row = await found.fetchone()
        assert row is not None
        return int(row[0])

    async def read_position(self) -> Position:
        """Return the last record that the tables know of."""
        found = await self._connection.execute(
            self._sql("SELECT seq, happened_at_ns, checksum FROM {}.position")
        )
        row = await found.fetchone()
        assert row is not None
        return Position(Seq(row[0]), *row[1:])

    async def load(self) -> Projection:
        """Return a projection that goes on from where the tables are."""
        position = await self.read_position()
        reference = await self._load_reference()
        return Projection(position, reference, await self._load_balances(reference))

    async def _load_reference(self) -> Reference:
        reference = Reference()
        rows = await self._fetch("SELECT asset_id, symbol, decimals FROM {}.assets")
        for asset_id, symbol, decimals in rows:
            reference.learn(AssetDefined(Asset(AssetId(asset_id), symbol, decimals)))
        for (text,) in await self._fetch(
            "SELECT definition::text FROM {}.instruments ORDER BY instrument_id"
        ):
            definition = msgspec.json.decode(text, type=InstrumentDefinition)
            reference.learn(InstrumentDefined(definition))
        for row in await self._fetch("SELECT account_id, firm_id, name FROM {}.accounts"):
            reference.learn(AccountOpened(Account(*row)))
        return reference

    async def _load_balances(self, reference: Reference) -> Balances:
        balances: Balances = {}
        rows = await self._fetch("SELECT account_id, asset_id, balance FROM {}.balances")
        for account_id, asset_id, balance in rows:
            scaled = balance.scaleb(reference.assets[asset_id].decimals)
            assert scaled == int(scaled)
            balances[AccountId(account_id), AssetId(asset_id)] = Money(int(scaled))
        return balances

    async def write(self, batch: Batch, *, after: Position) -> None:
        """Write a batch that follows `after`, in the transaction of the connection.

        Raises PositionMovedError when the tables are not true up to just there.
        """
        async with self._connection.cursor() as cursor:
            # First of all: from here to the end of the transaction nobody can put another read
            # model in this one's place.
            await cursor.execute(
                self._sql(
                    "UPDATE {}.position SET version = %s, seq = %s, happened_at_ns = %s,"
                    " checksum = %s WHERE seq = %s AND checksum = %s"
                ),
                [VERSION, *batch.position, after.seq, after.checksum],
            )
            if cursor.rowcount != 1:
                raise PositionMovedError
            await self._write_definitions(cursor, batch)
            faults.reach("projector.amid_batch")
            await self._upsert_orders(cursor, list(batch.orders.values()))
            await self._copy(cursor, "order_events", batch.order_events)
            await self._copy(cursor, "trades", batch.trades)
            await self._change_trades(cursor, batch.trade_changes)
            await self._copy(cursor, "ledger_entries", batch.ledger_entries)
            await self._upsert_balances(cursor, batch)
        faults.reach("projector.before_commit")

    async def _write_definitions(self, cursor: AsyncCursor[TupleRow], batch: Batch) -> None:
        for asset in batch.assets:
            await cursor.execute(
                self._sql("INSERT INTO {}.assets VALUES (%s, %s, %s)"),
                [asset.asset_id, asset.symbol, asset.decimals],
            )
        for definition in batch.instruments:
            await cursor.execute(
                self._sql(
                    "INSERT INTO {}.instruments VALUES (%s, %s, %s) ON CONFLICT (instrument_id)"
                    " DO UPDATE SET symbol = excluded.symbol, definition = excluded.definition"
                ),
                [
                    definition.instrument_id,
                    definition.symbol,
                    msgspec.json.encode(definition).decode(),
                ],
            )
        await self._copy(
            cursor, "accounts", [(a.account_id, a.firm_id, a.name) for a in batch.accounts]
        )

    async def _upsert_orders(self, cursor: AsyncCursor[TupleRow], rows: list[OrderRow]) -> None:
        if not rows:
            return
        await _copy_rows(cursor, sql.SQL("staged_orders"), rows)
        changing = [name for name in OrderRow._fields if name not in ORDER_CONSTANTS]
        await cursor.execute(
            self._sql(
                "INSERT INTO {}.orders SELECT * FROM staged_orders"
                " ON CONFLICT (order_id) DO UPDATE SET "
            )
            + sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changing
            )
        )
        await cursor.execute("DELETE FROM staged_orders")

    async def _change_trades(
        self, cursor: AsyncCursor[TupleRow], changes: list[TradeChange]
    ) -> None:
        await cursor.executemany(
            self._sql(
                "UPDATE {}.trades SET state = %s, price = %s, qty = %s, notional = %s,"
                " buy_fee = %s, sell_fee = %s, changed_seq = %s WHERE trade_id = %s"
            ),
            changes,
        )

    async def _upsert_balances(self, cursor: AsyncCursor[TupleRow], batch: Batch) -> None:
        await cursor.executemany(
            self._sql(
                "INSERT INTO {}.balances VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (account_id, asset_id)"
                " DO UPDATE SET balance = excluded.balance, last_seq = excluded.last_seq"
            ),
            list(batch.balances.values()),
        )

    async def _copy(self, cursor: AsyncCursor[TupleRow], table: str, rows: list[Row]) -> None:
        if rows:
            name = sql.SQL("{}.{}").format(sql.Identifier(self._schema), sql.Identifier(table))
            await _copy_rows(cursor, name, rows)

    async def _fetch(self, text: str) -> list[TupleRow]:
        found = await self._connection.execute(self._sql(text))
        return await found.fetchall()

    def _sql(self, text: str) -> sql.Composed:
        """Put the schema's name in. The text is one of this module."""
        return sql.SQL(text).format(sql.Identifier(self._schema))


async def _copy_rows(
    cursor: AsyncCursor[TupleRow], table: sql.Composable, rows: list[Row] | list[OrderRow]
) -> None:
    async with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
        for row in rows:
            await copy.write_row(row)
