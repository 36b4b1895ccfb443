"""The table of FIX's words for refusals knows every reason, and is what the map of codes says."""

import pytest

from engine.reasons import RejectReason
from engine.reject_codes import ORD_REJ_CODES

FIX44_CODES = {*(str(code) for code in range(16)), "99"}


@pytest.mark.parametrize("reason", list(RejectReason))
def test_every_reason_has_a_code_that_its_fix_version_knows(reason: RejectReason) -> None:
    """A FIX 4.4 client validates the enumeration: it must never see a value above 15 but 99."""
    code = ORD_REJ_CODES[reason]
    assert code.fix44 in FIX44_CODES
    assert 0 <= int(code.fix50) <= 99


def test_table_has_no_code_for_what_is_no_reason() -> None:
    """It is complete, and nothing more."""
    assert list(ORD_REJ_CODES) == sorted(ORD_REJ_CODES, key=lambda reason: reason.value)
    assert set(ORD_REJ_CODES) == set(RejectReason)


@pytest.mark.parametrize(
    ("reason", "fix44", "fix50"),
    [
        (RejectReason.SYMBOL_UNKNOWN, "1", "1"),
        (RejectReason.CANCEL_ONLY, "2", "2"),
        (RejectReason.MAX_ORDER_QTY, "3", "26"),
        (RejectReason.MAX_ORDER_NOTIONAL, "3", "27"),
        (RejectReason.MIN_NOTIONAL, "3", "20"),
        (RejectReason.INSUFFICIENT_BALANCE, "0", "25"),
        (RejectReason.POSITION_LIMIT, "3", "21"),
        (RejectReason.EXPOSURE_LIMIT, "3", "21"),
        (RejectReason.PRICE_COLLAR, "99", "16"),
        (RejectReason.NO_REFERENCE_PRICE, "99", "19"),
        (RejectReason.TICK_SIZE, "99", "18"),
        (RejectReason.LOT_SIZE, "13", "13"),
        (RejectReason.DUPLICATE_CLORDID, "6", "6"),
        (RejectReason.DUPLICATE_ORDER, "6", "6"),
        (RejectReason.VALID_UNTIL_PASSED, "8", "8"),
        (RejectReason.POST_ONLY_WOULD_TRADE, "99", "99"),
        (RejectReason.REDUCE_ONLY, "99", "99"),
        (RejectReason.RATE_LIMIT, "99", "99"),
        (RejectReason.KILLED, "99", "99"),
        (RejectReason.UNSUPPORTED, "11", "11"),
        (RejectReason.ACCOUNT_UNKNOWN, "15", "15"),
    ],
)
def test_codes_are_those_of_the_map(reason: RejectReason, fix44: str, fix50: str) -> None:
    """What a client's code branches on does not change by accident."""
    assert ORD_REJ_CODES[reason] == (fix44, fix50)
