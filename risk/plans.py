"""Which limits concern an order: put together once for whoever trades what, and kept.

A plan holds what the checks look at, so that an order pays for the controls that are set and for no
others. Whatever changes a limit, a rule or a mode throws all plans away.
"""

from typing import Final

from engine.controls import Control, InstrumentRules, TradingMode
from engine.gate_state import PriceSource
from engine.instrument import Account, Instrument
from engine.limits import RiskLimits, ScopeLimits
from risk.day_results import DayResults
from risk.holdings import Desk
from risk.limits import LimitRow
from risk.rate_limiter import RateLimiter
from risk.reference_price import ReferencePrice

EXPOSURES: Final = (
    Control.GROSS_EXPOSURE,
    Control.BUY_EXPOSURE,
    Control.SELL_EXPOSURE,
    Control.NET_EXPOSURE,
)
FED_BY_ORDERS: Final = (Control.UNFILLED_ORDERS, Control.REPEATED_ORDERS)
FED_BY_MESSAGES: Final = (Control.MESSAGES, Control.MESSAGES_PER_FILL)
FED_BY_FILLS: Final = (
    Control.UNFILLED_ORDERS,
    Control.FILLS,
    Control.FILLED_QTY,
    Control.MESSAGES_PER_FILL,
)
NO_ROWS: Final[list[LimitRow]] = []


class Plan:
    """What concerns orders of one account in one instrument, over one session and user.

    `limits` are those that the account must have; `order_limits` are they, then those of the firm,
    the account, the user and the session. `throttle` None: as often as it likes.
    """

    __slots__ = (
        "account",
        "day",
        "desk",
        "exposures",
        "fed_by_fills",
        "fed_by_messages",
        "fed_by_orders",
        "has_fill_limits",
        "has_order_limits",
        "instrument",
        "limits",
        "losses",
        "mode",
        "order_limits",
        "reference",
        "rows",
        "rules",
        "source",
        "throttle",
    )

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        desk: Desk,
        source: PriceSource,
        day: DayResults,
    ) -> None:
        self.account = account
        self.instrument = instrument
        self.desk = desk
        self.source = source
        self.day = day
        self.limits: RiskLimits | None = None
        self.order_limits: list[RiskLimits | ScopeLimits] = []
        self.rules: InstrumentRules | None = None
        self.throttle: RateLimiter | None = None
        self.mode: TradingMode | None = None
        # What the price of the order that is being checked is measured from, once it was looked up.
        self.reference: ReferencePrice | None = None
        self.rows: dict[Control, list[LimitRow]] = {}
        self.exposures: list[LimitRow] = NO_ROWS
        self.fed_by_orders: list[LimitRow] = NO_ROWS
        self.fed_by_messages: list[LimitRow] = NO_ROWS
        self.fed_by_fills: list[LimitRow] = NO_ROWS
        self.has_order_limits = self.has_fill_limits = False
        self.losses: list[LimitRow] = NO_ROWS

    def add_rows(self, rows: list[LimitRow]) -> None:
        """Take in the limits that concern the orders. The tightest of a control comes first."""
        for row in sorted(rows, key=lambda row: row.value):
            self.rows.setdefault(row.control, []).append(row)
        quote = self.instrument.quote.asset_id
        self.exposures = [row for row in rows if row.control in EXPOSURES and row.asset_id == quote]
        self.fed_by_orders = [row for row in rows if row.control in FED_BY_ORDERS]
        self.fed_by_messages = [row for row in rows if row.control in FED_BY_MESSAGES]
        self.fed_by_fills = [row for row in rows if row.control in FED_BY_FILLS]
        self.has_order_limits = bool(self.fed_by_orders or self.exposures)
        self.has_fill_limits = bool(self.fed_by_fills or self.exposures)
        self.losses = [
            row
            for row in self.rows.get(Control.DAY_LOSS, NO_ROWS)
            if row.asset_id == self.instrument.quote.asset_id
        ]
