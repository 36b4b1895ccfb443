"""What fields of several bodies may hold, and what all bodies of requests have in common."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

TIME_BEGINS: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:", re.ASCII)
INTEGER_MAX: Final = 2**31 - 1
"""The largest number that an `integer` column holds."""


class RequestBody(BaseModel):
    """The body of a request. Fields that it does not know are errors, and nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaysTold(BaseModel):
    """Whether a change has reached the gateways: it holds there from this answer on."""

    gateways_refreshed: int = Field(description="How many gateway processes have taken it over")
    gateways_failed: dict[str, str] = Field(
        description="Those that live and have not, and why", examples=[{}]
    )


def _check_is_text_of_a_time(value: object) -> object:
    """Numbers would be taken for seconds since 1970, or for milliseconds, depending on their size.

    Raises ValueError.
    """
    if isinstance(value, datetime) or (isinstance(value, str) and TIME_BEGINS.match(value)):
        return value
    raise ValueError("is no time in the form of RFC 3339, such as 2026-11-23T09:30:00Z")


Timestamp = Annotated[AwareDatetime, BeforeValidator(_check_is_text_of_a_time)]
Flag = Annotated[bool, Field(strict=True)]
Identity = Annotated[int, Field(strict=True, ge=1, le=INTEGER_MAX)]
Count = Annotated[int, Field(strict=True, ge=1, le=INTEGER_MAX)]
CompId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$", examples=["DEMO1"])]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$", examples=["DEMO1"])]
Code = Annotated[str, Field(min_length=6, max_length=32, examples=["123456"])]
