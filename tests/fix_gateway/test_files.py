"""The small files beside a session's store survive any death of their writer."""

import random
import shutil
from pathlib import Path

from engine.runtime.feed import BEFORE_ALL, Position
from engine.units import AccountId, SessionId
from fix_gateway.fix.message_store import SessionIdentity
from fix_gateway.fix.position import NO_EPOCH, SLOT_BYTES, Marks, PositionFile, read_proven
from fix_gateway.fix.refusals import ENTRY, RefusalLog
from fix_gateway.fix.session_files import SessionFiles, read_heard
from tests.session_row import make_row

SESSION = SessionId(7)


def marks(number: int) -> Marks:
    return Marks(
        epoch=number,
        sent=Position(number, 2),
        sender_msg_seq_num=number + 1,
        proven=Position(number - 1, -1),
        poss_resend=Position(number, 1 << 62),
    )


def write(path: Path, *numbers: int) -> None:
    file = PositionFile(path, SESSION)
    for number in numbers:
        file.marks = marks(number)
        file.save()
    file.close()


def test_marks_come_back_as_they_were(tmp_path: Path) -> None:
    """The newest of the two slots counts, whichever it is."""
    path = tmp_path / "position"
    assert PositionFile(path, SESSION).marks == Marks(
        NO_EPOCH, BEFORE_ALL, 0, BEFORE_ALL, BEFORE_ALL
    )
    for number in range(1, 6):
        write(path, number)
        file = PositionFile(path, SESSION)
        assert (file.marks, file.is_new) == (marks(number), False)
        file.close()


def test_torn_write_leaves_the_marks_before_it(tmp_path: Path) -> None:
    """However much of a slot was written, the other one still stands."""
    path = tmp_path / "position"
    write(path, 1, 2, 3)
    before = path.read_bytes()
    write(path, 4)
    after = path.read_bytes()
    assert before != after
    for length in range(SLOT_BYTES):
        offset = 0 if before[:SLOT_BYTES] != after[:SLOT_BYTES] else SLOT_BYTES
        torn = bytearray(before)
        torn[offset : offset + length] = after[offset : offset + length]
        path.write_bytes(torn)
        file = PositionFile(path, SESSION)
        assert file.marks in (marks(3), marks(4))
        file.close()


def test_others_read_what_each_session_has_proven(tmp_path: Path) -> None:
    """Beside the owner; a file that does not say whose it is, or is none, is left out."""
    for number in (1, 2, 3):
        (tmp_path / f"FIX.4.4-T0{number}").mkdir()
    owner = PositionFile(tmp_path / "FIX.4.4-T01" / "position", SessionId(1))
    owner.marks = marks(9)
    owner.save()
    PositionFile(tmp_path / "FIX.4.4-T02" / "position", SessionId(2)).close()
    (tmp_path / "FIX.4.4-T03" / "position").write_bytes(bytes(2 * SLOT_BYTES))
    assert read_proven(tmp_path) == {1: Position(8, -1), 2: BEFORE_ALL}
    owner.close()


def test_others_read_whom_each_session_listens_to(tmp_path: Path) -> None:
    """Beside the owner; who does not listen any more has no file, what is damaged is left out."""
    files = []
    for number in (1, 2, 3):
        identity = SessionIdentity("FIX.4.4", "WCX", f"T0{number}")
        row = make_row(session_id=SessionId(number))
        files.append(SessionFiles(tmp_path / str(number), row, identity, worker=0))
        files[-1].note_heard(frozenset({AccountId(5), AccountId(number)}))
    files[1].note_heard(frozenset())
    (tmp_path / "3" / "heard").write_bytes(b"[1, ")
    assert read_heard(tmp_path) == {1: {1, 5}}
    for each in files:
        each.close(is_in_order=True)


def test_random_damage_never_raises(tmp_path: Path) -> None:
    """A file of junk is a file without marks."""
    path = tmp_path / "position"
    rng = random.Random(7)
    for _ in range(50):
        path.write_bytes(rng.randbytes(rng.randint(0, 3 * SLOT_BYTES)))
        file = PositionFile(path, SESSION)
        assert file.marks == Marks()
        file.close()


def test_new_epoch_goes_back_to_what_is_proven() -> None:
    """What was sent and not proven is to go out again, marked."""
    state = Marks(3, Position(50, 1), 17, Position(40, 0), Position(10, 0))
    state.start_epoch()
    assert state == Marks(NO_EPOCH, Position(40, 0), 0, Position(40, 0), Position(50, 1))
    state.start_epoch()
    assert state.poss_resend == Position(50, 1)


def test_refusals_are_remembered_over_a_death(tmp_path: Path) -> None:
    """Those of this epoch above what the engine has seen; the others do not matter any more."""
    path = tmp_path / "refusals"
    log = RefusalLog(path)
    log.load(epoch=2, watermark=0, next_sender_msg_seq_num=1)
    for number in (3, 5, 8):
        log.add(number, reply_msg_seq_num=number + 10)
    copy = Path(shutil.copy(path, tmp_path / "copy"))  # As a SIGKILL would leave it.
    again = RefusalLog(copy)
    again.load(epoch=2, watermark=4, next_sender_msg_seq_num=19)
    assert [number for number in range(10) if number in again] == [5, 8]
    again.add(9, reply_msg_seq_num=19)
    again.load(epoch=2, watermark=4, next_sender_msg_seq_num=19)
    assert [number for number in range(10) if number in again] == [5, 8]  # 9 was never replied to.
    again.load(epoch=3, watermark=0, next_sender_msg_seq_num=19)
    assert [number for number in range(10) if number in again] == []
    again.close()
    log.close()


def test_torn_refusal_is_none(tmp_path: Path) -> None:
    """A half-written entry was never replied to."""
    path = tmp_path / "refusals"
    path.write_bytes(ENTRY.pack(1, 4, 1) + ENTRY.pack(1, 5, 2)[:-3])
    log = RefusalLog(path)
    log.load(epoch=1, watermark=0, next_sender_msg_seq_num=3)
    assert (4 in log, 5 in log) == (True, False)
    log.close()
