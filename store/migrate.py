"""Migrations: numbered steps in plain SQL, forward only, run by Alembic."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from psycopg import conninfo
from sqlalchemy.engine import URL

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def migrate(url: str) -> None:
    """Bring the database to the newest schema. Waits for another process that is doing so.

    Blocks; raises StoreError or SQLAlchemy's own error when a step fails: nothing of that step
    is kept.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = _sqlalchemy_url(url)
    command.upgrade(config, "head")


def _sqlalchemy_url(url: str) -> URL:
    """Translate libpq's notation, in which a host may be a directory of sockets."""
    parameters = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    return URL.create(
        "postgresql+psycopg",
        username=parameters.pop("user", None),
        password=parameters.pop("password", None),
        database=parameters.pop("dbname", None),
        query=parameters,
    )
