"""`wcx kill` and `wcx revive`: over the admin API, or with --local straight to the engine.

Then neither PostgreSQL nor Redis, gateway or admin API is needed. Who asks is the user of the
operating system, whose name the engine has from the kernel.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from config.settings import Settings
from engine.commands import Command, KillCommand, LiftKillSwitch, PullKillSwitch
from engine.events import (
    AccountOpened,
    CommandRefused,
    Event,
    KillCompleted,
    KillSwitchLifted,
    KillSwitchPulled,
)
from engine.explain import explain
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import Record
from engine.scope import Scope
from fix_gateway.operating import find_user, operating, print_done
from fix_gateway.tools.rest import RestClient, RestError

REASON_LENGTH_MAX: Final = 200
COMPLETION_WAIT_S: Final = 60.0

Local = Annotated[
    bool, typer.Option("--local", help="Ask the engine itself: works whatever else is down.")
]
Everything = Annotated[bool, typer.Option("--all", help="The whole venue.")]
Firm = Annotated[int | None, typer.Option(metavar="ID", help="All accounts of a firm.")]
AccountName = Annotated[str | None, typer.Option(metavar="ID|NAME", help="An account.")]
Session = Annotated[int | None, typer.Option(metavar="ID", help="What comes over a FIX session.")]
User = Annotated[
    str | None,
    typer.Option(metavar="ID|NAME", help="A user: also over the user's FIX sessions."),
]
Reason = Annotated[str, typer.Option(help="Why, in a few words. It is journaled and audited.")]


class BreakGlassError(Exception):
    """It could not be done, or nobody knows whether it was. The text says which."""


def add_to(app: typer.Typer) -> None:
    """Give `wcx` its commands."""
    app.command()(kill)
    app.command()(revive)


def kill(
    *,
    local: Local = False,
    everything: Everything = False,
    firm: Firm = None,
    account: AccountName = None,
    session: Session = None,
    user: User = None,
    reason: Reason,
) -> None:
    """Cancel all open orders of somebody and refuse new ones, until `wcx revive`.

    Cancels are still taken. With --local it works with everything but the engine down, and returns
    when no order is open any more.
    """
    named = {
        Scope.FIRM: firm, Scope.ACCOUNT: account, Scope.SESSION: session, Scope.USER: user,
    }  # fmt: skip
    scope, name = _chosen(named, is_all=everything)
    if local:
        _run(PullKillSwitch(scope, 0, reason), name)
    else:
        _run_over_rest("pull", scope, name, reason)


def revive(
    *,
    local: Local = False,
    everything: Everything = False,
    firm: Firm = None,
    account: AccountName = None,
    session: Session = None,
    user: User = None,
    reason: Reason,
) -> None:
    """Take new orders again. What was cancelled stays cancelled, other switches stay pulled.

    Over the admin API another user must approve it first, or must at least be another than who has
    pulled it.
    """
    named = {
        Scope.FIRM: firm, Scope.ACCOUNT: account, Scope.SESSION: session, Scope.USER: user,
    }  # fmt: skip
    scope, name = _chosen(named, is_all=everything)
    if local:
        _run(LiftKillSwitch(scope, 0, reason), name)
    else:
        _run_over_rest("lift", scope, name, reason)


def _chosen(named: Mapping[Scope, object], *, is_all: bool) -> tuple[Scope, str]:
    """Return the scope and who it is, as it was typed. Raises typer.BadParameter."""
    chosen = [(scope, str(name)) for scope, name in named.items() if name is not None]
    if is_all:
        chosen.append((Scope.EVERYTHING, "0"))
    if len(chosen) != 1:
        raise typer.BadParameter("say one of --all, --firm, --account, --session and --user")
    return chosen[0]


def _run(command: KillCommand, name: str) -> None:
    reason = command.reason
    if not (reason.strip() and reason.isprintable() and len(reason) <= REASON_LENGTH_MAX):
        raise typer.BadParameter(f"--reason must be 1 to {REASON_LENGTH_MAX} printable characters")
    try:
        print(asyncio.run(send(Settings().engine_socket, command, name)))
    except BreakGlassError as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _run_over_rest(verb: str, scope: Scope, name: str, reason: str) -> None:
    with operating() as rest:
        scope_id = int(name) if name.isdigit() else _find_named(rest, scope, name)
        body = {"scope": scope.name.lower(), "scope_id": scope_id, "reason": reason}
        done = rest.order("POST", f"/v1/kill-switches/{verb}", body)
    if "approval_id" in done:
        print_done(_title(scope, scope_id), done)
        return
    what = "stopped" if verb == "pull" else "takes new orders again"
    print(f"{_title(scope, scope_id)}: {what}, by {done['actor']}")


def _find_named(rest: RestClient, scope: Scope, name: str) -> int:
    if scope is Scope.USER:
        return find_user(rest, name)
    found = [item for item in rest.get_all("/v1/accounts") if item["name"] == name]
    if len(found) != 1:
        raise RestError(f"{len(found)} accounts are named {name}")
    return int(found[0]["account_id"])


class _Completions:
    """Hears from the feed when no order of a scope is open any more."""

    def __init__(self) -> None:
        self._heard: dict[tuple[Scope, int], int] = {}
        self._has_news = asyncio.Event()
        self._is_over = False

    def take(self, records: list[Record]) -> None:
        """Look through records of the feed."""
        for record in records:
            for event in record.events():
                if isinstance(event, KillCompleted):
                    self._heard[(event.scope, event.scope_id)] = event.canceled_count
        self._has_news.set()

    def end(self, _in_doubt: list[Command]) -> None:
        """The link is down: nothing more will be heard."""
        self._is_over = True
        self._has_news.set()

    async def wait(self, scope: Scope, scope_id: int) -> int:
        """Return how many orders were cancelled. Raises LinkClosedError."""
        while (scope, scope_id) not in self._heard:
            if self._is_over:
                raise LinkClosedError
            self._has_news.clear()
            await self._has_news.wait()
        return self._heard[(scope, scope_id)]


async def send(engine_socket: Path, command: KillCommand, name: str) -> str:
    """Send the command for who is so named, wait until it is done, and return what was done.

    Raises BreakGlassError.
    """
    completions = _Completions()
    try:
        link = await EngineLink.connect(
            engine_socket, "break-glass", on_records=completions.take, on_closed=completions.end
        )
    except (OSError, LinkClosedError, TimeoutError):
        raise BreakGlassError(f"nothing done: no engine answers at {engine_socket}") from None
    try:
        scope_id = _find(command.scope, name, link.welcome.events)
        command = msgspec.structs.replace(command, scope_id=scope_id)
        (event, *_) = (await link.submit(command)).events
        match event:
            case KillSwitchPulled():
                wait = completions.wait(event.scope, scope_id)
                count = await asyncio.wait_for(wait, COMPLETION_WAIT_S)
                done = f"stopped, {count} orders cancelled"
            case KillSwitchLifted():
                done = "takes new orders again"
            case CommandRefused():
                raise BreakGlassError(f"nothing done: {explain(event.reason)}")
            case _:
                raise AssertionError(event)
    except (LinkClosedError, TimeoutError):
        raise BreakGlassError("the engine has not confirmed it: ask again") from None
    finally:
        link.close()
    return f"{_title(command.scope, scope_id)}: {done}, by {event.actor}"


def _title(scope: Scope, scope_id: int) -> str:
    return "the venue" if scope is Scope.EVERYTHING else f"{scope.name.lower()} {scope_id}"


def _find(scope: Scope, name: str, events: Sequence[Event]) -> int:
    """Return the number of who is meant: an account may be named too. Raises BreakGlassError."""
    if name.isascii() and name.isdigit():
        return int(name)
    if scope is not Scope.ACCOUNT:
        raise BreakGlassError(f"nothing done: {name} is no number of a {scope.name.lower()}")
    accounts = [event.account for event in events if isinstance(event, AccountOpened)]
    found = [account.account_id for account in accounts if account.name == name]
    if len(found) != 1:
        raise BreakGlassError(f"nothing done: {len(found)} accounts are named {name}")
    return found[0]
