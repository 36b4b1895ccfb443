"""Says what must be true: of what was released, of the journal, and of what clients saw."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from engine.commands import AdjustBalance, AdvanceTime, CancelOrder, Command, NewOrder
from engine.events import (
    BalanceAdjusted,
    CancelRejected,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    recipients,
)
from engine.exchange import Exchange
from engine.order import TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.runtime.codec import (
    FrameKind,
    FrameReader,
    Record,
    decode_ack,
    decode_commands,
    decode_records,
    decode_welcome,
)
from engine.runtime.feed import Position
from engine.runtime.journal import inspect_tail, read_records
from engine.runtime.replay import Replay, hash_state, replay
from engine.session_commands import (
    LogOffSession,
    LogOnSession,
    OpenSession,
    ReleaseAllSessions,
    ReleaseSession,
)
from engine.session_events import SessionOpened
from engine.state import find_faults
from engine.units import Seq, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BASE_FACTOR, BOB, BTC, NOTIONAL_FACTOR, USD
from tests.model.naive_exchange import NaiveExchange, NaiveOrder
from tests.model.test_exchange_against_twin import fills_of
from tests.simulation.client import Client
from tests.simulation.naive_presence import NaivePresence
from tests.simulation.network import SimTransport

ORDER_QTY_MAX = 20
DAY_NS = 24 * 3600 * 1_000_000_000
FRAME_BYTES_MAX = 1 << 30
GONE = (CancelReason.DISCONNECTED, CancelReason.LOGGED_OUT)
STALE = (RejectReason.STALE_GENERATION, RejectReason.STALE_EPOCH)


class Released:
    """What engines let out, taken from the bytes that they wrote to their links."""

    def __init__(self) -> None:
        self.records: dict[Seq, Record] = {}
        self.last_seq = 0
        self.acked: dict[Seq, Command] = {}
        self.hashes: dict[Seq, str] = {}  # What engines said their state was.
        self._readers: dict[SimTransport, FrameReader] = {}
        self._sent: dict[SimTransport, list[Command]] = defaultdict(list)

    def tap(self, transport: SimTransport, data: bytes) -> None:
        """Take in what one end of a link writes."""
        reader = self._readers.setdefault(transport, FrameReader(FRAME_BYTES_MAX))
        for kind, body in reader.feed(data):
            if kind is FrameKind.COMMANDS:
                self._sent[transport] += decode_commands(body)
            elif kind is FrameKind.RECORDS:
                for record in decode_records(body):
                    known = self.records.setdefault(record.seq, record)
                    assert known == record, f"record {record.seq} was released in two versions"
                    self.last_seq = max(self.last_seq, record.seq)
            elif kind is FrameKind.WELCOME:
                self.last_seq = max(self.last_seq, decode_welcome(body).next_seq - 1)
            elif kind is FrameKind.ACK:
                self._note_ack(transport, decode_ack(body))

    def _note_ack(self, transport: SimTransport, seqs: list[Seq]) -> None:
        sent = self._sent[transport.peer]
        for seq in seqs:
            assert seq not in self.acked, f"{seq} was acknowledged twice"
            self.acked[seq] = sent.pop(0)
            self.last_seq = max(self.last_seq, seq)


class Judge:
    """Looks at every recovery, and at everything in the end."""

    def __init__(self, journal_dir: Path, released: Released, clients: list[Client]) -> None:
        self._journal_dir = journal_dir
        self._released = released
        self._clients = clients

    def look_at_recovery(self, exchange: Exchange, last_seq: Seq) -> None:
        """Nothing that was released is missing, and the state is sound."""
        released = self._released
        assert released.last_seq <= last_seq, (
            f"{released.last_seq} was released, the journal ends with {last_seq}"
        )
        records = {record.seq: record for record in self._records()}
        for seq, record in released.records.items():
            assert records.get(seq) == record, f"record {seq} is not the one that was released"
        for seq, command in released.acked.items():
            assert records[seq].command() == command, f"{seq} acknowledges another command"
        assert find_faults(exchange.state()) == []

    def look_at_the_end(self, payments: list[str]) -> None:
        """The journal, its naive twin, the clients and the operator agree."""
        records = list(self._records())
        exchange = Exchange(PreTradeGate())
        done = Replay()
        for record in records:
            done = replay(exchange, [record])
            if record.seq in self._released.hashes:
                claimed = self._released.hashes[record.seq]
                assert claimed == hash_state(exchange.state()), f"another state at {record.seq}"
        self.look_at_recovery(exchange, done.last_seq)
        NaiveVenue().compare(records, exchange)
        commands = [(record.command(), record.events()) for record in records]
        told = _told(records)
        for client in self._clients:
            _check_commands(client, commands)
            _check_reports(client, told[client.session_id])
        references = [name for _, name in exchange.state().references if name.startswith("pay")]
        assert sorted(references) == sorted(payments), "a payment was lost or made twice"

    def _records(self) -> Iterator[Record]:
        last_seq = inspect_tail(self._journal_dir).last_seq
        return read_records(self._journal_dir, until_seq=last_seq)


def _told(records: list[Record]) -> dict[SessionId, list[tuple[Position, Event]]]:
    told: dict[SessionId, list[tuple[Position, Event]]] = defaultdict(list)
    for record in records:
        for index, event in enumerate(record.events()):
            for session_id in recipients(event):
                told[session_id].append((Position(record.seq, index), event))
    return told


def _check_commands(client: Client, commands: list[tuple[Command, list[Event]]]) -> None:
    """Each message ran once, or was refused at the door and never ran; in order."""
    ran: list[tuple[int, int]] = []
    for command, events in commands:
        if not isinstance(command, NewOrder | CancelOrder) or not events:
            continue
        if command.session_id != client.session_id or isinstance(events[0], CommandRefused):
            continue
        ran.append((command.epoch, command.msg_seq_num))
        sent = client.messages[command.epoch][command.msg_seq_num - 1]
        assert isinstance(sent, NewOrder | CancelOrder)
        assert (command.cl_ord_id, command.account_id) == (sent.cl_ord_id, sent.account_id), (
            f"{command} ran instead of {sent}"
        )
    assert len(ran) == len(set(ran)), f"session {client.session_id}: a message ran twice"
    assert ran == sorted(ran), f"session {client.session_id}: messages ran out of order"
    refused_and_ran = client.refused & set(ran)
    assert not refused_and_ran, f"session {client.session_id}: refused and ran {refused_and_ran}"
    current = {(client.epoch, n) for n in range(1, len(client.messages.get(client.epoch, [])) + 1)}
    lost = (client.must_run | current) - client.refused - set(ran)
    assert not lost, f"session {client.session_id}: never ran {sorted(lost)}"


def _check_reports(client: Client, expected: list[tuple[Position, Event]]) -> None:
    """The client was told each of its events once, in order."""
    due = {position for position, _ in expected}
    told = [position for position, _ in client.received]
    assert told == [position for position, _ in expected], (
        f"session {client.session_id}: never told {sorted(due - set(told))}, told out of turn "
        f"{[place for place, after in pairwise(told) if place >= after]}"
    )
    assert client.received == expected


class NaiveVenue:
    """Applies the journal's commands to slow and plainly right models, and compares."""

    def __init__(self) -> None:
        self._twin = NaiveExchange(notional_factor=NOTIONAL_FACTOR, base_factor=BASE_FACTOR)
        self._sessions: dict[int, list[int]] = {}  # Generation, epoch, watermark, is held.
        self._references: set[tuple[int, str]] = set()
        self._names: dict[tuple[int, str], int] = {}
        self._days: dict[int, int] = {}
        self._presence = NaivePresence()
        self._last_ns = 0

    def compare(self, records: list[Record], exchange: Exchange) -> None:
        """Check every record's events, then the state that they lead to."""
        for record in records:
            assert record.now_ns >= self._last_ns, f"time goes back at {record.seq}"
            self._last_ns = record.now_ns
            self._expire(record)
            self._compare_record(record, record.command(), record.events())
        self._compare_state(exchange)

    def _compare_record(self, record: Record, command: Command, events: list[Event]) -> None:
        match command:
            case OpenSession():
                self._open(command, events)
            case ReleaseSession():
                grant = self._sessions.get(command.session_id, [0, 0, 0, 0])
                if grant[0] == command.generation and grant[3]:
                    grant[3] = 0
                    self._presence.lose(record.now_ns, command.session_id)
            case ReleaseAllSessions():
                for grant in self._sessions.values():
                    grant[3] = 0
                self._presence.lose_all(record.now_ns)
            case LogOnSession() | LogOffSession():
                self._note_presence(record.now_ns, command, events)
            case AdjustBalance():
                self._pay(command, events)
            case NewOrder() if self._admits(command, events):
                self._enter(record, command, events)
            case CancelOrder() if self._admits(command, events):
                self._cancel(command, events)
            case _:
                pass

    def _open(self, command: OpenSession, events: list[Event]) -> None:
        grant = self._sessions.setdefault(command.session_id, [0, 1, 0, 0])
        if grant[3] and grant[0] != command.generation:
            assert isinstance(events[0], CommandRefused)
            return
        grant[0] += 1
        grant[3] = 1
        if command.reset:
            grant[1] += 1
            grant[2] = 0
        assert events == [SessionOpened(command.session_id, grant[0], grant[1], grant[2])]

    def _note_presence(
        self, now_ns: int, command: LogOnSession | LogOffSession, events: list[Event]
    ) -> None:
        grant = self._sessions.get(command.session_id, [0, 0, 0, 0])
        if not grant[3] or grant[0] != command.generation:
            assert isinstance(events[0], CommandRefused)
        elif isinstance(command, LogOnSession):
            self._presence.log_on(now_ns, command)
        else:
            self._presence.log_off(now_ns, command)

    def _pay(self, command: AdjustBalance, events: list[Event]) -> None:
        key = (command.account_id, command.reference)
        if key in self._references:
            assert isinstance(events[0], CommandRefused)
            return
        assert isinstance(events[0], BalanceAdjusted)
        self._references.add(key)
        asset = "quote" if command.asset_id == USD else "base"
        self._twin.deposit(command.account_id, asset, command.amount)

    def _admits(self, command: NewOrder | CancelOrder, events: list[Event]) -> bool:
        grant = self._sessions[command.session_id]
        if not grant[3] or grant[0] != command.generation or grant[1] != command.epoch:
            assert isinstance(events[0], CommandRefused)
            assert events[0].reason in STALE
            return False
        if command.msg_seq_num <= grant[2]:
            assert events == [], f"{command} was seen before and ran again"
            return False
        grant[2] = command.msg_seq_num
        return True

    def _enter(self, record: Record, command: NewOrder, events: list[Event]) -> None:
        order = NaiveOrder(
            order_id=record.seq,
            account_id=command.account_id,
            is_buy=command.side.name == "BUY",
            price=command.price,
            open_qty=command.order_qty,
            is_day=command.time_in_force is TimeInForce.DAY,
        )
        if 0 < command.orig_sent_at_ns <= self._presence.stale_before_ns(command.session_id):
            assert isinstance(events[0], OrderRejected), f"{command} is too old: {events}"
            assert events[0].reason is RejectReason.STALE
            return
        if command.order_qty > ORDER_QTY_MAX or not self._twin.can_pay(order):
            assert isinstance(events[0], OrderRejected), f"{command} was not refused: {events}"
            return
        assert isinstance(events[0], OrderAccepted), f"{command} was refused: {events}"
        fills = self._twin.plan(order)
        time = command.time_in_force
        if time is TimeInForce.FOK and sum(fill.qty for fill in fills) < command.order_qty:
            fills = []
        may_rest = command.price is not None and time in (TimeInForce.DAY, TimeInForce.GTC)
        self._twin.execute(order, fills, may_rest=may_rest)
        assert fills_of(events) == fills
        self._names[(command.account_id, command.cl_ord_id)] = record.seq
        self._days[record.seq] = record.now_ns // DAY_NS
        if not command.outlives_connection:
            self._presence.mortal[record.seq] = (command.session_id, command.account_id)

    def _cancel(self, command: CancelOrder, events: list[Event]) -> None:
        order_id = self._names.get((command.account_id, command.orig_cl_ord_id))
        if order_id in {order.order_id for order in self._twin.resting}:
            assert isinstance(events[0], OrderCanceled), f"{command}: {events}"
            assert order_id is not None
            self._twin.remove(order_id)
        else:
            assert isinstance(events[0], CancelRejected), f"{command}: {events}"

    def _expire(self, record: Record) -> None:
        expired = [event for event in record.events() if isinstance(event, OrderExpired)]
        for event in expired:
            order_id = event.order.order_id
            assert order_id in {order.order_id for order in self._twin.resting if order.is_day}
            self._twin.remove(order_id)
        command = record.command()
        if isinstance(command, ReleaseAllSessions):
            return  # The first thing that an engine says, before time passes.
        resting = {order.order_id for order in self._twin.resting}
        is_time = isinstance(command, AdvanceTime)
        due = self._presence.take_due(record.now_ns, record.batch_first_seq, is_time=is_time)
        canceled = [
            event.order.order_id
            for event in record.events()
            if isinstance(event, OrderCanceled) and event.reason in GONE
        ]
        assert sorted(canceled) == sorted(due & resting), f"wrong orders went at {record.seq}"
        for order_id in canceled:
            self._twin.remove(order_id)
        for order in self._twin.resting:
            assert not order.is_day or self._days[order.order_id] == record.now_ns // DAY_NS, (
                f"order {order.order_id} outlived its day at {record.seq}"
            )

    def _compare_state(self, exchange: Exchange) -> None:
        state = exchange.state()
        lines = {
            (line.account_id, line.asset_id): (line.balance, line.held) for line in state.balances
        }
        for account_id in (ALICE, BOB):
            for asset_id, asset in ((USD, "quote"), (BTC, "base")):
                assert lines.get((account_id, asset_id), (0, 0)) == (
                    self._twin.balance(account_id, asset),
                    self._twin.held(account_id, asset),
                )
        assert [item.order.order_id for item in state.open_orders] == [
            order.order_id
            for order in sorted(
                self._twin.resting, key=lambda order: (not order.is_buy, order.priority())
            )
        ]
        assert [
            [grant.generation, grant.epoch, grant.watermark, int(grant.is_held)]
            for grant in state.grants
        ] == list(self._sessions.values())
