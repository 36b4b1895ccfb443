"""Passwords: Argon2id, at most two at a time, never on the event loop's thread."""

import asyncio
import functools
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LENGTH_MIN: Final = 12
DISTINCT_MIN: Final = 5
# What people take who are asked for so many characters.
COMMON: Final = ("password", "passwort", "qwertyui", "12345678", "87654321", "abcdefgh", "letmein")
VERIFICATIONS_AT_ONCE: Final = 2
VERIFICATIONS_WAITING_MAX: Final = 64

P = ParamSpec("P")
T = TypeVar("T")

_hasher = PasswordHasher()  # Argon2id with the parameters of RFC 9106, 64 MiB.


class VerifierBusyError(Exception):
    """So many passwords are waiting to be verified that one more must come back later."""


def hash_password(password: str) -> str:
    """Return what may be stored of a password. Takes some 50 ms of CPU and 64 MiB."""
    return _hasher.hash(password)


def find_password_fault(password: str, name: str) -> str | None:
    """Return what is wrong with a password that somebody has chosen, None when it will do."""
    plain = password.lower()
    if len(password) < LENGTH_MIN:
        return f"a password has at least {LENGTH_MIN} characters"
    if len(set(password)) < DISTINCT_MIN:
        return f"a password has at least {DISTINCT_MIN} different characters"
    if name.lower() in plain:
        return "a password does not hold the user's name"
    if plain.startswith(COMMON):
        return "a password does not begin as everybody's does"
    return None


class PasswordVerifier:
    """Verifies passwords in two worker threads. Belongs to one event loop.

    It remembers `remembered_max` passwords that fitted, as digests under a key that this process
    alone has: whoever comes back is verified at once, so that hundreds of clients who return at the
    same time need not wait for each other. A wrong password is never remembered.
    """

    def __init__(self, *, remembered_max: int = 0) -> None:
        self._workers = ThreadPoolExecutor(VERIFICATIONS_AT_ONCE, "argon2")
        self._waiting_count = 0
        self._key = secrets.token_bytes(32)
        self._remembered_max = remembered_max
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        # For names that do not exist: a refusal takes as long as one of a wrong password.
        self._dummy_hash = hash_password("")

    async def find(self, password: str, password_hashes: list[str]) -> int | None:
        """Return the index of a hash that the password fits, None when it fits none.

        [] takes as long as one hash. Raises VerifierBusyError when too many wait already.
        """
        digests = [self._digest(password, password_hash) for password_hash in password_hashes]
        for index, digest in enumerate(digests):
            if digest in self._remembered:
                self._remembered.move_to_end(digest)
                return index
        found = await self._work(_find_fitting, password, password_hashes or [self._dummy_hash])
        if found is None or not password_hashes:
            return None
        self._remember(digests[found])
        return found

    async def hash(self, password: str) -> str:
        """Return what may be stored of a password. Raises VerifierBusyError."""
        return await self._work(hash_password, password)

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than are used today."""
        return _hasher.check_needs_rehash(password_hash)

    def _digest(self, password: str, password_hash: str) -> bytes:
        # Of the hash too, which has a salt: a credential that is replaced is not known any more.
        return hmac.digest(self._key, f"{password_hash}\0{password}".encode(), "sha256")

    def _remember(self, digest: bytes) -> None:
        self._remembered[digest] = None
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)

    async def _work(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting_count >= VERIFICATIONS_WAITING_MAX:
            raise VerifierBusyError
        self._waiting_count += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._workers, functools.partial(work, *args, **kwargs)
            )
        finally:
            self._waiting_count -= 1

    def close(self) -> None:
        """Let the worker threads end."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _find_fitting(password: str, password_hashes: list[str]) -> int | None:
    # Every hash is tried: the time must not tell which one fitted.
    outcomes = [_fits(password, password_hash) for password_hash in password_hashes]
    return outcomes.index(True) if True in outcomes else None


def _fits(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
