"""Reference data: the assets, instruments and accounts there are.

The exchange decides with it; doors keep a copy of their own, learnt from the events.
"""

from engine.commands import DefineAsset, DefineInstrument, OpenAccount
from engine.events import (
    AccountOpened,
    AssetDefined,
    CommandRefused,
    InstrumentDefined,
    ReferenceEvent,
)
from engine.instrument import BPS, Account, Asset, Instrument, InstrumentDefinition, make_instrument
from engine.reasons import RejectReason
from engine.trading_state import TradingState
from engine.units import AccountId, AssetId, FirmId, InstrumentId

ASSET_DECIMALS_MAX = 18
DAY_S = 24 * 3600


class Reference:
    """What exists, by identity and by name."""

    def __init__(self) -> None:
        self.assets: dict[AssetId, Asset] = {}
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.instruments_by_symbol: dict[str, Instrument] = {}
        self.accounts: dict[AccountId, Account] = {}
        self.accounts_by_name: dict[tuple[FirmId, str], Account] = {}

    def define_asset(self, command: DefineAsset) -> AssetDefined | CommandRefused:
        """Introduce an asset, or say why not."""
        asset = command.asset
        if asset.asset_id in self.assets or self._has_asset_named(asset.symbol):
            return CommandRefused(RejectReason.ALREADY_DEFINED, actual=asset.asset_id)
        if not 0 <= asset.decimals <= ASSET_DECIMALS_MAX:
            return CommandRefused(
                RejectReason.SCALE_UNSUPPORTED, limit=ASSET_DECIMALS_MAX, actual=asset.decimals
            )
        return AssetDefined(asset)

    def define_instrument(self, command: DefineInstrument) -> InstrumentDefined | CommandRefused:
        """Introduce an instrument, or say why not."""
        definition = command.instrument
        if (
            definition.instrument_id in self.instruments
            or definition.symbol in self.instruments_by_symbol
        ):
            return CommandRefused(RejectReason.ALREADY_DEFINED, actual=definition.instrument_id)
        base = self.assets.get(definition.base_asset_id)
        quote = self.assets.get(definition.quote_asset_id)
        if base is None or quote is None or base is quote:
            return CommandRefused(RejectReason.ASSET_UNKNOWN)
        if definition.initial_state is TradingState.OPENING:
            return CommandRefused(
                RejectReason.STATE_NOT_SETTABLE, actual=definition.initial_state.value
            )
        if not _is_well_formed(definition) or make_instrument(definition, base, quote) is None:
            return CommandRefused(RejectReason.SCALE_UNSUPPORTED)
        return InstrumentDefined(definition)

    def open_account(self, command: OpenAccount) -> AccountOpened | CommandRefused:
        """Open an account, or say why not."""
        account = command.account
        if (
            account.account_id in self.accounts
            or (account.firm_id, account.name) in self.accounts_by_name
        ):
            return CommandRefused(RejectReason.ALREADY_DEFINED, actual=account.account_id)
        if account.account_id <= 0:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=account.account_id)
        return AccountOpened(account)

    def accounts_of(self, firm_id: FirmId) -> list[Account]:
        """Return the firm's accounts, [] for a firm that nobody knows."""
        return [account for account in self.accounts.values() if account.firm_id == firm_id]

    def learn(self, event: ReferenceEvent) -> None:
        """Take in one thing that exists. The event comes from an exchange, so it is right."""
        match event:
            case AssetDefined(asset):
                self.assets[asset.asset_id] = asset
            case InstrumentDefined(definition):
                base = self.assets[definition.base_asset_id]
                quote = self.assets[definition.quote_asset_id]
                instrument = make_instrument(definition, base, quote)
                assert instrument is not None
                self.instruments[definition.instrument_id] = instrument
                self.instruments_by_symbol[definition.symbol] = instrument
            case AccountOpened(account):
                self.accounts[account.account_id] = account
                self.accounts_by_name[(account.firm_id, account.name)] = account

    def events(self) -> list[ReferenceEvent]:
        """Return what a reader must learn to know all that exists, in an order that works."""
        return [
            *(AssetDefined(asset) for asset in self.assets.values()),
            *(InstrumentDefined(known.definition) for known in self.instruments.values()),
            *(AccountOpened(account) for account in self.accounts.values()),
        ]

    def _has_asset_named(self, symbol: str) -> bool:
        return any(asset.symbol == symbol for asset in self.assets.values())


def _is_well_formed(definition: InstrumentDefinition) -> bool:
    return (
        definition.instrument_id > 0
        and definition.price_decimals >= 0
        and definition.qty_decimals >= 0
        and definition.tick_size > 0
        and definition.lot_size > 0
        and 0 <= definition.session_end_s < DAY_S
        and 0 <= definition.market_protection_bps <= BPS
    )
