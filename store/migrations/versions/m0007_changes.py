"""Changes on their way to the engine, and what waits for a second pair of eyes."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
-- Commands for the engine, applied in the order of their numbers.
CREATE TABLE changes (
    change_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command      bytea NOT NULL,
    subject      text NOT NULL,
    ordered_by   text NOT NULL,
    ordered_at   timestamptz NOT NULL DEFAULT now(),
    status       text NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'applied', 'refused')),
    applied_at   timestamptz,
    engine_seq   bigint,
    refusal      text,
    CHECK ((status = 'waiting') = (applied_at IS NULL)),
    CHECK ((status = 'refused') = (refusal IS NOT NULL))
);
CREATE INDEX changes_waiting ON changes (change_id) WHERE status = 'waiting';

CREATE TABLE approvals (
    approval_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command      bytea NOT NULL,
    action       text NOT NULL,
    subject      text NOT NULL,
    detail       jsonb NOT NULL,
    reason       text NOT NULL,
    firm_id      integer REFERENCES firms,
    proposed_by  integer NOT NULL REFERENCES users,
    proposed_at  timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    status       text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'rejected')),
    decided_by   integer REFERENCES users,
    decided_at   timestamptz,
    change_id    bigint REFERENCES changes,
    CHECK ((status = 'pending') = (decided_by IS NULL)),
    CHECK (decided_by <> proposed_by OR status = 'rejected')
);
CREATE INDEX approvals_pending ON approvals (approval_id) WHERE status = 'pending';
"""


def upgrade() -> None:
    """Add changes and approvals."""
    op.execute(SCHEMA)
