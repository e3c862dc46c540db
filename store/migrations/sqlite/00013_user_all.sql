-- The index on all sessions of a user serves those only who ask for the ended ones too: they say that the user's id is not empty,
-- which every one is, in words that no database concludes from the id itself. Otherwise a list of the few active sessions of a
-- user could pass over all that have ended.

-- +goose Up
CREATE INDEX sessions_tenant_user_all ON sessions (tenant_id, user_id, created_at DESC, id DESC) WHERE (user_id = '') IS FALSE;
DROP INDEX sessions_tenant_user;

-- +goose Down
CREATE INDEX sessions_tenant_user ON sessions (tenant_id, user_id, created_at DESC, id DESC);
DROP INDEX sessions_tenant_user_all;
