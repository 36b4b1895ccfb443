"""Pages: each item once, in order, whatever the size; and nothing but cursors that a page gave."""

import pytest

from admin_api.errors import ApiError
from admin_api.paging import Paging, encode_cursor
from engine.units import Seq
from store.searches import Snapshot

ROWS = [(seq, index) for seq in (3, 7, 8) for index in (0, 1)]


def page_after(cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """Return a page of `ROWS` as a search would, true up to the record 9."""
    paging = Paging(cursor, limit)
    after = paging.begin_at(0, 0)
    rows = [row for row in ROWS if row > after][: paging.row_count]
    at = Snapshot(None, Seq(9))  # type: ignore[arg-type]  # No database is asked.
    page = paging.found(at, rows, lambda row: f"{row[0]}.{row[1]}", lambda row: row)
    assert page.seq == 9
    return page.items, page.next_cursor


@pytest.mark.parametrize("limit", range(1, 8))
def test_pages_follow_one_another(limit: int) -> None:
    """The last one has no cursor, also when it is full."""
    found: list[str] = []
    cursor, page_count = None, 0
    while page_count == 0 or cursor is not None:
        items, cursor = page_after(cursor, limit)
        found += items
        page_count += 1
    assert found == [f"{seq}.{index}" for seq, index in ROWS]
    assert page_count == -(-len(ROWS) // limit)


def test_plain_lists_have_plain_places() -> None:
    """One number is enough where items are numbered."""
    page = Paging(None, 2).page([5, 6, 7], str, lambda row: row)
    assert page.items == ["5", "6"]
    assert page.next_cursor == encode_cursor(6)
    assert Paging(page.next_cursor).begin(0) == 6


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "e30", "WyJhIl0", "W3RydWVd", "WzEuNV0", "[1,2]", "\xe9", encode_cursor(1),
        encode_cursor(1, 2, 3), encode_cursor(-1, 0), encode_cursor(1 << 63, 0),
        "W1tbW1tbW1tbW1tbW1tbW1tb" * 10,
    ],
)  # fmt: skip
def test_cursor_that_no_page_has_given_is_refused(cursor: str) -> None:
    """Of another list, damaged, or made up."""
    with pytest.raises(ApiError) as refused:
        Paging(cursor).begin_at(0, 0)
    assert (refused.value.status_code, refused.value.detail) == (
        422, "query.cursor: is not one that a page has given",
    )  # fmt: skip
