"""FIX sessions."""

from collections.abc import Mapping
from datetime import datetime, time
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from admin_api.schemas.fields import CompId, Count, Flag, GatewaysTold, Identity, RequestBody

HEART_BT_INT_MAX_S: Final = 3600
GRACE_MAX_MS: Final = 3_600_000
LIST_MAX: Final = 64
TEXT_MAX: Final = 128
SHA256_HEX: Final = r"^[0-9a-f]{64}$"


def _parse_fingerprint(value: object) -> object:
    """Accept the notation of `openssl x509 -fingerprint`: upper case, with colons."""
    return value.replace(":", "").lower() if isinstance(value, str) else value


def _check_is_utc(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("is UTC by itself: leave the zone out")
    return value


def _check_days(days: list[int]) -> list[int]:
    if len(set(days)) != len(days):
        raise ValueError("names a day twice")
    return sorted(days)


def _check_accounts(account_ids: list[int]) -> list[int]:
    if len(set(account_ids)) != len(account_ids):
        raise ValueError("names an account twice")
    return sorted(account_ids)


HeartBtInt = Annotated[int, Field(strict=True, ge=1, le=HEART_BT_INT_MAX_S)]
Fingerprint = Annotated[str, BeforeValidator(_parse_fingerprint), Field(pattern=SHA256_HEX)]
UtcTime = Annotated[time, AfterValidator(_check_is_utc)]
Weekday = Annotated[int, Field(strict=True, ge=1, le=7)]


class FixSessionChange(RequestBody):
    """Settings of a FIX session. What is left out stays as it is, or has its default at first.

    Null, where it is allowed, means that the gateway's own setting holds.
    """

    account_id: Identity = Field(
        default=0, description="The account of orders without Account(1); of the session's firm"
    )
    user_id: Identity | None = Field(
        default=None,
        description="Whose its orders are: a user of the firm, whose limits, modes and kill"
        " switches hold for them; null: nobody's in particular",
    )
    can_enter: Flag = Field(default=True, description="Whether it may enter orders")
    can_cancel: Flag = Field(default=True, description="Whether it may cancel orders")
    is_drop_copy: Flag = Field(default=False, description="Whether it is sent copies of reports")
    copied_account_ids: Annotated[list[Identity], AfterValidator(_check_accounts)] = Field(
        default=[], max_length=LIST_MAX,
        description="Of which accounts of the firm; empty: of all",
    )  # fmt: skip
    timestamp_precision: Literal["ms", "us", "ns"] | None = Field(
        default=None,
        description="Of times in messages to the client; null: us over FIXT.1.1, else ms",
    )
    tells_timing: Flag = Field(
        default=False, description="Whether reports have GatewayTime(25101) and EngineTime(25102)"
    )
    tells_error_codes: Flag = Field(
        default=False, description="Whether refusals have ErrorCode(25016)"
    )
    heart_bt_int_min_s: HeartBtInt | None = None
    heart_bt_int_max_s: HeartBtInt | None = None
    allowed_networks: list[IPv4Network | IPv6Network] = Field(
        default=[], max_length=LIST_MAX, description="CIDR; empty: from anywhere",
        examples=[["192.0.2.0/24"]],
    )  # fmt: skip
    client_cert_sha256: list[Fingerprint] = Field(
        default=[], max_length=LIST_MAX,
        description="SHA-256 of client certificates; empty: none is asked for",
    )  # fmt: skip
    order_rate: Count | None = Field(default=None, description="Messages per second")
    order_burst: Count | None = Field(default=None, description="Messages at once")
    cancel_rate: Count | None = Field(default=None, description="Cancels per second")
    cancel_burst: Count | None = Field(default=None, description="Cancels at once")
    throttle_policy: Literal["reject", "disconnect"] = "reject"
    cancel_on_disconnect: Literal["off", "session", "account"] = "off"
    cancel_grace_ms: Annotated[int, Field(strict=True, ge=0, le=GRACE_MAX_MS)] = Field(
        default=0, description="How long a client may take to come back"
    )
    cancel_on_logout: Flag = Field(default=True, description="Whether a graceful Logout counts")
    cancel_on_internal_loss: Flag = Field(
        default=False, description="Whether the loss of the engine's own link counts"
    )
    schedule_days: Annotated[list[Weekday], AfterValidator(_check_days)] = Field(
        default=[1, 2, 3, 4, 5, 6, 7], min_length=1, max_length=7, description="1 is Monday"
    )
    schedule_start: UtcTime | None = Field(default=None, description="UTC", examples=["08:00"])
    schedule_end: UtcTime | None = Field(default=None, description="UTC", examples=["17:00"])
    schedule_reset: UtcTime | None = Field(
        default=None, description="UTC; when both sequence numbers begin anew each day"
    )


class NewFixSessionBody(FixSessionChange):
    """A FIX session to be set up."""

    firm_id: Identity
    account_id: Identity = Field(description="The account of orders without Account(1)")
    begin_string: Literal["FIX.4.2", "FIX.4.4", "FIXT.1.1"] = Field(
        default="FIX.4.4", description="FIXT.1.1 is FIX 5.0 SP2"
    )
    client_comp_id: CompId = Field(description="The client's SenderCompID(49)")
    is_market_data: Flag = Field(
        default=False, description="Whether it is for market data, and nothing else; for good"
    )


class FixSessionView(BaseModel):
    """A FIX session: how it is set up and who owns it now."""

    session_id: int
    firm_id: int
    account_id: int
    user_id: int | None
    begin_string: str = Field(examples=["FIX.4.4"])
    client_comp_id: str = Field(examples=["DEMO1"])
    is_enabled: bool
    heart_bt_int_min_s: int | None
    heart_bt_int_max_s: int | None
    can_enter: bool
    can_cancel: bool
    is_drop_copy: bool
    is_market_data: bool
    copied_account_ids: list[int]
    timestamp_precision: str | None = Field(examples=["us"])
    tells_timing: bool
    tells_error_codes: bool
    allowed_networks: list[IPv4Network | IPv6Network]
    client_cert_sha256: list[str]
    order_rate: int | None
    order_burst: int | None
    cancel_rate: int | None
    cancel_burst: int | None
    throttle_policy: str = Field(examples=["reject"])
    cancel_on_disconnect: str = Field(examples=["off"])
    cancel_grace_ms: int
    cancel_on_logout: bool
    cancel_on_internal_loss: bool
    schedule_days: list[int]
    schedule_start: time | None
    schedule_end: time | None
    schedule_reset: time | None
    is_held: bool = Field(description="Whether a gateway owns the session at the moment")
    epoch: int = Field(description="Goes up with every reset of sequence numbers; 0 before any")
    generation: int = Field(description="Goes up with every change of owner")


class FixSessionChanged(GatewaysTold, FixSessionView):
    """A FIX session as it is now, and whether the gateways know."""


class SessionResetView(BaseModel):
    """The new beginning of a FIX session's numbers."""

    session_id: int
    epoch: int


class DisconnectBody(RequestBody):
    """Why a client is logged out."""

    text: str = Field(
        default="logged out by the operator",
        pattern=r"^[ -~]+$",
        max_length=TEXT_MAX,
        description="Text(58) of the Logout(5)",
    )


class DisconnectView(BaseModel):
    """What came of it."""

    session_id: int
    was_logged_on: bool
    gateways_asked: int
    gateways_failed: dict[str, str] = Field(examples=[{}])


class ThrottleView(BaseModel):
    """How much of its budgets a session has left at the moment."""

    order_available: int
    cancel_available: int
    order_burst: int
    cancel_burst: int
    refused_count: int


class FixSessionStatus(BaseModel):
    """How a FIX session is at the moment. What no gateway has told is null."""

    session_id: int
    client_comp_id: str
    is_enabled: bool
    is_held: bool
    epoch: int
    generation: int
    gateway: str | None = Field(description="The process that owns it", examples=["gateway-0"])
    is_logged_on: bool
    peer: str | None = Field(examples=["192.0.2.7:51234"])
    credential_id: int | None = Field(description="What the client has logged on with")
    next_sender_msg_seq_num: int | None = Field(description="Of the gateway's next message")
    next_target_msg_seq_num: int | None = Field(description="Of the client's next message")
    logged_on_at: datetime | None
    last_received_at: datetime | None = Field(description="When the client was last heard of")
    throttle: ThrottleView | None
    gateways_failed: dict[str, str] = Field(examples=[{}])


def find_conflict(values: Mapping[str, Any]) -> str | None:
    """Return which field of a session's settings contradicts another, and how; None for none."""
    low, high = values["heart_bt_int_min_s"], values["heart_bt_int_max_s"]
    if low is not None and high is not None and low > high:
        return f"heart_bt_int_max_s: {high} is below heart_bt_int_min_s, which is {low}"
    if values["is_drop_copy"] and values["is_market_data"]:
        return "is_drop_copy: a market data session is sent no reports"
    if values["copied_account_ids"] and not values["is_drop_copy"]:
        return "copied_account_ids: only a drop copy session is sent copies of chosen accounts"
    start, end = values["schedule_start"], values["schedule_end"]
    if (start is None) != (end is None):
        missing = "schedule_start" if start is None else "schedule_end"
        return f"{missing}: is needed beside the other: a session opens and closes, or does neither"
    if start is not None and start == end:
        return "schedule_end: equals schedule_start; without both it is open around the clock"
    return None
