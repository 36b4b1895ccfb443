"""What operators' tools may ask of gateway processes over their control sockets, and asking it.

Known to the command line too, which has no use for QuickFIX.
"""

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec

from engine.units import SessionId

LINE_WAIT_S: Final = 5.0
WORK_WAIT_S: Final = 15.0


class Refresh(msgspec.Struct, tag_field="do", tag="refresh"):
    """Read sessions and credentials again and apply them."""


class LogOut(msgspec.Struct, tag_field="do", tag="log_out"):
    """Log the client of a session out."""

    session_id: SessionId
    text: str


class AskStatus(msgspec.Struct, tag_field="do", tag="status"):
    """Say how the sessions of this process are."""


class PlanMaintenance(msgspec.Struct, tag_field="do", tag="maintenance"):
    """Log everybody out at a time, which is announced, and let nobody in from then on.

    Without a time: call it off.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)] | None
    text: str = ""


def ask_every_process(sockets_dir: Path, request: Refresh | PlanMaintenance) -> dict[str, str]:
    """Ask all gateway processes that live. Returns by socket why one did not do it, "" if it did.

    Blocks, for at most some seconds each. {} says that there is none.
    """
    line = msgspec.json.encode(request) + b"\n"
    answers = {}
    for path in sorted(sockets_dir.glob("gateway-*.sock")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(WORK_WAIT_S + LINE_WAIT_S)
            try:
                connection.connect(str(path))
            except OSError:
                continue  # It was left there by one that has died.
            try:
                connection.sendall(line)
                with connection.makefile("rb") as answer:
                    found = msgspec.json.decode(answer.read(), type=_Answer)
            except (OSError, msgspec.DecodeError) as error:
                found = _Answer(ok=False, error=repr(error))
            answers[path.name] = "" if found.ok else found.error
    return answers


class _Answer(msgspec.Struct):
    ok: bool
    error: str = "no reason was given"
