"""Where the database is, for commands that work on it directly."""

import json
from pathlib import Path

from config.settings import Settings
from fix_gateway.supervisor.postgres import server_url
from fix_gateway.supervisor.venue import DATABASE_NAME
from store.postgres import ensure_database


class NoDatabaseError(Exception):
    """No database is known; the text says so, for people."""


async def find_store_url(settings: Settings) -> str:
    """Return the URL of the database that the settings name, else of the venue that runs.

    Raises NoDatabaseError, and StoreError when the venue's database does not answer.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    try:
        socket_dir = json.loads(settings.status_file.read_text())["postgres_socket_dir"]
        url = server_url(settings.data_dir, Path(socket_dir))
    except (OSError, ValueError, TypeError):
        raise NoDatabaseError(
            f"no venue runs in {settings.data_dir.resolve()}, and no database is named in "
            "WCX_DATABASE_URL"
        ) from None
    return await ensure_database(url, DATABASE_NAME)
