"""Run by Alembic: connects, takes the lock that keeps two upgrades apart, and applies the steps."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

ADVISORY_LOCK = 0x7763_7801
LOCK_TIMEOUT_MS = 10_000

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    # A step that cannot get its lock soon must not queue in front of the venue's own work.
    connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
