-- What happened to sessions, and which logins are too old to be registered.

-- +goose Up
CREATE TABLE audit_events (
    tenant_id    TEXT NOT NULL,
    -- One call of the service, ordered by time (UUID version 7); it may change many sessions.
    operation_id TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    action       TEXT NOT NULL,
    at           TIMESTAMP NOT NULL,
    user_id      TEXT NOT NULL,
    actor_sub    TEXT NOT NULL,
    actor_client TEXT NOT NULL,
    reason       TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, operation_id, session_id, action)
);
CREATE INDEX audit_events_user ON audit_events (tenant_id, user_id, operation_id);
CREATE INDEX audit_events_session ON audit_events (tenant_id, session_id, operation_id);

-- After all sessions of a tenant or user were revoked, no login from before that may be registered. An empty tenant_id
-- stands for all tenants, an empty user_id for all users.
CREATE TABLE watermarks (
    tenant_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    not_before TIMESTAMP NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

-- +goose Down
DROP TABLE watermarks;
DROP TABLE audit_events;
