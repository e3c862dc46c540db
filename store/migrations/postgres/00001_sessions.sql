-- Tenants, sessions and the applications reached through them.
--
-- tenant_id leads every key, so the tables can be distributed by it (Citus). Identifiers compare byte by byte
-- (COLLATE "C"), as they do on SQLite: the order of lists must not depend on the server's locale.

-- +goose Up
CREATE TABLE tenants (
    tenant_id  text COLLATE "C" NOT NULL PRIMARY KEY CHECK (tenant_id <> ''),
    partner_id text COLLATE "C" CHECK (partner_id <> ''),
    created_at timestamptz NOT NULL
);

CREATE TABLE sessions (
    tenant_id         text COLLATE "C" NOT NULL CHECK (tenant_id <> ''),
    id                text COLLATE "C" NOT NULL CHECK (id <> ''),
    user_id           text COLLATE "C" NOT NULL CHECK (user_id <> ''),
    partner_id        text COLLATE "C",
    user_email        text,
    user_display_name text,
    ip_address        text,
    user_agent        text,
    device_type       text,
    location          text,
    created_at        timestamptz NOT NULL,
    last_activity_at  timestamptz,
    expires_at        timestamptz NOT NULL,
    -- When the session ends by itself: the least of expires_at and the idle limit.
    ends_at           timestamptz NOT NULL,
    revoked_at        timestamptz,
    -- How it ended; empty while it is active, and for a moment after it has ended by itself.
    ended_how         text CHECK (ended_how IN ('revoked', 'replaced', 'expired', 'idle')),
    ended_by_sub      text,
    ended_by_client   text,
    ended_reason      text,
    app_count         integer NOT NULL DEFAULT 0 CHECK (app_count >= 0),
    PRIMARY KEY (tenant_id, id),
    CHECK (revoked_at IS NULL OR ended_how IS NOT NULL)
);

-- Session ids are unique service-wide. A distributed table cannot have this index: there it is replaced, and registration
-- looks for the id itself.
CREATE UNIQUE INDEX sessions_id ON sessions (id);

-- Lists, newest first. ends_at rides along so that counting the active ones reads the index only.
CREATE INDEX sessions_tenant_active ON sessions (tenant_id, created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE ended_how IS NULL;
CREATE INDEX sessions_tenant ON sessions (tenant_id, created_at DESC, id DESC);
CREATE INDEX sessions_tenant_user ON sessions (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX sessions_user_active ON sessions (user_id, created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE ended_how IS NULL;
CREATE INDEX sessions_partner_active ON sessions (partner_id, created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE ended_how IS NULL AND partner_id IS NOT NULL;
CREATE INDEX sessions_active ON sessions (created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE ended_how IS NULL;

-- What ends by itself is found by its time, and so is what ended long ago. A session is in one of the two.
CREATE INDEX sessions_due ON sessions (ends_at) WHERE ended_how IS NULL;
CREATE INDEX sessions_ended ON sessions ((coalesce(revoked_at, ends_at))) WHERE ended_how IS NOT NULL;

CREATE TABLE session_apps (
    tenant_id        text COLLATE "C" NOT NULL,
    session_id       text COLLATE "C" NOT NULL,
    application_id   text COLLATE "C" NOT NULL CHECK (application_id <> ''),
    application_name text NOT NULL,
    accessed_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, session_id, application_id),
    FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE session_apps;
DROP TABLE sessions;
DROP TABLE tenants;
