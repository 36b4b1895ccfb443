"""Whoever calls: what a valid token or API key says of him."""

from dataclasses import dataclass
from typing import Any

from admin_api.auth.permissions import TABLE, Permission
from engine.units import FirmId
from store.audit import AuditEntry
from store.users import Role


@dataclass(frozen=True, slots=True)
class User:
    """A user who has proven himself.

    `rests_on` is `login:ID` or `key:ID`: when that is revoked, so is the access. `mfa_at_s` is
    when he last showed his second factor, in Unix seconds, None when he has none. One who
    `must_enrol` may do nothing before he has one. `scopes` narrow what an API key may do.
    `address` is from where he calls.
    """

    user_id: int
    name: str
    role: Role
    firm_id: FirmId | None
    rests_on: str
    mfa_at_s: int | None = None
    must_enrol: bool = False
    scopes: frozenset[Permission] | None = None
    address: str = ""

    @property
    def actor(self) -> str:
        """The user as the audit log names him: the venue's own people are operators."""
        return f"{'operator' if self.firm_id is None else 'user'}:{self.name}"

    @property
    def is_machine(self) -> bool:
        """Whether an API key was shown."""
        return self.scopes is not None

    def audit(
        self,
        action: str,
        subject: str,
        detail: dict[str, Any] | None = None,
        *,
        reason: str = "",
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> AuditEntry:
        """Return the entry that says that the user has done this."""
        return AuditEntry(
            self.actor,
            action,
            subject,
            detail or {},
            reason=reason,
            address=self.address,
            before=before,
            after=after,
        )

    def may(self, permission: Permission) -> bool:
        """Whether the table, and the key's scopes, allow it."""
        is_in_scope = self.scopes is None or permission in self.scopes
        return is_in_scope and permission in TABLE[self.role]

    def sees_firm(self, firm_id: int | None) -> bool:
        """Whether what belongs to the firm exists for the user. To the venue's people all does."""
        return self.firm_id is None or self.firm_id == firm_id
