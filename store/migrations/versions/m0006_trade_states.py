"""A trade of the read model says whether it stands, was undone, or was settled anew."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
ALTER TABLE read_model.trades
    -- All numbers of a corrected trade are those that hold now, of a busted one what went back.
    ADD COLUMN state        text NOT NULL DEFAULT 'done'
        CHECK (state IN ('done', 'busted', 'corrected')),
    -- The record that has changed it last.
    ADD COLUMN changed_seq  bigint;
"""


def upgrade() -> None:
    """Extend the trades; the projector builds a read model of an older version anew."""
    op.execute(SCHEMA)
