"""The reference consumer: what it takes, what it waits for, when it begins anew."""

from typing import Any

from fix_gateway.tools.market_data.book_builder import BookBuilder, Chain


def snapshot(seq: int, *bids: tuple[str, str, int], stream: str = "s1") -> dict[str, Any]:
    return {"stream": stream, "seq": seq, "bids": list(bids), "asks": []}


def update(
    seq: int, prev_seq: int, *bids: tuple[str, str, int], stream: str = "s1"
) -> dict[str, Any]:
    return {**snapshot(seq, *bids, stream=stream), "prev_seq": prev_seq}


def test_update_without_a_snapshot_waits_for_one() -> None:
    """Also when the snapshot is older: what comes after it is applied to it."""
    book = BookBuilder()
    book.take_update(update(12, 10, ("1.00", "5", 1)))
    book.take_update(update(15, 12, ("1.01", "3", 1)))
    assert not book.is_current
    book.take_snapshot(snapshot(11, ("0.99", "7", 2)))
    assert (book.is_current, book.seq) == (True, 15)
    assert book.levels("bids") == [("1.01", "3", 1), ("1.00", "5", 1), ("0.99", "7", 2)]


def test_gap_is_noticed_and_a_snapshot_from_before_it_does_not_help() -> None:
    """Only one that reaches to the first update behind the gap does."""
    book = BookBuilder()
    book.take_snapshot(snapshot(10, ("1.00", "5", 1)))
    book.take_update(update(20, 15, ("1.02", "1", 1)))
    assert (book.is_current, book.gap_count) == (False, 1)
    book.take_snapshot(snapshot(14, ("1.00", "6", 1)))
    assert not book.is_current
    book.take_snapshot(snapshot(16, ("1.00", "8", 1)))
    assert (book.is_current, book.seq) == (True, 20)
    assert book.levels("bids") == [("1.02", "1", 1), ("1.00", "8", 1)]


def test_what_comes_again_changes_nothing() -> None:
    """A repeated update, and a snapshot that is older than what is known."""
    book = BookBuilder()
    book.take_snapshot(snapshot(10, ("1.00", "5", 1)))
    gone = update(12, 10, ("1.00", "0", 0))
    for message in (gone, gone):
        book.take_update(message)
    book.take_snapshot(snapshot(11, ("1.00", "5", 1)))
    assert (book.seq, book.levels("bids"), book.level_update_count) == (12, [], 1)


def test_update_that_overlaps_what_is_known_is_applied() -> None:
    """Levels are told as they are, not by how much they have changed."""
    book = BookBuilder()
    book.take_snapshot(snapshot(10, ("1.00", "5", 1)))
    book.take_update(update(12, 8, ("1.00", "4", 1)))
    assert (book.seq, book.levels("bids")) == (12, [("1.00", "4", 1)])


def test_other_stream_begins_anew() -> None:
    """Its numbers may be lower: they count something else."""
    book = BookBuilder()
    book.take_snapshot(snapshot(1000, ("1.00", "5", 1)))
    book.take_update(update(5, 4, ("2.00", "1", 1), stream="s2"))
    assert not book.is_current
    book.take_snapshot(snapshot(4, stream="s2"))
    assert (book.seq, book.levels("bids")) == (5, [("2.00", "1", 1)])


def test_prices_are_ordered_as_numbers() -> None:
    """9.99 is less than 10.00."""
    book = BookBuilder()
    book.take_snapshot(snapshot(1, ("9.99", "1", 1), ("10.00", "1", 1)))
    assert [level[0] for level in book.levels("bids")] == ["10.00", "9.99"]


def trades(prev_seq: int, *seqs: int) -> dict[str, Any]:
    entries = [{"seq": seq} for seq in seqs]
    return {"stream": "s1", "prev_seq": prev_seq, "seq": seqs[-1], "trades": entries}


def test_trade_counts_once() -> None:
    """Messages that come again may be cut otherwise."""
    chain = Chain()
    assert chain.take(trades(0, 1, 2, 3)) == [{"seq": 1}, {"seq": 2}, {"seq": 3}]
    assert chain.take(trades(2, 3, 4)) == [{"seq": 4}]
    assert chain.take_recent(trades(0, 1, 2, 3, 4)) == []
    assert (chain.gap_count, chain.entry_count) == (0, 4)


def test_missed_trades_are_found_among_the_recent_ones() -> None:
    """In order: what came after the gap waits for them."""
    chain = Chain()
    chain.take(trades(0, 1, 2))
    assert chain.take(trades(5, 6)) == []
    assert chain.take_recent(trades(1, 2, 4, 5)) == [{"seq": 4}, {"seq": 5}, {"seq": 6}]
    assert (chain.gap_count, chain.entry_count) == (0, 5)


def test_trades_that_nobody_has_any_more_are_a_gap() -> None:
    """It is counted, and the chain goes on behind it."""
    chain = Chain()
    chain.take(trades(0, 1, 2))
    assert chain.take_recent(trades(4, 5, 6)) == [{"seq": 5}, {"seq": 6}]
    assert (chain.gap_count, chain.entry_count) == (1, 4)
