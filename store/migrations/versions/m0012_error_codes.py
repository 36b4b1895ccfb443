"""What a FIX session is told of refusals: their codes as numbers."""

from alembic import op

revision = "0012"
down_revision = "0011"

SCHEMA = """
ALTER TABLE fix_sessions
    ADD COLUMN tells_error_codes boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Extend sessions."""
    op.execute(SCHEMA)
