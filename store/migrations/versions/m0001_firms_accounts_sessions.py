"""Firms, their accounts, FIX sessions and the credentials that open them."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE firms (
    firm_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
    account_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    firm_id     integer NOT NULL REFERENCES firms,
    name        text NOT NULL CHECK (name <> ''),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (firm_id, name)
);

CREATE TABLE fix_sessions (
    session_id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    firm_id             integer NOT NULL REFERENCES firms,
    account_id          integer NOT NULL REFERENCES accounts,
    begin_string        text NOT NULL CHECK (begin_string IN ('FIX.4.2', 'FIX.4.4', 'FIXT.1.1')),
    client_comp_id      text NOT NULL CHECK (client_comp_id ~ '^[A-Za-z0-9_-]{1,32}$'),
    is_enabled          boolean NOT NULL DEFAULT true,
    -- NULL: the gateway's own bounds hold.
    heart_bt_int_min_s  integer CHECK (heart_bt_int_min_s > 0),
    heart_bt_int_max_s  integer CHECK (heart_bt_int_max_s >= heart_bt_int_min_s),
    created_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (begin_string, client_comp_id)
);

CREATE TABLE fix_credentials (
    credential_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id     integer NOT NULL REFERENCES fix_sessions,
    username       text NOT NULL CHECK (username <> ''),
    password_hash  text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz
);

CREATE INDEX fix_credentials_by_session ON fix_credentials (session_id);
"""


def upgrade() -> None:
    """Create the first tables."""
    op.execute(SCHEMA)
