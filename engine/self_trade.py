"""Self-trade prevention: which orders are one owner's, and what happens when two of them meet."""

from collections.abc import Callable
from typing import NamedTuple

from engine.commands import SetSelfTradeMode
from engine.kept import SelfTradeDefault
from engine.live_order import Order
from engine.order import OrderTerms, SelfTradeMode
from engine.reference import Reference
from engine.scope import Scope
from engine.units import AccountId, SessionId

EVERYTHING = (Scope.EVERYTHING, 0)


class SelfTradeGuard(NamedTuple):
    """What an order that comes in must not trade with, and what happens instead."""

    mode: SelfTradeMode
    is_own: Callable[[Order], bool]


class SelfTradeRules:
    """The modes that hold by default. Belongs to the thread that applies commands.

    As long as nothing was said orders of one owner trade with each other.
    """

    __slots__ = ("_modes", "_reference")

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._modes: dict[tuple[Scope, int], SelfTradeMode] = {}

    def set(self, command: SetSelfTradeMode) -> None:
        """Let a mode hold by default from now on, none when it is None."""
        key = (command.scope, command.scope_id)
        self._modes.pop(key, None)
        if command.mode is not None:
            self._modes[key] = command.mode

    def restore(self, default: SelfTradeDefault) -> None:
        """Let a mode hold again."""
        self._modes[(default.scope, default.scope_id)] = default.mode

    def defaults(self) -> list[SelfTradeDefault]:
        """Return the modes that hold by default, in the order in which they were set."""
        return [SelfTradeDefault(*key, mode) for key, mode in self._modes.items()]

    def find_guard(
        self, account_id: AccountId, session_id: SessionId, terms: OrderTerms | None
    ) -> SelfTradeGuard | None:
        """Return what guards such an order, None when it may trade with all."""
        mode = None if terms is None else terms.self_trade
        if mode is None and self._modes:
            mode = self._modes.get((Scope.SESSION, session_id)) or self._modes.get(EVERYTHING)
        if mode is None or mode is SelfTradeMode.ALLOW:
            return None
        group = 0 if terms is None else terms.self_trade_group
        accounts = self._reference.accounts
        firm_id = accounts[account_id].firm_id

        def is_own(order: Order) -> bool:
            if order.account_id == account_id:
                return True
            return (
                group > 0
                and order.terms is not None
                and order.terms.self_trade_group == group
                and accounts[order.account_id].firm_id == firm_id
            )

        return SelfTradeGuard(mode, is_own)
