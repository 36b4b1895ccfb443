"""The second factor: codes of 30 seconds (RFC 6238), recovery codes, and how secrets are kept."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

import pyotp
import segno
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from admin_api.auth.key_file import load_or_make

ISSUER: Final = "WorldClass"
STEP_S: Final = 30
# A clock may be one step off in either direction.
STEPS_OFF_MAX: Final = 1
RECOVERY_CODE_COUNT: Final = 10
RECOVERY_BYTES: Final = 10  # 80 bits.
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class SecretBox:
    """Seals TOTP secrets with AES-256-GCM: whoever has the database alone has no second factor.

    A sealed secret opens for the user alone whom it was sealed for.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, secret: str, user_id: int) -> str:
        """Return the secret in a form that may be stored."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), str(user_id).encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, user_id: int) -> str:
        """Return the secret. Raises cryptography's InvalidTag when the key is another one."""
        data = base64.b64decode(sealed)
        nonce, text = data[:NONCE_BYTES], data[NONCE_BYTES:]
        return self._cipher.decrypt(nonce, text, str(user_id).encode()).decode()


def make_secret() -> str:
    """Return a new secret of 160 bits, in base 32 as authenticators take it."""
    return pyotp.random_base32()


def make_uri(secret: str, name: str) -> str:
    """Return the secret as authenticators read it from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def draw_qr(uri: str) -> str:
    """Return the QR code of a URI as a `data:` URI of an SVG image."""
    return segno.make(uri, error="m").svg_data_uri(scale=4)


def find_step(secret: str, code: str, *, now_s: int) -> int | None:
    """Return the time step whose code it is, None for a code of none of the steps around now."""
    totp = pyotp.TOTP(secret)
    present = now_s // STEP_S
    found = None
    for step in range(max(0, present - STEPS_OFF_MAX), present + STEPS_OFF_MAX + 1):
        if hmac.compare_digest(totp.at(step * STEP_S).encode(), code.encode()):
            found = step
    return found


def make_recovery_codes() -> list[str]:
    """Return new recovery codes, as `ABCD-EFGH-IJKL-MNOP`."""
    codes = []
    for _ in range(RECOVERY_CODE_COUNT):
        text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode()
        codes.append("-".join(text[start : start + 4] for start in range(0, len(text), 4)))
    return codes


def hash_token(text: str) -> str:
    """Return what is stored of a secret that was drawn at random: one that nobody can guess."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_box(path: Path) -> SecretBox:
    """Return the box of the key file, which is made if it is not there.

    Raises PermissionError when others may read it, ValueError when it holds something else.
    """
    key = load_or_make(path, lambda: os.urandom(KEY_BYTES))
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} does not hold {KEY_BYTES} bytes")
    return SecretBox(key)
