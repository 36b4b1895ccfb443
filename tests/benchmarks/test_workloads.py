"""The workloads have the mix, the lifetimes and the books that were published."""

import math
import statistics
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.books.our_book import OurBook
from benchmarks.messages import CANCEL, MODIFY, NEW, Workload, read_workload, write_workload
from benchmarks.worker import replay
from benchmarks.workloads import (
    NORMAL,
    RESTING_TARGET,
    SCENARIOS,
    STATIC,
    Scenario,
    deep_book,
    liquid_symbol,
    single_pair,
)

ORDERS = 20_000


@pytest.fixture(scope="module", name="normal")
def make_normal() -> Workload:
    return liquid_symbol(NORMAL, ORDERS)


def test_same_seed_gives_the_same_messages(normal: Workload) -> None:
    """Every engine and every machine gets the same flow; another seed gives another."""
    assert liquid_symbol(NORMAL, ORDERS) == normal
    assert liquid_symbol(NORMAL, ORDERS, seed=2).messages != normal.messages
    assert single_pair(500) == single_pair(500)
    assert deep_book(1000, 60) == deep_book(1000, 60)


def test_workload_survives_its_file(normal: Workload, tmp_path: Path) -> None:
    """What the engines read is what was made."""
    write_workload(normal, tmp_path / "workload")
    assert read_workload(tmp_path / "workload") == normal


def test_mix_of_the_liquid_symbol(normal: Workload) -> None:
    """Of the new orders 15 % are IOC; of the others 20 % are modified and 95 % cancelled.

    Somewhat fewer: the last ones live longer than the workload.
    """
    counts = Counter(message[0] for message in normal.messages)
    iocs = sum(1 for message in normal.messages if message[0] == NEW and message[6])
    others = counts[NEW] - iocs
    assert counts[NEW] == ORDERS
    assert iocs / ORDERS == pytest.approx(0.15, abs=0.01)
    assert counts[MODIFY] / others == pytest.approx(0.20 * 1.02, abs=0.01)
    assert counts[CANCEL] / others == pytest.approx(0.95 * 1.02, abs=0.05)
    assert len(normal.messages) == pytest.approx(2 * ORDERS, rel=0.03)


def test_order_lives_a_median_of_431_microseconds(normal: Workload) -> None:
    """New orders come once a microsecond, so that half of the others see 431 of them or fewer."""
    entered, lifetimes, number = {}, [], 0
    for kind, order_id, orig_id, *_ in normal.messages:
        if kind == NEW:
            number += 1
            entered[order_id] = number
        elif kind == MODIFY:
            entered[order_id] = entered[orig_id]
        else:
            lifetimes.append(number - entered[orig_id])
    assert statistics.median(lifetimes) == pytest.approx(431, rel=0.06)


def test_duplicates_are_two_percent_and_refused(normal: Workload) -> None:
    """A cancel or modify that comes twice finds nothing the second time."""
    book, seen, duplicates = OurBook(), set(), 0
    for message in normal.messages:
        if message[0] != NEW and message in seen:
            duplicates += 1
            assert replay(book, [message]) == 1
        else:
            seen.add(message)
            replay(book, [message])
    changes = sum(1 for message in normal.messages if message[0] != NEW)
    assert duplicates / changes == pytest.approx(0.02, abs=0.004)


@pytest.mark.parametrize(
    ("scenario", "resting_published", "levels_published"),
    [(STATIC, 20_900, 60), (NORMAL, 2700, 290)],
)
def test_book_ends_as_published(
    scenario: Scenario, resting_published: int, levels_published: int
) -> None:
    """The published share of a million orders, with those that were yet to be cancelled or not."""
    book = OurBook()
    replay(book, liquid_symbol(scenario, ORDERS).messages)
    left = resting_published * ORDERS / 1_000_000
    alive = 0.85 * 431 / math.log(2)
    assert left * 0.8 < book.resting_count() < left * 1.2 + alive
    assert 0.3 * levels_published < book.level_count() <= levels_published


def test_single_pair_keeps_its_book_and_moves_orders() -> None:
    """About a thousand orders rest, most messages move one, some trade."""
    book = OurBook()
    workload = single_pair(10_000)
    prefill = workload.messages[: workload.prefill_count]
    assert replay(book, prefill) == 0
    assert book.resting_count() == RESTING_TARGET
    timed = workload.messages[workload.prefill_count :]
    assert len(timed) == 10_000
    assert replay(book, timed) == 0
    assert book.resting_count() == pytest.approx(RESTING_TARGET, rel=0.2)
    counts = Counter(message[0] for message in timed)
    assert counts[MODIFY] > 0.7 * len(timed)
    aggressors = {fill[0] for fill in book.fills()}
    assert 0.01 < len(aggressors) / len(timed) < 0.1


def test_scenarios_are_the_five_published() -> None:
    """From a mid that stands still to one that falls by 60 % and comes back."""
    names = [scenario.name for scenario in SCENARIOS]
    assert names == ["static", "normal", "swing-25", "swing-40", "flash-crash"]
    lows = []
    for scenario in SCENARIOS:
        messages = liquid_symbol(scenario, 2000).messages
        lows.append(min(message[4 + 1] for message in messages if message[0] == NEW))
    assert lows == sorted(lows, reverse=True)
