-- What happened to sessions, and which logins are too old to be registered.

-- +goose Up
CREATE TABLE audit_events (
    tenant_id    text COLLATE "C" NOT NULL,
    -- One call of the service, ordered by time (UUID version 7); it may change many sessions.
    operation_id text COLLATE "C" NOT NULL,
    session_id   text COLLATE "C" NOT NULL,
    action       text NOT NULL,
    at           timestamptz NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    actor_sub    text NOT NULL,
    actor_client text NOT NULL,
    reason       text NOT NULL,
    request_id   text NOT NULL,
    PRIMARY KEY (tenant_id, operation_id, session_id, action)
);
CREATE INDEX audit_events_user ON audit_events (tenant_id, user_id, operation_id);
CREATE INDEX audit_events_session ON audit_events (tenant_id, session_id, operation_id);

-- After all sessions of a tenant or user were revoked, no login from before that may be registered. An empty tenant_id
-- stands for all tenants, an empty user_id for all users.
CREATE TABLE watermarks (
    tenant_id  text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    not_before timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

-- +goose Down
DROP TABLE watermarks;
DROP TABLE audit_events;
