"""How limits change: nobody overwrites what he has not seen, and what loosens one takes two."""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Response

from admin_api.auth.user import User
from admin_api.changes import view_approval
from admin_api.engine_answers import settle
from admin_api.etags import IfMatch, check_if_match, etag_of
from admin_api.held import find_held
from admin_api.idempotency import OnceOf
from admin_api.schemas.changes import ApprovalView
from admin_api.services import ServicesOf
from store.approvals import StandingCommand
from store.audit import AuditEntry

T = TypeVar("T")


class LimitCall:
    """A request that sets limits. FastAPI makes one of each."""

    def __init__(
        self, services: ServicesOf, response: Response, once: OnceOf, if_match: IfMatch = None
    ) -> None:
        self.services = services
        self._response = response
        self._once = once
        self._if_match = if_match
        self._built_on: str | None = None

    def build_on(self, held: object) -> None:
        """Let `order` raise 412 unless this still holds: the command was made from it."""
        self._built_on = etag_of(held)

    async def order(
        self,
        user: User,
        command: StandingCommand,
        entry: AuditEntry,
        *,
        read: Callable[[], T],
        loosens: Callable[[T], bool],
        firm_id: int | None,
    ) -> ApprovalView | dict[str, Any]:
        """Set a limit, or propose to where that loosens it; `read` says what holds now.

        Returns where the change stands, as fields of a view. Raises 412, what `settle` raises, and
        AnsweredBeforeError.
        """
        changes = self.services.changes
        # From the look at what holds to the engine's answer nobody else changes a limit here.
        async with changes.one_at_a_time:
            done = await changes.find_done(user, self._once)
            if done is None:
                held = read()
                check_if_match(held, self._if_match)
                check_if_match(held, self._built_on)
                if changes.four_eyes and loosens(held):
                    row = await changes.propose(user, self._once, command, entry, firm_id=firm_id)
                    self._response.status_code = HTTPStatus.ACCEPTED
                    return view_approval(row)
                before = find_held(self.services.engine, command).view
                entry = replace(entry, detail={}, before=before, after=entry.detail)
                done = await changes.order(user, self._once, command, entry)
            fields = settle(self._response, done)
            if done.engine_seq is not None:
                self._response.headers["ETag"] = etag_of(read())
        return fields
