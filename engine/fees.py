"""Who is charged what: rates by instrument and tier, and the tiers of firms."""

from typing import Final

from engine.events import CommandRefused
from engine.fee_rates import FEE_PPM_MAX, FeeRates
from engine.kept import FeeSchedule, FirmTier
from engine.ledger_commands import SetFees, SetFirmFeeTier
from engine.ledger_events import FeesSet, FirmFeeTierSet
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import AccountId, FirmId, InstrumentId

TIER_MAX: Final = 99
DEFAULT_TIER: Final = 0


class FeeTable:
    """The rates in force. Belongs to the thread that applies commands.

    As long as nothing was said trades cost nothing, and `is_free`.
    """

    __slots__ = ("_rates", "_reference", "_tiers", "is_free")

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._rates: dict[tuple[InstrumentId, int], FeeRates] = {}
        self._tiers: dict[FirmId, int] = {}
        self.is_free = True

    def find(self, account_id: AccountId, instrument_id: InstrumentId) -> FeeRates | None:
        """Return by what an order of the account is charged from now on, None for nothing."""
        firm_id = self._reference.accounts[account_id].firm_id
        rates = self._rates.get((instrument_id, self._tiers.get(firm_id, DEFAULT_TIER)))
        return rates or self._rates.get((instrument_id, DEFAULT_TIER))

    def events(self) -> list[FeesSet | FirmFeeTierSet]:
        """Return what is in force, as the events that have said so."""
        return [
            *(
                FeesSet(instrument_id, tier, rates)
                for (instrument_id, tier), rates in self._rates.items()
            ),
            *(FirmFeeTierSet(firm_id, tier) for firm_id, tier in self._tiers.items()),
        ]

    def set_fees(self, command: SetFees) -> FeesSet | CommandRefused:
        """Let other rates hold for orders that are accepted from now on, or say why not."""
        instrument_id, tier, rates = command.instrument_id, command.tier, command.rates
        if instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=instrument_id)
        if not 0 <= tier <= TIER_MAX:
            return CommandRefused(RejectReason.FEE_TIER_INVALID, limit=TIER_MAX, actual=tier)
        if rates is not None and not rates.is_usable:
            worst = max(rates.maker_ppm, rates.taker_ppm, key=abs)
            return CommandRefused(RejectReason.FEE_RATE_INVALID, limit=FEE_PPM_MAX, actual=worst)
        self._rates.pop((instrument_id, tier), None)
        if rates is not None:
            self._rates[(instrument_id, tier)] = rates
        self.is_free = not self._rates
        return FeesSet(instrument_id, tier, rates)

    def set_tier(self, command: SetFirmFeeTier) -> FirmFeeTierSet | CommandRefused:
        """Put a firm into a tier, or say why not."""
        firm_id, tier = command.firm_id, command.tier
        if not self._reference.accounts_of(firm_id):
            return CommandRefused(RejectReason.FIRM_UNKNOWN, actual=firm_id)
        if not 0 <= tier <= TIER_MAX:
            return CommandRefused(RejectReason.FEE_TIER_INVALID, limit=TIER_MAX, actual=tier)
        self._tiers.pop(firm_id, None)
        if tier != DEFAULT_TIER:
            self._tiers[firm_id] = tier
        return FirmFeeTierSet(firm_id, tier)

    def restore(self, schedules: list[FeeSchedule], tiers: list[FirmTier]) -> None:
        """Let what was in force hold again."""
        for schedule in schedules:
            self._rates[(schedule.instrument_id, schedule.tier)] = schedule.rates
        self.is_free = not self._rates
        for firm in tiers:
            self._tiers[firm.firm_id] = firm.tier

    def schedules(self) -> list[FeeSchedule]:
        """Return the rates in force, in the order in which they were set."""
        return [FeeSchedule(*key, rates) for key, rates in self._rates.items()]

    def tiers(self) -> list[FirmTier]:
        """Return the firms that are not in tier 0, in the order in which that was said."""
        return [FirmTier(*item) for item in self._tiers.items()]
