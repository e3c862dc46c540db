-- Tenants, sessions and the applications reached through them; the same tables as on PostgreSQL.
--
-- A TIMESTAMP here is a number of microseconds since 1970, which compares and indexes as a time does.

-- +goose Up
CREATE TABLE tenants (
    tenant_id  TEXT NOT NULL PRIMARY KEY CHECK (tenant_id <> ''),
    partner_id TEXT CHECK (partner_id <> ''),
    created_at TIMESTAMP NOT NULL
);

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
    created_at        TIMESTAMP NOT NULL,
    last_activity_at  TIMESTAMP,
    expires_at        TIMESTAMP NOT NULL,
    -- When the session ends by itself: the least of expires_at and the idle limit.
    ends_at           TIMESTAMP NOT NULL,
    revoked_at        TIMESTAMP,
    -- How it ended; empty while it is active, and for a moment after it has ended by itself.
    ended_how         TEXT CHECK (ended_how IN ('revoked', 'replaced', 'expired', 'idle')),
    ended_by_sub      TEXT,
    ended_by_client   TEXT,
    ended_reason      TEXT,
    app_count         INTEGER NOT NULL DEFAULT 0 CHECK (app_count >= 0),
    PRIMARY KEY (tenant_id, id),
    CHECK (revoked_at IS NULL OR ended_how IS NOT NULL)
);

CREATE UNIQUE INDEX sessions_id ON sessions (id);

-- SQLite has no INCLUDE: ends_at is the last column of the key instead.
CREATE INDEX sessions_tenant_active ON sessions (tenant_id, created_at DESC, id DESC, ends_at)
    WHERE ended_how IS NULL;
CREATE INDEX sessions_tenant ON sessions (tenant_id, created_at DESC, id DESC);
CREATE INDEX sessions_tenant_user ON sessions (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX sessions_user_active ON sessions (user_id, created_at DESC, id DESC, ends_at)
    WHERE ended_how IS NULL;
CREATE INDEX sessions_partner_active ON sessions (partner_id, created_at DESC, id DESC, ends_at)
    WHERE ended_how IS NULL AND partner_id IS NOT NULL;
CREATE INDEX sessions_active ON sessions (created_at DESC, id DESC, ends_at)
    WHERE ended_how IS NULL;

-- What ends by itself is found by its time, and so is what ended long ago. A session is in one of the two.
CREATE INDEX sessions_due ON sessions (ends_at) WHERE ended_how IS NULL;
CREATE INDEX sessions_ended ON sessions (coalesce(revoked_at, ends_at)) WHERE ended_how IS NOT NULL;

CREATE TABLE session_apps (
    tenant_id        TEXT NOT NULL,
    session_id       TEXT NOT NULL,
    application_id   TEXT NOT NULL CHECK (application_id <> ''),
    application_name TEXT NOT NULL,
    accessed_at      TIMESTAMP NOT NULL,
    PRIMARY KEY (tenant_id, session_id, application_id),
    FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE session_apps;
DROP TABLE sessions;
DROP TABLE tenants;
