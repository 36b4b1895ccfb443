"""`wcx user`: the users of the admin API, over it; the first one straight in the database."""

import asyncio
import getpass
import secrets
import sys
from typing import Annotated, Any, Final

import typer

from config.settings import Settings
from fix_gateway.operating import (
    AsJson,
    find_firm,
    find_user,
    operating,
    print_item,
    print_items,
)
from fix_gateway.store_url import NoDatabaseError, find_store_url
from fix_gateway.tools.rest import RestClient
from store.audit import AuditEntry, add_audit_entries
from store.passwords import find_password_fault, hash_password
from store.postgres import Connection, Database, StoreError
from store.users import (
    FIRM_ROLES,
    NAME_PATTERN,
    NewUser,
    Role,
    UserStatus,
    add_user,
    list_users,
)

PASSWORD_BYTES: Final = 18
LISTED_MAX: Final = 10_000

Name = Annotated[str, typer.Argument(help="The user's name.")]

app = typer.Typer(help="Users of the admin API.", no_args_is_help=True)


class BootstrapError(Exception):
    """It cannot be done; the text says why, for people."""


@app.command()
def bootstrap(
    name: Name,
    *,
    stdin: Annotated[
        bool,
        typer.Option(
            "--stdin", help="Read the password from standard input instead of making one."
        ),
    ] = False,
    rescue: Annotated[
        bool, typer.Option("--rescue", help="Also while there are others, who cannot get in.")
    ] = False,
) -> None:
    """Make the first administrator, straight in the database. Prints the password, this once.

    With the venue running, or WCX_DATABASE_URL set. All other users are made over the API.
    """
    if not NAME_PATTERN.fullmatch(name):
        _end(f"{name!r} is no name: 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `@` and `-`")
    text = sys.stdin.readline().rstrip("\r\n") if stdin else secrets.token_urlsafe(PASSWORD_BYTES)
    fault = find_password_fault(text, name) if stdin else None
    if fault is not None:
        _end(fault)
    new = NewUser(name, Role.ADMIN, None, hash_password(text))
    try:
        asyncio.run(_bootstrap(Settings(), new, is_rescue=rescue))
    except (BootstrapError, NoDatabaseError) as error:
        _end(str(error))
    except StoreError as error:
        _end(f"the database does not answer: {' '.join(str(error).split())}")
    print(f"user {name}, role admin" + ("" if stdin else f", password {text}"))


@app.command()
def add(
    name: Name,
    *,
    role: Annotated[Role, typer.Option(help="What the user is there for.")] = Role.ADMIN,
    firm: Annotated[str | None, typer.Option(help="The firm's name, for its own people.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let a user log in. Prints the password, this once."""
    if (role in FIRM_ROLES) != (firm is not None):
        _end(f"the role {role} " + ("needs --firm" if role in FIRM_ROLES else "has no firm"))
    with operating() as rest:
        firm_id = None if firm is None else find_firm(rest, firm)
        body = {"name": name, "role": role.value, "firm_id": firm_id}
        made = rest.order("POST", "/v1/users", body)
    _print_password(made, as_json=as_json)


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the users that you may see."""
    with operating() as rest:
        items = rest.get_all("/v1/users")
    print_items(items, ("user_id", "name", "role", "firm_id", "status", "has_mfa"), as_json=as_json)


@app.command()
def password(name: Name, *, as_json: AsJson = False) -> None:
    """Give a user another password. Prints it, this once. His logins and API keys end."""
    with operating() as rest:
        made = rest.order("POST", f"{_path(rest, name)}/reset-password")
    _print_password(made, as_json=as_json)


@app.command(name="reset-mfa")
def reset_mfa(name: Name, *, as_json: AsJson = False) -> None:
    """Take away the second factor of a user who has lost it. His logins and API keys end."""
    _order(name, "POST", "/reset-mfa", None, "has no second factor", as_json=as_json)


@app.command(name="end-logins")
def end_logins(name: Name, *, as_json: AsJson = False) -> None:
    """End all logins and API keys of a user. He may log in again."""
    _order(name, "POST", "/end-logins", None, "is logged out", as_json=as_json)


@app.command()
def disable(name: Name, *, as_json: AsJson = False) -> None:
    """Let a user log in no more. His logins and API keys end."""
    _order(name, "PATCH", "", {"status": "disabled"}, "is disabled", as_json=as_json)


@app.command()
def enable(name: Name, *, as_json: AsJson = False) -> None:
    """Let a user log in again."""
    _order(name, "PATCH", "", {"status": "active"}, "is enabled", as_json=as_json)


def _order(
    name: str, method: str, below: str, body: dict[str, Any] | None, done: str, *, as_json: bool
) -> None:
    with operating() as rest:
        user = rest.order(method, f"{_path(rest, name)}{below}", body)
    if as_json:
        print_item(user, as_json=True)
    else:
        print(f"user {name} {done}")


def _path(rest: RestClient, name: str) -> str:
    return f"/v1/users/{find_user(rest, name)}"


def _print_password(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_item(made, as_json=True)
    else:
        print(f"user {made['name']}, role {made['role']}, password {made['password']}")


async def _bootstrap(settings: Settings, new: NewUser, *, is_rescue: bool) -> None:
    database = Database(await find_store_url(settings))
    try:
        await database.open()
        async with database.transaction() as connection:
            if not is_rescue and (other := await _find_admin(connection)) is not None:
                raise BootstrapError(
                    f"there is an administrator, {other}: wcx user add makes users over the API,"
                    " --rescue is for when nobody can get in any more"
                )
            if await add_user(connection, new) is None:
                raise BootstrapError(f"there is a user {new.name} already")
            actor = f"os:{getpass.getuser()}"
            detail = {"role": new.role.value, "rescue": is_rescue}
            entry = AuditEntry(actor, "user_bootstrapped", f"user:{new.name}", detail)
            await add_audit_entries(connection, [entry])
    finally:
        await database.close()


async def _find_admin(connection: Connection) -> str | None:
    for user in await list_users(connection, firm_id=None, after_id=0, limit=LISTED_MAX):
        if (user.role, user.status) == (Role.ADMIN, UserStatus.ACTIVE):
            return user.name
    return None


def _end(text: str) -> None:
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)
