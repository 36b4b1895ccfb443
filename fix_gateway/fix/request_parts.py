"""What the translations of all requests share: who asks, refusals, how orders are named."""

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from engine.explain import explain
from engine.order import NO_USER, Side
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import AccountId, FirmId, OrderId, SessionId, UserId
from fix_gateway.fix.fields import Fields, Tag

SIDES: Final = {"1": Side.BUY, "2": Side.SELL}
ORDER_ID_DIGITS_MAX: Final = 18


class Refusal(NamedTuple):
    """A request refused at the door. `text` is Text(58), with the code in front."""

    reason: RejectReason
    text: str


def refuse(reason: RejectReason, words: str | None = None) -> Refusal:
    """Return the refusal, in the reason's own words when no better ones are given."""
    return Refusal(reason, explain(reason) if words is None else f"{reason.name}: {words}")


class SessionContext(NamedTuple):
    """Who speaks: the session and what it may act for by default.

    With `chosen_account_ids` it may ask about these only. Its orders are the user's, 0 for none.
    """

    session_id: SessionId
    firm_id: FirmId
    account_id: AccountId
    generation: int
    epoch: int
    is_drop_copy: bool = False
    chosen_account_ids: AbstractSet[int] = frozenset()
    user_id: UserId = NO_USER

    def envelope(
        self, fields: Fields, account_id: AccountId
    ) -> tuple[SessionId, int, int, int, AccountId]:
        """Return what every command that a message becomes begins with, in that order."""
        msg_seq_num = int(fields[Tag.MSG_SEQ_NUM])
        return self.session_id, self.generation, self.epoch, msg_seq_num, account_id


def find_account(fields: Fields, context: SessionContext, reference: Reference) -> AccountId | None:
    """Return the account that is meant, None for one that the session has nothing to do with."""
    account_id = context.account_id
    name = fields.get(Tag.ACCOUNT)
    if name is not None:
        account = reference.accounts_by_name.get((context.firm_id, name))
        if account is None:
            return None
        account_id = account.account_id
    if context.chosen_account_ids and account_id not in context.chosen_account_ids:
        return None
    return account_id


def parse_order_id(text: str | None) -> OrderId | None:
    """Return OrderID(37), 0 when it is not given, None for what is no OrderID of ours."""
    if not text:
        return OrderId(0)
    if not (text.isascii() and text.isdigit() and len(text) <= ORDER_ID_DIGITS_MAX):
        return None
    return OrderId(int(text)) or None
