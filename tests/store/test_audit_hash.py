"""The hash of a row of the audit log, computed by hand."""

import hashlib

from store.audit_chain import hash_row


def test_row_is_hashed_with_the_former_one() -> None:
    """Each value with its length in bytes, so that no two rows say the same; `-` for none."""
    expected = hashlib.sha256(b"FORMER" + b"1:7" + b"3:\xe2\x82\xac" + b"-" + b"0:").digest()
    assert hash_row(b"FORMER", ["7", "€", None, ""]) == expected
