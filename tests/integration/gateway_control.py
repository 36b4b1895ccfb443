"""What a test asks of a gateway process over its control socket, and of PostgreSQL beside it."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.abc import Params

from tests.integration.venue_process import VenueProcess

WAIT_S: Final = 30.0


def control_path(venue: VenueProcess, worker: int = 0) -> Path:
    """Return the control socket of a gateway process."""
    return Path(venue.environment_of("engine")["WCX_RUNTIME_DIR"]) / f"gateway-{worker}.sock"


def ask_raw(venue: VenueProcess, line: bytes, worker: int = 0) -> dict[str, Any]:
    """Send one line and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WAIT_S)
        connection.connect(str(control_path(venue, worker)))
        connection.sendall(line)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    decoded: dict[str, Any] = json.loads(answer)
    return decoded


def ask(venue: VenueProcess, do: str, worker: int = 0, **fields: object) -> dict[str, Any]:
    """Ask for something and return the answer."""
    return ask_raw(venue, json.dumps({"do": do, **fields}).encode() + b"\n", worker)


def execute(venue: VenueProcess, statement: str, parameters: Params = ()) -> list[Any]:
    """Run a statement in the venue's database and return the rows, [] when it has none."""

    async def run() -> list[Any]:
        url = venue.environment_of("admin_api")["WCX_DATABASE_URL"]
        async with await AsyncConnection.connect(url) as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []

    return asyncio.run(run())
