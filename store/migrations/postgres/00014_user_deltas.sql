-- What changes that are folded add to a user's sessions, while more changes wait: the user is counted when none wait any more. The
-- previous version, which would count such users twice, must not fold any more, as in migrations 7 and 9.

-- +goose Up
SET LOCAL lock_timeout = '10s';
SELECT pg_advisory_xact_lock(x'74616c6c79'::bigint); -- nobody folds meanwhile
CREATE TABLE user_deltas (
    tenant_id text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    open      bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE POLICY wall ON user_deltas USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER TABLE user_deltas ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tallies ADD CONSTRAINT tallies_folded_in_steps CHECK (kind <> 'sessions' OR name <> '') NOT VALID;

-- +goose Down
ALTER TABLE tallies DROP CONSTRAINT tallies_folded_in_steps;
DROP TABLE user_deltas; -- whose users are not counted then; sessiond check --repair makes their number exact
