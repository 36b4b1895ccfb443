"""The end of a gateway whose disk fails: at once, like a SIGKILL, which everything is made for.

To go on would be worse: what could not be written down would be told to nobody, or twice.
"""

import os
from pathlib import Path
from typing import NoReturn

import structlog

log = structlog.get_logger("fix.disk")


def fail_stop(path: Path, error: str) -> NoReturn:
    """End this process: `path` could not be written. The next one goes on from what is there."""
    log.critical(
        "session_store_not_written",
        error=error,
        path=str(path),
        meaning="nothing that depends on it was sent: the gateway stops",
    )
    os._exit(os.EX_IOERR)
