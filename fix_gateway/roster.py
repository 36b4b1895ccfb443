"""Which FIX sessions there are, and which of them this process has."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from engine.units import SessionId
from fix_gateway.fix.message_store import StoreInUseError, store_directory
from fix_gateway.fix.session_tools import SessionTools
from fix_gateway.fix.sessions import FixSession
from fix_gateway.neighbours import Names, Neighbours, Worker
from store.sessions import FixSessionRow

NS_PER_S: Final = 1_000_000_000

log = structlog.get_logger("gateway")


class Roster:
    """The sessions of one gateway process. Belongs to its one thread.

    `sessions` are those whose stores this process has, `by_names` those of them that clients may
    log on to. A session that is to go stays among the former until its client is gone, for
    `logout_wait_s` at most, and what it has entered at the engine is answered.
    """

    def __init__(self, tools: SessionTools, worker: Worker, logout_wait_s: float) -> None:
        self.sessions: dict[SessionId, FixSession] = {}
        self.by_names: dict[Names, FixSession] = {}
        self._tools = tools
        self._logout_wait_s = logout_wait_s
        self._rows: dict[Names, FixSessionRow] = {}
        self._leaving: dict[SessionId, float] = {}
        self._in_use: set[SessionId] = set()
        self.neighbours = Neighbours(
            worker, tools.sockets_dir, tools.store_dir, self._rows, time.monotonic
        )

    def directory_of(self, row: FixSessionRow) -> Path:
        """Return the directory of a session's files."""
        return store_directory(self._tools.store_dir, row.begin_string, row.client_comp_id)

    @property
    def is_settled(self) -> bool:
        """Whether no session is on its way out."""
        return not self._leaving

    def apply(self, rows: Iterable[FixSessionRow]) -> None:
        """Let the sessions be as the rows say. New ones are taken by `take_stores`."""
        enabled = {(row.begin_string, row.client_comp_id): row for row in rows if row.is_enabled}
        self._rows.clear()
        self._rows.update(enabled)
        for names, session in list(self.by_names.items()):
            row = enabled.get(names)
            if row is None or row.session_id != session.row.session_id:
                self._dismiss(session, "the session has been disabled")
            elif row != session.row:
                log.info("session_changed", session=row.client_comp_id)
                session.change(row)

    def take_stores(self) -> list[FixSession]:
        """Make the sessions that are this process's to serve, and return the new ones.

        One whose store another process has is tried again the next time.
        """
        taken = []
        for names, row in self._rows.items():
            session_id = row.session_id
            if session_id in self.sessions or not self.neighbours.is_heir(row):
                continue
            try:
                session = FixSession(row, self._tools)
            except StoreInUseError as error:
                if session_id not in self._in_use:
                    self._in_use.add(session_id)
                    log.warning("session_store_in_use", error=str(error))
                continue
            self._in_use.discard(session_id)
            self.sessions[session_id] = self.by_names[names] = session
            taken.append(session)
        return taken

    def credentials_in_use(self) -> list[int]:
        """Return the credentials of the clients that are connected, as far as they are known."""
        admissions = [session.admission for session in self.sessions.values()]
        return [
            each.credential_id for each in admissions if each is not None and each.credential_id
        ]

    def log_out_credentials(self, credential_ids: set[int]) -> None:
        """Log out the clients that were let in by one of these credentials."""
        for session in self.by_names.values():
            admission = session.admission
            if admission is not None and admission.credential_id in credential_ids:
                log.warning(
                    "credential_not_live",
                    session=session.row.client_comp_id,
                    credential_id=admission.credential_id,
                )
                session.end_client("the credential is not valid any more")

    def describe(self) -> list[dict[str, Any]]:
        """Return how the sessions are, ready for JSON."""
        return [_describe(session) for session in self.sessions.values()]

    def _dismiss(self, session: FixSession, text: str) -> None:
        row = session.row
        log.info("session_dismissed", session=row.client_comp_id, cause=text)
        del self.by_names[(row.begin_string, row.client_comp_id)]
        self._leaving[row.session_id] = time.monotonic() + self._logout_wait_s
        session.end_client(text)

    def let_go(self) -> list[FixSession]:
        """Close the sessions that are on their way out and can be closed now; return them.

        Nothing of them may be on its way to the engine any more, which the caller knows.
        """
        gone = []
        now_s = time.monotonic()
        for session_id, deadline_s in list(self._leaving.items()):
            session = self.sessions[session_id]
            if session.has_client:
                if now_s < deadline_s:
                    continue
                session.evict()
            del self._leaving[session_id]
            del self.sessions[session_id]
            gone.append(session)
        return gone


def _describe(session: FixSession) -> dict[str, Any]:
    admission = session.admission
    next_sender, next_target = session.next_msg_seq_nums
    return {
        "session_id": session.row.session_id,
        "is_logged_on": session.is_logged_on,
        "peer": None if admission is None else admission.peer,
        "credential_id": None if admission is None else admission.credential_id,
        "epoch": session.epoch,
        "next_sender_msg_seq_num": next_sender,
        "next_target_msg_seq_num": next_target,
        "logged_on_at": _utc_text(session.logged_on_at_ns),
        "last_received_at": _utc_text(session.last_received_at_ns),
        "throttle": session.throttle.usage(time.monotonic_ns())._asdict(),
    }


def _utc_text(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return datetime.fromtimestamp(time_ns / NS_PER_S, UTC).isoformat()
