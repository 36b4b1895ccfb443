"""Access tokens: JSON Web Tokens signed with an Ed25519 key of the venue's own.

A token is checked without any database, so a disabled operator keeps access until it expires: that
is why it lives for no more than 15 minutes.
"""

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

ALGORITHM: Final = "EdDSA"
ISSUER: Final = "wcx"
AUDIENCE: Final = "wcx-admin-api"
LIFETIME_S: Final = 15 * 60
REQUIRED_CLAIMS: Final = ["exp", "iat", "iss", "aud", "sub", "jti"]
ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever has shown a valid token. `token_id` is the token's own identity."""

    name: str
    token_id: str

    @property
    def actor(self) -> str:
        """The operator as the audit log names him."""
        return f"operator:{self.name}"


class Tokens:
    """Issues access tokens and checks them. Fails closed: whatever is wrong with one, it is None.

    The algorithm is fixed: what a token says of its own is not believed.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key()

    def issue(self, name: str, *, now_s: int) -> str:
        """Return a token that says who its bearer is for 15 minutes from now (in Unix seconds)."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": name,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "jti": secrets.token_urlsafe(ID_BYTES),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def check(self, token: str) -> Operator | None:
        """Return whose token it is, None for one that is forged, malformed, expired or foreign."""
        try:
            claims = jwt.decode(
                token,
                self._public_key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.InvalidTokenError:
            return None
        # A token that lives longer than ours do was not made by this code.
        if claims["exp"] - claims["iat"] > LIFETIME_S:
            return None
        return Operator(claims["sub"], claims["jti"])


def now_s() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the venue's signing key, which is made, for nobody else to read, if it is not there.

    Raises ValueError when the file holds something else, PermissionError when others may read it.
    """
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600, or remove it")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")  # noqa: TRY004 - It is about the content.
    return key


def _make_key(path: Path) -> None:
    text = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # Whoever comes first has made it: a second process takes that one.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
