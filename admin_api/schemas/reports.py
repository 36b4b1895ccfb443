"""What was reported of an account's orders."""

from pydantic import BaseModel, Field


class ExecutionReportView(BaseModel):
    """An ExecutionReport(8), field by field as FIX clients are sent it.

    Numbers are decimal text in the instrument's decimals. A field that does not apply is null.
    """

    exec_id: str = Field(description="ExecID(17), the same as over FIX", examples=["1042.1"])
    exec_type: str = Field(
        description="ExecType(150): 0 new, F trade, 4 canceled, 5 replaced, L triggered, "
        "C expired, D restated, 8 rejected, I status, H trade undone, G trade corrected"
    )
    ord_status: str = Field(
        description="OrdStatus(39): 0 new, 1 partly filled, 2 filled, 4 canceled, 8 rejected, "
        "C expired"
    )
    order_id: str = Field(description="OrderID(37), NONE for an order that was refused")
    cl_ord_id: str = Field(description="ClOrdID(11), of the cancel request if one was asked")
    orig_cl_ord_id: str | None = Field(description="OrigClOrdID(41), of the order canceled")
    account: str | None = Field(description="Account(1)", examples=["DEMO1"])
    symbol: str = Field(description="Symbol(55)", examples=["BTC-USD"])
    side: str = Field(description="Side(54): 1 buy, 2 sell")
    ord_type: str = Field(description="OrdType(40): 1 market, 2 limit, 3 stop, 4 stop limit")
    time_in_force: str = Field(description="TimeInForce(59): 0 day, 1 GTC, 3 IOC, 4 FOK")
    order_qty: str = Field(description="OrderQty(38)", examples=["0.5000"])
    price: str | None = Field(description="Price(44)", examples=["60000.00"])
    last_qty: str | None = Field(description="LastQty(32), of this fill")
    last_px: str | None = Field(description="LastPx(31), of this fill")
    cum_qty: str = Field(description="CumQty(14)")
    leaves_qty: str = Field(description="LeavesQty(151)")
    avg_px: str = Field(description="AvgPx(6)")
    trade_id: str | None = Field(description="SecondaryExecID(527), the same on both sides")
    last_liquidity_ind: str | None = Field(
        description="LastLiquidityInd(851): 1 added liquidity, 2 removed it, 4 auction"
    )
    exec_ref_id: str | None = Field(
        description="ExecRefID(19): the fill that was undone or corrected"
    )
    fee: str | None = Field(
        description="MiscFeeAmt(137): what the fill cost, below 0 what it earned",
        examples=["0.05000000"],
    )
    fee_asset: str | None = Field(description="MiscFeeCurr(138)", examples=["USD"])
    ord_rej_reason: str | None = Field(description="OrdRejReason(103)")
    exec_restatement_reason: str | None = Field(description="ExecRestatementReason(378)")
    reason: str | None = Field(
        description="The code of a refusal or a cancel", examples=["INSUFFICIENT_BALANCE"]
    )
    text: str | None = Field(description="Text(58)")
    exec_inst: str | None = Field(description="ExecInst(18): 6 post-only")
    min_qty: str | None = Field(description="MinQty(110)")
    display_qty: str | None = Field(
        description="DisplayQty(1138): what an iceberg shows at the moment"
    )
    stop_px: str | None = Field(description="StopPx(99)", examples=["61000.00"])
    trigger_direction: str | None = Field(
        description="TriggerPriceDirection(1109) of a stop order: U up, D down"
    )
    working_indicator: str | None = Field(
        description="WorkingIndicator(636): N while a stop order waits, then Y"
    )
    expires_at: str | None = Field(
        description="ExpireTime(126) in UTC", examples=["2026-11-24T00:00:00.000000Z"]
    )
    transact_time: str = Field(
        description="TransactTime(60) in UTC", examples=["2026-11-23T09:30:00.123456Z"]
    )
