"""What the translations of all requests share: who asks, refusals, how orders are named."""

from typing import Final, NamedTuple

from engine.explain import explain
from engine.order import Side
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import AccountId, FirmId, OrderId, SessionId
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
    """Who speaks: the session and what it may act for by default."""

    session_id: SessionId
    firm_id: FirmId
    account_id: AccountId
    generation: int
    epoch: int
    is_drop_copy: bool = False

    def envelope(
        self, fields: Fields, account_id: AccountId
    ) -> tuple[SessionId, int, int, int, AccountId]:
        """Return what every command that a message becomes begins with, in that order."""
        msg_seq_num = int(fields[Tag.MSG_SEQ_NUM])
        return self.session_id, self.generation, self.epoch, msg_seq_num, account_id


def find_account(fields: Fields, context: SessionContext, reference: Reference) -> AccountId | None:
    """Return the account that is meant, None when the firm has none of the name that is given."""
    name = fields.get(Tag.ACCOUNT)
    if name is None:
        return context.account_id
    account = reference.accounts_by_name.get((context.firm_id, name))
    return None if account is None else account.account_id


def parse_order_id(text: str | None) -> OrderId | None:
    """Return OrderID(37), 0 when it is not given, None for what is no OrderID of ours."""
    if not text:
        return OrderId(0)
    if not (text.isascii() and text.isdigit() and len(text) <= ORDER_ID_DIGITS_MAX):
        return None
    return OrderId(int(text)) or None
