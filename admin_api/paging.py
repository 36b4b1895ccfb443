"""The one way to page: `limit` items, and a `next_cursor` to send as `cursor` for what follows."""

import base64
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from admin_api.errors import ApiError

LIMIT_MAX: Final = 1000
LIMIT: Final = 100
CURSOR_MAX: Final = 256

T = TypeVar("T")
R = TypeVar("R")

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items per page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX, description="`next_cursor` of the page before; absent: the first"),
]


class Page(BaseModel, Generic[T]):
    """Some of the items there are, in a fixed order."""

    items: list[T]
    next_cursor: str | None = Field(
        description="Send this as `cursor` to read on; null at the end", examples=["WzEwMF0"]
    )


def encode_cursor(*place: int | str) -> str:
    """Return a place in an order as clients are given it: they need not understand it."""
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, start: int) -> int:
    """Return the place that the cursor names, `start` without one. Raises 422."""
    (place,) = decode_place(cursor, (start,))
    return place


def decode_place(cursor: str | None, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return a place of as many numbers as `start` has, which is taken without a cursor.

    Raises 422.
    """
    if cursor is None:
        return start
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        raise _bad_cursor() from None
    # A bigint holds each, and True is no number.
    if not isinstance(place, list) or len(place) != len(start):
        raise _bad_cursor()
    if any(type(number) is not int or abs(number) >= 1 << 63 for number in place):
        raise _bad_cursor()
    return tuple(place)


def make_page(
    rows: Sequence[R],
    limit: int,
    view: Callable[[R], T],
    place: Callable[[R], int | tuple[int, ...]],
) -> Page[T]:
    """Return the page of `limit` rows, out of one more than that if more follow.

    `place` says where in the order a row stands.
    """
    shown = rows[:limit]
    has_more = len(rows) > limit
    return Page(
        items=[view(row) for row in shown],
        next_cursor=_cursor_at(place(shown[-1])) if has_more else None,
    )


def _cursor_at(place: int | tuple[int, ...]) -> str:
    return encode_cursor(*place) if isinstance(place, tuple) else encode_cursor(place)


def _bad_cursor() -> ApiError:
    detail = "query.cursor: is not one that a page has given"
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
