-- What has ended stays ended: a session whose row is deleted, by the purge or by an erasure, leaves a digest of its id until no
-- token of it can live any more, and so does a cutoff of a user who was erased. The digests are keyed (HMAC-SHA-256), so that
-- who has one cannot find out by trying whose it is, unless he has the key as well.

-- +goose Up
SET LOCAL lock_timeout = '10s';

CREATE TABLE secrets (
    name  text NOT NULL PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO secrets (name, value) VALUES ('digest_key', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));

CREATE TABLE ended_sessions (
    session_digest text COLLATE "C" NOT NULL PRIMARY KEY,
    keep_until     timestamptz NOT NULL
);
-- For the purge.
CREATE INDEX ended_sessions_keep_until ON ended_sessions (keep_until);

-- Until when a cutoff is needed: no token of a session that it ended, or of a login that it keeps out, lives longer. NULL
-- where the previous version of the program has written it.
ALTER TABLE watermarks ADD COLUMN keep_until timestamptz;
-- For the purge.
CREATE INDEX watermarks_not_before ON watermarks (not_before);

-- The not-before cutoffs of a partner: they cover a tenant that joins the partner later, too. An empty user_id stands for all
-- users.
CREATE TABLE partner_cutoffs (
    partner_id text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    not_before timestamptz NOT NULL,
    keep_until timestamptz NOT NULL,
    PRIMARY KEY (partner_id, user_id)
);
CREATE INDEX partner_cutoffs_not_before ON partner_cutoffs (not_before);

-- Calls that ended sessions and named an Idempotency-Key: the same call again is answered with what the first one did.
CREATE TABLE idempotency_keys (
    key_digest   text COLLATE "C" NOT NULL PRIMARY KEY,
    operation_id text COLLATE "C" NOT NULL,
    -- JSON: the tenants in which sessions ended.
    tenant_ids   text NOT NULL,
    at           timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- What happens is written down, whoever does it: a partner's administrator who revokes all sessions of a user does so in no one
-- tenant.
ALTER POLICY wall ON audit_events WITH CHECK (true);

-- Times of earlier versions that no answer can show.
UPDATE sessions SET created_at = greatest(created_at, '0001-01-01Z'), expires_at = least(expires_at, '9999-12-31 23:59:59.999999Z'),
    ends_at = least(ends_at, '9999-12-31 23:59:59.999999Z')
WHERE created_at < '0001-01-01Z' OR ends_at > '9999-12-31 23:59:59.999999Z' OR expires_at > '9999-12-31 23:59:59.999999Z';
UPDATE session_apps SET accessed_at = least(greatest(accessed_at, '0001-01-01Z'), '9999-12-31 23:59:59.999999Z')
WHERE accessed_at < '0001-01-01Z' OR accessed_at > '9999-12-31 23:59:59.999999Z';

-- +goose Down
DROP POLICY wall ON audit_events;
CREATE POLICY wall ON audit_events USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
DROP TABLE idempotency_keys;
DROP TABLE partner_cutoffs;
DROP INDEX watermarks_not_before;
ALTER TABLE watermarks DROP COLUMN keep_until;
DROP TABLE ended_sessions;
DROP TABLE secrets;
