"""FIX sessions for market data, which do nothing else."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
ALTER TABLE fix_sessions
    ADD COLUMN is_market_data   boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT (is_drop_copy AND is_market_data));
"""


def upgrade() -> None:
    """Extend the sessions."""
    op.execute(SCHEMA)
