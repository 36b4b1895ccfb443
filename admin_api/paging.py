"""The one way to page: `limit` items, and a `next_cursor` to send as `cursor` for what follows."""

import base64
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Query

from admin_api.errors import ApiError
from admin_api.schemas.pages import Page, SearchPage
from store.searches import Snapshot

LIMIT_MAX: Final = 1000
LIMIT: Final = 100
CURSOR_MAX: Final = 256

T = TypeVar("T")
R = TypeVar("R")
Place = tuple[int, ...]

Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX, description="`next_cursor` of the page before; absent: the first"),
]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items per page")]


class Paging:
    """Which page a request asks for. FastAPI makes one of each."""

    def __init__(self, cursor: Cursor = None, limit: Limit = LIMIT) -> None:
        self._cursor = cursor
        self.limit = limit

    @property
    def row_count(self) -> int:
        """How many rows to look for: one more than is shown says whether more follow."""
        return self.limit + 1

    def begin(self, start: int) -> int:
        """Return behind which place the page begins, the first one behind `start`. Raises 422."""
        (place,) = self.begin_at(start)
        return place

    def begin_at(self, *start: int) -> Place:
        """Return as `begin` does a place that has as many numbers as `start`."""
        return start if self._cursor is None else decode_cursor(self._cursor, len(start))

    def page(
        self,
        rows: Sequence[R],
        view: Callable[[R], T],
        place: Callable[[R], int | Place],
    ) -> Page[T]:
        """Return the page out of `row_count` rows. `place` says where in the order a row stands."""
        shown, next_cursor = self._cut(rows, place)
        return Page(items=[view(row) for row in shown], next_cursor=next_cursor)

    def found(
        self,
        at: Snapshot,
        rows: Sequence[R],
        view: Callable[[R], T],
        place: Callable[[R], int | Place],
    ) -> SearchPage[T]:
        """Return the page as `page` does, with the moment up to which it is true."""
        shown, next_cursor = self._cut(rows, place)
        return SearchPage(items=[view(row) for row in shown], next_cursor=next_cursor, seq=at.seq)

    def _cut(
        self, rows: Sequence[R], place: Callable[[R], int | Place]
    ) -> tuple[Sequence[R], str | None]:
        shown = rows[: self.limit]
        if len(rows) <= self.limit:
            return shown, None
        last = place(shown[-1])
        return shown, encode_cursor(*last) if isinstance(last, tuple) else encode_cursor(last)


PagingOf = Annotated[Paging, Depends()]


def encode_cursor(*place: int) -> str:
    """Return a place in an order as clients are given it: they need not understand it."""
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> Place:
    """Return the place that a cursor names, of so many numbers. Raises 422."""
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise _bad_cursor() from None
    # A bigint holds each, and True is no number.
    if not isinstance(place, list) or len(place) != length:
        raise _bad_cursor()
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in place):
        raise _bad_cursor()
    return tuple(place)


def _bad_cursor() -> ApiError:
    detail = "query.cursor: is not one that a page has given"
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
