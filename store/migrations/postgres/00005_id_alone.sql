-- The index on ids serves those only who do not know the tenant: they say that the id is not empty, which every id is, in
-- words that no database concludes from the id itself. With another index on ids PostgreSQL would find a tenant's session by
-- its id too, and then look whose it is; for another tenant's it would have read a row that it does not read for one that
-- never was, and the time would tell.

-- +goose NO TRANSACTION
-- +goose Up
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS sessions_id_alone ON sessions (id) WHERE (id = '') IS FALSE;
DROP INDEX CONCURRENTLY IF EXISTS sessions_id;

-- +goose Down
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS sessions_id ON sessions (id);
DROP INDEX CONCURRENTLY IF EXISTS sessions_id_alone;
