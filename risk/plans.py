"""Which limits concern an order: put together once for whoever trades what, and kept.

A plan holds what the checks look at, so that an order pays for the controls that are set and for no
others. Whatever changes a limit, a rule or a mode throws all plans away.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from engine.controls import Control, InstrumentRules, TradingMode
from engine.instrument import Account, Instrument
from engine.limits import RiskLimits, ScopeLimits
from engine.units import INT_MAX
from risk.circuit_breaker import Breaker
from risk.day_results import DayResults, ResultLines, loss_of
from risk.holdings import Desk
from risk.limits import LimitRow
from risk.rate_limiter import RateLimiter
from risk.reference_price import ReferencePrice, Source
from risk.windows import Repetition, RollingSum

MESSAGES, MESSAGES_PER_FILL = Control.MESSAGES, Control.MESSAGES_PER_FILL
UNFILLED_ORDERS, REPEATED_ORDERS = Control.UNFILLED_ORDERS, Control.REPEATED_ORDERS
FILLS, FILLED_QTY = Control.FILLS, Control.FILLED_QTY
DAY_LOSS, NET_EXPOSURE = Control.DAY_LOSS, Control.NET_EXPOSURE
EXPOSURES: Final = (
    Control.GROSS_EXPOSURE,
    Control.BUY_EXPOSURE,
    Control.SELL_EXPOSURE,
    NET_EXPOSURE,
)
FED_BY_FILLS: Final = (FILLS, FILLED_QTY)
NO_ROWS: Final[tuple[LimitRow, ...]] = ()
NEVER_NS: Final = INT_MAX

Windows = tuple[RollingSum, ...]
NO_WINDOWS: Final[Windows] = ()


class Plan:
    """What concerns orders of one account in one instrument, over one session and user.

    `limits` are those that the account must have; `order_limits` are they, then those of the firm,
    the account, the user and the session. `throttle` None: as often as it likes. `rows` are the
    limits by control, the tightest first; `breaker` None: the instrument has none.

    What an event adds to is found beforehand: `entered` counts each order, `messages` each message
    that is none; `bought` and `sold` add up the values of orders, `netted` of buys less sells. Each
    fill takes off `credited`, the first of an order off `unfilled`, and adds to `filled`. The part
    that is being filled is over at `windows_end_ns` in the first of them.
    """

    __slots__ = (
        "account",
        "bought",
        "breaker",
        "credited",
        "day",
        "day_lines",
        "desk",
        "entered",
        "exposures",
        "filled",
        "instrument",
        "is_fed",
        "limits",
        "loss_max",
        "losses",
        "messages",
        "mode",
        "netted",
        "notional_factor",
        "order_limits",
        "reference",
        "repetitions",
        "rows",
        "rules",
        "sold",
        "source",
        "throttle",
        "unfilled",
        "windows",
        "windows_end_ns",
    )

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        desk: Desk,
        source: Source,
        day: DayResults,
    ) -> None:
        self.account = account
        self.instrument = instrument
        self.notional_factor = instrument.notional_factor
        self.desk = desk
        self.source = source
        self.day = day
        self.day_lines: ResultLines | None = None
        self.limits: RiskLimits | None = None
        self.order_limits: list[RiskLimits | ScopeLimits] = []
        self.rules: InstrumentRules | None = None
        self.breaker: Breaker | None = None
        self.throttle: RateLimiter | None = None
        self.mode: TradingMode | None = None
        # What the price of the order that is being checked is measured from, once it was looked up.
        self.reference: ReferencePrice | None = None
        self.rows: dict[Control, list[LimitRow]] = {}
        self.exposures: Sequence[LimitRow] = NO_ROWS
        self.losses: Sequence[LimitRow] = NO_ROWS
        self.windows_end_ns = NEVER_NS
        self.windows = self.entered = self.messages = self.unfilled = self.credited = NO_WINDOWS
        self.bought = self.sold = self.netted = NO_WINDOWS
        self.repetitions: tuple[Repetition, ...] = ()
        self.filled: tuple[tuple[RollingSum, LimitRow], ...] = ()
        self.is_fed = False
        self.loss_max: int | None = None

    def loss(self, now_ns: int) -> int:
        """Return what the account has lost today in the instrument's quote asset."""
        lines = self.day_lines
        if lines is None:
            quote = self.instrument.quote.asset_id
            lines = self.day_lines = self.day.find(self.account.account_id, quote)
        return 0 if lines is None else loss_of(lines, now_ns)

    def add_rows(self, rows: list[LimitRow]) -> None:
        """Take in the limits that concern the orders. There are none yet."""
        by_control = self.rows
        for row in rows:
            alike = by_control.get(row.control)
            if alike is None:
                by_control[row.control] = [row]
            else:
                alike.append(row)
                alike.sort(key=_value_of)
        find, quote = by_control.get, self.instrument.quote.asset_id
        self.is_fed = True
        timed = [row for row in rows if row.window is not None]
        self.windows = windows_of(timed)
        self.windows_end_ns = 0  # It is found out when an event has to be counted.
        self.unfilled = windows_of(find(UNFILLED_ORDERS, NO_ROWS))
        self.credited = windows_of(find(MESSAGES_PER_FILL, NO_ROWS))
        self.messages = self.credited + windows_of(find(MESSAGES, NO_ROWS))
        self.entered = self.messages + self.unfilled
        self.repetitions = tuple(
            [row.repetition for row in find(REPEATED_ORDERS, NO_ROWS) if row.repetition is not None]
        )
        self.exposures = [
            row for row in timed if row.control in EXPOSURES and row.asset_id == quote
        ]
        self.netted = windows_of(row for row in self.exposures if row.control is NET_EXPOSURE)
        gross = [row for row in self.exposures if row.control is not NET_EXPOSURE]
        self.bought = windows_of(row for row in gross if row.buy_sign)
        self.sold = windows_of(row for row in gross if row.sell_sign)
        self.losses = [row for row in find(DAY_LOSS, NO_ROWS) if row.asset_id == quote]
        self.loss_max = self.losses[0].value if self.losses else None
        # In the order in which limits were set, which is that of the modes they lead to.
        self.filled = tuple(
            [(row.window, row) for row in timed if row.window and row.control in FED_BY_FILLS]
        )

    def move_on(self, now_ns: int) -> None:
        """Let no window have a part that is over."""
        for window in self.windows:
            if now_ns >= window.ends_ns:
                window.move_on(now_ns)
        self.windows_end_ns = min([window.ends_ns for window in self.windows], default=NEVER_NS)


def windows_of(rows: Iterable[LimitRow]) -> Windows:
    """Return what counts over a time in the rows that do."""
    return tuple([row.window for row in rows if row.window is not None])


def _value_of(row: LimitRow) -> int:
    return row.value
