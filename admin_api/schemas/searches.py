"""Orders, executions, trades and statements, as searches find them."""

from typing import Any, Final

from pydantic import BaseModel, Field

from admin_api.schemas.pages import SearchPage

TIME: Final = "2026-11-23T09:30:00.123456Z"


class OrderSummary(BaseModel):
    """An order as it stands. Codes are those of FIX, numbers are decimal text."""

    order_id: int = Field(
        description="OrderID(37); of a refused order, which has none, the record of its refusal"
    )
    account_id: int
    account: str | None = Field(description="Account(1)", examples=["DEMO1"])
    firm_id: int | None
    session_id: int = Field(description="The FIX session that entered it, 0 for none")
    symbol: str = Field(description="Symbol(55)", examples=["BTC-USD"])
    cl_ord_id: str = Field(description="ClOrdID(11); of an amended order, its last")
    side: str = Field(description="Side(54): 1 buy, 2 sell")
    ord_type: str = Field(description="OrdType(40): 1 market, 2 limit")
    time_in_force: str = Field(description="TimeInForce(59): 0 day, 1 GTC, 3 IOC, 4 FOK, 6 GTD")
    price: str | None = Field(description="Price(44)", examples=["60000.00"])
    order_qty: str = Field(description="OrderQty(38)", examples=["0.5000"])
    leaves_qty: str = Field(description="LeavesQty(151)")
    cum_qty: str = Field(description="CumQty(14)")
    avg_px: str = Field(description="AvgPx(6)")
    ord_status: str = Field(
        description="OrdStatus(39): 0 new, 1 partly filled, 2 filled, 4 canceled, 8 rejected, "
        "C expired"
    )
    reason: str | None = Field(
        description="The code of a refusal or a cancel", examples=["INSUFFICIENT_BALANCE"]
    )
    text: str | None = Field(description="Text(58): the reason in words")
    terms: dict[str, Any] | None = Field(
        description="What few orders ask for: post-only, a minimum quantity, an end"
    )
    entered_at: str = Field(examples=[TIME])
    changed_at: str = Field(examples=[TIME])
    last_seq: int = Field(description="The journal's record that changed it last")


class RefusalView(BaseModel):
    """All that the engine knows of why it said no, in the units of the reason."""

    reason: str = Field(examples=["MAX_ORDER_QTY"])
    text: str = Field(examples=["MAX_ORDER_QTY: order qty 300 above account limit 200"])
    scope: str = Field(description="Whose limit or kill switch it was", examples=["account"])
    scope_id: int | None = Field(default=None, description="Which account, firm or session")
    level: str | None = Field(default=None, description="Who has set the limit")
    measure: str | None = Field(default=None, description="What the numbers count")
    actual: str | None = Field(default=None, description="What was asked, or would be reached")
    limit: str | None = Field(default=None, description="What is allowed")
    usage: str | None = Field(default=None, description="What was used of it before")
    low: str | None = Field(default=None, description="The least that would have passed")
    high: str | None = Field(default=None, description="The most that would have passed")
    reference_price: str | None = Field(default=None, description="What prices are measured from")
    reference_at: str | None = Field(default=None, description="When that was true")
    window: str | None = Field(default=None, description="Over which time it is counted")


class OrderEventView(BaseModel):
    """Something that happened to an order."""

    exec_id: str = Field(description="Its place in the journal: ExecID(17)", examples=["1042.1"])
    happened_at: str = Field(examples=[TIME])
    kind: str = Field(
        description="accepted, rejected, traded, canceled, expired, replaced, restated, "
        "status_reported, cancel_rejected, replace_rejected"
    )
    report: dict[str, Any] = Field(description="The fields of its report that apply")
    refusal: RefusalView | None = Field(description="Why the engine said no, if it did")


class OrderStory(SearchPage[OrderEventView]):
    """An order, and what happened to it from its beginning on."""

    order: OrderSummary


class TradeParty(BaseModel):
    """One side of a match, and what it cost: with a minus, what it earned."""

    order_id: int
    account_id: int
    fee: str = Field(examples=["0.12500000"])
    fee_asset: str | None = Field(description="Null where no fees are set", examples=["USD"])


class TradeView(BaseModel):
    """A match of two orders. A side that is not the asker's firm's is null."""

    trade_id: int = Field(description="SecondaryExecID(527) of both reports")
    happened_at: str = Field(examples=[TIME])
    seq: int = Field(description="The journal's record")
    symbol: str = Field(examples=["BTC-USD"])
    price: str = Field(examples=["60000.00"])
    qty: str = Field(examples=["0.5000"])
    notional: str = Field(description="What it cost, in the quote asset")
    aggressor_side: str | None = Field(
        description="Side(54) of the order that came in; null in an uncrossing"
    )
    state: str = Field(
        description="done; busted, when all of it went back; corrected, when it was settled anew, "
        "at the numbers here",
        examples=["done"],
    )
    changed_seq: int | None = Field(description="The record that has changed it last")
    buyer: TradeParty | None
    seller: TradeParty | None


class BalanceView(BaseModel):
    """What an account has of an asset. Null is what only the engine knows, and it is away."""

    asset: str = Field(examples=["USD"])
    balance: str = Field(examples=["1000000.00000000"])
    held: str | None = Field(description="Reserved for open orders and withdrawals under way")
    available: str | None = Field(description="What new orders may use, credit included")
    credit: str | None = Field(description="How far below zero the balance may go")


class BalancesView(BaseModel):
    """What an account has."""

    account_id: int
    seq: int = Field(description="The journal's record up to which this is true")
    source: str = Field(description="engine, or read_model while the engine is away")
    items: list[BalanceView]


class LedgerEntryView(BaseModel):
    """A line of an account's statement."""

    entry_id: str = Field(description="Record, event and posting", examples=["1042.1.0"])
    happened_at: str = Field(examples=[TIME])
    asset: str = Field(examples=["USD"])
    amount: str = Field(description="With a minus, what went out", examples=["-30000.00000000"])
    balance: str = Field(description="What was there afterwards")
    kind: str = Field(examples=["trade", "fee", "adjustment", "transfer", "withdrawal"])
    reference: str = Field(description="The trade's number, or the name that a transfer was given")
    order_id: int | None
