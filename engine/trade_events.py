"""Events about trades that have happened. One for each side, like those of the trade itself."""

import msgspec

from engine.order import OrderView
from engine.units import AssetId, Money, Price, Qty, TradeId


class TradeBusted(msgspec.Struct, frozen=True, array_like=True, tag=90):
    """One side of a trade was undone. The numbers are what it had moved, and goes back.

    `trade_seq` and `event_index` are the place of the event that told of it.
    """

    order: OrderView
    trade_id: TradeId
    trade_seq: int
    event_index: int
    qty: Qty
    price: Price
    notional: Money
    base_amount: Money
    fee: Money
    base_asset_id: AssetId
    quote_asset_id: AssetId
    is_resting: bool
    reason: str
    actor: str


class TradeCorrected(msgspec.Struct, frozen=True, array_like=True, tag=91):
    """One side of a trade was settled anew: at these numbers, not at the former ones."""

    order: OrderView
    trade_id: TradeId
    trade_seq: int
    event_index: int
    qty: Qty
    price: Price
    notional: Money
    base_amount: Money
    fee: Money
    former_qty: Qty
    former_price: Price
    former_notional: Money
    former_base_amount: Money
    former_fee: Money
    base_asset_id: AssetId
    quote_asset_id: AssetId
    is_resting: bool
    reason: str
    actor: str
