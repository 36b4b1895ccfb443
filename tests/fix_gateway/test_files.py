"""The small files beside a session's store survive any death of their writer."""

import random
import shutil
from pathlib import Path

from engine.runtime.feed import BEFORE_ALL, Position
from fix_gateway.fix.position import NO_EPOCH, SLOT_BYTES, Marks, PositionFile
from fix_gateway.fix.refusals import ENTRY, RefusalLog


def marks(number: int) -> Marks:
    return Marks(
        epoch=number,
        sent=Position(number, 2),
        sender_msg_seq_num=number + 1,
        proven=Position(number - 1, -1),
        poss_resend=Position(number, 1 << 62),
    )


def write(path: Path, *numbers: int) -> None:
    file = PositionFile(path)
    for number in numbers:
        file.marks = marks(number)
        file.save()
    file.close()


def test_marks_come_back_as_they_were(tmp_path: Path) -> None:
    """The newest of the two slots counts, whichever it is."""
    path = tmp_path / "position"
    assert PositionFile(path).marks == Marks(NO_EPOCH, BEFORE_ALL, 0, BEFORE_ALL, BEFORE_ALL)
    for number in range(1, 6):
        write(path, number)
        file = PositionFile(path)
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
        file = PositionFile(path)
        assert file.marks in (marks(3), marks(4))
        file.close()


def test_random_damage_never_raises(tmp_path: Path) -> None:
    """A file of junk is a file without marks."""
    path = tmp_path / "position"
    rng = random.Random(7)
    for _ in range(50):
        path.write_bytes(rng.randbytes(rng.randint(0, 3 * SLOT_BYTES)))
        file = PositionFile(path)
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
    log.load(epoch=2, watermark=0)
    for number in (3, 5, 8):
        log.add(number)
    copy = Path(shutil.copy(path, tmp_path / "copy"))  # As a SIGKILL would leave it.
    again = RefusalLog(copy)
    again.load(epoch=2, watermark=4)
    assert [number for number in range(10) if number in again] == [5, 8]
    again.add(9)
    again.load(epoch=3, watermark=0)
    assert [number for number in range(10) if number in again] == []
    again.close()
    log.close()


def test_torn_refusal_is_none(tmp_path: Path) -> None:
    """A half-written entry was never replied to."""
    path = tmp_path / "refusals"
    path.write_bytes(ENTRY.pack(1, 4) + ENTRY.pack(1, 5)[:-3])
    log = RefusalLog(path)
    log.load(epoch=1, watermark=0)
    assert (4 in log, 5 in log) == (True, False)
    log.close()
