-- A user's active sessions, of which there may be few among very many that have ended: for their list, and for the number of
-- users, which is counted by it (migration 7).

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_tenant_user_active ON sessions (tenant_id, user_id, created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE ended_how IS NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sessions_tenant_user_active;
