"""What every process of a venue does alike: end on a signal, serve metrics, say it is ready.

For composition roots only.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator

import uvicorn
from prometheus_client import CollectorRegistry, make_asgi_app


class QuietServer(uvicorn.Server):
    """uvicorn inside a loop that is not its own: it leaves the signals to the process."""

    task: "asyncio.Task[None]"

    async def until_closed(self) -> None:
        """Return when the server has ended; ends it when this is cancelled."""
        try:
            await asyncio.shield(self.task)
        except asyncio.CancelledError:
            self.should_exit = True
            await self.task
            raise

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals."""
        yield


def notify_ready() -> None:
    """Tell whoever started this process that it accepts work (the protocol of sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        notifier.sendto(f"READY=1\nMAINPID={os.getpid()}".encode(), address)


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. For the running loop's own thread."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def serve_metrics(registry: CollectorRegistry, port: int) -> QuietServer:
    """Serve `/metrics` on a loopback port from this loop, and return once it listens.

    Port 0 takes a free one. Raises OSError when the port is taken. The caller sets `should_exit`
    of the server that is returned to end it.
    """
    app = make_asgi_app(registry)
    return await start_server(app, "127.0.0.1", port)


async def start_server(app: object, host: str, port: int) -> QuietServer:
    """Serve an ASGI application from this loop, and return once it listens.

    Raises OSError when the port is taken.
    """
    listener = socket.create_server((host, port), backlog=128)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # Any ASGI callable.
        log_config=None,
        access_log=False,
        lifespan="off",
        # Anybody on this machine could say in a header that he is somewhere else.
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the HTTP server ended before it had started")
        await asyncio.sleep(0.01)
    server.task = task
    return server
