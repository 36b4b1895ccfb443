"""The gateways' control sockets: tell every gateway process, ask every gateway process.

A connection carries one question and one answer, a line of JSON each.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

PATTERN: Final = "gateway-*.sock"
# Longer than a gateway waits for PostgreSQL itself: it says what was wrong.
ANSWER_WAIT_S: Final = 20.0
ANSWER_BYTES_MAX: Final = 16 << 20

log = structlog.get_logger("admin.gateway_control")


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of telling all gateway processes something.

    `answers` has one for each process that has done it, by the name of its socket; `failures`
    says of each other one that lives why it has not.
    """

    answers: dict[str, dict[str, Any]]
    failures: dict[str, str]


class GatewayControl:
    """Talks to whichever gateway processes live at the moment. Belongs to one event loop.

    A socket that nobody listens on is a dead process's and is passed over: its successor reads the
    database when it starts.
    """

    def __init__(self, sockets_dir: Path, *, answer_wait_s: float = ANSWER_WAIT_S) -> None:
        self._sockets_dir = sockets_dir
        self._answer_wait_s = answer_wait_s

    async def refresh(self) -> Reached:
        """Let every gateway take over what PostgreSQL says now of sessions and credentials."""
        return await self._tell_all({"do": "refresh"})

    async def log_out(self, session_id: int, text: str) -> Reached:
        """Log the session's client out, wherever it is; answers say `found`."""
        return await self._tell_all({"do": "log_out", "session_id": session_id, "text": text})

    async def plan_maintenance(self, at: datetime | None, text: str) -> Reached:
        """Log everybody out at a time that is announced before; None: call it off."""
        when = None if at is None else at.isoformat()
        return await self._tell_all({"do": "maintenance", "at": when, "text": text})

    async def status(self) -> Reached:
        """Ask every gateway how its sessions are; answers hold `worker` and `sessions`."""
        return await self._tell_all({"do": "status"})

    async def _tell_all(self, question: dict[str, Any]) -> Reached:
        paths = sorted(self._sockets_dir.glob(PATTERN))
        answers = await asyncio.gather(*(self._tell(path, question) for path in paths))
        return _sort_out(paths, answers, question["do"])

    async def _tell(self, path: Path, question: dict[str, Any]) -> dict[str, Any] | str | None:
        """Return the answer, in words why there is none, None when nobody lives there."""
        try:
            async with asyncio.timeout(self._answer_wait_s):
                return await _exchange(path, question)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except TimeoutError:
            return f"did not answer within {self._answer_wait_s:g} s"
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"


async def _exchange(path: Path, question: dict[str, Any]) -> dict[str, Any] | str:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=ANSWER_BYTES_MAX)
    try:
        writer.write(json.dumps(question).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line.endswith(b"\n"):
        return "hung up without an answer"
    answer = json.loads(line)
    if not isinstance(answer, dict):
        return "gave an answer that is not an object"
    if answer.get("ok") is not True:
        return str(answer.get("error", "refused without a reason"))
    return answer


def _sort_out(
    paths: Sequence[Path], answers: Sequence[dict[str, Any] | str | None], verb: str
) -> Reached:
    reached = Reached({}, {})
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, dict):
            reached.answers[path.stem] = answer
        elif answer is not None:
            reached.failures[path.stem] = answer
            log.warning("gateway_not_reached", gateway=path.stem, verb=verb, error=answer)
    return reached
