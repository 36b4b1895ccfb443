"""FIX sessions that belong to a user: what holds for the user holds for their orders."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
ALTER TABLE fix_sessions
    -- NULL: orders of the session are nobody's in particular.
    ADD COLUMN user_id integer REFERENCES users;
"""


def upgrade() -> None:
    """Extend sessions."""
    op.execute(SCHEMA)
