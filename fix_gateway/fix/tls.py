"""TLS of the FIX door: 1.2 and newer, and a certificate that may be replaced while it is in use."""

import contextlib
import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

# Of TLS 1.2 only what has forward secrecy and authenticates what it encrypts (RFC 9325, 4.2).
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
SELF_SIGNED_DAYS: Final = 825

log = structlog.get_logger("fix.tls")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files. `key` may be the same file as `certificate`.

    `client_ca` holds the authorities, or the very certificates, that client certificates are
    verified with; without it none is asked for.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class TlsCertificate:
    """What TLS connections are opened with now. Raises OSError or ssl.SSLError when it cannot be.

    Belongs to the gateway's one thread.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamps = self._read_stamps()
        self.context = _make_context(files)

    def refresh(self) -> None:
        """Look whether the files have changed, and use the new ones from the next connection on.

        Files that do not fit together, as while they are being replaced, change nothing.
        """
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.context = _make_context(self._files)
        except (OSError, ssl.SSLError) as error:
            log.warning("certificate_not_reloaded", error=str(error))
        else:
            log.info("certificate_reloaded", file=str(self._files.certificate))

    def _read_stamps(self) -> list[tuple[int, int] | None]:
        files = (self._files.certificate, self._files.key, self._files.client_ca)
        return [_stamp(path) for path in files if path is not None]


def client_fingerprint(tls: ssl.SSLObject | None) -> str | None:
    """Return the SHA-256 of the certificate that the client has proven, None when there is none."""
    certificate = None if tls is None else tls.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def ensure_self_signed(path: Path) -> Path:
    """Make a certificate and its key for this machine alone, unless there is one. Returns `path`.

    Several processes may do so at once: one of them makes it, all use that one.
    """
    if path.exists():
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_make_self_signed())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path


def _make_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(files.certificate, files.key)
    if files.client_ca is not None:
        context.load_verify_locations(files.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        # A certificate that is trusted itself needs nobody above it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _make_self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)
