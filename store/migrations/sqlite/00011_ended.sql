-- What has ended stays ended: a session whose row is deleted, by the purge or by an erasure, leaves a digest of its id until no
-- token of it can live any more, and so does a cutoff of a user who was erased. The digests are keyed (HMAC-SHA-256), so that
-- who has one cannot find out by trying whose it is, unless he has the key as well.

-- +goose Up
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO secrets (name, value) VALUES ('digest_key', lower(hex(randomblob(32))));

CREATE TABLE ended_sessions (
    session_digest TEXT NOT NULL PRIMARY KEY,
    keep_until     TIMESTAMP NOT NULL
) WITHOUT ROWID;
-- For the purge.
CREATE INDEX ended_sessions_keep_until ON ended_sessions (keep_until);

-- Until when a cutoff is needed: no token of a session that it ended, or of a login that it keeps out, lives longer. NULL
-- where the previous version of the program has written it.
ALTER TABLE watermarks ADD COLUMN keep_until TIMESTAMP;
-- For the purge.
CREATE INDEX watermarks_not_before ON watermarks (not_before);

-- The not-before cutoffs of a partner: they cover a tenant that joins the partner later, too. An empty user_id stands for all
-- users.
CREATE TABLE partner_cutoffs (
    partner_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    not_before TIMESTAMP NOT NULL,
    keep_until TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, user_id)
) WITHOUT ROWID;
CREATE INDEX partner_cutoffs_not_before ON partner_cutoffs (not_before);

-- Calls that ended sessions and named an Idempotency-Key: the same call again is answered with what the first one did.
CREATE TABLE idempotency_keys (
    key_digest   TEXT NOT NULL PRIMARY KEY,
    operation_id TEXT NOT NULL,
    -- JSON: the tenants in which sessions ended.
    tenant_ids   TEXT NOT NULL,
    at           TIMESTAMP NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- Times of earlier versions that no answer can show: before the year 1, and after 9999.
UPDATE sessions SET created_at = max(created_at, -62135596800000000), expires_at = min(expires_at, 253402300799999999),
    ends_at = min(ends_at, 253402300799999999)
WHERE created_at < -62135596800000000 OR ends_at > 253402300799999999 OR expires_at > 253402300799999999;
UPDATE session_apps SET accessed_at = min(max(accessed_at, -62135596800000000), 253402300799999999)
WHERE accessed_at < -62135596800000000 OR accessed_at > 253402300799999999;

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE partner_cutoffs;
DROP INDEX watermarks_not_before;
ALTER TABLE watermarks DROP COLUMN keep_until;
DROP TABLE ended_sessions;
DROP TABLE secrets;
