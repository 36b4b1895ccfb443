"""API keys: what machines show instead of a login. Scoped, expiring, revocable."""

import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from admin_api.auth.permissions import Permission
from admin_api.auth.totp import hash_token
from admin_api.auth.user import User
from store.logins import ApiKeyRow, find_api_key
from store.postgres import Database
from store.revocations import Revocations
from store.users import Role, UserRow, UserStatus, find_user

PREFIX: Final = "wcx_"
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
REMEMBERED_S: Final = 30.0
REMEMBERED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    user: User
    secret_hash: str
    expires_at: datetime
    forgotten_at_s: float


def make_key() -> tuple[str, str, str]:
    """Return a new key's identity, what is stored of it, and the key as it is shown once."""
    key_id = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return key_id, hash_token(text), text


class ApiKeys:
    """Says whose a key is. Fails closed; belongs to one event loop.

    A key that was good is remembered for 30 s, so that the database is seldom asked. One that is
    revoked is refused at once all the same.
    """

    def __init__(self, database: Database, revocations: Revocations) -> None:
        self._database = database
        self._revocations = revocations
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def check(self, text: str) -> User | None:
        """Return whose key it is, None for one that is unknown, revoked or too old.

        Raises StoreError when that is not known and the database does not say.
        """
        key_id, _, secret = text.removeprefix(PREFIX).partition("_")
        if not secret:
            return None
        known = self._known.get(key_id)
        if known is None or known.forgotten_at_s < time.monotonic():
            known = await self._load(key_id)
        if known is None or known.expires_at <= datetime.now(UTC):
            return None
        return known.user if hmac.compare_digest(hash_token(text), known.secret_hash) else None

    async def _load(self, key_id: str) -> _Known | None:
        self._known.pop(key_id, None)
        async with self._database.transaction() as connection:
            row = await find_api_key(connection, key_id)
            owner = None if row is None else await find_user(connection, row.user_id)
        if row is None or owner is None or owner.status != UserStatus.ACTIVE:
            return None
        if row.revoked_at is not None or self._revocations.is_revoked(f"key:{key_id}"):
            return None
        known = _Known(
            _as_user(row, owner), row.secret_hash, row.expires_at, time.monotonic() + REMEMBERED_S
        )
        self._known[key_id] = known
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return known


def _as_user(row: ApiKeyRow, owner: UserRow) -> User:
    return User(
        user_id=owner.user_id,
        name=owner.name,
        role=Role(owner.role),
        firm_id=owner.firm_id,
        rests_on=f"key:{row.key_id}",
        scopes=frozenset(Permission(scope) for scope in row.scopes),
    )
