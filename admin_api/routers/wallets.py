"""Wallets: deposits, withdrawals in two steps, transfers.

Each movement bears a name of its own, which the engine takes once for an account: sent twice, money
moves once, whatever died meanwhile.
"""

import secrets
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import (
    ask_engine,
    check_engine,
    first_event,
    get_account,
    parse_number,
)
from admin_api.errors import conflict, invalid, not_found
from admin_api.idempotency import Once, OnceOf
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.problem import says
from admin_api.schemas.wallets import (
    DepositBody,
    MovementView,
    SettlementBody,
    TransferBody,
    WithdrawalBody,
    WithdrawalsView,
    WithdrawalView,
)
from admin_api.services import Services, ServicesOf
from engine.commands import AdjustBalance
from engine.events import BalanceAdjusted
from engine.instrument import Account, Asset
from engine.ledger_commands import RequestWithdrawal, SettleWithdrawal, TransferFunds
from engine.ledger_events import FundsTransferred, WithdrawalRequested, WithdrawalSettled
from engine.runtime.client import Outcome
from engine.units import AccountId, Money, format_fixed
from store.audit import AuditEntry, add_audit_entries

ID_BYTES: Final = 12
Movement = AdjustBalance | TransferFunds | RequestWithdrawal
ACTIONS: Final[dict[type[Movement], str]] = {
    AdjustBalance: "deposit_ordered",
    TransferFunds: "transfer_ordered",
    RequestWithdrawal: "withdrawal_requested",
}
View = TypeVar("View", MovementView, WithdrawalView)
ANSWERS: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such account, asset or withdrawal, or not of your firm"),
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away: send it again"),
}

Reader = Annotated[User, allow(Permission.WALLETS_READ)]
Depositor = Annotated[User, allow(Permission.WALLETS_DEPOSIT)]
Mover = Annotated[User, allow(Permission.WALLETS_TRANSFER)]
Requester = Annotated[User, allow(Permission.WITHDRAWALS_REQUEST)]
Decider = Annotated[User, allow(Permission.WITHDRAWALS_DECIDE)]
AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]
WithdrawalPath = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]

router = APIRouter(tags=["wallets"])


@router.post(
    "/v1/accounts/{account_id}/deposits", status_code=HTTPStatus.CREATED, responses=ANSWERS
)
async def deposit(
    services: ServicesOf, user: Depositor, account_id: AccountPath, once: OnceOf, body: DepositBody
) -> MovementView:
    """Credit money that has come in from outside. A second one of the same name is refused."""
    account = get_account(services, user, account_id)
    asset, amount = _get_amount(services, body)
    reference = _reference(once.key, body)
    command = AdjustBalance(account.account_id, asset.asset_id, amount, reference)
    outcome = await _move(services, user, once, body, command)
    event = first_event(outcome)
    assert isinstance(event, BalanceAdjusted)
    view = _movement(outcome, account, asset, event.amount, event.balance, reference)
    return await _keep(services, user, once, view)


@router.post(
    "/v1/accounts/{account_id}/transfers", status_code=HTTPStatus.CREATED, responses=ANSWERS
)
async def transfer(
    services: ServicesOf, user: Mover, account_id: AccountPath, once: OnceOf, body: TransferBody
) -> MovementView:
    """Move money to another account of the firm."""
    account = get_account(services, user, account_id)
    asset, amount = _get_amount(services, body)
    reference = _reference(once.key, body)
    payee = AccountId(body.to_account_id)
    command = TransferFunds(account.account_id, payee, asset.asset_id, amount, reference)
    outcome = await _move(services, user, once, body, command)
    event = first_event(outcome)
    assert isinstance(event, FundsTransferred)
    view = _movement(outcome, account, asset, event.amount, event.balance, reference)
    return await _keep(services, user, once, view)


@router.post(
    "/v1/accounts/{account_id}/withdrawals", status_code=HTTPStatus.CREATED, responses=ANSWERS
)
async def request_withdrawal(
    services: ServicesOf,
    user: Requester,
    account_id: AccountPath,
    once: OnceOf,
    body: WithdrawalBody,
) -> WithdrawalView:
    """Set money aside that is to leave. Somebody of the venue pays it out, or gives it back."""
    account = get_account(services, user, account_id)
    asset, amount = _get_amount(services, body)
    reference = _reference(once.key, body)
    command = RequestWithdrawal(account.account_id, asset.asset_id, amount, reference)
    outcome = await _move(services, user, once, body, command)
    event = first_event(outcome)
    assert isinstance(event, WithdrawalRequested)
    return await _keep(services, user, once, _view_withdrawal(services, event))


@router.get("/v1/withdrawals", responses=ANSWERS)
async def list_withdrawals(services: ServicesOf, user: Reader) -> WithdrawalsView:
    """Return the withdrawals under way; to people of a firm, the firm's."""
    await check_engine(services)
    found = services.engine.standing.withdrawals.values()
    accounts = services.engine.reference.accounts
    return WithdrawalsView(
        items=[
            _view_withdrawal(services, event)
            for event in found
            if user.sees_firm(accounts[event.account_id].firm_id)
        ]
    )


@router.post("/v1/withdrawals/{withdrawal_id}/pay", responses=ANSWERS)
async def pay_withdrawal(
    services: ServicesOf,
    user: Decider,
    withdrawal_id: WithdrawalPath,
    body: SettlementBody | None = None,
) -> MovementView:
    """Say that the money of a withdrawal has left the venue."""
    return await _settle(services, user, withdrawal_id, body, is_paid=True)


@router.post("/v1/withdrawals/{withdrawal_id}/refuse", responses=ANSWERS)
async def refuse_withdrawal(
    services: ServicesOf,
    user: Decider,
    withdrawal_id: WithdrawalPath,
    body: SettlementBody | None = None,
) -> MovementView:
    """Give the money of a withdrawal back to the account."""
    return await _settle(services, user, withdrawal_id, body, is_paid=False)


async def _settle(
    services: Services,
    user: User,
    withdrawal_id: int,
    body: SettlementBody | None,
    *,
    is_paid: bool,
) -> MovementView:
    await check_engine(services)
    found = services.engine.standing.withdrawals.get(withdrawal_id)
    if found is None:
        raise not_found(f"no withdrawal {withdrawal_id} is under way")
    reason = "" if body is None else body.reason
    action = "withdrawal_paid_ordered" if is_paid else "withdrawal_refused_ordered"
    account = services.engine.reference.accounts[found.account_id]
    detail = {"withdrawal_id": withdrawal_id}
    await _write(
        services, user.audit(action, f"account:{account.account_id}", detail, reason=reason)
    )
    command = SettleWithdrawal(withdrawal_id, is_paid, reason, user.actor)
    outcome = await ask_engine(services, command)
    event = first_event(outcome)
    assert isinstance(event, WithdrawalSettled)
    asset = services.engine.reference.assets[event.asset_id]
    return _movement(outcome, account, asset, event.amount, event.balance, event.reference)


async def _move(
    services: Services, user: User, once: Once, body: DepositBody, command: Movement
) -> Outcome:
    """Write down who wants what, and then let the engine do it."""
    entry = user.audit(
        ACTIONS[type(command)], f"account:{command.account_id}", body.model_dump(mode="json")
    )
    async with services.database.transaction() as connection:
        await once.check(connection, user)
        await add_audit_entries(connection, [entry])
    return await ask_engine(services, command)


async def _keep(services: Services, user: User, once: Once, view: View) -> View:
    """Keep the answer for who asks again. Is it lost, the engine still does nothing twice."""
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        return await once.keep(connection, user, view)


async def _write(services: Services, entry: AuditEntry) -> None:
    async with services.database.transaction() as connection:
        await add_audit_entries(connection, [entry])


def _get_amount(services: Services, body: DepositBody) -> tuple[Asset, Money]:
    for asset in services.engine.reference.assets.values():
        if asset.symbol == body.asset:
            amount = parse_number("amount", body.amount, asset.decimals)
            if amount == 0:
                raise invalid("amount: is nothing")
            return asset, Money(amount)
    raise invalid(f"asset: the exchange has no asset {body.asset!r}")


def _reference(key: str | None, body: DepositBody) -> str:
    if key is not None and body.reference not in (None, key):
        raise conflict("the reference is another one than the Idempotency-Key")
    return key or body.reference or f"R{secrets.token_hex(ID_BYTES)}"


def _movement(
    outcome: Outcome, account: Account, asset: Asset, amount: int, balance: int, reference: str
) -> MovementView:
    return MovementView(
        engine_seq=outcome.seq,
        account_id=account.account_id,
        asset=asset.symbol,
        amount=format_fixed(amount, asset.decimals),
        balance=format_fixed(balance, asset.decimals),
        reference=reference,
    )


def _view_withdrawal(services: Services, event: WithdrawalRequested) -> WithdrawalView:
    asset = services.engine.reference.assets[event.asset_id]
    return WithdrawalView(
        withdrawal_id=event.withdrawal_id,
        account_id=event.account_id,
        asset=asset.symbol,
        amount=format_fixed(event.amount, asset.decimals),
        reference=event.reference,
    )
