"""Refusals that are not made for a while, because two operators have agreed that it be so."""

from itertools import product

from engine.commands import NewOrder
from engine.controls import Override
from engine.gate import Rejection
from engine.reasons import RejectReason
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId

Key = tuple[int, int, str, int, int]


class Overrides:
    """What was granted and has not expired. Belongs to the thread that applies commands."""

    __slots__ = ("_granted",)

    def __init__(self) -> None:
        self._granted: dict[Key, Override] = {}

    def grant(self, override: Override, now_ns: int) -> None:
        """Let through what would be refused. Forgets what has expired by now."""
        expired = [key for key, known in self._granted.items() if known.expires_at_ns <= now_ns]
        for key in expired:
            del self._granted[key]
        self._granted[_key_of(override)] = override

    def revoke(
        self,
        account_id: AccountId,
        reason: RejectReason,
        cl_ord_id: ClOrdId,
        instrument_id: InstrumentId,
        asset_id: AssetId,
    ) -> Override | None:
        """Take back what was granted for that, and return it, None for nothing."""
        key = (account_id, reason.value, cl_ord_id, instrument_id, asset_id)
        return self._granted.pop(key, None)

    def allow(self, rejection: Rejection, order: NewOrder, now_ns: int) -> bool:
        """Return whether the order is let through all the same."""
        if not self._granted:
            return False
        asset_id = 0 if rejection.detail is None else rejection.detail.asset_id
        fits = product((order.cl_ord_id, ""), (order.instrument_id, 0), (asset_id, 0))
        for fit in fits:
            known = self._granted.get((order.account_id, rejection.reason.value, *fit))
            if known and now_ns < known.expires_at_ns and rejection.actual <= known.value:
                return True
        return False

    def granted(self) -> list[Override]:
        """Return all that are known, in the order in which they were first granted."""
        return list(self._granted.values())


def _key_of(override: Override) -> Key:
    return (
        override.account_id,
        override.reason.value,
        override.cl_ord_id,
        override.instrument_id,
        override.asset_id,
    )
