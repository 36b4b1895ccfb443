"""Access tokens: JSON Web Tokens signed with an Ed25519 key of the venue's own.

A token is checked without any database: it says all that is to be known of its bearer, for no more
than 15 minutes. What it rests on may be revoked meanwhile, which `store.revocations` knows.
"""

import hashlib
import secrets
import time
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from admin_api.auth.key_file import load_or_make
from admin_api.auth.user import User
from engine.units import FirmId
from store.users import Role

ALGORITHM: Final = "EdDSA"
ISSUER: Final = "wcx"
AUDIENCE: Final = "wcx-admin-api"
LIFETIME_S: Final = 15 * 60
REQUIRED_CLAIMS: Final = ["exp", "iat", "iss", "aud", "sub", "jti", "uid", "role", "on"]
ID_BYTES: Final = 16
KEY_ID_LENGTH: Final = 16


class Tokens:
    """Issues access tokens and checks them. Fails closed: whatever is wrong with one, it is None.

    Key and algorithm are fixed: what a token says of its own is not believed.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key()
        raw = self._public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = hashlib.sha256(raw).hexdigest()[:KEY_ID_LENGTH]

    def issue(self, user: User, *, now_s: int) -> str:
        """Return a token that says who its bearer is for 15 minutes from now (in Unix seconds)."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.name,
            "uid": user.user_id,
            "role": user.role.value,
            "firm": user.firm_id,
            "on": user.rests_on,
            "mfa": user.mfa_at_s,
            "enrol": user.must_enrol,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "jti": secrets.token_urlsafe(ID_BYTES),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self.key_id})

    def check(self, token: str) -> User | None:
        """Return whose token it is, None for one that is forged, malformed, expired or foreign."""
        try:
            if jwt.get_unverified_header(token).get("kid") != self.key_id:
                return None
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
        try:
            return _read_user(claims)
        except ValueError:  # A role that there is no more.
            return None


def now_s() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the venue's signing key, which is made, for nobody else to read, if it is not there.

    Raises ValueError when the file holds something else, PermissionError when others may read it.
    """
    key = load_pem_private_key(load_or_make(path, _make_key), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")  # noqa: TRY004 - It is about the content.
    return key


def _make_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def _read_user(claims: dict[str, Any]) -> User:
    firm = claims.get("firm")
    return User(
        user_id=claims["uid"],
        name=claims["sub"],
        role=Role(claims["role"]),
        firm_id=None if firm is None else FirmId(firm),
        rests_on=claims["on"],
        mfa_at_s=claims.get("mfa"),
        must_enrol=claims.get("enrol") is True,
    )
