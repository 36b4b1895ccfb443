"""Whether a Logon is authentic: a password, or an Ed25519 signature, from where it may come.

Every check is made for every Logon, also for names that do not exist. The client of a refused one
learns nothing; the operator finds the true cause in the audit log.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Final

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from engine.units import SessionId
from fix_gateway.audit_trail import AuditTrail
from fix_gateway.fix.entrance import (
    PASSWORD_INCORRECT,
    REFUSED,
    Arrival,
    Authentic,
    AuthenticationUnavailableError,
    Refusal,
)
from fix_gateway.fix.fields import parse_utc_timestamp
from fix_gateway.fix.logon import Logon
from fix_gateway.metrics import GatewayMetrics
from store.audit import AuditEntry
from store.lockout import Lockout
from store.passwords import PasswordVerifier, VerifierBusyError
from store.postgres import Database, StoreError
from store.sessions import (
    CredentialRow,
    FixSessionRow,
    find_live_credentials,
    note_credential_use,
    replace_password,
)

NS_PER_S: Final = 1_000_000_000
NEW_PASSWORD_LENGTHS: Final = range(12, 129)
NOBODY: Final = SessionId(0)
PASSWORDS_REMEMBERED_MAX: Final = 10_000

log = structlog.get_logger("authentication")


class Cause(StrEnum):
    """Why a Logon was refused: for the audit log and the figures, not for the client."""

    UNKNOWN_SESSION = "unknown session"
    ADDRESS_NOT_ALLOWED = "address not allowed"
    CLIENT_CERTIFICATE = "client certificate missing or not the session's"
    WRONG_SECRET = "wrong name or secret"  # noqa: S105 - A sentence.
    LOCKED_OUT = "locked out"
    SENDING_TIME = "SendingTime(52) out of the window"
    REPLAYED = "replayed"


@dataclass(frozen=True)
class LogonWindow:
    """How far SendingTime(52) of a Logon may be off, in nanoseconds."""

    behind_ns: int
    ahead_ns: int


class _Turn:
    """Whose turn it is to be authenticated, of those who want the same name from one address."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.user_count = 0


class LogonAuthenticator:
    """The `fix.entrance.Authenticator` of a gateway. Belongs to its one thread.

    `clock_ns` is the time in nanoseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        lockout: Lockout,
        audit: AuditTrail,
        metrics: GatewayMetrics,
        window: LogonWindow,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._lockout = lockout
        self._audit = audit
        self._metrics = metrics
        self._window = window
        self._clock_ns = clock_ns
        self._verifier = PasswordVerifier(remembered_max=PASSWORDS_REMEMBERED_MAX)
        self._turns: dict[tuple[str, str], _Turn] = {}

    def close(self) -> None:
        """Let the worker threads end."""
        self._verifier.close()

    async def authenticate(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> Authentic | Refusal:
        """Say whether the Logon opens the session; None takes as long and never does.

        Raises AuthenticationUnavailableError when that cannot be found out now.
        """
        outcome = await self._judge(row, logon, arrival)
        if isinstance(outcome, Refusal):
            self._metrics.logon_refusals.labels(Cause(outcome.cause).name.lower()).inc()
            self._audit.add(
                AuditEntry(
                    actor=f"address:{arrival.host}",
                    action="logon_refused",
                    subject=f"fix:{logon.client_comp_id}",
                    detail={"cause": outcome.cause, "peer": arrival.peer},
                    address=arrival.host,
                )
            )
        elif row is not None:
            self._audit.add(
                AuditEntry(
                    actor=f"fix:{logon.client_comp_id}",
                    action="logon_authentic",
                    subject=f"session:{row.session_id}",
                    detail={"credential_id": outcome.credential_id, "peer": arrival.peer},
                    address=arrival.host,
                )
            )
        return outcome

    async def change_password(
        self, session_id: SessionId, username: str, password: str, new_password: str
    ) -> str | None:
        """Let another password open the session from now on, and this one no longer.

        Returns in words why not, None when it is done. Raises AuthenticationUnavailableError.
        """
        if len(new_password) not in NEW_PASSWORD_LENGTHS or not new_password.isascii():
            return "must have 12 to 128 ASCII characters"
        if new_password == password:
            return "must differ from the old one"
        place = f"session {session_id}"
        if await self._lockout.wait_s(username, place) > 0:
            return PASSWORD_INCORRECT
        try:
            candidates = [
                row
                for row in await self._find_credentials(session_id)
                if row.username == username and row.kind == "password"
            ]
            found = await self._verify_password(password, candidates)
            if found is None:
                await self._lockout.note_failure(username, place)
                return PASSWORD_INCORRECT
            new_hash = await self._verifier.hash(new_password)
            async with self._database.transaction() as connection:
                await replace_password(connection, found.credential_id, new_hash)
        except (StoreError, VerifierBusyError) as error:
            raise AuthenticationUnavailableError(repr(error)) from error
        self._audit.add(
            AuditEntry(
                actor=f"fix:{username}",
                action="password_changed",
                subject=f"session:{session_id}",
                detail={"credential_id": found.credential_id},
            )
        )
        return None

    async def _judge(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> Authentic | Refusal:
        key = (logon.client_comp_id, arrival.host)
        # One at a time: otherwise many guesses would pass before the first is known to be wrong.
        # A client whose connection broke as it logged on, and who is back at once, waits for that.
        turn = self._turns.setdefault(key, _Turn())
        turn.user_count += 1
        try:
            async with turn.lock:
                outcome = await self._try(row, logon, arrival)
        finally:
            turn.user_count -= 1
            if not turn.user_count:
                del self._turns[key]
        if isinstance(outcome, Refusal):
            return outcome
        return await self._check_freshness(logon) or await self._accept(logon, outcome)

    async def _try(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> CredentialRow | Refusal:
        name = logon.client_comp_id
        if await self._lockout.wait_s(name, arrival.host) > 0:
            return Refusal(REFUSED, Cause.LOCKED_OUT)
        try:
            credential = await self._find_proof(row, logon)
            cause = self._find_fault(row, credential, arrival)
            if cause is not None or credential is None:
                await self._lockout.note_failure(name, arrival.host)
                return Refusal(REFUSED, cause or Cause.WRONG_SECRET)
            await self._lockout.note_success(name, arrival.host)
        except (StoreError, VerifierBusyError) as error:
            raise AuthenticationUnavailableError(repr(error)) from error
        return credential

    async def _find_proof(self, row: FixSessionRow | None, logon: Logon) -> CredentialRow | None:
        """Return the credential that the Logon proves to have, None when there is none."""
        found = await self._find_credentials(NOBODY if row is None else row.session_id)
        kind = "ed25519" if logon.signature else "password"
        candidates = [c for c in found if c.kind == kind and c.username == logon.username]
        if logon.signature:
            return next((c for c in candidates if is_signed_by(logon, c.public_key or "")), None)
        return await self._verify_password(logon.password, candidates)

    async def _find_credentials(self, session_id: SessionId) -> list[CredentialRow]:
        # Asked for a stranger too: the time must not tell whether the session exists.
        async with self._database.transaction() as connection:
            return await find_live_credentials(connection, session_id)

    async def _verify_password(
        self, password: str, candidates: list[CredentialRow]
    ) -> CredentialRow | None:
        hashes = [candidate.password_hash or "" for candidate in candidates]
        index = await self._verifier.find(password, hashes)
        return None if index is None else candidates[index]

    def _find_fault(
        self, row: FixSessionRow | None, credential: CredentialRow | None, arrival: Arrival
    ) -> Cause | None:
        if row is None:
            return Cause.UNKNOWN_SESSION
        if not is_allowed_from(row, arrival.host):
            return Cause.ADDRESS_NOT_ALLOWED
        if row.client_cert_sha256 and arrival.client_cert_sha256 not in row.client_cert_sha256:
            return Cause.CLIENT_CERTIFICATE
        if credential is None:
            return Cause.WRONG_SECRET
        return None

    async def _check_freshness(self, logon: Logon) -> Refusal | None:
        """The client is authentic by now: it may know how its clock is wrong."""
        window = self._window
        sent_ns = parse_utc_timestamp(logon.sending_time)
        if sent_ns is None:
            return Refusal("SendingTime(52) is not a UTC timestamp", Cause.SENDING_TIME)
        skew_ns = sent_ns - self._clock_ns()
        if not -window.behind_ns <= skew_ns <= window.ahead_ns:
            text = (
                f"SendingTime(52) is {skew_ns / NS_PER_S:+.3f} s off this gateway's clock, allowed "
                f"is {-window.behind_ns / NS_PER_S:+.1f} to {window.ahead_ns / NS_PER_S:+.1f} s"
            )
            return Refusal(text, Cause.SENDING_TIME)
        within_s = (window.behind_ns + window.ahead_ns) / NS_PER_S
        if not await self._lockout.is_first_use(logon.digest, within_s=within_s):
            return Refusal("this very Logon has been used before", Cause.REPLAYED)
        return None

    async def _accept(self, logon: Logon, credential: CredentialRow) -> Authentic:
        new_hash = None
        if credential.password_hash and self._verifier.is_outdated(credential.password_hash):
            new_hash = await self._verifier.hash(logon.password)
        try:
            async with self._database.transaction() as connection:
                await note_credential_use(connection, credential.credential_id, new_hash)
        except StoreError as error:
            log.warning("credential_use_not_noted", error=str(error))
        return Authentic(credential.credential_id)


def is_allowed_from(row: FixSessionRow, host: str) -> bool:
    """Whether the session may be opened from the address. IPv4 within IPv6 counts as IPv4."""
    if not row.allowed_networks:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(
        address.version == network.version and address in network
        for network in row.allowed_networks
    )


def is_signed_by(logon: Logon, public_key: str) -> bool:
    """Whether RawData(96) is the key's Ed25519 signature, in base64, of `logon.signed_payload`."""
    try:
        key = load_pem_public_key(public_key.encode())
        signature = base64.b64decode(logon.signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    if not isinstance(key, Ed25519PublicKey):
        return False
    try:
        key.verify(signature, logon.signed_payload)
    except InvalidSignature:
        return False
    return True
