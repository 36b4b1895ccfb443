"""A FIX session's row for tests, as operators leave it that change nothing."""

from dataclasses import fields, replace
from typing import Any, Final

from engine.units import AccountId, FirmId, SessionId
from store.sessions import FixSessionRow

SET: Final[dict[str, Any]] = {
    "session_id": SessionId(7),
    "firm_id": FirmId(1),
    "account_id": AccountId(1),
    "begin_string": "FIX.4.4",
    "client_comp_id": "T01",
    "is_enabled": True,
    "can_enter": True,
    "can_cancel": True,
    "is_drop_copy": False,
    "is_market_data": False,
    "copied_account_ids": [],
    "tells_timing": False,
    "tells_error_codes": False,
    "allowed_networks": [],
    "client_cert_sha256": [],
    "throttle_policy": "reject",
    "cancel_on_disconnect": "off",
    "cancel_grace_ms": 0,
    "cancel_on_logout": True,
    "cancel_on_internal_loss": False,
    "schedule_days": [1, 2, 3, 4, 5, 6, 7],
}
VALUES: Final[dict[str, Any]] = {field.name: SET.get(field.name) for field in fields(FixSessionRow)}
PLAIN: Final = FixSessionRow(**VALUES)


def make_row(**changes: Any) -> FixSessionRow:
    """Return the row with some values changed."""
    return replace(PLAIN, **changes)
