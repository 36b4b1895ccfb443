"""Migrations: numbered steps in plain SQL, forward only, run by Alembic."""

from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def migrate(url: str, revision: str | None = None) -> None:
    """Bring the database to a schema, the newest. Waits for another process that is doing so.

    Blocks; raises StoreError or SQLAlchemy's own error when a step fails: nothing of that step
    is kept.
    """
    revision = revision or newest_revision()
    if find_revision(url) == revision:
        return
    # They take a third of a second to load, and most starts find the newest schema.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.engine import URL  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # SQLAlchemy has a notation of its own; in libpq's a host may be a directory of sockets.
    parameters = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    config.attributes["url"] = URL.create(
        "postgresql+psycopg",
        username=parameters.pop("user", None),
        password=parameters.pop("password", None),
        database=parameters.pop("dbname", None),
        query=parameters,
    )
    command.upgrade(config, revision)


def newest_revision() -> str:
    """Return the revision of the last step there is. Files are named by theirs: `m0001_name.py`."""
    return max(path.stem[1:5] for path in MIGRATIONS.glob("versions/m*.py"))


def find_revision(url: str) -> str | None:
    """Return the revision that the database has, None for one that is empty.

    Blocks; raises psycopg.Error when the database cannot be asked.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
