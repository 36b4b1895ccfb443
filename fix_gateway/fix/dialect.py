"""How a session speaks: what its version of FIX has, and the codes that its clients know.

A client's dictionary refuses fields and values that its version does not have, so none is ever sent
one. What a version has no code for is said with the closest one that it has; the precise reason is
always the code in front of Text(58).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Final, TypeVar

from engine.reasons import CancelReason, RejectReason
from engine.reject_codes import ORD_REJ_CODES
from engine.report import EXEC_RESTATEMENT_REASONS, OTHER
from fix_gateway.fix.dictionary import BEGIN_STRINGS, Version, load_version
from fix_gateway.fix.error_codes import ERROR_CODES
from fix_gateway.fix.fields import BusinessRejectReason, Tag
from store.sessions import FixSessionRow

BROKER_OPTION: Final = "0"  # OrdRejReason(103) of FIX 4.2, which has no 99.
CANCEL_BROKER_OPTION: Final = "2"  # CxlRejReason(102), likewise.
RESTATED_BROKER_OPTION: Final = "4"  # ExecRestatementReason(378), likewise.
FIX_4_2: Final = "4.2"
FIXT: Final = "FIXT.1.1"
FIX_5_0_SP2: Final = "9"  # ApplVerID(1128).
MILLISECONDS, MICROSECONDS, NANOSECONDS = 3, 6, 9
TIMESTAMP_DIGITS: Final = {"ms": MILLISECONDS, "us": MICROSECONDS, "ns": NANOSECONDS}

Reason = TypeVar("Reason", bound=Enum)

CXL_REJ_REASONS: Final = {
    RejectReason.TOO_LATE_TO_CANCEL: "0",
    RejectReason.UNKNOWN_ORDER: "1",
    RejectReason.DUPLICATE_CLORDID: "6",
}
ORD_REJ_REASONS: Final = {reason: code.fix44 for reason, code in ORD_REJ_CODES.items()}
# What FIX 5.0 SP2 and its extension packs can say more precisely than FIX 4.4.
FINER_ORD_REJ_REASONS: Final = {reason: code.fix50 for reason, code in ORD_REJ_CODES.items()}
FINER_CXL_REJ_REASONS: Final = {
    RejectReason.TICK_SIZE: "18",
    RejectReason.PRICE_COLLAR: "8",
    RejectReason.PRICE_BAND: "8",
}
# What FIX 4.4 has words for, beyond those of `engine.report`.
RESTATEMENT_REASONS: Final = EXEC_RESTATEMENT_REASONS | {CancelReason.CIRCUIT_BREAKER: "6"}
FINER_RESTATEMENT_REASONS: Final = {
    CancelReason.EXECUTION_COLLAR: "15",
    CancelReason.DISCONNECTED: "12",
    CancelReason.LOGGED_OUT: "13",
    CancelReason.DEAD_MAN: "12",
    CancelReason.SELF_TRADE: "17",
}


@dataclass(frozen=True)
class Dialect:
    """How one version of FIX says things. Reasons that a table does not hold have its `other`.

    `report_tags` and `cancel_reject_tags` are those that the client may be sent in a report and in
    an OrderCancelReject(9). With `tells_timing` reports say when gateway and engine had the order,
    with `tells_error_codes` refusals bear their code as a number too.
    """

    version: str
    begin_string: str
    timestamp_digits: int
    report_tags: frozenset[int]
    cancel_reject_tags: frozenset[int]
    ord_rej_reasons: Mapping[RejectReason, str]
    ord_rej_other: str
    cxl_rej_reasons: Mapping[RejectReason, str]
    cxl_rej_other: str
    restatement_reasons: Mapping[CancelReason, str]
    restatement_other: str
    exec_types: frozenset[str]
    liquidity_inds: frozenset[str]
    business_reject_reasons: frozenset[str]
    session_reject_reasons: frozenset[str]
    md_req_rej_reasons: frozenset[str]
    tells_timing: bool = False
    tells_error_codes: bool = False

    def error_code(self, name: str) -> list[tuple[int, str]]:
        """Return ErrorCode(25016) of a refusal of that code, where the client wants it."""
        if not self.tells_error_codes:
            return []
        return [(Tag.ERROR_CODE, str(ERROR_CODES[name]))]

    @property
    def is_fixt(self) -> bool:
        """Whether the session is FIXT.1.1, with FIX 5.0 SP2 over it."""
        return self.begin_string == FIXT

    @property
    def has_exec_trans_type(self) -> bool:
        """Whether ExecTransType(20) says what a report is about, as before FIX 4.3."""
        return self.version == FIX_4_2

    @property
    def has_throttle_reason(self) -> bool:
        """Whether BusinessRejectReason(380) can say that messages come too often."""
        return (
            str(int(BusinessRejectReason.THROTTLE_LIMIT_EXCEEDED)) in self.business_reject_reasons
        )

    def ord_rej_reason(self, reason: RejectReason) -> str:
        """Return OrdRejReason(103)."""
        return self.ord_rej_reasons.get(reason, self.ord_rej_other)

    def restatement_reason(self, reason: CancelReason, otherwise: str) -> str:
        """Return ExecRestatementReason(378); `otherwise` for a reason that no table holds."""
        return self.restatement_reasons.get(reason, otherwise)

    def cxl_rej_reason(self, reason: RejectReason) -> str:
        """Return CxlRejReason(102)."""
        return self.cxl_rej_reasons.get(reason, self.cxl_rej_other)

    def business_reject_reason(self, reason: BusinessRejectReason) -> str:
        """Return BusinessRejectReason(380)."""
        code = str(int(reason))
        return (
            code if code in self.business_reject_reasons else str(int(BusinessRejectReason.OTHER))
        )


@cache
def find_dialect(begin_string: str) -> Dialect:
    """Return the dialect of a session of that BeginString(8)."""
    version = load_version(BEGIN_STRINGS[begin_string])
    ord_rej_other = _known(version, Tag.ORD_REJ_REASON, OTHER, BROKER_OPTION)
    cxl_rej_other = _known(version, Tag.CXL_REJ_REASON, OTHER, CANCEL_BROKER_OPTION)
    restatement_other = _known(version, Tag.EXEC_RESTATEMENT_REASON, OTHER, RESTATED_BROKER_OPTION)
    return Dialect(
        version=version.key,
        begin_string=begin_string,
        # Milliseconds are all that FIX 4.4 and before allow (vol. 1, "UTCTimestamp").
        timestamp_digits=MICROSECONDS if begin_string == FIXT else MILLISECONDS,
        report_tags=frozenset(version.tags("8")),
        cancel_reject_tags=frozenset(version.tags("9")),
        ord_rej_reasons=_codes(
            version, Tag.ORD_REJ_REASON, FINER_ORD_REJ_REASONS, ORD_REJ_REASONS, ord_rej_other
        ),
        ord_rej_other=ord_rej_other,
        cxl_rej_reasons=_codes(
            version, Tag.CXL_REJ_REASON, FINER_CXL_REJ_REASONS, CXL_REJ_REASONS, cxl_rej_other
        ),
        cxl_rej_other=cxl_rej_other,
        restatement_reasons=_codes(
            version,
            Tag.EXEC_RESTATEMENT_REASON,
            FINER_RESTATEMENT_REASONS,
            RESTATEMENT_REASONS,
            restatement_other,
        ),
        restatement_other=restatement_other,
        exec_types=frozenset(_values(version, Tag.EXEC_TYPE)),
        liquidity_inds=frozenset(_values(version, Tag.LAST_LIQUIDITY_IND)),
        business_reject_reasons=frozenset(_values(version, Tag.BUSINESS_REJECT_REASON)),
        session_reject_reasons=frozenset(_values(version, Tag.SESSION_REJECT_REASON)),
        md_req_rej_reasons=frozenset(_values(version, Tag.MD_REQ_REJ_REASON)),
    )


def dialect_of(row: FixSessionRow) -> Dialect:
    """Return how a session speaks: the dialect of its version, as operators have set it up."""
    dialect = find_dialect(row.begin_string)
    digits = dialect.timestamp_digits
    if row.timestamp_precision is not None:
        digits = TIMESTAMP_DIGITS[row.timestamp_precision]
    return replace(
        dialect,
        timestamp_digits=digits,
        tells_timing=row.tells_timing,
        tells_error_codes=row.tells_error_codes,
    )


def _codes(
    version: Version,
    tag: int,
    finer: Mapping[Reason, str],
    general: Mapping[Reason, str],
    other: str,
) -> dict[Reason, str]:
    """Return the code of every reason: the most precise one that the version has."""
    known = _values(version, tag)
    return {
        reason: next(
            (code for code in (finer.get(reason), general.get(reason)) if code in known), other
        )
        for reason in {**general, **finer}
    }


def _known(version: Version, tag: int, wanted: str, otherwise: str) -> str:
    return wanted if wanted in _values(version, tag) else otherwise


def _values(version: Version, tag: int) -> dict[str, str]:
    (field,) = (field for field in version.fields.values() if field.tag == tag)
    return field.values
