"""Users with roles in place of operators, what they log in with, and requests that were done."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
ALTER TABLE operators RENAME TO users;
ALTER TABLE users RENAME COLUMN operator_id TO user_id;
ALTER TABLE users
    ADD COLUMN role      text NOT NULL DEFAULT 'viewer',
    -- NULL: the venue's own people, and who has registered and waits for a role.
    ADD COLUMN firm_id   integer REFERENCES firms,
    ADD COLUMN status    text NOT NULL DEFAULT 'active'
        CHECK (status IN ('pending', 'active', 'disabled')),
    ADD COLUMN password_changed_at  timestamptz NOT NULL DEFAULT now(),
    -- Sealed with the key file of the data directory; it counts once it is confirmed.
    ADD COLUMN mfa_secret        text,
    ADD COLUMN mfa_confirmed_at  timestamptz,
    -- The time step of the last code that was taken: no code works twice.
    ADD COLUMN mfa_last_step     bigint NOT NULL DEFAULT 0;
UPDATE users SET role = 'admin', status = CASE WHEN is_enabled THEN 'active' ELSE 'disabled' END;
ALTER TABLE users
    DROP COLUMN is_enabled,
    ALTER COLUMN role DROP DEFAULT,
    ADD CONSTRAINT users_role CHECK (role IN
        ('admin', 'risk_officer', 'support', 'auditor', 'firm_admin', 'trader', 'viewer')),
    ADD CONSTRAINT users_firm CHECK (status <> 'active'
        OR (role IN ('firm_admin', 'trader', 'viewer')) = (firm_id IS NOT NULL));

CREATE TABLE recovery_codes (
    user_id    integer NOT NULL REFERENCES users,
    -- SHA-256: a code has 80 random bits, so nothing is gained by a slow hash.
    code_hash  text NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE invitations (
    invitation_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash     text NOT NULL UNIQUE,
    role           text NOT NULL,
    firm_id        integer REFERENCES firms,
    invited_by     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    used_by        integer REFERENCES users
);

-- One row from a login to its logout; its refresh tokens are one family.
CREATE TABLE logins (
    login_id      text PRIMARY KEY,
    user_id       integer NOT NULL REFERENCES users,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    address       text NOT NULL,
    user_agent    text NOT NULL,
    mfa_at        timestamptz,
    revoked_at    timestamptz,
    revoked_why   text
);
CREATE INDEX logins_by_user ON logins (user_id);

CREATE TABLE refresh_tokens (
    token_hash  text PRIMARY KEY,
    login_id    text NOT NULL REFERENCES logins ON DELETE CASCADE,
    issued_at   timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz
);
CREATE INDEX refresh_tokens_by_login ON refresh_tokens (login_id);

CREATE TABLE api_keys (
    key_id        text PRIMARY KEY,
    user_id       integer NOT NULL REFERENCES users,
    name          text NOT NULL,
    secret_hash   text NOT NULL,
    scopes        text[] NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- What no access token may rest on any more. Read by every process that checks tokens.
CREATE TABLE revocations (
    revocation_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject        text NOT NULL,
    at             timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX revocations_by_time ON revocations (at);

-- What was asked with an Idempotency-Key, and the answer for who asks again.
CREATE TABLE requests_done (
    actor        text NOT NULL,
    key          text NOT NULL,
    fingerprint  text NOT NULL,
    status       integer NOT NULL,
    body         jsonb NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
"""


def upgrade() -> None:
    """Turn operators into users, and add logins, invitations, API keys and revocations."""
    op.execute(SCHEMA)
