"""Every refusal has words, and the numbers in them are in the trader's units."""

import pytest

from engine.explain import WORDS, explain
from engine.order import Side
from engine.reasons import RejectReason
from tests.exchange_desk import BTC_USD, Desk


@pytest.mark.parametrize("reason", list(RejectReason))
def test_every_reason_has_words(reason: RejectReason) -> None:
    """A reason without words would leave a client with a bare code."""
    assert explain(reason) == f"{reason.name}: {WORDS[reason]}"


@pytest.mark.parametrize(
    ("reason", "limit", "actual", "side", "text"),
    [
        (
            RejectReason.TICK_SIZE, 1, 0, Side.BUY,
            "TICK_SIZE: price 0.00 is not a positive multiple of the tick 0.01",
        ),
        (
            RejectReason.LOT_SIZE, 10, 15, Side.BUY,
            "LOT_SIZE: order qty 0.0015 is not a multiple of the lot 0.0010",
        ),
        (
            RejectReason.MAX_ORDER_QTY, 10_000, 50_000, Side.BUY,
            "MAX_ORDER_QTY: order qty 5.0000 above account limit 1.0000",
        ),
        (
            RejectReason.MAX_ORDER_NOTIONAL, 100_00000000, 100_00000001, Side.SELL,
            "MAX_ORDER_NOTIONAL: notional 100.00000001 USD above account limit 100.00000000 USD",
        ),
        (
            RejectReason.INSUFFICIENT_BALANCE, 950_00000000, 1000_50000000, Side.BUY,
            "INSUFFICIENT_BALANCE: needs 1000.50000000 USD, available 950.00000000 USD",
        ),
        (
            RejectReason.INSUFFICIENT_BALANCE, 0, 1, Side.SELL,
            "INSUFFICIENT_BALANCE: needs 0.00000001 BTC, available 0.00000000 BTC",
        ),
    ],
)  # fmt: skip
def test_numbers_are_in_units(
    reason: RejectReason, limit: int, actual: int, side: Side, text: str
) -> None:
    """What was allowed and what was asked, each with its unit."""
    instrument = Desk().exchange.reference.instruments[BTC_USD]
    assert explain(reason, limit=limit, actual=actual, instrument=instrument, side=side) == text
