"""How fast passwords may be tried: the wait grows with every failure.

Kept in this process: a restart of the admin API forgets it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FREE_TRIES: Final = 3
WAIT_MIN_S: Final = 1.0
WAIT_MAX_S: Final = 900.0
FORGET_S: Final = 3600.0
ENTRIES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """The password may be looked at."""


@dataclass(slots=True)
class Throttled:
    """The password may not be looked at before `wait_s` seconds. `is_first`: of this wait."""

    wait_s: float
    is_first: bool


@dataclass(slots=True)
class _Tries:
    count: int = 0
    last_at_s: float = 0.0
    has_refused: bool = False


class LoginThrottle:
    """Counts tries per name and address, never per name alone: nobody locks another out.

    After 3 failures in a row the next try is looked at after 1 s, then 2 s, 4 s and so on up to 15
    minutes; an hour of silence or a success forgets them. Belongs to one event loop. At most
    10,000 pairs are remembered, the most recent ones.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._tries: OrderedDict[tuple[str, str], _Tries] = OrderedDict()

    async def admit(self, name: str, address: str) -> Admitted | Throttled:
        """Count a try, and say whether it may be looked at.

        It counts as failed until `forgive` is called: tries at the same time gain nothing.
        """
        now_s = self._clock_s()
        tries = self._find(name, address, now_s)
        wait_s = tries.last_at_s + _wait_s(tries.count) - now_s
        if tries.count >= FREE_TRIES and wait_s > 0:
            is_first = not tries.has_refused
            tries.has_refused = True
            return Throttled(wait_s, is_first)
        tries.count += 1
        tries.last_at_s = now_s
        tries.has_refused = False
        return Admitted()

    async def forgive(self, name: str, address: str) -> None:
        """Forget the failures: the password was right."""
        self._tries.pop((name, address), None)

    def _find(self, name: str, address: str, now_s: float) -> _Tries:
        key = (name, address)
        tries = self._tries.get(key)
        if tries is None or now_s - tries.last_at_s > max(FORGET_S, _wait_s(tries.count)):
            tries = self._tries[key] = _Tries()
        self._tries.move_to_end(key)
        while len(self._tries) > ENTRIES_MAX:
            self._tries.popitem(last=False)
        return tries


def _wait_s(failure_count: int) -> float:
    if failure_count < FREE_TRIES:
        return 0.0
    doublings = min(failure_count - FREE_TRIES, 30)
    return min(WAIT_MIN_S * 2.0**doublings, WAIT_MAX_S)
