"""What the commands that speak to the admin API have in common: who asks, and how answers look."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from config.settings import Settings
from fix_gateway.tools.rest import RestClient, RestError

ADMIN: Final = "admin"
# A client on this machine connects to the loopback address when the door is open everywhere.
EVERYWHERE: Final = {"0.0.0.0", "::"}  # noqa: S104 - It is compared with, not bound to.

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
AccountName = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Its name, or its number where names are alike.")
]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC-USD.")]
Count = Annotated[
    int, typer.Option("--limit", min=1, help="At most so many, over as many pages as they take.")
]


@contextlib.contextmanager
def operating() -> Iterator[RestClient]:
    """Lend a client of the admin API; whatever goes wrong ends the command with one line.

    An API key in `WCX_API_KEY` goes first, then `WCX_OPERATOR` with `WCX_OPERATOR_PASSWORD`, then
    the demo's operator `admin`. A code of the second factor is taken from `WCX_OPERATOR_CODE`, or
    asked for at the terminal.
    """
    settings = Settings()
    host = "127.0.0.1" if settings.rest.host in EVERYWHERE else settings.rest.host
    url = f"http://{host}:{settings.rest.port}"
    try:
        yield _client(url, settings)
    except RestError as error:
        text = str(error)
    except OSError as error:
        reason = getattr(error, "reason", error)
        text = f"the admin API at {url} does not answer: {reason}"
    else:
        return
    print(f"wcx: {text}", file=sys.stderr)
    raise typer.Exit(1)


def find_firm(rest: RestClient, name: str) -> int:
    """Return the number of the firm of that name. Raises RestError."""
    for item in rest.get_all("/v1/firms"):
        if item["name"] == name:
            return int(item["firm_id"])
    raise RestError(f"no firm {name}")


def find_user(rest: RestClient, name: str) -> int:
    """Return the number of the user of that name. Raises RestError."""
    for item in rest.get_all("/v1/users"):
        if item["name"] == name:
            return int(item["user_id"])
    raise RestError(f"there is no user {name}")


def account_path(rest: RestClient, name: str) -> str:
    """Return the path of the account of that name, else of that number. Raises RestError."""
    return _path(rest, "account", "name", name)


def session_path(rest: RestClient, name: str) -> str:
    """Return the path of the FIX session of that CompID, else of that number. Raises RestError."""
    return _path(rest, "session", "client_comp_id", name)


def _path(rest: RestClient, kind: str, field: str, name: str) -> str:
    items = rest.get_all(f"/v1/{kind}s")
    found = [item[f"{kind}_id"] for item in items if item[field] == name]
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in found)
        raise RestError(f"{kind}s {numbers} are called {name}: name one by its number")
    if not found:
        found = [item[f"{kind}_id"] for item in items if str(item[f"{kind}_id"]) == name]
    if not found:
        raise RestError(f"no {kind} {name}")
    return f"/v1/{kind}s/{found[0]}"


def split_settings(settings: Sequence[str]) -> dict[str, str]:
    """Return settings typed as NAME=VALUE by name. Raises typer.BadParameter."""
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise typer.BadParameter(f"{setting!r} is not NAME=VALUE")
        values[name] = value
    return values


def print_json(found: object) -> None:
    """Print an answer for programs."""
    print(json.dumps(found, indent=2))


def print_items(
    items: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool = False
) -> None:
    """Print items one a line, the columns named, or all of them as JSON."""
    if as_json:
        print_json(list(items))
        return
    rows = [tuple(column.upper().replace("_", " ") for column in columns)]
    rows += [tuple(in_words(item.get(column)) for column in columns) for item in items]
    print_table(rows)


def print_item(item: dict[str, Any], *, as_json: bool = False) -> None:
    """Print one thing, a field a line, or as JSON."""
    if as_json:
        print_json(item)
    else:
        print_table([(name, in_words(value)) for name, value in item.items()])


def print_done(subject: str, done: dict[str, Any], *, as_json: bool = False) -> None:
    """Print what has become of a change, or that it waits for another user."""
    if "approval_id" in done and not as_json:
        print(f"{subject}: waits for another user: wcx approval approve {done['approval_id']}")
    else:
        print_item(done, as_json=as_json)


def in_words(value: object) -> str:
    """Return a value of an answer as people read it."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with their columns aligned."""
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())


def _client(url: str, settings: Settings) -> RestClient:
    key = os.environ.get("WCX_API_KEY")
    if key is not None:
        return RestClient(url, "", "", token=key)
    return RestClient(url, *_who(settings), ask_code=_ask_code)


def _ask_code() -> str | None:
    code = os.environ.get("WCX_OPERATOR_CODE")
    if code is None and sys.stdin.isatty():
        code = typer.prompt("code of the second factor", err=True)
    return code


def _who(settings: Settings) -> tuple[str, str]:
    """Return the user's name and password. Raises RestError when there is no password."""
    name = os.environ.get("WCX_OPERATOR", ADMIN)
    password = os.environ.get("WCX_OPERATOR_PASSWORD")
    if password is not None:
        return name, password
    path = settings.admin_password_file
    if name != ADMIN or not path.exists():
        raise RestError(
            f"no password for the operator {name}: set WCX_OPERATOR and WCX_OPERATOR_PASSWORD"
        )
    return name, path.read_text().strip()
