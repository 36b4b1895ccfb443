"""What a session keeps on disk: QuickFIX's store, how far it was told of events, what was refused.

The position file names the epoch that the store belongs to. While the store is being reset it names
none, and such a store is wiped at the next start.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from engine.runtime import faults
from engine.runtime.feed import Position
from engine.runtime.whole_file import write_whole_file
from engine.session_events import SessionOpened
from engine.units import AccountId, SessionId
from fix_gateway.fix.message_store import SessionIdentity, SessionStore
from fix_gateway.fix.position import NO_EPOCH, Marks, PositionFile, read_owner
from fix_gateway.fix.refusals import RefusalLog
from store.sessions import FixSessionRow

FAR: Final = 1 << 62
HEARD: Final = "heard"

log = structlog.get_logger("fix.session")


class SessionFiles:
    """The files of one session. Belongs to the gateway's one thread.

    `worker` is the number of the process. Raises StoreInUseError when another one has the store.
    """

    def __init__(
        self, directory: Path, row: FixSessionRow, identity: SessionIdentity, worker: int
    ) -> None:
        self._log = log.bind(session=row.client_comp_id)
        self._heard_path = directory / HEARD
        self._heard: frozenset[AccountId] | None = None
        self.store = SessionStore(directory, identity, worker)
        self.position = PositionFile(directory / "position", row.session_id)
        self.refusals = RefusalLog(directory / "refusals")

    @property
    def marks(self) -> Marks:
        """Where the session stands in the stream of events."""
        return self.position.marks

    @property
    def is_being_reset(self) -> bool:
        """Whether the store belongs to no epoch at the moment."""
        return self.marks.epoch == NO_EPOCH

    def start_epoch(self) -> None:
        """The numbers are about to be reset: go back to what is proven, and name no epoch."""
        self.marks.start_epoch()
        self.position.save()

    def name_epoch(self, epoch: int) -> None:
        """The store has been reset and is of this epoch."""
        self.marks.epoch = epoch
        self.position.save()

    def settle(
        self, opened: SessionOpened, last_seq: int, *, is_first: bool, wipe: Callable[[], None]
    ) -> None:
        """Let the files be of the epoch that the engine has granted. `last_seq` is what is durable.

        `is_first`: no acceptor has been made yet. `wipe` forgets the numbers of a store that is of
        another epoch.
        """
        marks = self.marks
        if self.position.is_new and opened.generation > 1:
            # Our own memory of what was sent is lost: whatever there is may have been sent before.
            marks.poss_resend = Position(last_seq, FAR)
        elif self.position.is_new:
            # Whom it listens to, it hears from now on.
            marks.sent = marks.proven = Position(last_seq, FAR)
        if is_first and not self.store.has_survived:
            self._skip_ahead(opened, last_seq)
        if marks.epoch == opened.epoch:
            return
        if not self.position.is_new:
            self._log.warning("store_wiped", store_epoch=marks.epoch, epoch=opened.epoch)
        if not self.is_being_reset:
            marks.start_epoch()
        faults.reach("adoption.before_wipe")
        wipe()
        faults.reach("adoption.after_wipe")
        self.name_epoch(opened.epoch)

    def _skip_ahead(self, opened: SessionOpened, last_seq: int) -> None:
        """The machine has stopped: what was sent last may be missing from our files.

        The client finds a gap, asks, is told that nothing of it is to be had, and gets the reports
        again with PossResend(97)=Y.
        """
        marks = self.marks
        number = self.store.skip_ahead(marks.sender_msg_seq_num)
        self._log.warning("store_may_be_torn", next_sender_msg_seq_num=number)
        marks.start_epoch()
        marks.poss_resend = Position(last_seq, FAR)
        self.name_epoch(opened.epoch)

    def note_heard(self, account_ids: frozenset[AccountId]) -> None:
        """Write down to whose orders the session listens, for who would archive what it needs."""
        if account_ids == self._heard:
            return
        if account_ids:
            write_whole_file(self._heard_path, msgspec.json.encode(sorted(account_ids)))
        else:
            self._heard_path.unlink(missing_ok=True)
        self._heard = account_ids

    def close(self, *, is_in_order: bool) -> None:
        """Let go of the files. `is_in_order` says that nothing more will be written."""
        self.position.close()
        self.refusals.close()
        self.store.release(is_in_order=is_in_order)


def read_heard(store_dir: Path) -> dict[SessionId, frozenset[AccountId]]:
    """Return to whose orders the sessions listen that listen to any.

    For other processes than the files' owner. What is not readable is left out.
    """
    heard = {}
    for path in sorted(store_dir.glob(f"*/{HEARD}")):
        owner = read_owner(path.with_name("position"))
        try:
            account_ids = msgspec.json.decode(path.read_bytes(), type=frozenset[AccountId])
        except (FileNotFoundError, msgspec.DecodeError):
            continue
        if owner is not None:
            heard[owner] = account_ids
    return heard
