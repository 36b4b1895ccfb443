"""What a workload is made of. Plain tuples: every engine under measurement reads the same file.

This module imports nothing outside the standard library, for it also runs in the peers' own
environments.
"""

import marshal
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

NEW: Final = 0
CANCEL: Final = 1
MODIFY: Final = 2

Message = tuple[int, int, int, bool, int, int, bool]
"""Kind, order id, id of the order it is about, is_buy, quantity, price in ticks, is_ioc.

NEW enters an order; the third field is 0. CANCEL takes out the order that the third field names.
MODIFY does that and, if the order was there, enters a new one behind all others: FIX's
cancel/replace, under a new id. Ids count up from 1 in the order in which orders come.
"""

Fill = tuple[int, int, int, int]
"""Id of the aggressor, id of the order that rested, quantity, price in ticks."""


class Workload(NamedTuple):
    """Messages for one book.

    The first `prefill_count` make the book and are not timed; nor are the last `counted_count`: for
    them our engine's calls are counted.
    """

    name: str
    messages: list[Message]
    prefill_count: int = 0
    counted_count: int = 0


def write_workload(workload: Workload, path: Path) -> None:
    """Write the workload to a file that `read_workload` of the same Python version reads."""
    path.write_bytes(marshal.dumps(tuple(workload)))


def read_workload(path: Path) -> Workload:
    """Read what `write_workload` has written."""
    return Workload(*marshal.loads(path.read_bytes()))


def order_count(messages: Sequence[Message]) -> int:
    """Return how many order ids the messages use: they are 1 to this number."""
    return max(message[1] for message in messages)
