-- There is no tally of each user any more: to know how many have sessions, the sessions of those whose sessions change are
-- counted. The previous version, which would start to count its users again at nothing, must not fold any more: it cannot,
-- says so in its log, and leaves it to this one.

-- +goose Up
SET LOCAL lock_timeout = '10s';
SELECT pg_advisory_xact_lock(x'74616c6c79'::bigint); -- nobody folds meanwhile
DELETE FROM tallies WHERE kind = 'user';
ALTER TABLE tallies ADD CONSTRAINT tallies_without_users CHECK (kind <> 'user') NOT VALID;

-- +goose Down
ALTER TABLE tallies DROP CONSTRAINT tallies_without_users;
INSERT INTO tallies (tenant_id, partner_id, kind, key, open)
SELECT tenant_id, '', 'user', user_id, sum(n) FROM (
    SELECT tenant_id, user_id, 1 AS n FROM sessions WHERE ended_how IS NULL
    UNION ALL SELECT tenant_id, user_id, -open FROM session_changes WHERE application_id = '') AS folded
GROUP BY tenant_id, user_id HAVING sum(n) <> 0;
