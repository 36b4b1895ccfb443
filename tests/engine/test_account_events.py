"""What was reported of an account, page by page: the same as one look at all that ever happened."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.commands import CancelOrder, Command
from engine.events import ExecutionEvent
from engine.exchange import Exchange
from engine.order import Side, TimeInForce
from engine.runtime.feed import (
    BEFORE_ALL,
    AccountEvent,
    Position,
    parse_exec_id,
    read_account_events,
    read_session_events,
)
from engine.runtime.journal import (
    Journal,
    JournalDamagedError,
    RecordsGoneError,
    inspect_tail,
    list_segments,
    lock_journal,
    read_records,
    repair_tail,
)
from engine.runtime.replay import replay
from engine.runtime.sequencer import Sequencer
from engine.session_commands import OpenSession
from engine.units import AccountId, ClOrdId, Seq, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    DEFAULT_FUNDS,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
    new_order,
)

SEGMENT_BYTES = 600
MANY = 10**6
QUIET = AccountId(3)
SET_UP: list[Command] = [
    *REFERENCE_COMMANDS,
    *account_commands(ALICE, DEFAULT_FUNDS),
    *account_commands(BOB, DEFAULT_FUNDS),
    *account_commands(QUIET, DEFAULT_FUNDS),
]


class Engine:
    """A sequencer over journal files in many small segments; a new one is a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        lock = lock_journal(directory)
        tail = repair_tail(directory)
        exchange = Exchange(PreTradeGate())
        done = replay(exchange, read_records(directory, until_seq=tail.last_seq))
        self.journal = Journal(
            directory, next_seq=Seq(done.last_seq + 1), segment_bytes_max=SEGMENT_BYTES
        )
        self.sequencer = Sequencer(
            exchange,
            self.journal,
            last_seq=done.last_seq,
            last_ns=done.last_ns,
            clock_ns=lambda: START_NS,
        )
        os.close(lock)
        if not done.last_seq:
            self.sequencer.commit(SET_UP)

    def trade(self, rng: random.Random, count: int) -> None:
        """Enter and cancel orders of ALICE and BOB at random, some batches larger than others."""
        while count > 0:
            batch = [self._command(rng) for _ in range(rng.randint(1, 4))]
            self.sequencer.commit(batch)
            count -= len(batch)

    def _command(self, rng: random.Random) -> Command:
        account_id = rng.choice((ALICE, BOB))
        name = f"o{rng.randrange(10**9)}"
        if rng.random() < 0.2:
            return CancelOrder(
                session_id=SessionId(0),
                generation=0,
                epoch=0,
                msg_seq_num=0,
                account_id=account_id,
                cl_ord_id=ClOrdId(name),
                orig_cl_ord_id=ClOrdId("nothing"),
            )
        if rng.random() < 0.1:
            return OpenSession(SessionId(rng.randrange(5)))
        return new_order(
            account_id,
            rng.choice(list(Side)),
            rng.randint(0, 9),
            rng.randint(98, 102),
            rng.choice(list(TimeInForce)),
            cl_ord_id=name,
        )


@pytest.fixture
def engine(tmp_path: Path, rng: random.Random) -> Engine:
    engine = Engine(tmp_path)
    engine.trade(rng, 120)
    assert len(list_segments(tmp_path)) > 10
    return engine


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails.
    return random.Random(seed)


def truth(directory: Path, account_id: AccountId, after: Position = BEFORE_ALL) -> list[object]:
    """Return the account's reports by the plainest of means."""
    return [
        AccountEvent(Position(record.seq, index), record.now_ns, event)
        for record in read_records(directory, until_seq=inspect_tail(directory).last_seq)
        for index, event in enumerate(record.events())
        if isinstance(event, ExecutionEvent) and event.order.account_id == account_id
        if Position(record.seq, index) > after
    ]


def pages(
    directory: Path,
    account_id: AccountId,
    after: Position = BEFORE_ALL,
    *,
    limit: int = MANY,
    records_max: int = MANY,
) -> list[object]:
    """Return all that comes by asking on until there is no more. Every page must lead further."""
    found: list[object] = []
    until_seq = inspect_tail(directory).last_seq
    while True:
        page = read_account_events(
            directory,
            account_id,
            after,
            until_seq=until_seq,
            events_max=limit,
            records_max=records_max,
        )
        assert len(page.events) <= limit
        found += page.events
        if not page.has_more:
            assert page.reached >= after
            return found
        assert page.reached > after
        after = page.reached


@pytest.mark.parametrize("account_id", [ALICE, BOB, QUIET])
@pytest.mark.parametrize(("limit", "records_max"), [(MANY, MANY), (1, MANY), (7, 10), (2, 0)])
def test_pages_together_are_everything_once(
    engine: Engine, account_id: AccountId, limit: int, records_max: int
) -> None:
    """Whatever the size of a page and the work allowed for it, with the indexes made or not."""
    expected = truth(engine.directory, account_id)
    assert bool(expected) is (account_id != QUIET)
    for _ in range(2):
        assert expected == pages(engine.directory, account_id, limit=limit, records_max=records_max)


def test_from_any_place_on(engine: Engine) -> None:
    """Also in the middle of a record, and from a place that is no report of the account's."""
    for seq in range(engine.sequencer.last_seq + 1):
        for event_index in (0, 1, 2):
            after = Position(seq, event_index)
            assert pages(engine.directory, ALICE, after) == truth(engine.directory, ALICE, after)


def test_restart_changes_nothing(engine: Engine, rng: random.Random) -> None:
    """What is appended after a restart, to segments with and without an index, is found."""
    for _ in range(3):
        pages(engine.directory, ALICE)
        engine.journal.close()
        engine = Engine(engine.directory)
        engine.trade(rng, 20)
        for account_id in (ALICE, BOB):
            assert pages(engine.directory, account_id) == truth(engine.directory, account_id)


def test_torn_tail_is_not_read(engine: Engine) -> None:
    """What was never made durable stays unread, and is gone after the next start."""
    engine.journal.close()
    expected = truth(engine.directory, ALICE)
    with list_segments(engine.directory)[-1].path.open("ab") as file:
        file.write(b"WCXR torn")
    assert pages(engine.directory, ALICE) == expected
    Engine(engine.directory).journal.close()
    assert pages(engine.directory, ALICE) == expected


def test_nothing_beyond_what_is_durable(engine: Engine) -> None:
    """The reader stops where it is told, and says that this is the end."""
    middle = engine.sequencer.last_seq // 2
    page = read_account_events(
        engine.directory,
        ALICE,
        BEFORE_ALL,
        until_seq=middle,
        events_max=MANY,
        records_max=MANY,
    )
    assert page.events == [
        item
        for item in truth(engine.directory, ALICE)
        if isinstance(item, AccountEvent) and item.position.seq <= middle
    ]
    assert not page.has_more
    assert page.reached.seq == middle


def test_segment_that_grows_again_gets_a_new_index(engine: Engine, rng: random.Random) -> None:
    """A crash while the next segment is made leaves one that only seemed to be sealed."""
    while list_segments(engine.directory)[-1].path.stat().st_size > SEGMENT_BYTES // 2:
        engine.trade(rng, 1)
    engine.journal.close()
    torn = engine.directory / f"{engine.sequencer.last_seq + 1:020}.wcj"
    torn.touch()
    last_seq = engine.sequencer.last_seq
    positions = {SessionId(1): BEFORE_ALL}
    list(read_session_events(engine.directory, positions, until_seq=last_seq))
    read_account_events(
        engine.directory, BOB, BEFORE_ALL, until_seq=last_seq, events_max=9, records_max=MANY
    )
    engine = Engine(engine.directory)
    assert not torn.exists()
    engine.sequencer.commit([new_order(ALICE, Side.BUY, 1, 100, cl_ord_id="into-the-same")])
    engine.trade(rng, 30)
    after = Position(last_seq, MANY)
    expected = truth(engine.directory, ALICE, after)
    assert expected
    for _ in range(2):
        assert pages(engine.directory, ALICE, after) == expected


def test_work_is_bounded(engine: Engine) -> None:
    """A page ends after so many records, found something or not; making an index counts."""
    last_seq = engine.sequencer.last_seq
    steps = []
    after = BEFORE_ALL
    while True:
        page = read_account_events(
            engine.directory, QUIET, after, until_seq=last_seq, events_max=1, records_max=10
        )
        assert page.events == []
        steps.append(page.reached.seq - after.seq)
        after = page.reached
        if not page.has_more:
            break
    assert len(steps) > 3
    # At most the budget and one segment more, whose records take 20 bytes and more each.
    assert max(steps) <= 10 + SEGMENT_BYTES // 20


def test_reading_on_costs_nothing_of_what_was_before(engine: Engine) -> None:
    """Records before the place are passed over unread; over damage nobody reads."""
    (segment, *_) = list_segments(engine.directory)
    data = bytearray(segment.path.read_bytes())
    first = next(read_records(engine.directory, until_seq=1))
    data[data.index(first.command_bytes)] ^= 0xFF
    segment.path.write_bytes(data)
    assert [record.seq for record in read_records(engine.directory, after_seq=1, until_seq=3)] == [
        2,
        3,
    ]
    with pytest.raises(JournalDamagedError, match="record 1 is damaged"):
        list(read_records(engine.directory, until_seq=3))


def test_lengths_that_lead_nowhere_are_damage(engine: Engine) -> None:
    """Passing over a record finds the next one or says which is damaged."""
    (segment, *_) = list_segments(engine.directory)
    data = bytearray(segment.path.read_bytes())
    for place, byte in ((16, 0), (20, data[20] + 1), (23, 0x7F)):
        damaged = bytearray(data)
        damaged[place] = byte
        segment.path.write_bytes(damaged)
        with pytest.raises(JournalDamagedError, match=r"record [12] is damaged"):
            list(read_records(engine.directory, after_seq=1, until_seq=3))


def test_what_was_archived_is_refused(engine: Engine) -> None:
    """A reader that stands before the first segment is told so."""
    list_segments(engine.directory)[0].path.unlink()
    with pytest.raises(RecordsGoneError, match="are not there any more"):
        pages(engine.directory, ALICE)


def test_readers_on_many_threads_share_the_indexes(engine: Engine) -> None:
    """Whoever makes an index first, nobody trips over another's draft."""
    expected = truth(engine.directory, ALICE)
    for _ in range(20):
        for path in engine.directory.glob("*.idx"):
            path.unlink()
        with ThreadPoolExecutor(8) as workers:
            runs = [workers.submit(pages, engine.directory, ALICE) for _ in range(8)]
        assert all(run.result() == expected for run in runs)
    assert not [path for path in engine.directory.iterdir() if ".idx." in path.name]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("1.0", Position(1, 0)),
        ("1042.17", Position(1042, 17)),
        ("", None),
        ("1", None),
        ("1.", None),
        (".1", None),
        ("1.0.0", None),
        ("-1.0", None),
        ("+1.0", None),
        (" 1.0", None),
        ("1.0\n", None),
        ("1e3.0", None),
        ("٣.0", None),
        ("D1.2.3", None),
        ("9" * 19 + ".0", None),
    ],
)
def test_exec_ids(text: str, position: Position | None) -> None:
    """What names an event is read back exactly, anything else not at all."""
    assert parse_exec_id(text) == position
    if position is not None:
        assert position.exec_id == text
