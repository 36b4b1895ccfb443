"""What a FIX session is told: copies of chosen accounts, and times."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
ALTER TABLE fix_sessions
    -- Of which accounts a drop copy session is told. Empty: of all of its firm.
    ADD COLUMN copied_account_ids   integer[] NOT NULL DEFAULT '{}',
    -- Of times in messages to the client. NULL: that of the session's version of FIX.
    ADD COLUMN timestamp_precision  text CHECK (timestamp_precision IN ('ms', 'us', 'ns')),
    -- Whether reports say when the gateway and the engine had the order.
    ADD COLUMN tells_timing         boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Extend sessions."""
    op.execute(SCHEMA)
