"""The second baseline: the acceptor of `fixcore-engine`, a FIX engine in pure Python.

As its own examples use it, with the standard's dictionary; it answers each order at once with one
report. It keeps messages in memory only, which flatters it: its FileStore flushes the disk four
times for an order and its report. Run as `python -m benchmarks.fixcore_acceptor PORT DIRECTORY
NAME...`, the names of its clients.
"""

import asyncio
import sys
import time
from typing import Final

from fixcore import Application, SessionID
from fixcore.log.base import Log, LogFactory
from fixcore.message.message import Message
from fixcore.session.session_settings import SessionSettings
from fixcore.store.factory import MemoryStoreFactory
from fixcore.transport.acceptor import SocketAcceptor

ECHOED: Final = (11, 55, 54, 38, 44)
REPORT: Final = {39: "0", 150: "0", 151: "1", 14: "0", 6: "0"}


class Silence(Log, LogFactory):  # type: ignore[misc]  # It has no types.
    """No log: by default every message is printed."""

    def create(self, session_id: SessionID) -> "Silence":
        """Return the log of a session."""
        return self

    def on_incoming(self, message: str) -> None:
        """Forget it."""

    def on_outgoing(self, message: str) -> None:
        """Forget it."""

    def on_event(self, text: str) -> None:
        """Forget it."""


class Acceptor(Application):  # type: ignore[misc]  # It has no types.
    """Accepts every order."""

    def __init__(self) -> None:
        self.acceptor: SocketAcceptor
        self._count = 0
        self._sending: set[asyncio.Task[None]] = set()

    def from_app(self, message: Message, session_id: SessionID) -> None:
        """Answer with one report."""
        self._count += 1
        report = Message()
        report.header.set(35, "8")
        for tag in ECHOED:
            report.set_field(tag, message[tag])
        report.set_field(37, str(self._count))
        report.set_field(17, str(self._count))
        for tag, value in REPORT.items():
            report.set_field(tag, value)
        report.set_field(60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()))
        sending = asyncio.create_task(self.acceptor.sessions[session_id].send_app(report))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)


async def serve(port: str, clients: list[str]) -> None:
    """Serve until the process is killed."""
    sessions = "".join(
        f"[SESSION]\nBeginString=FIX.4.4\nSenderCompID=WCX\nTargetCompID={client}\n"
        for client in clients
    )
    settings = SessionSettings.from_string(
        "[DEFAULT]\nConnectionType=acceptor\nSocketAcceptHost=127.0.0.1\n"
        f"SocketAcceptPort={port}\nUseDataDictionary=Y\nDataDictionary=FIX44.xml\n{sessions}"
    )
    application = Acceptor()
    application.acceptor = SocketAcceptor(settings, application, MemoryStoreFactory(), Silence())
    async with application.acceptor:
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    port, _directory, *clients = sys.argv[1:]
    asyncio.run(serve(port, clients))


if __name__ == "__main__":
    main()
