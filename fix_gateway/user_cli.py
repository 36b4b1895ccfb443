"""`wcx user`: the operators of the admin API, straight in the database.

Whoever may read the venue's data directory, or names its database, may do this.
"""

import asyncio
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from config.settings import Settings
from fix_gateway.store_url import NoDatabaseError, find_store_url
from store.audit import AuditEntry, add_audit_entries
from store.operators import (
    NAME_PATTERN,
    add_operator,
    set_operator_enabled,
    set_operator_password,
)
from store.passwords import hash_password
from store.postgres import Connection, Database, StoreError

PASSWORD_BYTES: Final = 18
PASSWORD_LENGTH_MIN: Final = 12

Name = Annotated[str, typer.Argument(help="The operator's name.")]
FromStdin = Annotated[
    bool,
    typer.Option("--stdin", help="Read the password from standard input instead of making one."),
]

app = typer.Typer(help="Operators of the admin API.", no_args_is_help=True)


class UserError(Exception):
    """It cannot be done; the text says why, for people."""


@app.command()
def add(name: Name, *, stdin: FromStdin = False) -> None:
    """Let an operator log in. Prints the password, this once, unless it was read."""
    if not NAME_PATTERN.fullmatch(name):
        _end(f"{name!r} is no name: 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `@` and `-`")
    password, password_hash = _take_password(stdin=stdin)

    async def act(connection: Connection) -> None:
        if not await add_operator(connection, name, password_hash):
            raise UserError(f"there is an operator {name} already")

    _change(act, "operator_created", name)
    print(f"operator {name}" + ("" if stdin else f", password {password}"))


@app.command()
def password(name: Name, *, stdin: FromStdin = False) -> None:
    """Give an operator another password. Prints it, this once, unless it was read."""
    text, password_hash = _take_password(stdin=stdin)

    async def act(connection: Connection) -> None:
        if not await set_operator_password(connection, name, password_hash):
            raise UserError(f"there is no operator {name}")

    _change(act, "operator_password_changed", name)
    print(f"operator {name}" + ("" if stdin else f", password {text}"))


@app.command()
def disable(name: Name) -> None:
    """Let an operator log in no more. What he has got is good for 15 minutes at most."""
    _switch(name, is_enabled=False)


@app.command()
def enable(name: Name) -> None:
    """Let an operator log in again."""
    _switch(name, is_enabled=True)


def _switch(name: str, *, is_enabled: bool) -> None:
    async def act(connection: Connection) -> None:
        if not await set_operator_enabled(connection, name, is_enabled=is_enabled):
            raise UserError(f"there is no operator {name}")

    _change(act, "operator_enabled" if is_enabled else "operator_disabled", name)
    print(f"operator {name} is {'enabled' if is_enabled else 'disabled'}")


def _take_password(*, stdin: bool) -> tuple[str, str]:
    text = sys.stdin.readline().rstrip("\r\n") if stdin else secrets.token_urlsafe(PASSWORD_BYTES)
    if len(text) < PASSWORD_LENGTH_MIN:
        _end(f"a password has at least {PASSWORD_LENGTH_MIN} characters")
    return text, hash_password(text)


def _change(act: Callable[[Connection], Awaitable[None]], action: str, name: str) -> None:
    try:
        asyncio.run(_run(Settings(), act, AuditEntry(_actor(), action, f"operator:{name}")))
    except (UserError, NoDatabaseError) as error:
        _end(str(error))
    except StoreError as error:
        _end(f"the database does not answer: {' '.join(str(error).split())}")


async def _run(
    settings: Settings, act: Callable[[Connection], Awaitable[None]], entry: AuditEntry
) -> None:
    database = Database(await find_store_url(settings))
    try:
        await database.open()
        async with database.transaction() as connection:
            await act(connection)
            await add_audit_entries(connection, [entry])
    finally:
        await database.close()


def _actor() -> str:
    return f"os:{getpass.getuser()}"


def _end(text: str) -> None:
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)
