"""Finds the open orders that somebody means: of whom, in which instrument, on which side."""

from typing import NamedTuple, assert_never

from engine.live_order import Order
from engine.open_orders import OpenOrders
from engine.order import Side
from engine.ownership import Ownership
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.scope import Scope
from engine.units import AccountId, FirmId, InstrumentId, SessionId

ANY_FIRM = FirmId(0)
ANY_INSTRUMENT = InstrumentId(0)


class Selection(NamedTuple):
    """Which open orders are meant. `side` None is both sides.

    Whatever the scope is, only those of the firm count when one is named.
    """

    scope: Scope
    scope_id: int
    instrument_id: InstrumentId = ANY_INSTRUMENT
    side: Side | None = None
    firm_id: FirmId = ANY_FIRM


class OrderFinder:
    """Looks, and changes nothing. Belongs to the thread that applies commands."""

    __slots__ = ("_open_orders", "_ownership", "_reference")

    def __init__(self, reference: Reference, ownership: Ownership, open_orders: OpenOrders) -> None:
        self._reference = reference
        self._ownership = ownership
        self._open_orders = open_orders

    def unknown_scope(self, scope: Scope, scope_id: int) -> RejectReason | None:
        """Return why there is nothing of that identity, None when there is.

        Users are known to the doors alone: any number may be one.
        """
        match scope:
            case Scope.EVERYTHING:
                return None if scope_id == 0 else RejectReason.AMOUNT_INVALID
            case Scope.FIRM:
                is_known = bool(self._reference.accounts_of(FirmId(scope_id)))
                return None if is_known else RejectReason.FIRM_UNKNOWN
            case Scope.ACCOUNT:
                is_known = AccountId(scope_id) in self._reference.accounts
                return None if is_known else RejectReason.ACCOUNT_UNKNOWN
            case Scope.SESSION:
                is_known = self._ownership.knows(SessionId(scope_id))
                return None if is_known else RejectReason.SESSION_UNKNOWN
            case Scope.USER:
                return None if scope_id > 0 else RejectReason.AMOUNT_INVALID
            case Scope.INSTRUMENT:
                is_known = InstrumentId(scope_id) in self._reference.instruments
                return None if is_known else RejectReason.SYMBOL_UNKNOWN

    def find(self, selection: Selection) -> list[Order]:
        """Return the orders that are meant, the oldest first."""
        accounts = self._reference.accounts
        meant = [
            order
            for order in self._of_scope(selection.scope, selection.scope_id)
            if selection.instrument_id in (ANY_INSTRUMENT, order.instrument_id)
            and selection.side in (None, order.side)
            and selection.firm_id in (ANY_FIRM, accounts[order.account_id].firm_id)
        ]
        return sorted(meant, key=lambda order: order.order_id)

    def _of_scope(self, scope: Scope, scope_id: int) -> list[Order]:
        match scope:
            case Scope.SESSION:
                return self._open_orders.of_session(SessionId(scope_id))
            case Scope.ACCOUNT:
                return self._open_orders.of_account(AccountId(scope_id))
            case Scope.FIRM:
                accounts = self._reference.accounts_of(FirmId(scope_id))
            case Scope.EVERYTHING | Scope.USER | Scope.INSTRUMENT:
                accounts = list(self._reference.accounts.values())
            case _:
                assert_never(scope)
        orders = [
            order
            for account in accounts
            for order in self._open_orders.of_account(account.account_id)
        ]
        if scope is Scope.USER:
            return [order for order in orders if order.user_id == scope_id]
        if scope is Scope.INSTRUMENT:
            return [order for order in orders if order.instrument_id == scope_id]
        return orders
