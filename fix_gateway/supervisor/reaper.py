"""Stands between the supervisor and one process: when the supervisor is gone, the process goes too.

Run as `python -I -S reaper.py DESCRIPTOR NAME`. The descriptor is the read end of a pipe that only
the supervisor writes to: first one line of JSON that says what to run, then nothing. When the pipe
ends, because the supervisor wants it or because it was killed, the process gets its stop signal
and, after the grace time, SIGKILL. Should the reaper itself be killed, the kernel sends the stop
signal (PR_SET_PDEATHSIG; Linux). Imports nothing of ours, so that it is small and starts at once.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
EXIT_NOT_STARTED = 127
SIGNALS_FORWARDED = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Run the process that the pipe names until it ends. Returns its exit code."""
    lifeline = int(sys.argv[1])
    spec = json.loads(_read_line(lifeline))
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    stop_requests: list[int] = []
    for number in SIGNALS_FORWARDED:
        signal.signal(number, lambda _number, _frame: stop_requests.append(1))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    reaper = os.getpid()
    child = os.fork()
    if child == 0:
        _become(spec, lifeline, reaper)
    poller = select.poll()
    poller.register(lifeline, select.POLLIN | select.POLLHUP)
    poller.register(wake_read, select.POLLIN)
    kill_at_s: float | None = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _exit_code(status)
        if kill_at_s is not None and time.monotonic() >= kill_at_s:
            os.kill(child, signal.SIGKILL)
        wait_ms = None if kill_at_s is None else max(0.0, kill_at_s - time.monotonic()) * 1000
        ready = {descriptor for descriptor, _ in poller.poll(wait_ms)}
        if wake_read in ready:
            os.read(wake_read, 4096)
        if kill_at_s is None and (lifeline in ready or stop_requests):
            if lifeline in ready:
                poller.unregister(lifeline)
            os.kill(child, spec["stop_signal"])
            kill_at_s = time.monotonic() + spec["grace_s"]


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 65536)
        if not piece:
            sys.exit(EXIT_NOT_STARTED)
        line += piece
    return line


def _become(spec: dict[str, Any], lifeline: int, reaper: int) -> NoReturn:
    """Turn this fork into the process that is to run."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (*SIGNALS_FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(lifeline)
        os.umask(0o077)
        libc = ctypes.CDLL(None, use_errno=True)
        if spec["namespace_uid"] is not None:
            _enter_user_namespace(libc, spec["namespace_uid"])
        if spec["uid"] is not None:
            os.setgroups([])
            os.setresgid(spec["gid"], spec["gid"], spec["gid"])
            os.setresuid(spec["uid"], spec["uid"], spec["uid"])
        # After the change of identity, which would clear it.
        libc.prctl(PR_SET_PDEATHSIG, spec["stop_signal"], 0, 0, 0)
        if os.getppid() != reaper:
            os._exit(EXIT_NOT_STARTED)
        if spec["directory"] is not None:
            os.chdir(spec["directory"])
        os.execve(spec["argv"][0], spec["argv"], spec["environment"])
    except OSError as error:
        sys.stderr.write(f"{spec['argv'][0]}: {error}\n")
        sys.stderr.flush()
    os._exit(EXIT_NOT_STARTED)


def _enter_user_namespace(libc: ctypes.CDLL, uid: int) -> None:
    """Appear as the user `uid`, to this process and its children alone. Nothing is chowned."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside_uid} 1"),
        ("gid_map", f"{uid} {outside_gid} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, content.encode())
        os.close(descriptor)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
