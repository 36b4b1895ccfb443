"""Passwords that are verified again cost nothing, and only those that fitted."""

import asyncio

import pytest

from store import passwords
from store.passwords import PasswordVerifier, hash_password


def test_only_what_fitted_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to so many, the latest; another hash of the same password is verified for itself."""
    hashes = [hash_password("first horse"), hash_password("second horse")]
    renewed = hash_password("second horse")
    verified: list[list[str]] = []
    find_fitting = passwords._find_fitting

    def watch(password: str, password_hashes: list[str]) -> int | None:
        verified.append(password_hashes)
        return find_fitting(password, password_hashes)

    monkeypatch.setattr(passwords, "_find_fitting", watch)

    async def scenario() -> list[int | None]:
        verifier = PasswordVerifier(remembered_max=2)
        asked = [
            ("second horse", hashes),
            ("second horse", hashes),
            ("wrong horse", hashes),
            ("wrong horse", hashes),
            ("second horse", [renewed]),
            ("first horse", hashes),
            ("second horse", [renewed]),
            ("second horse", hashes),  # Forgotten: two others came later.
            ("", []),
            ("", []),
        ]
        found = [await verifier.find(password, known) for password, known in asked]
        verifier.close()
        return found

    assert asyncio.run(scenario()) == [1, 1, None, None, 0, 0, 0, 1, None, None]
    fitted, wrong = [hashes], [hashes, hashes]
    nobody = verified[-2:]
    assert verified == [*fitted, *wrong, [renewed], hashes, hashes, *nobody]
    assert all(len(dummy) == 1 for dummy in nobody)


def test_nothing_is_remembered_unless_asked_to() -> None:
    """People who log in are verified every time."""

    async def scenario() -> int:
        verifier = PasswordVerifier()
        known = [hash_password("only horse")]
        assert [await verifier.find("only horse", known) for _ in range(2)] == [0, 0]
        verifier.close()
        return len(verifier._remembered)

    assert asyncio.run(scenario()) == 0
