-- There is no tally of each user any more: to know how many have sessions, the sessions of those whose sessions change are
-- counted.

-- +goose Up
DELETE FROM tallies WHERE kind = 'user';

-- +goose Down
INSERT INTO tallies (tenant_id, partner_id, kind, key, open)
SELECT tenant_id, '', 'user', user_id, sum(n) FROM (
    SELECT tenant_id, user_id, 1 AS n FROM sessions WHERE ended_how IS NULL
    UNION ALL SELECT tenant_id, user_id, -open FROM session_changes WHERE application_id = '') AS folded
GROUP BY tenant_id, user_id HAVING sum(n) <> 0;
