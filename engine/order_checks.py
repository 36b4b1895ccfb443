"""What is checked of an order before it may act, in the order in which reasons take precedence."""

from typing import Final

import msgspec

from engine.commands import CancelOrder, NewOrder, RefuseRequest, ReplaceOrder
from engine.controls import RefusalDetail
from engine.floor import Floor, paid_asset, with_fee
from engine.gate import Candidate, Funding, Rejection, RiskGate
from engine.instrument import Account, Instrument
from engine.kill_switches import KillSwitches
from engine.live_order import Order
from engine.matching import Reach, counted_price, find_reach, limit_of, would_trade
from engine.order import OrderTerms, OrdType, SelfTradeMode, Side, TimeInForce
from engine.presence import Presence
from engine.reasons import RejectReason
from engine.self_trade import SelfTradeGuard, SelfTradeRules
from engine.trading_state import Entry, TradingState
from engine.units import INT_MAX, Money, Price, Qty, is_cl_ord_id

BUY = Side.BUY
MARKET = OrdType.MARKET
LIMIT = OrdType.LIMIT
ICEBERG_PARTS_MAX: Final = 100
STOP_TYPES: Final = (OrdType.STOP, OrdType.STOP_LIMIT)
LIMITED_TYPES: Final = (OrdType.LIMIT, OrdType.STOP_LIMIT)
CONTINUOUS = TradingState.CONTINUOUS
GTD = TimeInForce.GTD
RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)


class OrderChecks:
    """Says why a request is refused. Changes nothing.

    Belongs to the thread that applies commands.
    """

    def __init__(
        self,
        floor: Floor,
        gate: RiskGate,
        presence: Presence,
        kill_switches: KillSwitches,
        self_trade: SelfTradeRules,
    ) -> None:
        self._floor = floor
        self._reference = floor.reference
        self._gate = gate
        self._presence = presence
        self._kill_switches = kill_switches
        self._self_trade = self_trade
        self.is_storage_low = False

    def entry_refusal(self, command: NewOrder, now_ns: int) -> Rejection | None:
        """Return why the order may not be entered, None when it may."""
        account = self._reference.accounts.get(command.account_id)
        if account is None:
            return Rejection(RejectReason.ACCOUNT_UNKNOWN, actual=command.account_id)
        memory = self._floor.memory
        if memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id) is not None:
            return Rejection(RejectReason.DUPLICATE_CLORDID)
        instrument = self._reference.instruments.get(command.instrument_id)
        if instrument is None:
            return Rejection(RejectReason.SYMBOL_UNKNOWN, actual=command.instrument_id)
        if self.is_storage_low:
            return Rejection(RejectReason.STORAGE_LOW)
        book = self._floor.books[command.instrument_id]
        is_continuous = book.market.state is CONTINUOUS
        rejection = None
        if self._kill_switches.is_any_pulled:
            rejection = self._killed(command, account)
        if rejection is None and not is_continuous:
            rejection = self._not_taken(command)
        rejection = (
            rejection
            or self._gate.check_trader(command, None)
            or self._untimely(command, now_ns)
            or _content_rejection(command, instrument)
        )
        is_plain = is_continuous and command.terms is None and command.time_in_force is not GTD
        if rejection is None and not is_plain:
            rejection = _terms_rejection(command, instrument, now_ns)
            rejection = rejection or self._post_only_rejection(command)
        if rejection is not None:
            return rejection
        funding = self._funding(command, instrument)
        return self._gate.check_entry(Candidate(command, funding, book, now_ns))

    def amend_refusal(
        self, command: ReplaceOrder, order: Order | None, now_ns: int
    ) -> Rejection | None:
        """Return why the order that `find_named` found may not be amended, None when it may.

        An amendment to what is filled already, or less, ends the order: it needs no funds.
        """
        reason = self.cancel_refusal(command, order)
        if reason is not None:
            return Rejection(reason)
        assert order is not None
        if command.orig_cl_ord_id and command.orig_cl_ord_id != order.cl_ord_id:
            return Rejection(RejectReason.ORIG_CLORDID_REPLACED)
        if not _fits(command, order):
            return Rejection(RejectReason.UNSUPPORTED)
        if self.is_storage_low:
            return Rejection(RejectReason.STORAGE_LOW)
        instrument = self._reference.instruments[order.instrument_id]
        account = self._reference.accounts[order.account_id]
        amended = as_entered(command, order)
        rejection = (
            self._killed(amended, account)
            or self._not_amendable(order, amended)
            or self._gate.check_trader(amended, order)
            or self._untimely(command, now_ns)
            or _content_rejection(amended, instrument)
        )
        if rejection is not None or command.order_qty <= order.cum_qty:
            return rejection
        if not order.is_waiting:
            rejection = self._post_only_rejection(amended)
            rejection = rejection or self._self_trade_rejection(amended, order)
        if rejection is not None:
            return rejection
        funding = self._amended_funding(amended, order, instrument)
        book = self._floor.books[instrument.instrument_id]
        return self._gate.check_entry(Candidate(amended, funding, book, now_ns, order))

    def cancel_refusal(
        self, command: CancelOrder | ReplaceOrder, order: Order | None
    ) -> RejectReason | None:
        """Return why the order that `find_named` found may not be cancelled, None when it may."""
        if command.account_id not in self._reference.accounts:
            return RejectReason.ACCOUNT_UNKNOWN
        memory = self._floor.memory
        if memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id) is not None:
            return RejectReason.DUPLICATE_CLORDID
        if not is_cl_ord_id(command.cl_ord_id):
            return RejectReason.CLORDID_INVALID
        if order is None:
            return RejectReason.UNKNOWN_ORDER
        if not order.leaves_qty:
            return RejectReason.TOO_LATE_TO_CANCEL
        return None

    def find_named(self, command: CancelOrder | ReplaceOrder | RefuseRequest) -> Order | None:
        """Return the one order of the account that fits all that the request says of it."""
        order = self._floor.memory.find_named(
            command.account_id, command.orig_cl_ord_id, command.order_id
        )
        if order is None or not order.fits(command.instrument_id, command.side):
            return None
        return order

    def _killed(self, command: NewOrder, account: Account) -> Rejection | None:
        """Refuse what a kill switch stops."""
        switch = self._kill_switches.find(
            command.session_id, account, command.user_id, command.instrument_id
        )
        if switch is None:
            return None
        detail = RefusalDetail(level=switch.level, scope_id=switch.scope_id)
        return Rejection(RejectReason.KILLED, scope=switch.scope, detail=detail)

    def _untimely(self, command: NewOrder | ReplaceOrder, now_ns: int) -> Rejection | None:
        """Refuse what must not be entered any more."""
        if command.orig_sent_at_ns > 0:
            stale_before_ns = self._presence.stale_before_ns(command.session_id)
            if command.orig_sent_at_ns <= stale_before_ns:
                return Rejection(RejectReason.STALE, stale_before_ns, command.orig_sent_at_ns)
        if 0 < command.valid_until_ns < now_ns:
            return Rejection(RejectReason.VALID_UNTIL_PASSED, command.valid_until_ns, now_ns)
        window_ns = command.recv_window_ns
        sent_at_ns = command.sent_at_ns or command.received_at_ns
        if window_ns and now_ns - sent_at_ns > window_ns:
            return Rejection(RejectReason.RECV_WINDOW_PASSED, window_ns, now_ns - sent_at_ns)
        return None

    def _not_taken(self, command: NewOrder) -> Rejection | None:
        """Refuse what the instrument's trading state, another than CONTINUOUS, does not take."""
        market = self._floor.books[command.instrument_id].market
        entry, refusal = market.rules.entry, market.rules.refusal
        is_post_only = command.terms is not None and command.terms.is_post_only
        is_taken = is_post_only if entry is Entry.POST_ONLY else False
        if entry is Entry.WAITING:
            is_taken = (
                command.ord_type is not MARKET
                and command.time_in_force in RESTING_TIMES
                and not is_post_only
            )
        assert refusal is not None
        return None if is_taken else Rejection(refusal)

    def _not_amendable(self, order: Order, amended: NewOrder) -> Rejection | None:
        """Refuse what the trading state does not take, and to change what has been triggered."""
        book = self._floor.books[order.instrument_id]
        rules = book.market.rules
        if not rules.takes_amendments:
            assert rules.refusal is not None
            return Rejection(rules.refusal)
        if order.ord_type not in STOP_TYPES:
            return None
        assert order.terms is not None
        assert amended.terms is not None
        if order.is_waiting:
            is_too_late = book.stops.is_reached(order)
        else:
            is_too_late = order.terms.stop_price != amended.terms.stop_price
        return Rejection(RejectReason.STOP_TRIGGERED) if is_too_late else None

    def _post_only_rejection(self, command: NewOrder) -> Rejection | None:
        is_post_only = command.terms is not None and command.terms.is_post_only
        market = self._floor.books[command.instrument_id].market
        if not is_post_only and market.state is not TradingState.POST_ONLY:
            return None
        assert command.price is not None
        opposite = self._floor.books[command.instrument_id].opposite(command.side)
        if would_trade(opposite, command.side, command.price):
            return Rejection(RejectReason.POST_ONLY_WOULD_TRADE)
        return None

    def _self_trade_rejection(self, amended: NewOrder, order: Order) -> Rejection | None:
        """Refuse an amendment that would end its own order, or shorten it unasked."""
        open_qty = Qty(amended.order_qty - order.cum_qty)
        guard = self._self_trade.find_guard(order.account_id, order.session_id, order.terms)
        matches = self._floor.books[order.instrument_id].market.state is CONTINUOUS
        if not matches or guard is None or guard.mode is SelfTradeMode.CANCEL_RESTING:
            return None
        if self._reach(amended, open_qty, guard).meets_own:
            return Rejection(RejectReason.SELF_TRADE)
        return None

    def _reach(self, command: NewOrder, qty: Qty, guard: SelfTradeGuard | None) -> Reach:
        return find_reach(
            self._floor.books[command.instrument_id].opposite(command.side),
            self._reference.instruments[command.instrument_id],
            side=command.side,
            qty=qty,
            price=command.price,
            guard=guard,
        )

    def _funding(self, command: NewOrder, instrument: Instrument) -> Funding:
        price = command.price
        if price is None:
            price = counted_price(command, instrument)
        if price is not None:
            notional = instrument.notional(price, command.order_qty)
        else:
            # A market order costs what the book asks at this moment: nothing comes in between.
            guard = self._self_trade.find_guard(
                command.account_id, command.session_id, command.terms
            )
            notional = self._reach(command, command.order_qty, guard).notional
        if command.side is BUY:
            asset_id, needed = instrument.quote.asset_id, notional
            if not self._floor.fees.is_free:
                fees = self._floor.fees.find(command.account_id, command.instrument_id)
                needed = notional if fees is None else with_fee(notional, fees)
        else:
            asset_id = instrument.base.asset_id
            needed = instrument.base_amount(command.order_qty)
        available = self._floor.ledger.get_balance(command.account_id, asset_id).available
        # A sum over a deep book may pass what the journal can write; no account has that much.
        if notional > INT_MAX or needed > INT_MAX:
            notional, needed = Money(min(notional, INT_MAX)), Money(min(needed, INT_MAX))
        return Funding(notional, needed, available)

    def _amended_funding(self, amended: NewOrder, order: Order, instrument: Instrument) -> Funding:
        """Return what the order will need for what is not filled, out of what it holds as well."""
        price = counted_price(amended, instrument)
        assert price is not None, "a market order does not stand, so it is not amended"
        notional = instrument.notional(price, amended.order_qty)
        open_qty = Qty(amended.order_qty - order.cum_qty)
        needed = instrument.base_amount(open_qty)
        if order.side is BUY:
            fees = order.fees
            if not is_only_smaller(order, amended):
                fees = self._floor.fees.find(order.account_id, order.instrument_id)
            needed = instrument.notional(price, open_qty)
            if fees is not None:
                needed = with_fee(needed, fees)
        asset_id = paid_asset(order.side, instrument)
        available = self._floor.ledger.get_balance(order.account_id, asset_id).available
        return Funding(notional, needed, Money(available + order.held))


def is_only_smaller(order: Order, amended: NewOrder) -> bool:
    """Whether an amendment takes some of the quantity away and changes nothing else."""
    return (
        amended.price == order.price
        and amended.order_qty < order.order_qty
        and amended.terms == order.terms
    )


def as_entered(command: ReplaceOrder, order: Order) -> NewOrder:
    """Return what would have to be entered to get the order that the request wants."""
    terms = order.terms
    if command.stop_price is not None:
        terms = msgspec.structs.replace(terms or OrderTerms(), stop_price=command.stop_price)
    if command.display_qty is not None:
        terms = msgspec.structs.replace(terms or OrderTerms(), display_qty=command.display_qty)
    return NewOrder(
        session_id=command.session_id,
        generation=command.generation,
        epoch=command.epoch,
        msg_seq_num=command.msg_seq_num,
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        cl_ord_id=command.cl_ord_id,
        side=order.side,
        ord_type=order.ord_type,
        time_in_force=order.time_in_force,
        order_qty=command.order_qty,
        price=command.price,
        received_at_ns=command.received_at_ns,
        terms=terms,
        sent_at_ns=command.sent_at_ns,
        user_id=command.user_id,
    )


def _content_rejection(command: NewOrder, instrument: Instrument) -> Rejection | None:
    definition = instrument.definition
    if not is_cl_ord_id(command.cl_ord_id):
        return Rejection(RejectReason.CLORDID_INVALID)
    if not 0 < command.order_qty <= INT_MAX:
        return Rejection(RejectReason.ORDER_QTY_INVALID, actual=command.order_qty)
    rejection = _price_rejection(command, instrument)
    if rejection is not None:
        return rejection
    if command.order_qty % definition.lot_size:
        return Rejection(RejectReason.LOT_SIZE, definition.lot_size, command.order_qty)
    if command.terms is not None and command.terms.display_qty:
        rejection = _display_rejection(command, command.terms.display_qty, definition.lot_size)
        if rejection is not None:
            return rejection
    highest_price = command.price
    if highest_price is None:
        highest_price = counted_price(command, instrument) or Price(1)
    if (
        highest_price * command.order_qty * instrument.notional_factor > INT_MAX
        or command.order_qty * instrument.base_factor > INT_MAX
    ):
        return Rejection(RejectReason.ORDER_QTY_INVALID, actual=command.order_qty)
    return None


def _display_rejection(command: NewOrder, display_qty: Qty, lot_size: Qty) -> Rejection | None:
    may_rest = command.ord_type in LIMITED_TYPES and command.time_in_force in RESTING_TIMES
    least_qty = -(-command.order_qty // ICEBERG_PARTS_MAX)
    if not may_rest or display_qty < least_qty or display_qty % lot_size:
        return Rejection(RejectReason.DISPLAY_QTY_INVALID, least_qty, display_qty)
    return None


def _price_rejection(command: NewOrder, instrument: Instrument) -> Rejection | None:
    price, tick_size = command.price, instrument.definition.tick_size
    if price is None:
        if command.ord_type in LIMITED_TYPES:
            return Rejection(RejectReason.PRICE_REQUIRED)
    elif command.ord_type not in LIMITED_TYPES:
        return Rejection(RejectReason.PRICE_NOT_ALLOWED)
    elif price <= 0 or price % tick_size:
        return Rejection(RejectReason.TICK_SIZE, tick_size, price)
    terms = command.terms
    if terms is None or (terms.stop_price is None and terms.trigger is None):
        is_lacking = command.ord_type in STOP_TYPES
        return Rejection(RejectReason.STOP_PRICE_REQUIRED) if is_lacking else None
    return _stop_rejection(command, terms, instrument)


def _stop_rejection(
    command: NewOrder, terms: OrderTerms, instrument: Instrument
) -> Rejection | None:
    stop_price, tick_size = terms.stop_price, instrument.definition.tick_size
    if command.ord_type not in STOP_TYPES:
        return Rejection(RejectReason.STOP_PRICE_NOT_ALLOWED)
    if stop_price is None:
        return Rejection(RejectReason.STOP_PRICE_REQUIRED)
    if stop_price <= 0 or stop_price % tick_size:
        return Rejection(RejectReason.TICK_SIZE, tick_size, stop_price)
    if command.time_in_force not in RESTING_TIMES:
        return Rejection(RejectReason.STOP_CANNOT_WAIT)
    if command.side is BUY and limit_of(command, instrument) is None:
        return Rejection(RejectReason.STOP_NEEDS_PROTECTION)
    return None


def _fits(command: ReplaceOrder, order: Order) -> bool:
    """Whether what the request says again of the order, and cannot change, is as it is."""
    if command.time_in_force not in (None, order.time_in_force):
        return False
    if command.ord_type not in (None, order.ord_type):
        return False
    said, own = command.restated, order.terms or OrderTerms()
    return said is None or (
        (not said.is_post_only or own.is_post_only)
        and said.min_qty in (0, own.min_qty)
        and said.expires_at_ns in (0, own.expires_at_ns)
        and said.self_trade in (None, own.self_trade)
        and said.self_trade_group in (0, own.self_trade_group)
        and said.trigger in (None, own.trigger_direction(order.side))
    )


def _terms_rejection(command: NewOrder, instrument: Instrument, now_ns: int) -> Rejection | None:
    terms = command.terms
    ends_at_ns = 0 if terms is None else terms.expires_at_ns
    is_gtd = command.time_in_force is GTD
    if ends_at_ns <= now_ns if is_gtd else ends_at_ns:
        return Rejection(RejectReason.EXPIRE_TIME_INVALID, now_ns, ends_at_ns)
    if terms is None:
        return None
    if terms.is_post_only and not (
        command.ord_type is LIMIT and command.time_in_force in RESTING_TIMES
    ):
        return Rejection(RejectReason.POST_ONLY_CANNOT_REST)
    min_qty = terms.min_qty
    if min_qty and not (
        command.time_in_force is TimeInForce.IOC
        and 0 < min_qty <= command.order_qty
        and min_qty % instrument.definition.lot_size == 0
    ):
        return Rejection(RejectReason.MIN_QTY_INVALID, command.order_qty, min_qty)
    return None
