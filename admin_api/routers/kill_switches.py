"""Kill switches: pulled at once by one, lifted by two."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.changes import view_approval
from admin_api.engine_answers import ask_engine, check_engine, first_event
from admin_api.errors import conflict, forbidden, invalid, not_found
from admin_api.idempotency import OnceOf
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.markets import KillBody, KillDone, KillSwitchesView, KillView
from admin_api.schemas.problem import says
from admin_api.services import Services, ServicesOf
from engine.commands import LiftKillSwitch, PullKillSwitch
from engine.controls import Level
from engine.events import KillSwitchLifted, KillSwitchPulled
from engine.scope import Scope
from engine.units import AccountId, SessionId
from store.sessions import find_session
from store.users import find_user

SCOPES: Final = {scope.name.lower(): scope for scope in Scope}
STOPS_ALL: Final = (Scope.EVERYTHING, Scope.INSTRUMENT)
ANSWERS: Final = {
    **says(HTTPStatus.FORBIDDEN, "Not of your firm"),
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away: wcx kill --local asks it itself"),
}

Reader = Annotated[User, allow(Permission.KILL_READ)]
Killer = Annotated[User, allow(Permission.KILL_WRITE)]

router = APIRouter(prefix="/v1/kill-switches", tags=["kill switches"])


@router.get("", responses=ANSWERS)
async def list_kill_switches(services: ServicesOf, user: Reader) -> KillSwitchesView:
    """Return the kill switches that are pulled; to people of a firm, those that stop them."""
    await check_engine(services)
    found = []
    for event in services.engine.standing.kill_switches.values():
        firm_id = await _firm_of(services, event.scope, event.scope_id)
        if event.scope in STOPS_ALL or user.sees_firm(firm_id):
            found.append(_view(event))
    return KillSwitchesView(items=found)


@router.post("/pull", responses=ANSWERS)
async def pull(services: ServicesOf, user: Killer, body: KillBody) -> KillDone:
    """Cancel all open orders of a scope and refuse new ones, at once. Cancels are still taken.

    Asks neither PostgreSQL nor Redis, but to know whose a FIX session or user is that a firm names.
    """
    scope, scope_id = await _check(services, user, body)
    command = PullKillSwitch(scope, scope_id, body.reason, user.actor, _level_of(user))
    outcome = await ask_engine(services, command)
    event = first_event(outcome)
    assert isinstance(event, KillSwitchPulled)
    # That it was pulled, and by whom, is taken from the journal into the audit log.
    return KillDone(**_view(event).model_dump(), engine_seq=outcome.seq)


@router.post(
    "/lift",
    responses={
        HTTPStatus.ACCEPTED: {"model": ApprovalView, "description": "It waits for another's word"},
        **ANSWERS,
    },
)
async def lift(
    services: ServicesOf, user: Killer, response: Response, once: OnceOf, body: KillBody
) -> KillDone | ApprovalView:
    """Ask for new orders of a scope to be taken again, as far as one's own switch goes.

    The venue's switch needs another user's approval; where `[rest] four_eyes` is off, and for the
    firm's own switch, another than who has pulled it lifts it at once.
    """
    scope, scope_id = await _check(services, user, body)
    await check_engine(services)
    level = _level_of(user)
    if (scope, scope_id, level) not in services.engine.standing.kill_switches:
        raise conflict("NOT_KILLED: its kill switch is not pulled", code="not_killed")
    command = LiftKillSwitch(scope, scope_id, body.reason, user.actor, level)
    if services.changes.four_eyes and level is Level.OPERATOR:
        subject = "everything" if scope is Scope.EVERYTHING else f"{body.scope}:{scope_id}"
        lifted = {"is_pulled": False}
        entry = user.audit("kill_switch_lift_ordered", subject, lifted, reason=body.reason)
        firm_id = await _firm_of(services, scope, scope_id)
        row = await services.changes.propose(user, once, command, entry, firm_id=firm_id)
        response.status_code = HTTPStatus.ACCEPTED
        return view_approval(row)
    outcome = await ask_engine(services, command)
    event = first_event(outcome)
    assert isinstance(event, KillSwitchLifted)
    return KillDone(
        scope=body.scope,
        scope_id=scope_id,
        reason=event.reason,
        actor=event.actor,
        level="operator" if level is Level.OPERATOR else "firm",
        engine_seq=outcome.seq,
    )


async def _check(services: Services, user: User, body: KillBody) -> tuple[Scope, int]:
    """Return what is meant. People of a firm stop it, its accounts, sessions and users."""
    scope = SCOPES[body.scope]
    if (scope is Scope.EVERYTHING) != (body.scope_id == 0):
        raise invalid("scope_id: is 0 for everything, and for nothing else")
    if user.firm_id is None:
        return scope, body.scope_id
    if scope is Scope.EVERYTHING:
        raise forbidden("only what is your firm's", code="other_firm")
    if await _firm_of(services, scope, body.scope_id) != user.firm_id:
        raise not_found(f"no {body.scope} {body.scope_id}")
    return scope, body.scope_id


def _level_of(user: User) -> Level:
    """Return whose switch a user has: the venue's, or the firm's own."""
    return Level.OPERATOR if user.firm_id is None else Level.FIRM


async def _firm_of(services: Services, scope: Scope, scope_id: int) -> int | None:
    match scope:
        case Scope.EVERYTHING:
            return None
        case Scope.FIRM:
            return scope_id
        case Scope.ACCOUNT:
            account = services.engine.reference.accounts.get(AccountId(scope_id))
            return None if account is None else account.firm_id
        case Scope.INSTRUMENT:
            return None
        case Scope.USER:
            async with services.database.transaction() as connection:
                stopped = await find_user(connection, scope_id, for_update=False)
            return None if stopped is None else stopped.firm_id
        case Scope.SESSION:
            async with services.database.transaction() as connection:
                row = await find_session(connection, SessionId(scope_id))
            return None if row is None else row.firm_id


def _view(event: KillSwitchPulled) -> KillView:
    return KillView.model_validate(
        {
            "scope": event.scope.name.lower(),
            "scope_id": event.scope_id,
            "reason": event.reason,
            "actor": event.actor,
            "level": event.level.name.lower(),
        }
    )
