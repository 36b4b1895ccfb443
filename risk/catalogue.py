"""The list of controls: what each is, for whom, who sets it, and where the demand comes from.

docs/risk.md shows it, `wcx risk controls` prints it, and a test holds both against the code.
"""

from typing import Final, NamedTuple

from engine.controls import Control
from engine.reasons import CancelReason, RejectReason

R = RejectReason
C = CancelReason
OPERATOR: Final = "operator"
EVERYBODY: Final = "operator, firm, client"


class Entry(NamedTuple):
    """One control. `number` is its place in the venue's list of controls.

    `settings` are the `Control`s, the fields of `InstrumentRules` and the commands that set it;
    `checks` the functions that make it.
    """

    number: str
    name: str
    definition: str
    scope: str
    set_by: str
    settings: tuple[str, ...]
    default: str
    codes: tuple[RejectReason | CancelReason, ...]
    source: str
    checks: tuple[str, ...] = ()


def controls(*names: Control) -> tuple[str, ...]:
    """Return the names of controls."""
    return tuple(name.name for name in names)


CATALOGUE: Final = (
    Entry(
        "1, 2",
        "Permissions and restricted lists",
        "Sides and order types that may not be entered, in an instrument or at all",
        "firm, account, user, session",
        EVERYBODY,
        controls(Control.RESTRICTED),
        "nothing is restricted",
        (R.NOT_AUTHORISED, R.SYMBOL_RESTRICTED),
        "SEC 15c3-5(c)(2)",
        ("check_rights",),
    ),
    Entry(
        "3",
        "Order rate",
        "Orders and amendments that are let in, per second and at once, over all sessions",
        "account",
        OPERATOR,
        ("SetAccountThrottle",),
        "no limit",
        (R.RATE_LIMIT,),
        "RTS 7 Art 18; CME",
        ("check_rate",),
    ),
    Entry(
        "3",
        "Messages",
        "Orders and amendments that are let in, and cancels, within a time; cancels always go on",
        "firm, account, user, session; instrument",
        EVERYBODY,
        controls(Control.MESSAGES),
        "no limit",
        (R.MESSAGE_LIMIT,),
        "RTS 7 Art 18; CME",
        ("check_messages",),
    ),
    Entry(
        "5",
        "Age of messages",
        "ValidUntilTime, RecvWindow, and how far ahead a sender's clock may be",
        "order; instrument for the clock",
        "client; operator for the clock",
        ("clock_skew_max_ns",),
        "as the order says; no bound on clocks",
        (R.VALID_UNTIL_PASSED, R.RECV_WINDOW_PASSED, R.CLOCK_SKEW, R.STALE),
        "Binance, Kraken",
        ("check_clock",),
    ),
    Entry(
        "6",
        "Price and quantity",
        "Tick, lot, lowest and highest price, least and largest quantity; never rounded",
        "instrument",
        OPERATOR,
        ("price_min", "price_max", "order_qty_min", "order_qty_max", "market_qty_max"),
        "tick and lot of the definition; no range",
        (R.TICK_SIZE, R.LOT_SIZE, R.PRICE_RANGE, R.MIN_ORDER_QTY, R.MAX_ORDER_QTY),
        "RTS 7 Art 20; Binance PRICE_FILTER, LOT_SIZE",
        ("check_price_range", "check_qty_range"),
    ),
    Entry(
        "7",
        "Value of an order",
        "Least and largest price times quantity; a market order's at the reference price",
        "instrument",
        OPERATOR,
        ("notional_min", "notional_max"),
        "no range",
        (R.MIN_NOTIONAL, R.MAX_ORDER_NOTIONAL),
        "RTS 7 Art 20; Binance NOTIONAL",
        ("check_notional_range",),
    ),
    Entry(
        "8",
        "Largest order of an account",
        "Quantity and value of one order, as the operator allows: without a row no trading",
        "account, firm, session; instrument",
        OPERATOR,
        ("SetRiskLimits", "SetScopeLimits"),
        "none set: every order is refused",
        (R.NO_RISK_LIMITS, R.MAX_ORDER_QTY, R.MAX_ORDER_NOTIONAL),
        "SEC 15c3-5(c)(1)(ii); RTS 6 Art 15(1)",
        ("check_limits_exist", "check_order_qty", "check_notional"),
    ),
    Entry(
        "8",
        "Fat finger",
        "Quantity and value of one order, as firm and client see it",
        "firm, account, user, session; instrument",
        EVERYBODY,
        controls(Control.ORDER_QTY, Control.ORDER_VALUE),
        "no limit",
        (R.FAT_FINGER_QTY, R.FAT_FINGER_VALUE),
        "SEC 15c3-5(c)(1)(ii); RTS 6 Art 15(1)",
        ("check_firm_qty", "check_firm_value"),
    ),
    Entry(
        "8",
        "Share of daily volume",
        "Quantity of one order against the average daily volume that the operator names",
        "instrument",
        OPERATOR,
        ("volume_share_max_bps", "average_daily_volume"),
        "no limit; with one and no volume, refused",
        (R.MAX_VOLUME_SHARE, R.NO_DAILY_VOLUME),
        "Cboe; RTS 6 Art 15(1)",
        ("check_volume_share",),
    ),
    Entry(
        "9",
        "Asset in one order",
        "How much of an asset one order may move, as base or as quote",
        "firm, account, user, session; asset",
        EVERYBODY,
        controls(Control.ORDER_ASSET),
        "no limit",
        (R.MAX_ASSET,),
        "Binance MAX_ASSET",
        ("check_asset", "check_other_asset"),
    ),
    Entry(
        "10",
        "Static collar",
        "Price within hundredths of a percent of the reference, for buys and sells apart",
        "instrument",
        OPERATOR,
        ("buy_up_bps", "buy_down_bps", "sell_up_bps", "sell_down_bps"),
        "no collar",
        (R.PRICE_COLLAR,),
        "RTS 7 Art 20; Binance PERCENT_PRICE_BY_SIDE",
        ("check_collar",),
    ),
    Entry(
        "11",
        "Dynamic band",
        "Price within so many ticks of the reference",
        "instrument",
        OPERATOR,
        ("band_ticks",),
        "no band",
        (R.PRICE_BAND,),
        "Cboe Digital",
        ("check_band",),
    ),
    Entry(
        "12",
        "Reference price",
        "Last trade, else mid of the book, else the operator's price, each if it is fresh",
        "instrument",
        OPERATOR,
        (
            "SetReferencePrice",
            "trade_age_max_ns",
            "book_age_max_ns",
            "operator_age_max_ns",
            "trades_without_reference",
        ),
        "any age; without one, refused",
        (R.NO_REFERENCE_PRICE,),
        "a lesson of Binance, where the rule is off then",
        ("check_reference",),
    ),
    Entry(
        "13",
        "Market order protection",
        "A market order trades no further than so far from the reference; the rest is cancelled",
        "instrument",
        OPERATOR,
        ("market_protection_bps",),
        "that of the definition, from the best price",
        (C.MARKET_PROTECTION,),
        "Cboe, Kraken",
    ),
    Entry(
        "14",
        "Execution collar",
        "No fill further than so far from the reference; the rest is cancelled",
        "instrument",
        OPERATOR,
        ("execution_collar_bps",),
        "no collar",
        (C.EXECUTION_COLLAR,),
        "Binance price range rule",
    ),
    Entry(
        "15",
        "Circuit breaker",
        "Band round the mean of the last trades; limit state; pause; resume by an uncrossing",
        "instrument",
        OPERATOR,
        ("breaker",),
        "none",
        (C.CIRCUIT_BREAKER, R.MARKET_HALTED),
        "Limit Up-Limit Down plan; RTS 7 Art 18",
    ),
    Entry(
        "16",
        "ClOrdID used once",
        "A name serves once in 24 hours; with PossResend(97) its order's state is the answer",
        "account",
        "the venue",
        (),
        "always",
        (R.DUPLICATE_CLORDID,),
        "Coinbase Prime",
    ),
    Entry(
        "17",
        "Orders alike",
        "So many orders in a row of the same instrument, side, price and quantity within a time",
        "account, session",
        EVERYBODY,
        controls(Control.REPEATED_ORDERS),
        "no limit",
        (R.DUPLICATE_ORDER,),
        "SEC 15c3-5(c)(1)(ii); RTS 7 Art 18(2)(c)(ii)",
        ("check_repetition",),
    ),
    Entry(
        "18",
        "Open orders and amendments",
        "How many orders may be open, in all and of a side, and how often one may be amended",
        "firm, account; instrument",
        EVERYBODY,
        controls(
            Control.OPEN_ORDERS,
            Control.OPEN_ORDERS_PER_SIDE,
            Control.STOP_ORDERS,
            Control.ICEBERG_ORDERS,
            Control.AMENDMENTS,
        ),
        "no limit",
        (R.MAX_OPEN_ORDERS, R.MAX_STOP_ORDERS, R.MAX_ICEBERG_ORDERS, R.MAX_AMENDS),
        "Binance MAX_NUM_ORDERS family",
        (
            "check_open_orders",
            "check_open_orders_per_side",
            "check_stops",
            "check_icebergs",
            "check_amendments",
        ),
    ),
    Entry(
        "19",
        "Unfilled orders",
        "Orders within a time; one that trades is credited back",
        "firm, account; instrument",
        EVERYBODY,
        controls(Control.UNFILLED_ORDERS),
        "no limit",
        (R.TOO_MANY_UNFILLED,),
        "Binance",
        ("check_unfilled",),
    ),
    Entry(
        "20",
        "Order-to-trade ratio",
        "Messages within a time for each fill, and as many without any; cancels always go on",
        "firm, account, user, session; instrument",
        EVERYBODY,
        controls(Control.MESSAGES_PER_FILL),
        "no limit",
        (R.ORDER_TO_TRADE,),
        "RTS 9; Eurex",
        ("check_messages_per_fill",),
    ),
    Entry(
        "22",
        "Balance",
        "What an order may cost, worst fee included, is reserved before it reaches the book",
        "account; asset",
        "the venue",
        (),
        "always",
        (R.INSUFFICIENT_BALANCE,),
        "SEC 15c3-5(c)(1)(i)",
        ("check_balance",),
    ),
    Entry(
        "23",
        "Credit line",
        "How far a balance may go below zero; told when 80, 90 and 100 % are used",
        "account; asset",
        OPERATOR,
        ("SetCreditLine",),
        "no credit",
        (R.INSUFFICIENT_BALANCE,),
        "SEC 15c3-5(c)(1)(i); CME GC2",
    ),
    Entry(
        "24",
        "Position",
        "What an asset would come to if all open orders traded, long or short",
        "firm, account; asset",
        EVERYBODY,
        controls(Control.POSITION),
        "no limit",
        (R.POSITION_LIMIT,),
        "Binance MAX_POSITION",
        ("check_position",),
    ),
    Entry(
        "25",
        "Exposure",
        "Value entered within a time or today: bought, sold, together, or the balance of both",
        "firm, account; quote asset",
        EVERYBODY,
        controls(
            Control.GROSS_EXPOSURE,
            Control.BUY_EXPOSURE,
            Control.SELL_EXPOSURE,
            Control.NET_EXPOSURE,
        ),
        "no limit",
        (R.EXPOSURE_LIMIT,),
        "SEC 15c3-5(c)(1)(ii), short period; Nasdaq",
        ("check_exposure",),
    ),
    Entry(
        "26",
        "Execution throttle",
        "Fills or quantity filled within a time: what is beyond cancels the group and stops it",
        "account, user, session",
        EVERYBODY,
        controls(Control.FILLS, Control.FILLED_QTY),
        "no limit",
        (R.CANCEL_ONLY, C.EXECUTION_THROTTLE),
        "RTS 6 Art 15(3); Kalshi",
    ),
    Entry(
        "27",
        "Loss of the day",
        "Realised and unrealised result of today's trades: beyond it, reduce only",
        "account; quote asset",
        EVERYBODY,
        controls(Control.DAY_LOSS),
        "no limit",
        (R.LOSS_LIMIT, R.REDUCE_ONLY),
        "FIA",
        ("check_loss",),
    ),
    Entry(
        "28",
        "Trading modes",
        "NORMAL, REDUCE_ONLY, CANCEL_ONLY, BLOCKED; the strictest of all that concern an order",
        "exchange, instrument, firm, account, user, session",
        EVERYBODY,
        ("SetTradingMode",),
        "NORMAL",
        (R.REDUCE_ONLY, R.CANCEL_ONLY, R.SUSPENDED, C.SUSPENDED),
        "FIA; RTS 7 Art 18",
        ("check_mode",),
    ),
    Entry(
        "29",
        "Kill switch",
        "Refuses new orders and cancels all open ones until another person lifts it",
        "exchange, instrument, firm, account, user, session",
        EVERYBODY,
        ("PullKillSwitch", "LiftKillSwitch"),
        "not pulled",
        (R.KILLED, R.SAME_OPERATOR, C.KILLED),
        "RTS 6 Art 12; RTS 7 Art 18",
    ),
    Entry(
        "31",
        "Dead-man timer",
        "Cancels an account's orders unless set anew in time, whatever its connections",
        "account",
        "client",
        ("SetDeadManTimer",),
        "does not run",
        (C.DEAD_MAN,),
        "WOO X cancel-all-after; Cboe CFE",
    ),
    Entry(
        "34",
        "Temporary override",
        "One order, or the orders of an account, pass one limit up to an amount, until a time",
        "account; order",
        "two operators",
        ("GrantOverride", "RevokeOverride"),
        "none",
        (R.APPROVER_MISSING, R.NOT_GRANTED),
        "RTS 7 Art 20(2)(d)",
    ),
    Entry(
        "35",
        "Changes of limits",
        "Versioned, effective with the next order, journaled; a client may only tighten",
        "all",
        EVERYBODY,
        ("SetLimit", "SetInstrumentRules"),
        "always",
        (R.NOT_TIGHTER,),
        "SEC 15c3-5(d); RTS 7 Art 20(2)(a)",
    ),
)


def render_catalogue() -> str:
    """Return the list as a table in Markdown."""
    lines = [
        "| # | control | definition | scope | set by | set with | default | code | from |",
        "|--|--|--|--|--|--|--|--|--|",
    ]
    lines += [
        "| "
        + " | ".join(
            (
                entry.number,
                entry.name,
                entry.definition,
                entry.scope,
                entry.set_by,
                " ".join(f"`{setting}`" for setting in entry.settings),
                entry.default,
                " ".join(f"`{code.name}`" for code in entry.codes),
                entry.source,
            )
        )
        + " |"
        for entry in CATALOGUE
    ]
    return "\n".join(lines) + "\n"
