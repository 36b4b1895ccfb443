"""Passwords: Argon2id, at most two at a time, never on the event loop's thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

VERIFICATIONS_AT_ONCE: Final = 2
VERIFICATIONS_WAITING_MAX: Final = 64

_hasher = PasswordHasher()  # Argon2id with the parameters of RFC 9106, 64 MiB.


class VerifierBusyError(Exception):
    """So many passwords are waiting to be verified that one more must come back later."""


def hash_password(password: str) -> str:
    """Return what may be stored of a password. Takes some 50 ms of CPU and 64 MiB."""
    return _hasher.hash(password)


class PasswordVerifier:
    """Verifies passwords in two worker threads. Belongs to one event loop."""

    def __init__(self) -> None:
        self._workers = ThreadPoolExecutor(VERIFICATIONS_AT_ONCE, "argon2")
        self._waiting_count = 0
        # For names that do not exist: a refusal takes as long as one of a wrong password.
        self._dummy_hash = hash_password("")

    async def verify(self, password: str, password_hashes: list[str]) -> bool:
        """Whether the password fits one of the hashes. [] takes as long as one hash and is False.

        Raises VerifierBusyError when too many wait already.
        """
        if self._waiting_count >= VERIFICATIONS_WAITING_MAX:
            raise VerifierBusyError
        self._waiting_count += 1
        loop = asyncio.get_running_loop()
        hashes = password_hashes or [self._dummy_hash]
        try:
            fits = await loop.run_in_executor(self._workers, _fits_one, password, hashes)
        finally:
            self._waiting_count -= 1
        return fits and bool(password_hashes)

    def close(self) -> None:
        """Let the worker threads end."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _fits_one(password: str, password_hashes: list[str]) -> bool:
    # Every hash is tried: the time must not tell which one fitted.
    outcomes = [_fits(password, password_hash) for password_hash in password_hashes]
    return any(outcomes)


def _fits(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
