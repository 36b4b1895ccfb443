"""What can be defined, and what cannot."""

import pytest

from engine.commands import DefineAsset, DefineInstrument, OpenAccount
from engine.events import AccountOpened, AssetDefined, CommandRefused, InstrumentDefined
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.limits import RiskLimits
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.risk_commands import SetRiskLimits
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money, Price, Qty
from tests.exchange_desk import ALICE, BTC, BTC_USD, USD, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def instrument(**changes: object) -> InstrumentDefinition:
    fields: dict[str, object] = {
        "instrument_id": 9,
        "symbol": "NEW-USD",
        "base_asset_id": BTC,
        "quote_asset_id": USD,
        "price_decimals": 2,
        "qty_decimals": 6,
        "tick_size": 1,
        "lot_size": 1,
    }
    return InstrumentDefinition(**(fields | changes))  # type: ignore[arg-type]  # By name.


def test_what_fits_is_defined(desk: Desk) -> None:
    """An asset, an instrument whose products fit exactly, an account."""
    asset = Asset(AssetId(9), "ETH", 18)
    assert desk.apply(DefineAsset(asset)) == [AssetDefined(asset)]
    assert desk.apply(DefineInstrument(instrument())) == [InstrumentDefined(instrument())]
    account = Account(AccountId(9), FirmId(1), "ALICE2")
    assert desk.apply(OpenAccount(account)) == [AccountOpened(account)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument_id": BTC_USD}, RejectReason.ALREADY_DEFINED),
        ({"symbol": "BTC-USD"}, RejectReason.ALREADY_DEFINED),
        ({"base_asset_id": 77}, RejectReason.ASSET_UNKNOWN),
        ({"base_asset_id": USD}, RejectReason.ASSET_UNKNOWN),
        ({"qty_decimals": 7}, RejectReason.SCALE_UNSUPPORTED),
        ({"price_decimals": 0, "qty_decimals": 9}, RejectReason.SCALE_UNSUPPORTED),
        ({"price_decimals": -1}, RejectReason.SCALE_UNSUPPORTED),
        ({"tick_size": 0}, RejectReason.SCALE_UNSUPPORTED),
        ({"lot_size": -1}, RejectReason.SCALE_UNSUPPORTED),
        ({"session_end_s": 86_400}, RejectReason.SCALE_UNSUPPORTED),
    ],
)
def test_instrument_that_would_round_is_refused(
    desk: Desk, changes: dict[str, object], reason: RejectReason
) -> None:
    """Known identities and scales that do not multiply exactly are refused."""
    (event,) = desk.apply(DefineInstrument(instrument(**changes)))
    assert isinstance(event, CommandRefused)
    assert event.reason is reason


def test_second_definition_is_refused(desk: Desk) -> None:
    """Neither an identity nor a name is used twice."""
    for command in (
        DefineAsset(Asset(USD, "USDX", 8)),
        DefineAsset(Asset(AssetId(9), "USD", 8)),
        OpenAccount(Account(ALICE, FirmId(3), "OTHER")),
        OpenAccount(Account(AccountId(9), FirmId(1), "ALICE")),
    ):
        (event,) = desk.apply(command)
        assert isinstance(event, CommandRefused)
        assert event.reason is RejectReason.ALREADY_DEFINED


def test_house_accounts_cannot_be_opened(desk: Desk) -> None:
    """Account 0 is the outside world and -1 the clearing account."""
    for account_id in (0, -1):
        (event,) = desk.apply(OpenAccount(Account(AccountId(account_id), FirmId(1), "HOUSE")))
        assert isinstance(event, CommandRefused)
        assert event.reason is RejectReason.ACCOUNT_UNKNOWN


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (RiskLimits(AccountId(77), BTC_USD, Qty(1), Money(1)), RejectReason.ACCOUNT_UNKNOWN),
        (RiskLimits(ALICE, InstrumentId(77), Qty(1), Money(1)), RejectReason.SYMBOL_UNKNOWN),
        (RiskLimits(ALICE, BTC_USD, Qty(-1), Money(1)), RejectReason.AMOUNT_INVALID),
    ],
)
def test_limits_of_nothing_are_refused(
    desk: Desk, limits: RiskLimits, reason: RejectReason
) -> None:
    """Limits belong to an account and an instrument that exist."""
    (event,) = desk.apply(SetRiskLimits(limits))
    assert isinstance(event, CommandRefused)
    assert event.reason is reason


def test_late_reader_learns_all_there_is(desk: Desk) -> None:
    """Reference data rebuilt from the exchange's events is the exchange's own."""
    desk.apply(DefineInstrument(instrument()))
    copy = Reference()
    for event in desk.exchange.reference.events():
        copy.learn(event)
    assert copy.instruments == desk.exchange.reference.instruments
    assert copy.instruments_by_symbol == desk.exchange.reference.instruments_by_symbol
    assert copy.accounts_by_name == desk.exchange.reference.accounts_by_name
    assert copy.assets == desk.exchange.reference.assets


def test_scales_meet_exactly() -> None:
    """Price times quantity and the average price, in the decimals that the assets declare."""
    desk = Desk()
    known = desk.exchange.reference.instruments[BTC_USD]
    price, qty = known.parse_price("61000.01"), known.parse_qty("0.0003")
    assert (price, qty) == (6_100_001, 3)
    assert price is not None
    assert qty is not None
    assert known.notional(price, qty) == 18_30000300
    assert known.format_notional(known.notional(price, qty)) == "18.30000300"
    assert known.base_amount(qty) == 30_000
    assert known.format_average_price(Money(0), Qty(0)) == "0"
    assert known.format_average_price(known.notional(price, qty), qty) == "61000.0100"
    two = Money(known.notional(Price(100), Qty(1)) + known.notional(Price(101), Qty(2)))
    assert known.format_average_price(two, Qty(3)) == "1.0067"
