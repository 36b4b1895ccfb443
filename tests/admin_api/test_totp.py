"""The second factor: which codes count, and what is kept of secrets."""

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from admin_api.auth.totp import (
    SecretBox,
    draw_qr,
    find_step,
    hash_token,
    load_box,
    make_recovery_codes,
    make_secret,
    make_uri,
)

# RFC 6238, appendix B: the secret in base 32, and its codes of 6 digits (SHA-1).
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = [
    (59, "287082"),
    (1111111109, "081804"),
    (1234567890, "005924"),
    (20000000000, "353130"),
]


@pytest.mark.parametrize(("now_s", "code"), RFC_CODES)
def test_codes_are_those_of_the_standard(now_s: int, code: str) -> None:
    """A code names its step of 30 seconds; a clock may be one step off."""
    step = now_s // 30
    assert find_step(RFC_SECRET, code, now_s=now_s) == step
    assert find_step(RFC_SECRET, code, now_s=now_s + 30) == step
    assert find_step(RFC_SECRET, code, now_s=now_s - 30) == step
    assert find_step(RFC_SECRET, code, now_s=now_s + 60) is None
    assert find_step(RFC_SECRET, "000000", now_s=now_s) is None


def test_secret_is_sealed_for_one_user(tmp_path: Path) -> None:
    """With the key file alone it opens, twice sealed it looks different, and for nobody else."""
    path = tmp_path / "mfa-key"
    box = load_box(path)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = box.seal(RFC_SECRET, 7)
    assert RFC_SECRET not in sealed
    assert sealed != box.seal(RFC_SECRET, 7)
    assert load_box(path).open(sealed, 7) == RFC_SECRET
    for stranger, user_id in ((box, 8), (SecretBox(bytes(32)), 7)):
        with pytest.raises(InvalidTag):
            stranger.open(sealed, user_id)


def test_key_file_must_be_private_and_whole(tmp_path: Path) -> None:
    """A start with a wrong file stops."""
    path = tmp_path / "mfa-key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="does not hold 32 bytes"):
        load_box(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="can be read by others"):
        load_box(path)


def test_recovery_codes_are_many_and_different() -> None:
    """Ten, each of 16 letters; two secrets are never alike."""
    codes = make_recovery_codes()
    assert len(set(codes)) == 10
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    assert len({hash_token(code) for code in codes}) == 10
    assert make_secret() != make_secret()


def test_authenticators_read_the_qr_code() -> None:
    """A URI as they know it, drawn as an image that needs no network."""
    uri = make_uri(RFC_SECRET, "bob")
    assert uri == f"otpauth://totp/WorldClass:bob?secret={RFC_SECRET}&issuer=WorldClass"
    assert draw_qr(uri).startswith("data:image/svg+xml")
