"""Users log in: with password and code, not too often; stolen tokens end what they came from."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admin_api.auth.logins import LIVE_LOGINS_MAX, Client, LoggedIn, LoginRefused, Logins
from admin_api.auth.policy import LoginPolicy
from admin_api.auth.second_factor import SecondFactor
from admin_api.auth.tokens import Tokens
from admin_api.auth.totp import SecretBox, hash_token, make_secret
from admin_api.metrics import AdminMetrics
from fix_gateway.supervisor.demo import ADMIN, ensure_admin
from store.audit import list_audit_rows
from store.budgets import Budgets
from store.lockout import Lockout
from store.logins import NewLogin, add_login, list_logins
from store.migrate import migrate
from store.passwords import hash_password
from store.postgres import Database
from store.revocations import Revocations
from store.users import (
    NewUser,
    Role,
    UserRow,
    UserStatus,
    add_user,
    confirm_mfa,
    find_user_named,
    keep_mfa_secret,
    set_password,
    update_user,
)
from tests.integration.conftest import Scenario
from tests.integration.outside_servers import make_database
from tests.integration.venue_process import VenueProcess

RIGHT = "the right password"
HASH = hash_password(RIGHT)
HERE = "192.0.2.1"
TOKENS = Tokens(Ed25519PrivateKey.generate())


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """Logins of an operator of the test's own."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self.clock = Clock()
        self.revocations = Revocations(database, None, memory_s=960)
        self.box = SecretBox(bytes(32))
        self.logins = Logins(
            database,
            TOKENS,
            AdminMetrics(Path("nowhere")),
            SecondFactor(self.box, Lockout(None, clock_s=self.clock)),
            self.revocations,
            LoginPolicy(mfa_roles=frozenset({Role.RISK_OFFICER})),
        )

    async def try_password(
        self,
        password: str,
        *,
        name: str | None = None,
        address: str = HERE,
        code: str | None = None,
    ) -> LoggedIn | LoginRefused:
        return await self.logins.log_in(name or self.name, password, code, Client(address, "test"))

    async def log_in(self, code: str | None = None) -> LoggedIn:
        outcome = await self.try_password(RIGHT, code=code)
        assert isinstance(outcome, LoggedIn)
        return outcome

    async def refresh(self, token: str) -> LoggedIn | LoginRefused:
        return await self.logins.refresh(token, Client(HERE, "test"))

    async def row(self) -> UserRow:
        async with self.database.transaction() as connection:
            row = await find_user_named(connection, self.name)
        assert row is not None
        return row

    async def enrol(self, *recovery_codes: str) -> pyotp.TOTP:
        """Give the user a second factor."""
        secret = make_secret()
        row = await self.row()
        async with self.database.transaction() as connection:
            await keep_mfa_secret(connection, row.user_id, self.box.seal(secret, row.user_id))
            hashes = [hash_token(code) for code in recovery_codes]
            await confirm_mfa(connection, row.user_id, hashes)
        return pyotp.TOTP(secret)

    async def audited(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Return what the log tells of the operator, the oldest first."""
        async with self.database.transaction() as connection:
            rows = await list_audit_rows(
                connection, before_id=None, subject=f"user:{self.name}", actor=None, limit=99
            )
        return [(row.actor, row.action, row.address, row.detail) for row in reversed(rows)]


@asynccontextmanager
async def desk_at(url: str, name: str) -> AsyncIterator[Desk]:
    database = Database(url)
    await database.open()
    desk = Desk(database, name)
    try:
        async with database.transaction() as connection:
            user = NewUser(name, Role.ADMIN, None, HASH)
            assert await add_user(connection, user) is not None
            assert await add_user(connection, user) is None
        yield desk
    finally:
        await desk.logins.close()
        await database.close()


def is_token_of(outcome: LoggedIn | LoginRefused, name: str) -> bool:
    if isinstance(outcome, LoginRefused):
        return False
    user = TOKENS.check(outcome.access_token)
    return user == outcome.user and user.name == name


def test_right_password_gives_a_token(on_postgres: Callable[[Scenario], None]) -> None:
    """The operator's own, also after a change; it is audited from where he came."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "anna") as desk:
            assert is_token_of(await desk.try_password(RIGHT), "anna")
            async with desk.database.transaction() as connection:
                row = await find_user_named(connection, "anna")
                assert row is not None
                await set_password(connection, row.user_id, hash_password("another one"))
            assert await desk.try_password(RIGHT) == LoginRefused()
            assert is_token_of(await desk.try_password("another one"), "anna")
            told = await desk.audited()
            assert [(*entry, detail.get("cause")) for *entry, detail in told] == [
                ("operator:anna", "logged_in", HERE, None),
                (f"address:{HERE}", "login_refused", HERE, "wrong password"),
                ("operator:anna", "logged_in", HERE, None),
            ]

    on_postgres(scenario)


def test_refusals_are_all_alike(on_postgres: Callable[[Scenario], None]) -> None:
    """Wrong, unknown, impossible or disabled: only the audit log says which."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "bert") as desk:
            assert await desk.try_password("wrong") == LoginRefused()
            assert await desk.try_password(RIGHT, name="nobody") == LoginRefused()
            assert await desk.try_password(RIGHT, name="\x00 my password") == LoginRefused()
            async with desk.database.transaction() as connection:
                row = await find_user_named(connection, "bert")
                assert row is not None
                await update_user(connection, row.user_id, {"status": UserStatus.DISABLED})
            assert await desk.try_password(RIGHT) == LoginRefused()
            assert [detail["cause"] for *_, detail in await desk.audited()] == [
                "wrong password",
                "not active",
            ]
            async with desk.database.transaction() as connection:
                rows = await list_audit_rows(
                    connection, before_id=None, subject="user:?", actor=None, limit=9
                )
            assert [row.detail for row in rows] == [{"cause": "unknown name"}]

    on_postgres(scenario)


def test_wait_grows_and_is_the_address_s_own(on_postgres: Callable[[Scenario], None]) -> None:
    """Whoever fails waits, and then is looked at; elsewhere the operator comes in meanwhile."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "carl") as desk:
            for wait_s in (0.0, 0.0, 0.0, 0.0, 1.0):
                desk.clock.now_s += wait_s
                assert await desk.try_password("wrong") == LoginRefused()
            for _ in range(3):
                assert await desk.try_password(RIGHT) == LoginRefused(2.0)
            assert is_token_of(await desk.try_password(RIGHT, address="192.0.2.2"), "carl")
            desk.clock.now_s += 2.0
            assert is_token_of(await desk.try_password(RIGHT), "carl")
            # The past is forgotten: one more failure costs nothing.
            assert await desk.try_password("wrong") == LoginRefused()
            assert is_token_of(await desk.try_password(RIGHT), "carl")
            causes = [detail.get("cause") for *_, detail in await desk.audited()]
            assert causes == [
                *["wrong password"] * 5,
                "locked out",  # Once for the wait, not for each try in it.
                None,
                None,
                "wrong password",
                None,
            ]

    on_postgres(scenario)


def test_admin_is_made_once(on_postgres: Callable[[Scenario], None], tmp_path: Path) -> None:
    """His password is told once; after a start that was broken off it is still the same one."""
    file = tmp_path / "admin-password"

    async def scenario(url: str) -> None:
        own = await make_database(url, "admins")
        await asyncio.to_thread(migrate, own)
        password = await ensure_admin(own, file)
        assert password is not None
        assert len(password) >= 24
        assert file.read_text() == f"{password}\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert await ensure_admin(own, file) is None
        database = Database(own)
        await database.open()
        async with database.transaction() as connection:
            await connection.execute("DELETE FROM users WHERE name = %s", [ADMIN])
        await database.close()
        assert await ensure_admin(own, file) == password
        file.unlink()
        assert await ensure_admin(own, file) is None
        assert not file.exists()

    on_postgres(scenario)


def test_tries_at_once_gain_nothing(on_postgres: Callable[[Scenario], None]) -> None:
    """One of them is looked at, the others are told to wait."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "dora") as desk:
            outcomes = await asyncio.gather(*(desk.try_password("wrong") for _ in range(9)))
            assert sorted(
                outcome.wait_s for outcome in outcomes if isinstance(outcome, LoginRefused)
            ) == [0.0, *[1.0] * 8]

    on_postgres(scenario)


def test_second_factor_is_asked_for(on_postgres: Callable[[Scenario], None]) -> None:
    """After the right password alone; a code serves once, a recovery code once instead."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "emma") as desk:
            totp = await desk.enrol("AAAA-BBBB")
            assert await desk.try_password(RIGHT) == LoginRefused(needs_code=True)
            assert await desk.try_password("wrong") == LoginRefused()
            code = totp.now()
            given = await desk.log_in(code)
            assert given.user.mfa_at_s is not None
            assert time.time() - given.user.mfa_at_s < 60
            for used in (code, "000000", "ZZZZ-BBBB"):
                assert await desk.try_password(RIGHT, code=used) == LoginRefused()
            assert (await desk.log_in("aaaa-bbbb ")).user.name == "emma"
            assert await desk.try_password(RIGHT, code="AAAA-BBBB") == LoginRefused()

    on_postgres(scenario)


def test_codes_are_not_guessed_from_many_places(on_postgres: Callable[[Scenario], None]) -> None:
    """Wrong codes count for the user, wherever they come from."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "finn") as desk:
            await desk.enrol("AAAA-BBBB")
            for number in range(5):
                desk.clock.now_s += number
                outcome = await desk.try_password(RIGHT, code="000000", address=f"192.0.2.{number}")
                assert outcome == LoginRefused()
            outcome = await desk.try_password(RIGHT, code="AAAA-BBBB", address="192.0.2.99")
            assert outcome == LoginRefused(2.0)
            desk.clock.now_s += 2.0
            await desk.log_in("AAAA-BBBB")

    on_postgres(scenario)


def test_role_that_needs_a_second_factor_gets_nothing_without(
    on_postgres: Callable[[Scenario], None],
) -> None:
    """The token says so, until he has one."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "gina") as desk:
            async with desk.database.transaction() as connection:
                row = await find_user_named(connection, "gina")
                assert row is not None
                await update_user(connection, row.user_id, {"role": Role.RISK_OFFICER})
            given = await desk.log_in()
            assert given.user.must_enrol
            totp = await desk.enrol()
            refreshed = await desk.refresh(given.refresh_token)
            assert isinstance(refreshed, LoggedIn)
            assert (refreshed.user.must_enrol, refreshed.user.mfa_at_s) == (False, 0)
            assert not (await desk.log_in(totp.now())).user.must_enrol

    on_postgres(scenario)


def test_refresh_token_serves_once(on_postgres: Callable[[Scenario], None]) -> None:
    """Each gives the next; the access token is of the same login."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "hugo") as desk:
            first = await desk.log_in()
            second = await desk.refresh(first.refresh_token)
            assert isinstance(second, LoggedIn)
            third = await desk.refresh(second.refresh_token)
            assert isinstance(third, LoggedIn)
            assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
            assert first.user.rests_on == second.user.rests_on == third.user.rests_on
            assert await desk.refresh("never given") == LoginRefused()
            assert not desk.revocations.is_revoked(first.user.rests_on)

    on_postgres(scenario)


def test_stolen_refresh_token_ends_the_login(on_postgres: Callable[[Scenario], None]) -> None:
    """Whichever of the two shows it second: neither the thief's tokens nor the owner's go on."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "iris") as desk:
            owners = await desk.log_in()
            other = await desk.log_in()
            thiefs = await desk.refresh(owners.refresh_token)
            assert isinstance(thiefs, LoggedIn)
            assert await desk.refresh(owners.refresh_token) == LoginRefused()
            assert await desk.refresh(thiefs.refresh_token) == LoginRefused()
            assert desk.revocations.is_revoked(thiefs.user.rests_on)
            # Another process learns it, too, and a login from elsewhere goes on.
            elsewhere = Revocations(desk.database, None, memory_s=960)
            assert not elsewhere.is_current
            await elsewhere.read()
            assert elsewhere.is_current
            assert elsewhere.is_revoked(owners.user.rests_on)
            assert isinstance(await desk.refresh(other.refresh_token), LoggedIn)
            assert [detail.get("cause") for *_, detail in await desk.audited()] == [
                None, None, "refresh token shown twice",
            ]  # fmt: skip

    on_postgres(scenario)


def test_two_who_refresh_at_once_are_one_too_many(
    on_postgres: Callable[[Scenario], None],
) -> None:
    """The token is given to one of them alone, and the login ends all the same."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "jana") as desk:
            token = (await desk.log_in()).refresh_token
            outcomes = await asyncio.gather(desk.refresh(token), desk.refresh(token))
            (given,) = (one for one in outcomes if isinstance(one, LoggedIn))
            assert LoginRefused() in outcomes
            assert await desk.refresh(given.refresh_token) == LoginRefused()

    on_postgres(scenario)


def test_oldest_login_makes_room(on_postgres: Callable[[Scenario], None]) -> None:
    """Nobody has more than twenty at once."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "karl") as desk:
            row = await desk.row()
            async with desk.database.transaction() as connection:
                for number in range(LIVE_LOGINS_MAX):
                    login = NewLogin(f"{number:024}", row.user_id, HERE, "test", 900, False)
                    await add_login(connection, login)
            given = await desk.log_in()
            oldest = [f"login:{number:024}" for number in range(LIVE_LOGINS_MAX)]
            revoked = [desk.revocations.is_revoked(one) for one in (*oldest, given.user.rests_on)]
            assert sum(revoked) == 1
            assert not revoked[-1]
            async with desk.database.transaction() as connection:
                assert len(await list_logins(connection, row.user_id)) == LIVE_LOGINS_MAX

    on_postgres(scenario)


def test_revocation_is_spread_by_redis(
    on_postgres: Callable[[Scenario], None], shared_venue: VenueProcess
) -> None:
    """Other processes hear of it though PostgreSQL tells them nothing any more."""
    redis_url = shared_venue.environment_of("admin_api")["WCX_REDIS_URL"]

    async def scenario(url: str) -> None:
        database = Database(url)
        await database.open()
        here, elsewhere = (Revocations(database, redis_url, memory_s=960) for _ in range(2))
        listening = asyncio.create_task(elsewhere.run())
        try:
            async with asyncio.timeout(30):
                while not elsewhere.is_revoked("login:heard"):
                    await here.tell(["login:heard"])
                    await asyncio.sleep(0.05)
            assert here.is_revoked("login:heard")
            assert elsewhere.is_current
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await here.close()
            await elsewhere.close()
            await database.close()

    on_postgres(scenario)


def test_budget_is_counted_by_redis(shared_venue: VenueProcess) -> None:
    """For all processes together: the burst at once, then as many as the time has paid off."""
    redis_url = shared_venue.environment_of("admin_api")["WCX_REDIS_URL"]

    async def scenario() -> None:
        here, elsewhere = Budgets(redis_url), Budgets(redis_url)
        began_s = time.monotonic()
        taken = [await one.take("a test", rate=1, burst=4) for one in (here, elsewhere) * 5]
        passed_s = time.monotonic() - began_s
        given = [one for one in taken if one is not None and not one.is_refused]
        assert 4 <= len(given) <= 4 + math.ceil(passed_s)
        assert [one.remaining for one in given[:2]] in ([3, 2], [3, 3])
        for one in taken:
            assert one is not None
            assert (one.limit, one.is_refused) == (4, one.wait_s > 0)
            assert 0 <= one.wait_s <= 1
        await here.close()
        await elsewhere.close()

    asyncio.run(scenario())
