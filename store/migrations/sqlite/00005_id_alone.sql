-- The index on ids serves those only who do not know the tenant: they say that the id is not empty, which every id is, in
-- words that no database concludes from the id itself. With another one a tenant's session could be found by its id too, and
-- then be another's.

-- +goose Up
CREATE UNIQUE INDEX sessions_id_alone ON sessions (id) WHERE (id = '') IS FALSE;
DROP INDEX sessions_id;

-- +goose Down
CREATE UNIQUE INDEX sessions_id ON sessions (id);
DROP INDEX sessions_id_alone;
