-- The schema, as on PostgreSQL, whose migration says what each column is for. SQLite has no row-level security: one process has the
-- file. A TIMESTAMP is a number of microseconds since 1970, which compares and indexes as a time does.

-- +goose Up

-- Every tenant for which a session was ever registered, and its partner.
CREATE TABLE tenants (
    tenant_id  TEXT NOT NULL PRIMARY KEY CHECK (tenant_id <> ''),
    partner_id TEXT CHECK (partner_id <> ''),
    created_at TIMESTAMP NOT NULL
);

-- Sessions, active and ended ones, until the retention time is over.
CREATE TABLE sessions (
    tenant_id         TEXT NOT NULL CHECK (tenant_id <> ''),
    id                TEXT NOT NULL CHECK (id <> ''),
    user_id           TEXT NOT NULL CHECK (user_id <> ''),
    partner_id        TEXT,
    user_email        TEXT,
    user_display_name TEXT,
    ip_address        TEXT,
    user_agent        TEXT,
    device_type       TEXT,
    location          TEXT,
    country           TEXT,
    created_at        TIMESTAMP NOT NULL,
    last_activity_at  TIMESTAMP,
    expires_at        TIMESTAMP NOT NULL,
    ends_at           TIMESTAMP NOT NULL,
    end_cause         TEXT CHECK (end_cause IN ('revoked', 'replaced', 'expired', 'idle')),
    revoked_at        TIMESTAMP,
    ended_by_sub      TEXT,
    ended_by_client   TEXT,
    end_reason        TEXT,
    app_count         INTEGER NOT NULL DEFAULT 0 CHECK (app_count >= 0),
    login_ip_address  TEXT,
    change_recorded_at TIMESTAMP,
    browser           TEXT,
    os                TEXT,
    address_key       TEXT,
    login_address_key TEXT,
    PRIMARY KEY (tenant_id, id),
    CHECK (revoked_at IS NULL OR end_cause IS NOT NULL)
);

-- Ids are unique in the whole service; lookups of a session whose tenant is not known.
CREATE UNIQUE INDEX sessions_id ON sessions (id) WHERE (id = '') IS FALSE;
-- A tenant's list of active sessions, its page index, bulk revocations. SQLite has no INCLUDE: ends_at is the last column of the key.
CREATE INDEX sessions_tenant_active ON sessions (tenant_id, created_at DESC, id DESC, ends_at) WHERE end_cause IS NULL;
-- A tenant's list with ended sessions, its page index, sessions created at the edge of the last day.
CREATE INDEX sessions_tenant_ended ON sessions (tenant_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL;
-- The active sessions of a user, in a tenant or in all: list, count, limit, revocation; the number of users.
CREATE INDEX sessions_user_active ON sessions (user_id, tenant_id, created_at DESC, id DESC, ends_at) WHERE end_cause IS NULL;
-- A user's list with ended sessions, and erasure.
CREATE INDEX sessions_user_ended ON sessions (user_id, tenant_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL;
-- A partner's list, its page index, revocation.
CREATE INDEX sessions_partner_active ON sessions (partner_id, created_at DESC, id DESC, ends_at)
    WHERE end_cause IS NULL AND partner_id IS NOT NULL;
-- The platform's list and its page index.
CREATE INDEX sessions_active ON sessions (created_at DESC, id DESC, ends_at) WHERE end_cause IS NULL AND (tenant_id = '') IS FALSE;
-- Sessions whose end by itself is to be recorded, and those that the totals of partners and of all leave out.
CREATE INDEX sessions_due ON sessions (ends_at) WHERE end_cause IS NULL;
-- Those that a tenant's totals and statistics leave out.
CREATE INDEX sessions_tenant_due ON sessions (tenant_id, ends_at) WHERE end_cause IS NULL;
-- What is past its retention time; sessions revoked at the edge of the last day; searches by the end, of which a revocation of a tenant has one
-- for all its sessions.
CREATE INDEX sessions_tenant_ended_at ON sessions (tenant_id, (CASE WHEN revoked_at IS NULL THEN ends_at ELSE revoked_at END), id)
    WHERE end_cause IS NOT NULL;
-- The platform's search with ended sessions.
CREATE INDEX sessions_ended ON sessions (created_at DESC, id DESC) WHERE end_cause IS NOT NULL AND (tenant_id = '') IS FALSE;
-- A partner's search with ended sessions.
CREATE INDEX sessions_partner_ended ON sessions (partner_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL AND partner_id IS NOT NULL;
-- A tenant's sessions of an address or a network, and those that have moved since a login from there.
CREATE INDEX sessions_tenant_address ON sessions (tenant_id, address_key) WHERE address_key IS NOT NULL;
CREATE INDEX sessions_tenant_login_address ON sessions (tenant_id, login_address_key) WHERE login_address_key IS NOT NULL;
-- The same of everybody.
CREATE INDEX sessions_address ON sessions (address_key) WHERE address_key IS NOT NULL AND (tenant_id = '') IS FALSE;
CREATE INDEX sessions_login_address ON sessions (login_address_key) WHERE login_address_key IS NOT NULL AND (tenant_id = '') IS FALSE;

-- Applications reached through a session by single sign-on, with the latest access.
CREATE TABLE session_apps (
    tenant_id        TEXT NOT NULL,
    session_id       TEXT NOT NULL,
    application_id   TEXT NOT NULL CHECK (application_id <> ''),
    application_name TEXT NOT NULL,
    accessed_at      TIMESTAMP NOT NULL,
    PRIMARY KEY (tenant_id, session_id, application_id),
    FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
);
-- The sessions of a tenant in which an application was reached.
CREATE INDEX session_apps_application ON session_apps (tenant_id, application_id, session_id) WHERE (application_id = '') IS FALSE;

-- What the sessions of a user are found by, in lower case: ids, e-mails, names.
CREATE TABLE search_keys (
    tenant_id TEXT NOT NULL,
    key       TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, key, user_id, value)
) WITHOUT ROWID;
-- Those of a user, to compare with a session, and to be deleted with the last one.
CREATE INDEX search_keys_user ON search_keys (tenant_id, user_id);
-- Those of all tenants.
CREATE INDEX search_keys_key ON search_keys (key, tenant_id, user_id) WHERE (tenant_id = '') IS FALSE;

-- What happened, by whom; appended in the transaction of the change.
CREATE TABLE audit_events (
    tenant_id    TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    action       TEXT NOT NULL,
    at           TIMESTAMP NOT NULL,
    user_id      TEXT NOT NULL,
    actor_sub    TEXT NOT NULL,
    actor_client TEXT NOT NULL,
    reason       TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    changes      TEXT,
    PRIMARY KEY (tenant_id, at, operation_id, session_id, action)
);
-- Everybody's history; the purge.
CREATE INDEX audit_events_at ON audit_events (at);
-- A session's history.
CREATE INDEX audit_events_session ON audit_events (tenant_id, session_id, at);
-- A user's history, and erasure.
CREATE INDEX audit_events_user ON audit_events (tenant_id, user_id, at);

-- No login from before a time may be registered. An empty id stands for all tenants, all partners, all users.
CREATE TABLE not_before_cutoffs (
    tenant_id  TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    not_before TIMESTAMP NOT NULL,
    keep_until TIMESTAMP NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, user_id)
) WITHOUT ROWID;
-- The purge.
CREATE INDEX not_before_cutoffs_not_before ON not_before_cutoffs (not_before);

-- All sessions of the tenant created until a time have ended then, which counts at once; a row goes when it has been applied to each.
CREATE TABLE bulk_revocations (
    tenant_id       TEXT NOT NULL,
    operation_id    TEXT NOT NULL,
    at              TIMESTAMP NOT NULL,
    ended_by_sub    TEXT NOT NULL,
    ended_by_client TEXT NOT NULL,
    end_reason      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, operation_id)
);

-- Revocations of the sessions that a search finds, in chunks.
CREATE TABLE revocation_jobs (
    tenant_id           TEXT NOT NULL,
    id                  TEXT NOT NULL,
    partner_id          TEXT,
    user_id             TEXT,
    filter              TEXT NOT NULL,
    except_session_id   TEXT NOT NULL,
    block_logins_before TIMESTAMP,
    created_by_sub      TEXT NOT NULL,
    created_by_client   TEXT NOT NULL,
    reason              TEXT NOT NULL,
    request_id          TEXT NOT NULL,
    created_at          TIMESTAMP NOT NULL,
    level               INTEGER NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('running', 'paused', 'completed', 'cancelled')),
    sessions            INTEGER NOT NULL,
    ended               INTEGER NOT NULL DEFAULT 0,
    chunks              INTEGER NOT NULL DEFAULT 0,
    position_at         TIMESTAMP,
    position_id         TEXT NOT NULL DEFAULT '',
    updated_at          TIMESTAMP NOT NULL,
    finished_at         TIMESTAMP,
    PRIMARY KEY (tenant_id, id)
);
-- Whose turn it is.
CREATE INDEX revocation_jobs_running ON revocation_jobs (updated_at, id) WHERE state = 'running';
-- The list.
CREATE INDEX revocation_jobs_created_at ON revocation_jobs (created_at, id);

-- What each change adds to the counters, appended in its transaction, until it is rolled up.
CREATE TABLE counter_deltas (
    seq              INTEGER PRIMARY KEY,
    tenant_id        TEXT NOT NULL,
    partner_id       TEXT,
    user_id          TEXT NOT NULL DEFAULT '',
    device_type      TEXT NOT NULL DEFAULT '',
    created_at       TIMESTAMP,
    revoked_at       TIMESTAMP,
    open             INTEGER NOT NULL DEFAULT 0,
    total            INTEGER NOT NULL DEFAULT 0,
    revoked          INTEGER NOT NULL DEFAULT 0,
    application_id   TEXT NOT NULL DEFAULT '',
    application_name TEXT NOT NULL DEFAULT '',
    applications     INTEGER NOT NULL DEFAULT 0
);
-- The deltas that a tenant's numbers still need.
CREATE INDEX counter_deltas_tenant ON counter_deltas (tenant_id);

-- Users who are counted when no deltas wait, with what is rolled up of their sessions.
CREATE TABLE user_counter_deltas (
    tenant_id TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    open      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) WITHOUT ROWID;

-- Numbers of a tenant (tenant_id), of a partner (partner_id) or of all (neither). kind says what is counted, key of what.
CREATE TABLE counters (
    tenant_id  TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    name       TEXT NOT NULL DEFAULT '',
    open       INTEGER NOT NULL DEFAULT 0,
    total      INTEGER NOT NULL DEFAULT 0,
    revoked    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, partner_id, kind, key)
) WITHOUT ROWID;

-- How many sessions were created from a time on, until the next bucket starts.
CREATE TABLE page_index (
    tenant_id  TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    starts_at  TIMESTAMP NOT NULL,
    open       INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, starts_at)
) WITHOUT ROWID;

-- Keyed digests of ended sessions whose rows are deleted, until no token of them lives any more.
CREATE TABLE session_tombstones (
    session_digest TEXT NOT NULL PRIMARY KEY,
    keep_until     TIMESTAMP NOT NULL
) WITHOUT ROWID;
-- The purge.
CREATE INDEX session_tombstones_keep_until ON session_tombstones (keep_until);

-- Calls that ended sessions and named an Idempotency-Key; tenant_ids is JSON.
CREATE TABLE idempotency_keys (
    key_digest   TEXT NOT NULL PRIMARY KEY,
    operation_id TEXT NOT NULL,
    tenant_ids   TEXT NOT NULL,
    at           TIMESTAMP NOT NULL
) WITHOUT ROWID;
-- The purge.
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- The key of the digests.
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO secrets (name, value) VALUES ('digest_key', lower(hex(randomblob(32))));

-- SHA-256 of the text of each migration that was applied: a database that another text has made is refused.
CREATE TABLE migration_digests (
    version INTEGER NOT NULL PRIMARY KEY,
    digest  TEXT NOT NULL
);

-- One row that /readyz writes.
CREATE TABLE readiness (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_at TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE readiness;
DROP TABLE migration_digests;
DROP TABLE secrets;
DROP TABLE idempotency_keys;
DROP TABLE session_tombstones;
DROP TABLE page_index;
DROP TABLE counters;
DROP TABLE user_counter_deltas;
DROP TABLE counter_deltas;
DROP TABLE revocation_jobs;
DROP TABLE bulk_revocations;
DROP TABLE not_before_cutoffs;
DROP TABLE audit_events;
DROP TABLE search_keys;
DROP TABLE session_apps;
DROP TABLE sessions;
DROP TABLE tenants;
