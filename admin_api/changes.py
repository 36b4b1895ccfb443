"""How a change reaches the engine: written down with its audit entry, then applied, in order.

Applying one twice is the same as once, whenever a process dies: changes say what is to be, never
by how much; what can be made once is refused the second time; and none overtakes another.
"""

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Final

import msgspec
import structlog

from admin_api.auth.user import User
from admin_api.engine_link import EngineWatch
from admin_api.errors import conflict
from admin_api.held import look_up
from admin_api.idempotency import AnsweredBeforeError, Once
from admin_api.schemas.changes import ApprovalView, ChangeView
from engine.commands import Command, LiftKillSwitch
from engine.events import CommandRefused
from engine.explain import explain
from engine.risk_commands import GrantOverride
from engine.runtime.client import LinkClosedError
from engine.trade_commands import BustTrade, CorrectTrade
from store.approvals import (
    ApprovalRow,
    NewApproval,
    ProposableCommand,
    add_approval,
    decide,
    decode_proposed,
)
from store.audit import AuditEntry, add_audit_entries
from store.changes import (
    ChangeRow,
    add_change,
    decode_command,
    encode_command,
    find_change,
    note_outcome,
    take_next,
)
from store.postgres import Connection, Database, StoreError

# A change that the engine has not done by then is answered with 202.
WAIT_S: Final = 5.0
RETRY_S: Final = 0.5
IDLE_S: Final = 2.0

log = structlog.get_logger("admin.changes")


def view_approval(row: ApprovalRow) -> ApprovalView:
    """Return a proposal as the endpoints show it."""
    fields = asdict(row)
    del fields["command"], fields["firm_id"], fields["held_tag"]
    fields["after"] = fields.pop("detail")
    return ApprovalView(**fields)


class Changes:
    """Gives changes to the engine, one after the other. Belongs to one event loop.

    With `four_eyes`, what loosens something waits until another user approves it. Who decides by
    what holds at present takes `one_at_a_time` until it is changed.
    """

    def __init__(self, database: Database, engine: EngineWatch, *, four_eyes: bool) -> None:
        self.four_eyes = four_eyes
        self._database = database
        self._engine = engine
        self._is_due = asyncio.Event()
        self.one_at_a_time = asyncio.Lock()
        self._waiters: dict[int, asyncio.Future[ChangeRow]] = {}

    async def order(self, user: User, once: Once, command: Command, entry: AuditEntry) -> ChangeRow:
        """Write the change and its entry down, and return what has become of it within seconds.

        A request that was sent before is not done again. Raises StoreError.
        """
        try:
            async with self._database.transaction() as connection:
                await once.claim(connection, user)
                change_id = await self.add(connection, user, command, entry)
                waiting = ChangeView(change_id=change_id, status="waiting")
                await once.keep(connection, user, waiting)
        except AnsweredBeforeError as before:
            return await self._find_ordered(before)
        return await self.wait_for(change_id)

    async def find_done(self, user: User, once: Once) -> ChangeRow | None:
        """Return what has become of the change if the request was sent before, None if not.

        Raises AnsweredBeforeError when it was only proposed then, StoreError.
        """
        try:
            async with self._database.transaction() as connection:
                await once.check(connection, user)
        except AnsweredBeforeError as before:
            return await self._find_ordered(before)
        return None

    async def add(
        self, connection: Connection, user: User, command: Command, entry: AuditEntry
    ) -> int:
        """Write a change down in a transaction of the caller's, who then waits for it."""
        change_id = await add_change(
            connection, encode_command(command), subject=entry.subject, ordered_by=user.actor
        )
        entry.detail["change_id"] = change_id
        await add_audit_entries(connection, [entry])
        return change_id

    async def propose(
        self,
        user: User,
        once: Once,
        command: ProposableCommand,
        entry: AuditEntry,
        *,
        firm_id: int | None,
    ) -> ApprovalRow:
        """Let a change wait for another user's word; `entry` is written when he gives it.

        `firm_id` is the firm whose people may see it, None for the venue's alone. Raises
        AnsweredBeforeError, StoreError.
        """
        async with self._database.transaction() as connection:
            await once.claim(connection, user)
            held = await look_up(self._engine, connection, command)
            new = NewApproval(
                command=encode_command(command),
                action=entry.action,
                subject=entry.subject,
                detail=entry.detail,
                before=held.view,
                held_tag=held.tag,
                reason=entry.reason,
                firm_id=firm_id,
                proposed_by=user.user_id,
            )
            row = await add_approval(connection, new)
            await once.keep(connection, user, view_approval(row), status=HTTPStatus.ACCEPTED)
            proposed = user.audit(
                "approval_proposed",
                f"approval:{row.approval_id}",
                {"action": row.action, "subject": row.subject},
                reason=row.reason,
                before=row.before,
                after=row.detail,
            )
            await add_audit_entries(connection, [proposed])
        return row

    async def approve(self, connection: Connection, user: User, row: ApprovalRow) -> ApprovalRow:
        """Let a proposal pass. The caller waits for the change once that is committed.

        Who calls has seen to it that the engine is there, and holds `one_at_a_time` until then.
        Raises the 409 that says that something else holds than when it was proposed.
        """
        command = decode_proposed(row)
        held = await look_up(self._engine, connection, command)
        if held.tag != row.held_tag:
            raise conflict(
                f"{row.subject} was changed since: reject this, and propose it anew",
                code="approval_outdated",
            )
        entry = user.audit(
            row.action,
            row.subject,
            {"approval_id": row.approval_id},
            reason=row.reason,
            before=row.before,
            after=row.detail,
        )
        if isinstance(command, LiftKillSwitch | BustTrade | CorrectTrade):
            # The engine asks who it was, of a kill switch another than has pulled it: here are two.
            command = msgspec.structs.replace(command, actor=f"{command.actor} {user.actor}")
        if isinstance(command, GrantOverride):
            override = msgspec.structs.replace(command.override, approver=user.actor)
            command = GrantOverride(override)
        change_id = await self.add(connection, user, command, entry)
        return await decide(
            connection, row.approval_id, decided_by=user.user_id, change_id=change_id
        )

    async def find(self, change_id: int) -> ChangeRow:
        """Return what has become of a change that there is."""
        async with self._database.transaction() as connection:
            row = await find_change(connection, change_id)
        assert row is not None
        return row

    async def _find_ordered(self, before: AnsweredBeforeError) -> ChangeRow:
        """Return the change that was ordered then. Raises what is given when none was."""
        # A proposal has no change yet in the answer that is kept.
        if before.body.get("change_id") is None:
            raise before
        return await self.find(int(before.body["change_id"]))

    async def wait_for(self, change_id: int) -> ChangeRow:
        """Return what has become of a change, or after some seconds that it still waits."""
        waiter: asyncio.Future[ChangeRow] = asyncio.get_running_loop().create_future()
        self._waiters[change_id] = waiter
        self._is_due.set()
        try:
            return await asyncio.wait_for(waiter, WAIT_S if self._engine.is_there else RETRY_S)
        except TimeoutError:
            # Another process may have done it.
            return await self.find(change_id)
        finally:
            del self._waiters[change_id]

    async def run(self) -> None:
        """Apply what waits until cancelled."""
        while True:
            self._is_due.clear()
            try:
                while await self._apply_next():
                    pass
            except (StoreError, LinkClosedError, TimeoutError) as error:
                log.warning("changes_wait", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await asyncio.wait_for(self._is_due.wait(), IDLE_S)
            except TimeoutError:
                continue

    async def _apply_next(self) -> bool:
        """Apply the change that is due. False when there is none, or no engine."""
        if not self._engine.is_there:
            return False
        async with self._database.transaction() as connection:
            row = await take_next(connection)
            if row is None:
                return False
            outcome = await self._engine.ask(decode_command(row.command))
            event = outcome.events[0]
            refusal = None
            if isinstance(event, CommandRefused):
                refusal = explain(event.reason, limit=event.limit, actual=event.actual)
            row = await note_outcome(connection, row.change_id, outcome.seq, refusal)
        log.info("change_applied", change_id=row.change_id, seq=row.engine_seq, refusal=row.refusal)
        waiter = self._waiters.get(row.change_id)
        if waiter is not None and not waiter.done():
            waiter.set_result(row)
        return True
