"""How much is used of limits on what there is, read without changing anything."""

from collections.abc import Iterable, Iterator

from engine.controls import Control
from engine.limit_usage import Usage
from engine.units import AccountId
from risk.day_results import DayResults
from risk.holdings import Holdings, OpenCounts
from risk.limits import LimitRow


def usages_of(
    rows: Iterable[LimitRow], holdings: Holdings, day: DayResults, now_ns: int
) -> Iterator[Usage]:
    """Yield what is used of each row that is watched."""
    for row in rows:
        used = _used_of(row, holdings, day, now_ns)
        if used is not None:
            yield Usage(row.control.name, used, row.value)


def _used_of(row: LimitRow, holdings: Holdings, day: DayResults, now_ns: int) -> int | None:
    if row.control is Control.DAY_LOSS:
        return day.loss(AccountId(row.scope_id), row.asset_id, now_ns)
    if row.control is Control.POSITION:
        return holdings.find(row.scope, row.scope_id, row.asset_id).worst_case
    counts = holdings.find_counts(row.scope, row.scope_id, row.instrument_id)
    return _count_of(counts, row.control)


def _count_of(counts: OpenCounts, control: Control) -> int | None:
    match control:
        case Control.OPEN_ORDERS:
            return counts.buys + counts.sells
        case Control.OPEN_ORDERS_PER_SIDE:
            return max(counts.buys, counts.sells)
        case Control.STOP_ORDERS:
            return counts.stops
        case Control.ICEBERG_ORDERS:
            return counts.icebergs
        case _:
            return None
