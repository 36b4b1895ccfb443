"""The books under measurement do the same with the same messages."""

from pathlib import Path
from typing import cast

import pytest

from benchmarks.books.our_book import OurBook
from benchmarks.books.our_exchange import OpenGate, OurExchange
from benchmarks.engine_alone import OURS, FillsDifferError, check_equal, compare, measure_depth
from benchmarks.journal import commands_of, commit_all, measure_journal, sequencing, set_up
from benchmarks.messages import Fill, Message, Workload
from benchmarks.worker import count_calls, make_book, replay
from benchmarks.workloads import SCENARIOS, deep_book, liquid_symbol, single_pair
from engine.gate import RiskGate
from risk.pre_trade import PreTradeGate

WORKLOADS = [*(liquid_symbol(scenario, 1000) for scenario in SCENARIOS), single_pair(2000)]


class NaiveBook:
    """One list of resting orders, searched for the best each time."""

    def __init__(self) -> None:
        self.resting: list[tuple[bool, int, int, int]] = []  # Is buy, price, order id, open.
        self.fills: list[Fill] = []

    def replay(self, messages: list[Message]) -> int:
        refused = 0
        for kind, order_id, orig_id, is_buy, qty, price, is_ioc in messages:
            if kind:
                left = [order for order in self.resting if order[2] != orig_id]
                if len(left) == len(self.resting):
                    refused += 1
                    continue
                self.resting = left
            if kind != 1:
                self.enter(order_id, is_buy, qty, price, is_ioc)
        return refused

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        sign = 1 if is_buy else -1
        while qty:
            crossing = [
                order
                for order in self.resting
                if order[0] != is_buy and sign * order[1] <= sign * price
            ]
            if not crossing:
                break
            best = min(crossing, key=lambda order: (sign * order[1], order[2]))
            filled = min(qty, best[3])
            qty -= filled
            self.fills.append((order_id, best[2], filled, best[1]))
            at = self.resting.index(best)
            self.resting[at : at + 1] = [(*best[:3], best[3] - filled)] * (best[3] > filled)
        if qty and not is_ioc:
            self.resting.append((is_buy, price, order_id, qty))


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_our_books_do_what_a_naive_one_does(workload: Workload) -> None:
    """Book alone and whole exchange have the fills, the rest and the refusals of a plain list."""
    naive = NaiveBook()
    refused = naive.replay(workload.messages)
    books = OurBook(), OurExchange(cast("RiskGate", OpenGate())), OurExchange(PreTradeGate())
    for book in books:
        book.prepare(workload.messages)
        assert replay(book, workload.messages) == refused
        assert book.fills() == naive.fills
        assert book.resting_count() == len(naive.resting)


def test_depth_does_not_change_what_the_book_does() -> None:
    """A message makes the same calls in a book of 1,000 orders and in one of 20,000.

    But for an account's first order or balance, which the exchange has to make room for.
    """
    counts: dict[str, list[int]] = {}
    for resting_count in (1000, 20_000):
        workload = deep_book(resting_count, 60)
        for engine in ("our book", "our exchange"):
            book = make_book(engine)
            book.prepare(workload.messages)
            counted_from = len(workload.messages) - workload.counted_count
            replay(book, workload.messages[:counted_from])
            assert book.resting_count() == resting_count
            calls = count_calls(book, workload.messages[counted_from:])
            counts.setdefault(engine, []).append(calls)
    assert counts["our book"][0] == counts["our book"][1]
    assert counts["our exchange"][0] == pytest.approx(counts["our exchange"][1], rel=0.001)


def test_runs_are_compared_before_they_count(tmp_path: Path) -> None:
    """A whole comparison without peers; one other fill somewhere, and there is none."""
    runs = compare(300, 1, tmp_path, peers=[])
    assert len(runs) == 6
    for samples in runs.values():
        assert set(samples) == set(OURS)
        samples["our exchange"][0]["fills_sha256"] = "another"
        with pytest.raises(FillsDifferError, match="our exchange"):
            check_equal("A", samples)


def test_depth_is_measured(tmp_path: Path) -> None:
    """Sizes in turn, each with our book and our exchange."""
    runs = measure_depth([1000], 60, 1, tmp_path)
    assert [run["message_count"] for run in runs["1000"]["our book"]] == [60]


def test_journal_is_measured() -> None:
    """All commands of a workload go through the journal."""
    commands = commands_of(WORKLOADS[0].messages)
    assert len(commands) > len(WORKLOADS[0].messages)
    assert measure_journal(commands, "os") > 0
    assert measure_journal(commands, "os", has_all_controls=True) > 0


def test_controls_before_the_journal_refuse_nothing(tmp_path: Path) -> None:
    """With and without them the same orders rest in the end: the rates are of the same work."""
    commands = commands_of(WORKLOADS[0].messages)
    rested = []
    for has_all_controls in (False, True):
        directory = tmp_path / str(has_all_controls)
        directory.mkdir()
        with sequencing(directory, "os") as sequencer:
            set_up(sequencer, has_all_controls=has_all_controls)
            limited = len(sequencer.exchange.state().gate.limits)
            assert (limited > 0) is has_all_controls
            commit_all(sequencer, commands)
            resting = sequencer.exchange.state().open_orders
            rested.append([(each.order.cl_ord_id, each.order.leaves_qty) for each in resting])
    assert rested[0] == rested[1] != []
