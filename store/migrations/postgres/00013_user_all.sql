-- The index on all sessions of a user serves those only who ask for the ended ones too: they say that the user's id is not empty,
-- which every one is, in words that no database concludes from the id itself. To PostgreSQL, whose plans are made once for all
-- users, the index on the active ones (migration 6) is often no better than this one, by which a list of the few active sessions
-- of a user passes over all that have ended.

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_tenant_user_all ON sessions (tenant_id, user_id, created_at DESC, id DESC)
    WHERE (user_id = '') IS FALSE;
DROP INDEX CONCURRENTLY IF EXISTS sessions_tenant_user;

-- +goose Down
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_tenant_user ON sessions (tenant_id, user_id, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS sessions_tenant_user_all;
