"""The audit log becomes a chain: each row hashes the former one, and none can be changed."""

from alembic import op

revision = "0003"
down_revision = "0002"

# What a row says, field by field, each as `LENGTH:TEXT` with its length in bytes, or `-` for none:
# unambiguous, and easy to compute elsewhere. `store.audit_chain` does.
SCHEMA = """
ALTER TABLE audit_log
    ALTER COLUMN audit_id DROP IDENTITY,
    -- Why, in the words of whoever did it, and from which network address.
    ADD COLUMN reason   text NOT NULL DEFAULT '',
    ADD COLUMN address  text NOT NULL DEFAULT '',
    -- What was changed: as it stood, and as it stands.
    ADD COLUMN before   jsonb,
    ADD COLUMN after    jsonb,
    ADD COLUMN hash     bytea;

CREATE FUNCTION audit_field(value text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(octet_length(convert_to(value, 'UTF8')) || ':' || value, '-')
$$;

CREATE FUNCTION audit_hash(former bytea, entry audit_log) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(former || convert_to(
        audit_field(entry.audit_id::text)
        || audit_field((extract(epoch FROM entry.at) * 1000000)::bigint::text)
        || audit_field(entry.actor)
        || audit_field(entry.action)
        || audit_field(entry.subject)
        || audit_field(entry.detail::text)
        || audit_field(entry.reason)
        || audit_field(entry.address)
        || audit_field(entry.before::text)
        || audit_field(entry.after::text)
        || audit_field(entry.engine_seq::text), 'UTF8'))
$$;

CREATE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former audit_log;
BEGIN
    -- One writer at a time, to the end of its transaction: what a row hashes must stay.
    PERFORM pg_advisory_xact_lock(2003007490);
    SELECT * INTO former FROM audit_log ORDER BY audit_id DESC LIMIT 1;
    NEW.audit_id := coalesce(former.audit_id, 0) + 1;
    NEW.hash := audit_hash(coalesce(former.hash, ''), NEW);
    RETURN NEW;
END
$$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the audit log are added and never changed'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

DO $$
DECLARE
    entry audit_log;
    former bytea := '';
BEGIN
    FOR entry IN SELECT * FROM audit_log ORDER BY audit_id LOOP
        former := audit_hash(former, entry);
        UPDATE audit_log SET hash = former WHERE audit_id = entry.audit_id;
    END LOOP;
END
$$;

ALTER TABLE audit_log ALTER COLUMN hash SET NOT NULL;

CREATE TRIGGER audit_append BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_append();
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- Also for a session that takes itself for a replica.
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_append;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_refuse;
"""


def upgrade() -> None:
    """Chain the rows there are, and let the database guard those to come."""
    op.execute(SCHEMA)
