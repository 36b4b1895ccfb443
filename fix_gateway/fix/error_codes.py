"""The codes of refusals as numbers, ErrorCode(25016): one for each code in front of Text(58)."""

from typing import Final

from engine.reasons import RejectReason

DOOR_CODES: Final = {"NOT_PERMITTED": 1, "ENGINE_UNAVAILABLE": 2, "INTERNAL_ERROR": 3}
"""What the gateway says no to by itself. The numbers never change; the exchange's are above 100."""

ERROR_CODES: Final[dict[str, int]] = {
    **DOOR_CODES,
    **{reason.name: reason.value for reason in RejectReason},
}
