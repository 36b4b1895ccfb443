"""A process that is to run for as long as the venue does: started, watched, started again."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fix_gateway.supervisor.child import (
    Child,
    ChildEndedError,
    ChildSpec,
    Readiness,
    wait_until_ready,
)

READY_WAIT_S: Final = 60.0
FIRST_START_TRIES: Final = 3
BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
STEADY_S: Final = 2.0
SIGNAL_EXIT: Final = 128  # The reaper's exit code for a signal is this plus its number.


class StartError(Exception):
    """A part of the venue did not come up."""


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is: its process, 0 for none, and how often it was started again.

    `last_exit` says how its last process ended, None when it has had only one. `disk_failure_count`
    is how often one ended because its disk had failed.
    """

    name: str
    pid: int
    restart_count: int
    last_exit: str | None
    disk_failure_count: int


class Service:
    """Keeps one process running. Lines that it prints go to `on_line`."""

    def __init__(
        self, spec: ChildSpec, readiness: Readiness, on_line: Callable[[str, str], None]
    ) -> None:
        self.name = spec.name
        self._on_line = on_line
        self._readiness = readiness
        self._spec = spec.with_environment(readiness.environment)
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._pid = 0
        self._restart_count = 0
        self._last_exit: str | None = None
        self._disk_failure_count = 0

    async def start(self) -> None:
        """Start the process, wait until it accepts work, and keep it running from then on.

        Raises StartError when it does not come up after a few tries.
        """
        for attempt in range(1, FIRST_START_TRIES + 1):
            child = Child(self._spec, self._on_line)
            await child.start()
            self._child = child
            try:
                self._pid = await self._wait_until_ready(child)
                break
            except (ChildEndedError, TimeoutError) as error:
                await child.stop()
                if attempt == FIRST_START_TRIES:
                    raise StartError(str(error)) from error
                await asyncio.sleep(BACKOFF_MIN_S)
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the process for good. Harmless when it never ran."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child is not None:
            await self._child.stop()
        self._pid = 0
        self._readiness.close()

    def status(self) -> ServiceStatus:
        """Return how the service is now."""
        return ServiceStatus(
            self.name, self._pid, self._restart_count, self._last_exit, self._disk_failure_count
        )

    async def _wait_until_ready(self, child: Child) -> int:
        return await wait_until_ready(child, self._readiness, timeout_s=READY_WAIT_S)

    async def _keep(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while True:
            assert self._child is not None
            # A process that has accepted work for a while was well: what ended it came from
            # outside, and starting it again at once costs nothing. One that ends in its start, or
            # right after, is given more and more time.
            watched_s = time.monotonic()
            code = await self._child.wait()
            was_steady = self._pid != 0 and time.monotonic() - watched_s > STEADY_S
            self._pid = 0
            self._child.request_stop()
            self._restart_count += 1
            if was_steady:
                backoff_s = BACKOFF_MIN_S
            self._last_exit = _describe_exit(code)
            self._disk_failure_count += code == os.EX_IOERR
            self._on_line(
                "wcx", f"{self.name} ended with {self._last_exit}, starting again in {backoff_s} s"
            )
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)
            child = Child(self._spec, self._on_line)
            await child.start()
            self._child = child
            try:
                self._pid = await self._wait_until_ready(child)
            except ChildEndedError:
                continue
            except TimeoutError:
                self._on_line("wcx", f"{self.name} does not get ready: ended")
                child.request_stop()
                continue
            self._on_line("wcx", f"{self.name} is back")


def _describe_exit(code: int) -> str:
    """Return an exit code in words, as far as it has any."""
    if code == os.EX_IOERR:
        return f"exit code {code}, a disk that failed"
    if code - SIGNAL_EXIT in set(signal.Signals):
        return f"exit code {code}, signal {signal.Signals(code - SIGNAL_EXIT).name}"
    return f"exit code {code}"
