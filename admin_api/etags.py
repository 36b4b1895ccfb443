"""Two who change the same thing: an ETag names what was read, If-Match what may be changed."""

import hashlib
from http import HTTPStatus
from typing import Annotated

from fastapi import Header

from admin_api.errors import ApiError

IfMatch = Annotated[
    str | None, Header(description="The ETag of what you have read: 412 if it has changed")
]


def etag_of(row: object) -> str:
    """Return the tag of these very values: anything whose `repr` tells all of them."""
    return f'"{hashlib.sha256(repr(row).encode()).hexdigest()[:16]}"'


def check_if_match(row: object, if_match: str | None) -> None:
    """Raise 412 when the caller has seen other values than there are now."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag_of(row) not in {tag.strip() for tag in if_match.split(",")}:
        raise ApiError(HTTPStatus.PRECONDITION_FAILED, "it was changed since: read it again")
