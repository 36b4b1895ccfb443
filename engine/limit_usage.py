"""How much of the limits is used, for whoever watches over the venue.

Of limits on what there is: credit, positions, open orders, losses. Those on what comes within a
time are used up and free again too soon to be watched like this.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from engine.controls import Control

CREDIT_LINE: Final = "CREDIT_LINE"
FIRM_CREDIT_LINE: Final = "FIRM_CREDIT_LINE"
WATCHED: Final = (
    CREDIT_LINE,
    FIRM_CREDIT_LINE,
    Control.OPEN_ORDERS.name,
    Control.OPEN_ORDERS_PER_SIDE.name,
    Control.STOP_ORDERS.name,
    Control.ICEBERG_ORDERS.name,
    Control.POSITION.name,
    Control.DAY_LOSS.name,
)
PERCENTS: Final = (80, 90, 100)


class Usage(NamedTuple):
    """One limit, what is used of it in the same unit, and which of `WATCHED` it is."""

    control: str
    used: int
    limit: int


def count_used(usages: Iterable[Usage]) -> dict[tuple[str, int], int]:
    """Return of how many limits of each control at least so many of `PERCENTS` are used.

    Limits of 0, of which nothing can be used, are not counted.
    """
    counts = {(control, percent): 0 for control in WATCHED for percent in PERCENTS}
    for control, used, limit in usages:
        if limit > 0:
            for percent in PERCENTS:
                counts[(control, percent)] += used * 100 >= limit * percent
    return counts
