"""The read model says what the journal says, whatever happens to whoever writes it."""

import asyncio
import functools
import os
import random
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from engine.commands import AdjustBalance, CancelOrder, Command
from engine.fee_rates import FeeRates
from engine.ledger_commands import RequestWithdrawal, SetFees, SettleWithdrawal
from engine.order import Side, TimeInForce
from engine.runtime import record_source
from engine.runtime.faults import KILL, PROJECTOR_POINTS, FaultOrder, give_order
from engine.runtime.metrics import EngineMetrics
from engine.runtime.record_source import RecordSource
from engine.runtime.server import LinkServer
from engine.units import ClOrdId, InstrumentId, Money, SessionId
from store.migrate import migrate
from store.postgres import Database
from store.projector import projector
from store.projector.metrics import ProjectorMetrics
from store.projector.position_file import read_position_file
from store.projector.projector import Projector
from store.projector.rebuild import rebuild
from store.searches import SearchTooLongError, snapshot
from tests.exchange_desk import ALICE, BOB, BTC_USD, USD, new_order
from tests.integration.conftest import Scenario
from tests.integration.journal_tables import JournalCount, read_tables
from tests.integration.outside_servers import make_database
from tests.venue_files import FilesDesk

WAIT_S = 60.0


class Market:
    """An engine on a journal of small files, whose feed goes over a real link."""

    def __init__(self, data_dir: Path, socket: Path, url: str) -> None:
        self.desk = FilesDesk(data_dir)
        self.desk.commit([SetFees(BTC_USD, 0, FeeRates(-100, 500))])
        self.data_dir, self.socket, self.url = data_dir, socket, url
        self._rng = random.Random(7)
        self._names: list[str] = []
        self._server = self._make_server()

    async def start(self) -> None:
        await self._server.start(self.socket)

    def stop(self) -> None:
        self._server.stop()

    async def restart(self) -> None:
        """As if another engine had started on the same journal."""
        self._server.stop()
        self._server = self._make_server()
        await self._server.start(self.socket)

    async def trade(self, count: int) -> None:
        """Let orders come, some of which are refused, and let some be cancelled."""
        for _ in range(count):
            self.desk._now_ns += 1_000_000
            self._server.submit(None, self._make_command())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _make_server(self) -> LinkServer:
        def fail(fault: BaseException) -> None:
            raise fault

        return LinkServer(self.desk.sequencer, EngineMetrics(), durability="fsync", on_fault=fail)

    def _make_command(self) -> Command:
        rng = self._rng
        name = f"m{len(self._names)}"
        account, side = rng.choice([(ALICE, Side.BUY), (BOB, Side.SELL)])
        self._names.append(name)
        match rng.randrange(10):
            case 0:
                orig = rng.choice(self._names)
                return CancelOrder(
                    SessionId(0), 0, 0, 0, account, ClOrdId(f"{name}-c"), ClOrdId(orig)
                )
            case 1:
                amount = Money(rng.randint(1, 10**9))
                return AdjustBalance(account, USD, amount, f"wire {name}")
            case 2:
                return RequestWithdrawal(account, USD, Money(rng.randint(1, 10**6)), f"out {name}")
            case 3:
                last = self.desk.last_seq
                is_paid = rng.choice([True, False])
                return SettleWithdrawal(rng.randint(max(1, last - 9), last), is_paid=is_paid)
        time = rng.choice([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC])
        order = new_order(
            account, side, rng.randint(0, 9), rng.randint(98, 102), time, cl_ord_id=name
        )
        if rng.randrange(20):
            return order
        return msgspec.structs.replace(order, instrument_id=InstrumentId(99))

    async def expect_the_journals(self, database: Database) -> None:
        """Wait until the read model knows all, and compare."""
        await self.expect_position(database)
        expected = JournalCount(self.desk.files.journal_dir, self.desk.last_seq).tables
        async with database.transaction() as connection:
            assert await read_tables(connection) == expected
        assert len(expected["trades"]) > 3

    async def expect_position(self, database: Database) -> None:
        """Wait until the read model knows all."""
        async with asyncio.timeout(WAIT_S):
            while await self.position(database) < self.desk.last_seq:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def position(self, database: Database) -> int:
        """Return how far the read model is."""
        async with database.transaction() as connection:
            found = await connection.execute("SELECT seq FROM read_model.position")
            (seq,) = await found.fetchone() or (0,)
            return int(seq)

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[ProjectorMetrics]:
        """Let a projector of this process run."""
        source = RecordSource(self.socket, self.desk.files.journal_dir, "test")
        metrics = ProjectorMetrics(lambda: source.durable_seq)
        writer = Projector(self.url, source, metrics, self.data_dir / "projector-position")
        tasks = [asyncio.ensure_future(source.run()), asyncio.ensure_future(writer.run())]
        try:
            yield metrics
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def search_for_long(database: Database) -> None:
    """Look at so much that it takes longer than it may."""
    async with snapshot(database) as at:
        await at.connection.execute("SET LOCAL statement_timeout = 10")
        await at.connection.execute("SELECT pg_sleep(60)")


OnMarket = Callable[[Callable[[Market, Database], Awaitable[None]]], None]


@pytest.fixture
def on_market(
    on_postgres: Callable[[Scenario], None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> OnMarket:
    """Run a scenario on a market with a journal and a database of its own."""

    def run(play: Callable[[Market, Database], Awaitable[None]]) -> None:
        async def scenario(url: str) -> None:
            own = await make_database(url, f"projector_{zlib.crc32(request.node.name.encode())}")
            await asyncio.to_thread(migrate, own)
            market = Market(tmp_path / "var", tmp_path / "engine.sock", own)
            database = Database(own)
            await database.open()
            await market.start()
            try:
                await play(market, database)
            finally:
                market.stop()
                await database.close()
                market.desk.close()

        on_postgres(scenario)

    return run


def test_read_model_follows_the_journal(on_market: OnMarket) -> None:
    """What was there before, what comes while it runs, and what came while the engine was away."""

    async def play(market: Market, database: Database) -> None:
        await market.trade(60)
        async with market.projecting() as metrics:
            await market.expect_the_journals(database)
            for _ in range(3):
                await market.trade(40)
                await market.restart()
                await market.trade(10)
            await market.expect_the_journals(database)
            sample = metrics.registry.get_sample_value
            assert sample("fixgw_projector_seq") == market.desk.last_seq
            assert sample("fixgw_projector_lag_records") == 0
            assert sample("fixgw_projector_lag_seconds") == 0
            async with asyncio.timeout(WAIT_S):
                file = market.data_dir / "projector-position"
                while read_position_file(file) < market.desk.last_seq:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        await market.trade(30)
        async with market.projecting():
            await market.expect_the_journals(database)

    on_market(play)


def test_what_is_too_much_to_keep_is_read_from_the_journal(
    on_market: OnMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches that are bounded by records and by rows."""
    monkeypatch.setattr(record_source, "LIVE_BYTES_MAX", 2000)
    monkeypatch.setattr(projector, "RECORDS_PER_BATCH", 7)
    monkeypatch.setattr(projector, "ROWS_PER_BATCH", 5)

    async def play(market: Market, database: Database) -> None:
        async with market.projecting():
            await market.trade(150)
            await market.expect_the_journals(database)

    on_market(play)


def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    on_market: OnMarket, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a batch, before its commit and right after it, again and again."""
    fault_dir = tmp_path / "faults"
    fault_dir.mkdir()

    async def play(market: Market, database: Database) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WCX_")},
            "WCX_DATA_DIR": str(market.data_dir),
            "WCX_RUNTIME_DIR": str(market.socket.parent),
            "WCX_DATABASE_URL": market.url,
            "WCX_FAULT_DIR": str(fault_dir),
            "WCX_PROJECTOR__METRICS_PORT": "0",
        }
        kills = [(point, visit) for point in PROJECTOR_POINTS for visit in (1, 3)]
        for point, visit in [*kills, (None, 0)]:
            if point is not None:
                give_order(fault_dir, point, FaultOrder(visit, KILL))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "store", env=environment, stderr=asyncio.subprocess.DEVNULL
            )
            ended = asyncio.ensure_future(process.wait())
            if point is None:
                await market.trade(20)
                await market.expect_the_journals(database)
                process.terminate()
                assert await ended == 0
                return
            async with asyncio.timeout(WAIT_S):
                while not ended.done():
                    await market.trade(1)
                    await asyncio.sleep(0.01)
            assert await ended == -9
            assert read_position_file(market.data_dir / "projector-position") <= (
                await market.position(database)
            )

    on_market(play)


def test_rebuild_while_the_venue_trades(on_market: OnMarket) -> None:
    """What was wrong is right afterwards; searches and the projector have gone on meanwhile."""

    async def play(market: Market, database: Database) -> None:
        await market.trade(100)
        async with market.projecting() as metrics:
            await market.expect_the_journals(database)
            async with database.transaction() as connection:
                await connection.execute("UPDATE read_model.orders SET cum_qty = cum_qty + 1")
                await connection.execute("DELETE FROM read_model.trades")
            for _ in range(4):
                before = await market.position(database)
                rebuilding = asyncio.ensure_future(
                    rebuild(market.url, market.desk.files.journal_dir)
                )
                while not rebuilding.done():
                    await market.trade(5)
                    assert await market.position(database) >= before
                assert (await rebuilding).seq >= before
            await market.expect_the_journals(database)
            assert metrics.registry.get_sample_value("fixgw_projector_rebuilds_total") == 0
            async with database.transaction() as connection:
                found = await connection.execute(
                    "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_model%'"
                )
                assert await found.fetchall() == [("read_model",)]

    on_market(play)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE read_model.position SET version = 0",
        "UPDATE read_model.position SET checksum = checksum + 1",
        "UPDATE read_model.position SET seq = seq + 1000000",
    ],
)
def test_read_model_of_something_else_is_built_anew(on_market: OnMarket, statement: str) -> None:
    """Of another version, of another journal, or ahead of the journal."""

    async def play(market: Market, database: Database) -> None:
        async with market.projecting():
            await market.trade(60)
            await market.expect_the_journals(database)
        async with database.transaction() as connection:
            await connection.execute(statement)
            await connection.execute("UPDATE read_model.orders SET cum_qty = 77")
        async with market.projecting() as metrics:
            count = functools.partial(
                metrics.registry.get_sample_value, "fixgw_projector_rebuilds_total"
            )
            async with asyncio.timeout(WAIT_S):
                while not count():  # noqa: ASYNC110 - It is polled.
                    await asyncio.sleep(0.02)
            await market.trade(20)
            await market.expect_the_journals(database)

    on_market(play)


def test_search_that_takes_too_long_is_given_up(on_market: OnMarket) -> None:
    """And is told from a database that is away."""

    async def play(market: Market, database: Database) -> None:
        async with market.projecting():
            await market.expect_position(database)
        async with snapshot(database) as at:
            assert at.seq == market.desk.last_seq
        with pytest.raises(SearchTooLongError):
            await search_for_long(database)

    on_market(play)
