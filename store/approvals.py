"""Approvals: what one has proposed and another must let pass."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from engine.commands import LiftKillSwitch
from engine.ledger_commands import SetCreditLine, SetFirmCreditLine
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
from engine.trade_commands import TradeCommand

COLUMNS: Final = (
    "approval_id, command, action, subject, detail, before, held_tag, reason, firm_id,"
    " proposed_by, proposed_at, expires_at,"
    " CASE WHEN status = 'pending' AND expires_at <= now() THEN 'expired'"
    " ELSE status END AS status, decided_by, decided_at, change_id"
)
LIFETIME_S: Final = 24 * 3600

StandingCommand = (
    SetCreditLine
    | SetFirmCreditLine
    | LiftKillSwitch
    | SetRiskLimits
    | SetScopeLimits
    | SetAccountThrottle
    | SetLimit
    | SetInstrumentRules
    | SetTradingMode
    | GrantOverride
    | RevokeOverride
)
"""What changes something that holds until it is changed again."""

ProposableCommand = StandingCommand | TradeCommand
"""What may wait for a second pair of eyes."""

_decoder: msgspec.msgpack.Decoder[ProposableCommand] = msgspec.msgpack.Decoder(ProposableCommand)


@dataclass(frozen=True, slots=True)
class NewApproval:
    """Something that is proposed. `firm_id` is whom it concerns, None for the venue.

    `detail` is what shall hold, `before` what it takes the place of, None for nothing; `held_tag`
    names the very values of that.
    """

    command: bytes
    action: str
    subject: str
    detail: dict[str, Any]
    before: dict[str, Any] | None
    held_tag: str
    reason: str
    firm_id: int | None
    proposed_by: int


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A proposal and what became of it."""

    approval_id: int
    command: bytes
    action: str
    subject: str
    detail: dict[str, Any]
    before: dict[str, Any] | None
    held_tag: str
    reason: str
    firm_id: int | None
    proposed_by: int
    proposed_at: datetime
    expires_at: datetime
    status: str
    decided_by: int | None
    decided_at: datetime | None
    change_id: int | None


def decode_proposed(row: ApprovalRow) -> ProposableCommand:
    """Return the command that was proposed."""
    return _decoder.decode(row.command)


async def add_approval(connection: AsyncConnection[TupleRow], approval: NewApproval) -> ApprovalRow:
    """Let something wait for another's word, a day at most."""
    async with connection.cursor(row_factory=class_row(ApprovalRow)) as cursor:
        await cursor.execute(
            "INSERT INTO approvals"
            " (command, action, subject, detail, before, held_tag, reason, firm_id, proposed_by,"
            " expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))"
            f" RETURNING {COLUMNS}",
            [
                approval.command,
                approval.action,
                approval.subject,
                Jsonb(approval.detail),
                None if approval.before is None else Jsonb(approval.before),
                approval.held_tag,
                approval.reason,
                approval.firm_id,
                approval.proposed_by,
                LIFETIME_S,
            ],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row


async def find_approval(
    connection: AsyncConnection[TupleRow], approval_id: int
) -> ApprovalRow | None:
    """Return the proposal, locked until the end, None when there is none."""
    async with connection.cursor(row_factory=class_row(ApprovalRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM approvals WHERE approval_id = %s FOR UPDATE", [approval_id]
        )
        return await cursor.fetchone()


async def list_approvals(
    connection: AsyncConnection[TupleRow], *, is_pending: bool, before_id: int, limit: int
) -> list[ApprovalRow]:
    """Return proposals, the newest first; `is_pending`: those that can still be decided alone."""
    where = " AND status = 'pending' AND expires_at > now()" if is_pending else ""
    async with connection.cursor(row_factory=class_row(ApprovalRow)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM approvals WHERE approval_id < %s{where}"
            " ORDER BY approval_id DESC LIMIT %s",
            [before_id, limit],
        )
        return await cursor.fetchall()


async def decide(
    connection: AsyncConnection[TupleRow],
    approval_id: int,
    *,
    decided_by: int,
    change_id: int | None,
) -> ApprovalRow:
    """Note who has decided: approved with the change that follows from it, rejected without."""
    status = "rejected" if change_id is None else "approved"
    async with connection.cursor(row_factory=class_row(ApprovalRow)) as cursor:
        await cursor.execute(
            "UPDATE approvals SET status = %s, decided_by = %s, decided_at = now(), change_id = %s"
            f" WHERE approval_id = %s RETURNING {COLUMNS}",
            [status, decided_by, change_id, approval_id],
        )
        row = await cursor.fetchone()
        assert row is not None
        return row
