"""What pre-trade risk costs, in calls: a number that depends on the messages and the code alone."""

from benchmarks.worker import count_calls, make_book, replay
from benchmarks.workloads import NORMAL, liquid_symbol

NEW_ORDERS = 3000


def calls_per_message(engine: str) -> float:
    """Return how many calls an exchange makes in the last part of workload A, when all is warm."""
    workload = liquid_symbol(NORMAL, NEW_ORDERS)
    book = make_book(engine)
    book.prepare(workload.messages)
    counted_from = len(workload.messages) - workload.counted_count
    replay(book, workload.messages[:counted_from])
    return count_calls(book, workload.messages[counted_from:]) / workload.counted_count


def test_all_controls_make_no_more_calls_than_matching() -> None:
    """On top of matching: less than half as many with the usual limits, than as many with all."""
    matching = calls_per_message("our exchange")
    assert calls_per_message("our exchange and risk") < 1.5 * matching
    assert calls_per_message("our exchange, all controls") < 2 * matching
