"""Snapshots in the background: now and then a process of its own makes one, and ends."""

import asyncio
from collections.abc import Callable
from typing import Final

from fix_gateway.supervisor.child import ChildSpec, run_to_end

SNAPSHOT_WAIT_S: Final = 1800.0


async def make_snapshots(
    spec: ChildSpec, interval_s: float, say: Callable[[str, str], None]
) -> None:
    """Run the process every `interval_s` seconds until cancelled; its end is waited for.

    What it prints is said, and that it failed. The venue goes on without: a start merely replays
    more of the journal then.
    """
    while True:
        await asyncio.sleep(interval_s)
        try:
            code, output = await run_to_end(spec, timeout_s=SNAPSHOT_WAIT_S)
        except (OSError, TimeoutError) as error:
            say("wcx", f"no snapshot could be made: {error!r}")
            continue
        for line in output.splitlines():
            say(spec.name, line)
        if code:
            say("wcx", f"no snapshot could be made: exit code {code}")
