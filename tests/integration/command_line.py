"""`wcx` commands against a running venue, in this process: to start Python each time takes long."""

from typing import NamedTuple

from typer.testing import CliRunner

from fix_gateway.cli import app
from tests.integration.venue_process import VenueProcess


class Ended(NamedTuple):
    """How a command has ended."""

    code: int
    stdout: str
    stderr: str


def wcx(venue: VenueProcess, *arguments: str, **environment: str) -> Ended:
    """Run a command in this process. `environment` may say who asks."""
    found = CliRunner().invoke(app, arguments, env=venue.environment | environment)
    return Ended(found.exit_code, found.stdout, found.stderr)
