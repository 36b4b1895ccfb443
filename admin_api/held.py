"""What a change takes the place of: shown to who must approve it, and compared when he does.

Who proposes is not who approves, and hours may lie between. What was changed meanwhile was changed
by somebody who knew nothing of the proposal, so it is not approved any more.
"""

from dataclasses import asdict
from typing import Any, Final, NamedTuple, assert_never

import msgspec
from pydantic import BaseModel

from admin_api.engine_link import EngineWatch
from admin_api.etags import etag_of
from admin_api.known_limits import KnownLimits
from admin_api.limit_views import view_account_limits, view_scope_limits
from admin_api.override_views import view_override
from admin_api.risk_views import view_limit, view_mode, view_rules
from admin_api.schemas.changes import Changed
from admin_api.standing import CreditLines
from engine.commands import LiftKillSwitch
from engine.controls import Override
from engine.ledger_commands import SetCreditLine, SetFirmCreditLine
from engine.reference import Reference
from engine.risk_commands import (
    GrantOverride,
    RevokeOverride,
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetRiskLimits,
    SetScopeLimits,
    SetTradingMode,
)
from engine.trade_commands import BustTrade, CorrectTrade, TradeCommand
from engine.units import AssetId, format_fixed
from store.approvals import ProposableCommand, StandingCommand
from store.postgres import Connection
from store.searches import Snapshot, find_read_model_seq, find_trade


class Held(NamedTuple):
    """What holds now. `tag` names these very values, `view` is for people, None for nothing."""

    tag: str
    view: dict[str, Any] | None


NOTHING: Final = Held(etag_of(None), None)


async def look_up(engine: EngineWatch, connection: Connection, command: ProposableCommand) -> Held:
    """Return what the command would take the place of. Raises StoreError."""
    if isinstance(command, BustTrade | CorrectTrade):
        return await _find_trade(connection, command)
    return find_held(engine, command)


def find_held(engine: EngineWatch, command: StandingCommand) -> Held:
    """Return what the command would take the place of, for one of which the engine knows it."""
    standing, reference = engine.standing, engine.reference
    match command:
        case SetCreditLine(account_id, asset_id):
            return _credit(standing.credit_of_accounts.get(account_id, {}), asset_id, reference)
        case SetFirmCreditLine(firm_id, asset_id):
            return _credit(standing.credit_of_firms.get(firm_id, {}), asset_id, reference)
        case LiftKillSwitch(scope, scope_id):
            pulled = standing.kill_switches.get((scope, scope_id, command.level))
            if pulled is None:
                return NOTHING
            return _held(pulled, {"is_pulled": True, "by": pulled.actor, "reason": pulled.reason})
        case SetRiskLimits() | SetScopeLimits() | SetAccountThrottle():
            return _find_limits(engine.limits, reference, command)
        case SetLimit() | SetInstrumentRules() | SetTradingMode():
            return _find_control(engine.limits, reference, command)
        case GrantOverride(wanted):
            return _find_override(engine.limits, reference, wanted)
        case RevokeOverride():
            return _find_override(engine.limits, reference, command)
        case _:
            assert_never(command)


def _find_limits(
    known: KnownLimits,
    reference: Reference,
    command: SetRiskLimits | SetScopeLimits | SetAccountThrottle,
) -> Held:
    match command:
        case SetRiskLimits(wanted):
            for limits in known.of_account(wanted.account_id):
                if limits.instrument_id == wanted.instrument_id:
                    return _held(limits, view_account_limits(limits, reference))
        case SetScopeLimits(wanted):
            for scope_limits in known.of_scope(wanted.scope, wanted.scope_id):
                if scope_limits.instrument_id == wanted.instrument_id:
                    return _held(scope_limits, view_scope_limits(scope_limits, reference))
        case SetAccountThrottle(account_id):
            throttle = known.throttle_of(account_id)
            if throttle is not None:
                rates = {"order_rate": throttle.rate, "order_burst": throttle.burst}
                return _held(throttle, rates)
    return NOTHING


def _find_control(
    known: KnownLimits,
    reference: Reference,
    command: SetLimit | SetInstrumentRules | SetTradingMode,
) -> Held:
    match command:
        case SetLimit(wanted):
            for limit in known.of_owner(wanted.scope, wanted.scope_id):
                if msgspec.structs.replace(limit, value=wanted.value) == wanted:
                    return _held(limit, view_limit(limit, reference))
        case SetInstrumentRules(wanted):
            rules = known.rules_of(wanted.instrument_id)
            if rules is not None:
                instrument = reference.instruments[wanted.instrument_id]
                return _held(rules, view_rules(rules, instrument))
        case SetTradingMode(scope, scope_id, level):
            for mode in known.modes():
                if (mode.scope, mode.scope_id, mode.level) == (scope, scope_id, level):
                    return _held(mode, view_mode(mode))
    return NOTHING


def _find_override(
    known: KnownLimits,
    reference: Reference,
    wanted: Override | RevokeOverride,
) -> Held:
    names = ("reason", "cl_ord_id", "instrument_id", "asset_id")
    for override in known.overrides_of(wanted.account_id):
        if all(getattr(override, name) == getattr(wanted, name) for name in names):
            return _held(override, view_override(override, reference))
    return NOTHING


async def _find_trade(connection: Connection, command: TradeCommand) -> Held:
    seq = await find_read_model_seq(connection)
    trade = await find_trade(Snapshot(connection, seq), command.trade.trade_id)
    if trade is None:
        return NOTHING
    names = ("symbol", "qty", "price", "notional", "state", "buy_account_id", "sell_account_id")
    fields = asdict(trade)
    return _held(trade, {name: fields[name] for name in names})


def _credit(lines: CreditLines, asset_id: AssetId, reference: Reference) -> Held:
    asset = reference.assets[asset_id]
    limit = lines.get(asset_id, 0)
    return _held(limit, {"asset": asset.symbol, "limit": format_fixed(limit, asset.decimals)})


def _held(value: object, view: BaseModel | dict[str, Any]) -> Held:
    if isinstance(view, BaseModel):
        view = view.model_dump(mode="json", exclude=set(Changed.model_fields))
    return Held(etag_of(value), view)
