"""Access tokens: ours and in time, or nobody's."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from admin_api.auth.tokens import LIFETIME_S, Tokens, load_key, now_s
from admin_api.auth.user import User
from engine.units import FirmId
from store.users import Role

KEY = Ed25519PrivateKey.generate()
ADMIN = User(1, "admin", Role.ADMIN, None, "login:0a")


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, changed; those that are changed to None are left out."""
    good = {
        "iss": "wcx",
        "aud": "wcx-admin-api",
        "sub": "admin",
        "uid": 1,
        "role": "admin",
        "on": "login:0a",
        "iat": now_s(),
        "exp": now_s() + LIFETIME_S,
        "jti": "one",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def signed(content: dict[str, Any]) -> str:
    return jwt.encode(content, KEY, algorithm="EdDSA", headers={"kid": Tokens(KEY).key_id})


def unsigned(header: dict[str, str], content: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in (header, content)]
    head, body = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}."


def test_token_says_who_its_bearer_is() -> None:
    """For 15 minutes, with all that is to be known of him; each token is another one."""
    tokens = Tokens(KEY)
    texts = [tokens.issue(ADMIN, now_s=now_s()) for _ in range(2)]
    assert texts[0] != texts[1]
    assert [tokens.check(text) for text in texts] == [ADMIN, ADMIN]
    assert tokens.check(signed(claims())) == ADMIN
    trader = User(7, "tom", Role.TRADER, FirmId(3), "login:0b", mfa_at_s=17, must_enrol=True)
    assert tokens.check(tokens.issue(trader, now_s=now_s())) == trader
    assert [ADMIN.actor, trader.actor] == ["operator:admin", "user:tom"]


def test_token_names_the_key_that_signed_it() -> None:
    """Another key's token is not even looked at, whatever it was signed with."""
    tokens = Tokens(KEY)
    token = tokens.issue(ADMIN, now_s=now_s())
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA", "kid": tokens.key_id, "typ": "JWT",
    }  # fmt: skip
    assert tokens.check(jwt.encode(claims(), KEY, algorithm="EdDSA")) is None
    other = jwt.encode(claims(), KEY, algorithm="EdDSA", headers={"kid": "another"})
    assert tokens.check(other) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "something"},
        {"exp": 1},
        {"iat": 2**40, "exp": 2**40 + 1},
        {"exp": 2**40},
        {"sub": 7},
        {"role": "emperor"},
        *({name: None} for name in ("iss", "aud", "exp", "iat", "sub", "jti", "uid", "role", "on")),
    ],
)
def test_claims_must_be_ours(changes: dict[str, Any]) -> None:
    """All of them are needed, and none may be of another time, place or kind."""
    assert Tokens(KEY).check(signed(claims(**changes))) is None


def test_signature_must_be_ours() -> None:
    """Of this key and by this algorithm, whatever the token says of itself."""
    tokens = Tokens(KEY)
    others = Ed25519PrivateKey.generate()
    ours = {"kid": tokens.key_id}
    head, body, signature = signed(claims()).split(".")
    forged = [
        jwt.encode(claims(), others, algorithm="EdDSA", headers=ours),
        jwt.encode(claims(), generate_private_key(SECP256R1()), algorithm="ES256", headers=ours),
        jwt.encode(claims(), b"0" * 32, algorithm="HS256", headers=ours),
        unsigned({"alg": "none", "typ": "JWT", **ours}, claims()),
        unsigned({"alg": "EdDSA", "typ": "JWT", **ours}, claims()),
        f"{head}.{body}.{signature[:-4]}AAAA",
        "",
        "a.b.c",
        "\xe9",
    ]
    assert [tokens.check(token) for token in forged] == [None] * len(forged)


def test_key_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    """The second start finds the first one's, so that tokens stay good over a restart."""
    path = tmp_path / "token-key.pem"
    token = Tokens(load_key(path)).issue(ADMIN, now_s=now_s())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["token-key.pem"]
    assert Tokens(load_key(path)).check(token) is not None
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="can be read by others"):
        load_key(path)


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A start with a wrong file stops."""
    path = tmp_path / "token-key.pem"
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(ValueError, match="holds no Ed25519 key"):
        load_key(path)
