"""Lists."""

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some of the items there are, in a fixed order; where there are never many, all of them."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None,
        description="Send this as `cursor` to read on; null at the end",
        examples=["WzEwMF0"],
    )


class SearchPage(Page[T], Generic[T]):
    """Some of what was found, and up to which moment it is true."""

    seq: int = Field(description="The journal's record up to which this is true", examples=[1042])
