"""What the body of a FIX session may hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from admin_api.schemas.sessions import FixSessionChange, NewFixSessionBody, find_conflict

NEW = {"firm_id": 1, "account_id": 1, "client_comp_id": "ACME"}
FINGERPRINT = ":".join(["AB"] * 32)


def test_only_what_was_said_is_changed() -> None:
    """A default is no wish."""
    body = FixSessionChange.model_validate({"can_enter": False, "order_rate": None})
    assert body.model_dump(exclude_unset=True) == {"can_enter": False, "order_rate": None}


def test_values_are_brought_into_one_form() -> None:
    """Fingerprints as openssl prints them, days in order, times as JSON has them."""
    body = FixSessionChange.model_validate(
        {
            "client_cert_sha256": [FINGERPRINT],
            "schedule_days": [5, 1],
            "schedule_start": "08:00",
            "allowed_networks": ["192.0.2.7", "2001:db8::/32"],
        }
    )
    assert body.model_dump(mode="json", exclude_unset=True) == {
        "client_cert_sha256": ["ab" * 32],
        "schedule_days": [1, 5],
        "schedule_start": "08:00:00",
        "allowed_networks": ["192.0.2.7/32", "2001:db8::/32"],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nothing", 1),
        ("is_enabled", False),
        ("firm_id", 2),
        ("can_enter", "yes"),
        ("can_enter", 1),
        ("can_enter", None),
        ("order_rate", 0),
        ("order_rate", "5"),
        ("order_rate", 2**31),
        ("heart_bt_int_min_s", 0),
        ("cancel_grace_ms", -1),
        ("cancel_grace_ms", 3_600_001),
        ("cancel_on_disconnect", "firm"),
        ("throttle_policy", "ignore"),
        ("allowed_networks", ["192.0.2.7/24"]),
        ("allowed_networks", ["everywhere"]),
        ("allowed_networks", ["192.0.2.7"] * 65),
        ("client_cert_sha256", ["ab" * 31]),
        ("client_cert_sha256", ["xy" * 32]),
        ("copied_account_ids", [1, 1]),
        ("copied_account_ids", [0]),
        ("timestamp_precision", "s"),
        ("tells_timing", None),
        ("tells_error_codes", None),
        ("schedule_days", []),
        ("schedule_days", [0]),
        ("schedule_days", [8]),
        ("schedule_days", [1, 1]),
        ("schedule_start", "25:00"),
        ("schedule_start", "08:00+02:00"),
    ],
)
def test_anything_else_is_refused(field: str, value: object) -> None:
    """And the error names the field."""
    with pytest.raises(ValidationError) as caught:
        FixSessionChange.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize("comp_id", ["", "A" * 33, "A B", "A.B", "A\n", "\xc4"])
def test_comp_ids_are_plain(comp_id: str) -> None:
    """1 to 32 of A-Z, a-z, 0-9, `_` and `-`."""
    NewFixSessionBody.model_validate(NEW | {"client_comp_id": "a-Z_9" + "x" * 27})
    with pytest.raises(ValidationError):
        NewFixSessionBody.model_validate(NEW | {"client_comp_id": comp_id})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"heart_bt_int_min_s": 5}, None),
        ({"heart_bt_int_min_s": 5, "heart_bt_int_max_s": 5}, None),
        (
            {"heart_bt_int_min_s": 6, "heart_bt_int_max_s": 5},
            "heart_bt_int_max_s: 5 is below heart_bt_int_min_s, which is 6",
        ),
        ({"is_drop_copy": True, "copied_account_ids": [1]}, None),
        (
            {"copied_account_ids": [1]},
            "copied_account_ids: only a drop copy session is sent copies of chosen accounts",
        ),
        ({"schedule_start": 8, "schedule_end": 17}, None),
        ({"schedule_start": 17, "schedule_end": 8}, None),
        (
            {"schedule_start": 8},
            "schedule_end: is needed beside the other: a session opens and closes, or does neither",
        ),
        (
            {"schedule_start": 8, "schedule_end": 8},
            "schedule_end: equals schedule_start; without both it is open around the clock",
        ),
        ({"is_market_data": True}, None),
        (
            {"is_market_data": True, "is_drop_copy": True},
            "is_drop_copy: a market data session is sent no reports",
        ),
    ],
)
def test_settings_must_fit_each_other(changes: dict[str, Any], words: str | None) -> None:
    """Looked at as they would stand together, old and new."""
    defaults = {**FixSessionChange().model_dump(), "is_market_data": False}
    assert find_conflict(defaults | changes) == words
