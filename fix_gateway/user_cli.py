"""`wcx user`: the users of the admin API, straight in the database.

Whoever may read the venue's data directory, or names its database, may do this: it is how the first
user is made, and the way back for who has lost his second factor.
"""

import asyncio
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from config.settings import Settings
from fix_gateway.operating import AsJson, print_items
from fix_gateway.store_url import NoDatabaseError, find_store_url
from store.audit import AuditEntry, add_audit_entries
from store.firms import find_firm_named
from store.logins import end_logins, list_api_keys, list_logins, revoke_api_key
from store.passwords import find_password_fault, hash_password
from store.postgres import Connection, Database, StoreError
from store.users import (
    FIRM_ROLES,
    NAME_PATTERN,
    NewUser,
    Role,
    UserRow,
    UserStatus,
    add_user,
    find_user_named,
    keep_mfa_secret,
    list_users,
    set_password,
    update_user,
)

PASSWORD_BYTES: Final = 18
LISTED_MAX: Final = 10_000

Name = Annotated[str, typer.Argument(help="The user's name.")]
FromStdin = Annotated[
    bool,
    typer.Option("--stdin", help="Read the password from standard input instead of making one."),
]

app = typer.Typer(help="Users of the admin API, straight in the database.", no_args_is_help=True)


class UserError(Exception):
    """It cannot be done; the text says why, for people."""


@app.command()
def add(
    name: Name,
    *,
    role: Annotated[Role, typer.Option(help="What the user is there for.")] = Role.ADMIN,
    firm: Annotated[str | None, typer.Option(help="The firm's name, for its own people.")] = None,
    stdin: FromStdin = False,
) -> None:
    """Let a user log in. Prints the password, this once, unless it was read."""
    if not NAME_PATTERN.fullmatch(name):
        _end(f"{name!r} is no name: 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `@` and `-`")
    if (role in FIRM_ROLES) != (firm is not None):
        _end(f"the role {role} " + ("needs --firm" if role in FIRM_ROLES else "has no firm"))
    text, password_hash = _take_password(name, stdin=stdin)

    async def act(connection: Connection) -> None:
        found = None if firm is None else await find_firm_named(connection, firm)
        if firm is not None and found is None:
            raise UserError(f"there is no firm {firm}")
        firm_id = None if found is None else found.firm_id
        if await add_user(connection, NewUser(name, role, firm_id, password_hash)) is None:
            raise UserError(f"there is a user {name} already")

    _change(act, "user_created", name, role=role.value, firm=firm)
    print(f"user {name}, role {role}" + ("" if stdin else f", password {text}"))


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> None:
    """List all users."""
    found: list[UserRow] = []

    async def act(connection: Connection) -> None:
        found.extend(await list_users(connection, firm_id=None, after_id=0, limit=LISTED_MAX))

    _run_to_end(act)
    items = [
        {
            "user_id": row.user_id,
            "name": row.name,
            "role": row.role,
            "firm_id": row.firm_id,
            "status": row.status,
            "has_mfa": row.has_mfa,
        }
        for row in found
    ]
    print_items(items, ("user_id", "name", "role", "firm_id", "status", "has_mfa"), as_json=as_json)


@app.command()
def password(name: Name, *, stdin: FromStdin = False) -> None:
    """Give a user another password. Prints it, this once, unless it was read. His logins end."""
    text, password_hash = _take_password(name, stdin=stdin)

    async def act(connection: Connection) -> None:
        user = await _find(connection, name)
        await set_password(connection, user.user_id, password_hash)
        await _end_access(connection, user)

    _change(act, "password_reset", name)
    print(f"user {name}" + ("" if stdin else f", password {text}"))


@app.command(name="reset-mfa")
def reset_mfa(name: Name) -> None:
    """Take away the second factor of a user who has lost it. His logins end."""

    async def act(connection: Connection) -> None:
        user = await _find(connection, name)
        await keep_mfa_secret(connection, user.user_id, None)
        await _end_access(connection, user)

    _change(act, "mfa_reset", name)
    print(f"user {name} has no second factor")


@app.command()
def disable(name: Name) -> None:
    """Let a user log in no more. His logins end within seconds."""
    _switch(name, UserStatus.DISABLED)


@app.command()
def enable(name: Name) -> None:
    """Let a user log in again."""
    _switch(name, UserStatus.ACTIVE)


def _switch(name: str, status: UserStatus) -> None:
    async def act(connection: Connection) -> None:
        user = await _find(connection, name)
        if user.status == UserStatus.PENDING:
            raise UserError(f"user {name} has no role yet: PATCH /v1/users/{user.user_id}")
        await update_user(connection, user.user_id, {"status": status})
        await _end_access(connection, user)

    _change(act, "user_changed", name, status=status.value)
    print(f"user {name} is {'enabled' if status is UserStatus.ACTIVE else 'disabled'}")


async def _find(connection: Connection, name: str) -> UserRow:
    user = await find_user_named(connection, name)
    if user is None:
        raise UserError(f"there is no user {name}")
    return user


async def _end_access(connection: Connection, user: UserRow) -> None:
    live = [login.login_id for login in await list_logins(connection, user.user_id)]
    await end_logins(connection, live, "ended at the command line")
    for key in await list_api_keys(connection, user.user_id):
        await revoke_api_key(connection, key.key_id)


def _take_password(name: str, *, stdin: bool) -> tuple[str, str]:
    text = sys.stdin.readline().rstrip("\r\n") if stdin else secrets.token_urlsafe(PASSWORD_BYTES)
    fault = find_password_fault(text, name) if stdin else None
    if fault is not None:
        _end(fault)
    return text, hash_password(text)


def _change(
    act: Callable[[Connection], Awaitable[None]], action: str, name: str, **detail: str | None
) -> None:
    _run_to_end(act, AuditEntry(_actor(), action, f"user:{name}", detail))


def _run_to_end(
    act: Callable[[Connection], Awaitable[None]], entry: AuditEntry | None = None
) -> None:
    try:
        asyncio.run(_run(Settings(), act, entry))
    except (UserError, NoDatabaseError) as error:
        _end(str(error))
    except StoreError as error:
        _end(f"the database does not answer: {' '.join(str(error).split())}")


async def _run(
    settings: Settings, act: Callable[[Connection], Awaitable[None]], entry: AuditEntry | None
) -> None:
    database = Database(await find_store_url(settings))
    try:
        await database.open()
        async with database.transaction() as connection:
            await act(connection)
            if entry is not None:
                await add_audit_entries(connection, [entry])
    finally:
        await database.close()


def _actor() -> str:
    return f"os:{getpass.getuser()}"


def _end(text: str) -> None:
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)
