"""How a FIX session is let in and what it may do; kinds of credentials; operators; audit."""

from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = """
ALTER TABLE fix_sessions
    ADD COLUMN can_enter           boolean NOT NULL DEFAULT true,
    ADD COLUMN can_cancel          boolean NOT NULL DEFAULT true,
    ADD COLUMN is_drop_copy        boolean NOT NULL DEFAULT false,
    -- Empty: from anywhere.
    ADD COLUMN allowed_networks    cidr[] NOT NULL DEFAULT '{}',
    -- SHA-256 of client certificates, in lower-case hexadecimal. Empty: none is asked for.
    ADD COLUMN client_cert_sha256  text[] NOT NULL DEFAULT '{}',
    -- Messages per second and in one burst. NULL: the gateway's own limits hold.
    ADD COLUMN order_rate          integer CHECK (order_rate > 0),
    ADD COLUMN order_burst         integer CHECK (order_burst > 0),
    ADD COLUMN cancel_rate         integer CHECK (cancel_rate > 0),
    ADD COLUMN cancel_burst        integer CHECK (cancel_burst > 0),
    ADD COLUMN throttle_policy     text NOT NULL DEFAULT 'reject'
        CHECK (throttle_policy IN ('reject', 'disconnect')),
    ADD COLUMN cancel_on_disconnect  text NOT NULL DEFAULT 'off'
        CHECK (cancel_on_disconnect IN ('off', 'session', 'account')),
    ADD COLUMN cancel_grace_ms     integer NOT NULL DEFAULT 0
        CHECK (cancel_grace_ms BETWEEN 0 AND 3600000),
    ADD COLUMN cancel_on_logout    boolean NOT NULL DEFAULT true,
    ADD COLUMN cancel_on_internal_loss  boolean NOT NULL DEFAULT false,
    -- ISO days of the week, 1 is Monday; times are UTC. Without days and times: always open.
    ADD COLUMN schedule_days       integer[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}'
        CHECK (schedule_days <@ '{1,2,3,4,5,6,7}' AND cardinality(schedule_days) > 0),
    ADD COLUMN schedule_start      time,
    ADD COLUMN schedule_end        time,
    -- When both sequence numbers begin anew. NULL: never by the clock.
    ADD COLUMN schedule_reset      time,
    ADD CONSTRAINT fix_sessions_schedule_whole
        CHECK ((schedule_start IS NULL) = (schedule_end IS NULL));

ALTER TABLE fix_credentials
    ADD COLUMN kind          text NOT NULL DEFAULT 'password'
        CHECK (kind IN ('password', 'ed25519')),
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN public_key    text,
    ADD COLUMN last_used_at  timestamptz,
    ADD CONSTRAINT fix_credentials_one_secret
        CHECK ((kind = 'password') = (password_hash IS NOT NULL)
           AND (kind = 'ed25519') = (public_key IS NOT NULL));

CREATE TABLE operators (
    operator_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9_.@-]{1,64}$'),
    password_hash  text NOT NULL,
    is_enabled     boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- Who did what. Rows are added and never changed.
CREATE TABLE audit_log (
    audit_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    -- 'operator:admin', 'os:root', 'fix:DEMO1', 'address:192.0.2.7'
    actor       text NOT NULL CHECK (actor <> ''),
    action      text NOT NULL CHECK (action <> ''),
    subject     text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}',
    -- The journal's record, for what was taken from the engine's feed.
    engine_seq  bigint UNIQUE
);

CREATE INDEX audit_log_by_subject ON audit_log (subject, audit_id);
"""


def upgrade() -> None:
    """Extend sessions and credentials, add operators and the audit log."""
    op.execute(SCHEMA)
