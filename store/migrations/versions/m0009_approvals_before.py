"""What a proposal takes the place of, as it stood when it was made."""

from alembic import op

revision = "0009"
down_revision = "0008"

# Proposals from before say nothing of it, so they are not approved any more: none lives for long.
SCHEMA = """
ALTER TABLE approvals
    ADD COLUMN before jsonb,
    ADD COLUMN held_tag text NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    """Add what held before."""
    op.execute(SCHEMA)
