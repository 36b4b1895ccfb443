"""TLS of the door: what it is willing to speak, and certificates that are replaced under way."""

import ssl
from pathlib import Path

import pytest

from fix_gateway.fix.tls import TlsCertificate, TlsFiles, client_fingerprint, ensure_self_signed


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, str]:
    """Connect both in memory; return the server's end and the certificate that it has shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    client_end = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(10):
        for end in (client_end, server_end):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = client_end.getpeercert(binary_form=True)
    assert shown is not None
    return server_end, ssl.DER_cert_to_PEM_cert(shown)


def client_context(trusted: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make(path: Path) -> TlsFiles:
    return TlsFiles(ensure_self_signed(path), path)


def test_own_certificate_is_made_once_and_kept_private(tmp_path: Path) -> None:
    """It stays the same over starts, and its key is for its owner alone."""
    path = tmp_path / "tls" / "own.pem"
    ensure_self_signed(path)
    first = path.read_bytes()
    ensure_self_signed(path)
    assert path.read_bytes() == first
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert sorted(path.parent.iterdir()) == [path]


def test_new_files_are_used_and_broken_ones_are_not(tmp_path: Path) -> None:
    """A certificate is replaced without a restart; half a file changes nothing."""
    path = tmp_path / "door.pem"
    certificate = TlsCertificate(make(path))
    _, first = shake_hands(certificate.context, client_context(path))
    path.write_text("-----BEGIN CERTIFICATE-----\nhalf")
    certificate.refresh()
    path.unlink()
    certificate.refresh()
    make(path)
    _, still = shake_hands(
        certificate.context, client_context(_written(tmp_path / "first.pem", first))
    )
    assert still == first
    certificate.refresh()
    _, second = shake_hands(certificate.context, client_context(path))
    assert second != first


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [(ssl.TLSVersion.TLSv1_1, "DEFAULT:@SECLEVEL=0"), (ssl.TLSVersion.TLSv1_2, "AES256-SHA")],
)
@pytest.mark.filterwarnings("ignore:.*TLSv1_1.*:DeprecationWarning")
def test_old_versions_and_ciphers_are_refused(
    tmp_path: Path, version: ssl.TLSVersion, ciphers: str
) -> None:
    """Nothing below TLS 1.2, nothing without forward secrecy."""
    path = tmp_path / "door.pem"
    certificate = TlsCertificate(make(path))
    client = ssl.create_default_context(cafile=str(path))
    client.set_ciphers(ciphers)
    client.minimum_version = version
    client.maximum_version = version
    with pytest.raises(ssl.SSLError):
        shake_hands(certificate.context, client)


def test_client_certificate_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    """One that is trusted has a fingerprint; who shows none has none; a stranger's is refused."""
    door, known, stranger = (
        ensure_self_signed(tmp_path / name) for name in ("door", "known", "stranger")
    )
    certificate = TlsCertificate(TlsFiles(door, door, client_ca=known))

    def fingerprint_of(own: Path | None) -> str | None:
        client = client_context(door)
        client.maximum_version = ssl.TLSVersion.TLSv1_2  # A refusal is then part of the handshake.
        if own is not None:
            client.load_cert_chain(own)
        server_end, _ = shake_hands(certificate.context, client)
        return client_fingerprint(server_end)

    shown = fingerprint_of(known)
    assert shown is not None
    assert len(shown) == 64
    assert fingerprint_of(None) is None
    with pytest.raises(ssl.SSLError):
        fingerprint_of(stranger)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
