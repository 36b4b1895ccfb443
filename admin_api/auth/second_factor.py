"""Showing a second factor: a code of the authenticator, or a recovery code. Each works once."""

import re
from typing import Final

from admin_api.auth.tokens import now_s
from admin_api.auth.totp import SecretBox, find_step, hash_token
from store.lockout import Lockout
from store.postgres import Connection
from store.users import UserRow, use_mfa_step, use_recovery_code

TOTP_PATTERN: Final = re.compile(r"[0-9]{6}", re.ASCII)


class SecondFactor:
    """Checks codes. After failures a user must wait, wherever the tries come from.

    Only who knows the password gets here, so nobody can lock a stranger out.
    """

    def __init__(self, box: SecretBox, lockout: Lockout) -> None:
        self._box = box
        self.lockout = lockout

    async def wait_s(self, user: UserRow) -> float:
        """Return how many seconds no code of the user is looked at, 0.0 for none."""
        return await self.lockout.wait_s(_name(user), "")

    async def check(self, connection: Connection, user: UserRow, code: str) -> bool:
        """Whether it is a code of the user's that has not served yet. Now it has."""
        is_good = await self._use(connection, user, code.strip())
        if is_good:
            await self.lockout.note_success(_name(user), "")
        else:
            await self.lockout.note_failure(_name(user), "")
        return is_good

    def seal(self, secret: str, user_id: int) -> str:
        """Return a secret in the form in which it is stored."""
        return self._box.seal(secret, user_id)

    async def _use(self, connection: Connection, user: UserRow, code: str) -> bool:
        if user.mfa_secret is None:
            return False
        if TOTP_PATTERN.fullmatch(code):
            secret = self._box.open(user.mfa_secret, user.user_id)
            step = find_step(secret, code, now_s=now_s())
            return step is not None and await use_mfa_step(connection, user.user_id, step)
        return await use_recovery_code(connection, user.user_id, hash_token(code.upper()))


def _name(user: UserRow) -> str:
    return f"mfa:{user.user_id}"
