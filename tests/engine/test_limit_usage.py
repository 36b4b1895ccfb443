"""How many limits are nearly used up, of each control: 80, 90 and 100 percent."""

from engine.controls import Control, Level, Limit
from engine.exchange import Exchange
from engine.ledger_commands import SetCreditLine, SetFirmCreditLine
from engine.limit_usage import PERCENTS, WATCHED, Usage, count_used
from engine.order import OrderTerms
from engine.risk_commands import SetLimit
from engine.runtime.replay import hash_state
from engine.scope import Scope
from engine.units import AssetId, FirmId, InstrumentId, Money, Qty
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    DEFAULT_FUNDS,
    NOTIONAL_FACTOR,
    USD,
    Desk,
)

PRICE = 100
UNIT = PRICE * NOTIONAL_FACTOR


def limit(
    control: Control,
    value: int,
    *,
    scope: Scope = Scope.ACCOUNT,
    instrument_id: int = 0,
    asset_id: int = 0,
) -> SetLimit:
    ids = (InstrumentId(instrument_id), AssetId(asset_id))
    return SetLimit(Limit(Level.OPERATOR, scope, ALICE, control, value, *ids))


def used(desk: Desk) -> dict[tuple[str, int], int]:
    """Return what is near its limit, without the zeros; looking changes nothing."""
    before = hash_state(desk.exchange.state())
    counts = desk.exchange.count_limits_used(desk.now_ns)
    assert set(counts) == {(control, percent) for control in WATCHED for percent in PERCENTS}
    assert hash_state(desk.exchange.state()) == before
    copy = Exchange.restore(PreTradeGate(), desk.exchange.state())
    assert copy.count_limits_used(desk.now_ns) == counts
    return {key: count for key, count in counts.items() if count}


def test_bands_begin_at_their_percent() -> None:
    """Each holds those above it; a limit of which nothing can be used is never near."""
    usages = [Usage("POSITION", used, 1000) for used in (-5, 0, 799, 800, 899, 900, 999, 1000)]
    counts = count_used([*usages, Usage("POSITION", 0, 0), Usage("DAY_LOSS", 7, 7)])
    assert {key: count for key, count in counts.items() if count} == {
        ("POSITION", 80): 5,
        ("POSITION", 90): 3,
        ("POSITION", 100): 1,
        ("DAY_LOSS", 80): 1,
        ("DAY_LOSS", 90): 1,
        ("DAY_LOSS", 100): 1,
    }


def test_lines_of_credit() -> None:
    """The account's own goes first; what it is short of beyond is drawn from its firm's."""
    desk = Desk({USD: Money(10 * UNIT), BTC: Money(10**8)})
    desk.apply(SetCreditLine(ALICE, USD, Money(100 * UNIT)))
    desk.apply(SetFirmCreditLine(FirmId(1), USD, Money(20 * UNIT)))
    desk.buy(ALICE, 89, PRICE)
    assert used(desk) == {}
    desk.buy(ALICE, 1, PRICE)
    assert used(desk) == {("CREDIT_LINE", 80): 1}
    desk.buy(ALICE, 38, PRICE)
    assert used(desk) == {
        **{("CREDIT_LINE", percent): 1 for percent in PERCENTS},
        ("FIRM_CREDIT_LINE", 80): 1,
        ("FIRM_CREDIT_LINE", 90): 1,
    }


def test_open_orders_and_positions() -> None:
    """Of the account and of its firm, in an instrument and in all."""
    desk = Desk()
    for command in (
        limit(Control.OPEN_ORDERS, 5),
        limit(Control.OPEN_ORDERS, 4, instrument_id=BTC_USD, scope=Scope.FIRM),
        limit(Control.OPEN_ORDERS_PER_SIDE, 4),
        limit(Control.ICEBERG_ORDERS, 1),
        limit(Control.STOP_ORDERS, 1),
        limit(Control.POSITION, DEFAULT_FUNDS[BTC] + 100 * BASE_FACTOR, asset_id=BTC),
    ):
        desk.apply(command)
    for _ in range(3):
        desk.buy(ALICE, 1, PRICE)
    desk.sell(ALICE, 2, 2 * PRICE, terms=OrderTerms(display_qty=Qty(1)))
    desk.buy(BOB, 1, PRICE)
    assert used(desk) == {
        ("OPEN_ORDERS", 80): 2,
        ("OPEN_ORDERS", 90): 1,
        ("OPEN_ORDERS", 100): 1,
        **{("ICEBERG_ORDERS", percent): 1 for percent in PERCENTS},
        **{("POSITION", percent): 1 for percent in (80, 90)},
    }


def test_loss_of_the_day() -> None:
    """At the price of the moment."""
    desk = Desk()
    desk.apply(limit(Control.DAY_LOSS, 11 * UNIT, asset_id=USD))
    desk.sell(BOB, 10, 2 * PRICE)
    desk.buy(ALICE, 10, 2 * PRICE)
    assert used(desk) == {}
    desk.sell(BOB, 1, PRICE)
    desk.buy(ALICE, 1, PRICE)
    assert used(desk) == {("DAY_LOSS", 80): 1, ("DAY_LOSS", 90): 1}
