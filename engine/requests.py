"""Requests for many orders at once, and questions. Each is answered, also when nothing fits it."""

from typing import Final, assert_never

from engine.events import Event, OrderStatusReported
from engine.kept import Sweep
from engine.ledger import Ledger
from engine.order_finder import ANY_FIRM, ANY_INSTRUMENT, OrderFinder, Selection
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
from engine.request_commands import (
    MassCancel,
    ReportBalances,
    ReportOpenOrders,
    ReportOrder,
    RequestCommand,
)
from engine.request_events import (
    AffectedOrder,
    BalancesReported,
    MassCancelReported,
    OrderStatusRefused,
)
from engine.scope import Scope
from engine.status_reports import StatusReports
from engine.sweeper import Sweeper
from engine.trading import Trading
from engine.units import ClOrdId, OrderId, Seq, is_cl_ord_id

AFFECTED_MAX: Final = 100
NOBODY: Final = (0, 0)
"""Session and account of an operator."""


class Requests:
    """Answers them. Belongs to the thread that applies commands."""

    def __init__(
        self,
        reference: Reference,
        ledger: Ledger,
        trading: Trading,
        finder: OrderFinder,
        sweeper: Sweeper,
    ) -> None:
        self._reference = reference
        self._ledger = ledger
        self._trading = trading
        self._finder = finder
        self._sweeper = sweeper
        self.status_reports = StatusReports(trading.memory)

    def apply(self, seq: Seq, now_ns: int, command: RequestCommand) -> list[Event]:
        """Answer a request of a session that may speak."""
        match command:
            case MassCancel():
                return self._mass_cancel(seq, now_ns, command)
            case ReportOrder():
                return [self._report_order(command)]
            case ReportOpenOrders():
                return self._report_open_orders(command)
            case ReportBalances():
                return [self._report_balances(command)]
            case _:
                assert_never(command)

    def _mass_cancel(self, seq: Seq, now_ns: int, command: MassCancel) -> list[Event]:
        reason = self._scope_refusal(command) or self._name_refusal(command)
        if reason is not None:
            return [_report_of(command, reason=reason)]
        orders = self._finder.find(self._select(command))
        affected = [
            AffectedOrder(order.order_id, order.account_id, order.cl_ord_id)
            for order in (orders if len(orders) <= AFFECTED_MAX else ())
        ]
        is_operator = (command.session_id, command.account_id) == NOBODY
        self._sweeper.start(
            Sweep(
                scope=command.scope,
                scope_id=command.scope_id,
                reason=(
                    CancelReason.CANCELED_BY_OPERATOR if is_operator else CancelReason.MASS_CANCELED
                ),
                order_id_max=OrderId(seq),
                instrument_id=command.instrument_id,
                side=command.side,
                firm_id=self._select(command).firm_id,
                account_id=command.account_id,
                session_id=command.session_id,
                cl_ord_id=command.cl_ord_id,
            )
        )
        report = _report_of(command, total=len(orders), affected=affected)
        return [report, *self._sweeper.go_on(now_ns)]

    def _report_order(self, command: ReportOrder) -> Event:
        if command.account_id not in self._reference.accounts:
            return _status_refused(command, RejectReason.ACCOUNT_UNKNOWN)
        order = self._trading.memory.find_named(
            command.account_id, command.cl_ord_id, command.order_id
        )
        if order is None or not order.fits(command.instrument_id, command.side):
            return _status_refused(command, RejectReason.UNKNOWN_ORDER)
        return OrderStatusReported(
            order.view(), command.session_id, request_id=command.request_id, is_last=True
        )

    def _report_open_orders(self, command: ReportOpenOrders) -> list[Event]:
        reason = self._scope_refusal(command)
        # One answer costs no more than its refusal; thousands are what a full disk cannot take.
        if reason is None and self._trading.is_storage_low:
            reason = RejectReason.STORAGE_LOW
        orders = [] if reason is not None else self._finder.find(self._select(command))
        if not orders:
            return [_status_refused(command, reason or RejectReason.UNKNOWN_ORDER)]
        self.status_reports.start(command, orders)
        return self.status_reports.go_on()

    def _report_balances(self, command: ReportBalances) -> Event:
        account_id = command.account_id
        is_known = account_id in self._reference.accounts
        return BalancesReported(
            session_id=command.session_id,
            account_id=account_id,
            request_id=command.request_id,
            lines=self._ledger.lines_of(account_id) if is_known else [],
            reason=None if is_known else RejectReason.ACCOUNT_UNKNOWN,
        )

    def _select(self, command: MassCancel | ReportOpenOrders) -> Selection:
        account = self._reference.accounts.get(command.account_id)
        firm_id = ANY_FIRM if account is None else account.firm_id
        return Selection(
            command.scope, command.scope_id, command.instrument_id, command.side, firm_id
        )

    def _scope_refusal(self, command: MassCancel | ReportOpenOrders) -> RejectReason | None:
        """Return why the asker may not mean that scope: others' accounts do not exist for him."""
        scope, scope_id = command.scope, command.scope_id
        if (command.session_id, command.account_id) != NOBODY:
            account = self._reference.accounts.get(command.account_id)
            if account is None:
                return RejectReason.ACCOUNT_UNKNOWN
            if scope is Scope.EVERYTHING:
                return RejectReason.UNSUPPORTED
            if scope is Scope.FIRM and scope_id != account.firm_id:
                return RejectReason.FIRM_UNKNOWN
            if scope is Scope.ACCOUNT and not any(
                known.account_id == scope_id
                for known in self._reference.accounts_of(account.firm_id)
            ):
                return RejectReason.ACCOUNT_UNKNOWN
        unknown = self._finder.unknown_scope(scope, scope_id)
        if unknown is not None:
            return unknown
        instruments = self._reference.instruments
        if command.instrument_id != ANY_INSTRUMENT and command.instrument_id not in instruments:
            return RejectReason.SYMBOL_UNKNOWN
        return None

    def _name_refusal(self, command: MassCancel) -> RejectReason | None:
        """Refuse a ClOrdID that cannot be one, or that is an order's. An operator needs none."""
        if (command.session_id, command.account_id) == NOBODY and not command.cl_ord_id:
            return None
        memory = self._trading.memory
        if memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id) is not None:
            return RejectReason.DUPLICATE_CLORDID
        return None if is_cl_ord_id(command.cl_ord_id) else RejectReason.CLORDID_INVALID


def _report_of(
    command: MassCancel,
    *,
    total: int = 0,
    affected: list[AffectedOrder] | None = None,
    reason: RejectReason | None = None,
) -> MassCancelReported:
    return MassCancelReported(
        session_id=command.session_id,
        account_id=command.account_id,
        cl_ord_id=command.cl_ord_id,
        scope=command.scope,
        scope_id=command.scope_id,
        instrument_id=command.instrument_id,
        side=command.side,
        total=total,
        affected=affected or [],
        reason=reason,
    )


def _status_refused(
    command: ReportOrder | ReportOpenOrders, reason: RejectReason
) -> OrderStatusRefused:
    cl_ord_id, order_id = ClOrdId(""), OrderId(0)
    if isinstance(command, ReportOrder):
        cl_ord_id, order_id = command.cl_ord_id, command.order_id
    return OrderStatusRefused(
        session_id=command.session_id,
        account_id=command.account_id,
        request_id=command.request_id,
        reason=reason,
        cl_ord_id=cl_ord_id,
        order_id=order_id,
        instrument_id=command.instrument_id,
        side=command.side,
        is_last=True,
    )
