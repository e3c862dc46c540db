-- The schema. tenant_id leads every key of a tenant's data, so that tables can be distributed by it (Citus). Identifiers compare byte by
-- byte (COLLATE "C"), as on SQLite: the order of lists must not depend on the server's locale.

-- +goose Up

CREATE TABLE tenants (
    tenant_id  text COLLATE "C" NOT NULL PRIMARY KEY CHECK (tenant_id <> ''),
    partner_id text COLLATE "C" CHECK (partner_id <> ''),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE tenants IS 'Every tenant for which a session was ever registered, and its partner.';

CREATE TABLE sessions (
    tenant_id         text COLLATE "C" NOT NULL CHECK (tenant_id <> ''),
    id                text COLLATE "C" NOT NULL CHECK (id <> ''),
    user_id           text COLLATE "C" NOT NULL CHECK (user_id <> ''),
    partner_id        text COLLATE "C",
    user_email        text COLLATE "C",
    user_display_name text COLLATE "C",
    ip_address        text,
    user_agent        text,
    device_type       text,
    location          text,
    country           text COLLATE "C",
    created_at        timestamptz NOT NULL,
    last_activity_at  timestamptz,
    expires_at        timestamptz NOT NULL,
    ends_at           timestamptz NOT NULL,
    end_cause         text CHECK (end_cause IN ('revoked', 'replaced', 'expired', 'idle')),
    revoked_at        timestamptz,
    ended_by_sub      text,
    ended_by_client   text,
    end_reason        text,
    app_count         integer NOT NULL DEFAULT 0 CHECK (app_count >= 0),
    login_ip_address  text,
    change_recorded_at timestamptz,
    browser           text,
    os                text,
    address_key       text COLLATE "C",
    login_address_key text COLLATE "C",
    PRIMARY KEY (tenant_id, id),
    CHECK (revoked_at IS NULL OR end_cause IS NOT NULL)
) WITH (fillfactor = 90); -- room for an activity's new version on the same page: then no index is written
COMMENT ON TABLE sessions IS 'Sessions, active and ended ones, until the retention time is over.';
COMMENT ON COLUMN sessions.partner_id IS 'The tenant''s partner, repeated so that a partner''s lists need no join.';
COMMENT ON COLUMN sessions.country IS 'ISO 3166-1 alpha-2 code of the place of ip_address.';
COMMENT ON COLUMN sessions.ends_at IS 'When the session ends by itself: the earlier of expires_at and the idle limit.';
COMMENT ON COLUMN sessions.end_cause IS 'How it ended; NULL while it is active, and until an end by itself, or by a bulk revocation, has been recorded.';
COMMENT ON COLUMN sessions.login_ip_address IS 'Where it was registered from; ip_address is where it was used last.';
COMMENT ON COLUMN sessions.change_recorded_at IS 'When an event last told of a change of address, agent or country.';
COMMENT ON COLUMN sessions.browser IS 'The browser or program that user_agent names; os is its operating system.';
COMMENT ON COLUMN sessions.address_key IS 'ip_address in an order in which a network is one range: its family and hexadecimal digits.';
COMMENT ON COLUMN sessions.login_address_key IS 'The same of login_ip_address, where that is another address.';
COMMENT ON COLUMN sessions.revoked_at IS 'When somebody ended it.';

-- The conditions (id = '') IS FALSE and (tenant_id = '') IS FALSE hold for every row, and no planner concludes them from a comparison of
-- the column: only a statement that says so uses the index. Without the first, a tenant's session could be found by its id alone and
-- then be another tenant's, and the time would tell. Without the second, a list of the few active sessions of a user could pass over
-- everybody's. An index of active sessions and one of ended ones are two halves: a list with both merges them.
CREATE UNIQUE INDEX sessions_id ON sessions (id) WHERE (id = '') IS FALSE;
COMMENT ON INDEX sessions_id IS 'Ids are unique in the whole service; lookups of a session whose tenant is not known.';
-- ends_at is included so that passing over sessions that have expired and are not recorded yet reads the index only.
CREATE INDEX sessions_tenant_active ON sessions (tenant_id, created_at DESC, id DESC) INCLUDE (ends_at) WHERE end_cause IS NULL;
COMMENT ON INDEX sessions_tenant_active IS 'A tenant''s list of active sessions, its page index, bulk revocations.';
CREATE INDEX sessions_tenant_ended ON sessions (tenant_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL;
COMMENT ON INDEX sessions_tenant_ended IS 'A tenant''s list with ended sessions, its page index, sessions created at the edge of the last day.';
CREATE INDEX sessions_user_active ON sessions (user_id, tenant_id, created_at DESC, id DESC) INCLUDE (ends_at) WHERE end_cause IS NULL;
COMMENT ON INDEX sessions_user_active IS 'The active sessions of a user, in a tenant or in all: list, count, limit, revocation; the number of users.';
CREATE INDEX sessions_user_ended ON sessions (user_id, tenant_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL;
COMMENT ON INDEX sessions_user_ended IS 'A user''s list with ended sessions, and erasure.';
CREATE INDEX sessions_partner_active ON sessions (partner_id, created_at DESC, id DESC) INCLUDE (ends_at)
    WHERE end_cause IS NULL AND partner_id IS NOT NULL;
COMMENT ON INDEX sessions_partner_active IS 'A partner''s list, its page index, revocation.';
CREATE INDEX sessions_active ON sessions (created_at DESC, id DESC) INCLUDE (ends_at) WHERE end_cause IS NULL AND (tenant_id = '') IS FALSE;
COMMENT ON INDEX sessions_active IS 'The platform''s list and its page index.';
CREATE INDEX sessions_due ON sessions (ends_at) WHERE end_cause IS NULL;
COMMENT ON INDEX sessions_due IS 'Sessions whose end by itself is to be recorded, and those that the totals of partners and of all leave out.';
CREATE INDEX sessions_tenant_due ON sessions (tenant_id, ends_at) WHERE end_cause IS NULL;
COMMENT ON INDEX sessions_tenant_due IS 'Those that a tenant''s totals and statistics leave out.';
CREATE INDEX sessions_tenant_ended_at ON sessions (tenant_id, (CASE WHEN revoked_at IS NULL THEN ends_at ELSE revoked_at END), id)
    WHERE end_cause IS NOT NULL;
COMMENT ON INDEX sessions_tenant_ended_at IS 'What is past its retention time; sessions revoked at the edge of the last day; searches by the end, of which a revocation of a tenant has one for all its sessions.';
CREATE INDEX sessions_ended ON sessions (created_at DESC, id DESC) WHERE end_cause IS NOT NULL AND (tenant_id = '') IS FALSE;
COMMENT ON INDEX sessions_ended IS 'The platform''s search with ended sessions.';
CREATE INDEX sessions_partner_ended ON sessions (partner_id, created_at DESC, id DESC) WHERE end_cause IS NOT NULL AND partner_id IS NOT NULL;
COMMENT ON INDEX sessions_partner_ended IS 'A partner''s search with ended sessions.';
CREATE INDEX sessions_tenant_address ON sessions (tenant_id, address_key) WHERE address_key IS NOT NULL;
COMMENT ON INDEX sessions_tenant_address IS 'A tenant''s sessions of an address or a network.';
CREATE INDEX sessions_tenant_login_address ON sessions (tenant_id, login_address_key) WHERE login_address_key IS NOT NULL;
COMMENT ON INDEX sessions_tenant_login_address IS 'The same, of sessions that have moved since the login.';
CREATE INDEX sessions_address ON sessions (address_key) WHERE address_key IS NOT NULL AND (tenant_id = '') IS FALSE;
COMMENT ON INDEX sessions_address IS 'Everybody''s sessions of an address or a network.';
CREATE INDEX sessions_login_address ON sessions (login_address_key) WHERE login_address_key IS NOT NULL AND (tenant_id = '') IS FALSE;
COMMENT ON INDEX sessions_login_address IS 'The same, of sessions that have moved since the login.';

CREATE TABLE session_apps (
    tenant_id        text COLLATE "C" NOT NULL,
    session_id       text COLLATE "C" NOT NULL,
    application_id   text COLLATE "C" NOT NULL CHECK (application_id <> ''),
    application_name text NOT NULL,
    accessed_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, session_id, application_id),
    FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE session_apps IS 'Applications reached through a session by single sign-on, with the latest access.';
CREATE INDEX session_apps_application ON session_apps (tenant_id, application_id, session_id) WHERE (application_id = '') IS FALSE;
COMMENT ON INDEX session_apps_application IS 'The sessions of a tenant in which an application was reached.';

CREATE TABLE search_keys (
    tenant_id text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, key, user_id, value)
);
COMMENT ON TABLE search_keys IS 'What the sessions of a user are found by, in lower case: ids, e-mails, names.';
COMMENT ON COLUMN search_keys.value IS 'The value as sessions have it; empty where it is the key.';
CREATE INDEX search_keys_user ON search_keys (tenant_id, user_id);
COMMENT ON INDEX search_keys_user IS 'Those of a user, to compare with a session, and to be deleted with the last one.';
CREATE INDEX search_keys_key ON search_keys (key, tenant_id, user_id) WHERE (tenant_id = '') IS FALSE;
COMMENT ON INDEX search_keys_key IS 'Those of all tenants.';

CREATE TABLE audit_events (
    tenant_id    text COLLATE "C" NOT NULL,
    operation_id uuid NOT NULL,
    session_id   text COLLATE "C" NOT NULL,
    action       text NOT NULL,
    at           timestamptz NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    actor_sub    text NOT NULL,
    actor_client text NOT NULL,
    reason       text NOT NULL,
    request_id   text NOT NULL,
    changes      text,
    PRIMARY KEY (tenant_id, at, operation_id, session_id, action)
);
COMMENT ON TABLE audit_events IS 'What happened, by whom; appended in the transaction of the change.';
COMMENT ON COLUMN audit_events.operation_id IS 'One call, which may change many sessions.';
COMMENT ON COLUMN audit_events.changes IS 'JSON: the values of the session that changed, before and after.';
CREATE INDEX audit_events_at ON audit_events (at);
COMMENT ON INDEX audit_events_at IS 'Everybody''s history; the purge.';
CREATE INDEX audit_events_session ON audit_events (tenant_id, session_id, at);
COMMENT ON INDEX audit_events_session IS 'A session''s history.';
CREATE INDEX audit_events_user ON audit_events (tenant_id, user_id, at);
COMMENT ON INDEX audit_events_user IS 'A user''s history, and erasure.';

CREATE TABLE not_before_cutoffs (
    tenant_id  text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    not_before timestamptz NOT NULL,
    keep_until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, user_id)
);
COMMENT ON TABLE not_before_cutoffs IS 'No login from before a time may be registered. An empty id stands for all tenants, all partners, all users.';
COMMENT ON COLUMN not_before_cutoffs.user_id IS 'The user, or a keyed digest of one who was erased.';
COMMENT ON COLUMN not_before_cutoffs.keep_until IS 'When no token lives any more of what the cutoff keeps out.';
CREATE INDEX not_before_cutoffs_not_before ON not_before_cutoffs (not_before);
COMMENT ON INDEX not_before_cutoffs_not_before IS 'The purge.';

CREATE TABLE bulk_revocations (
    tenant_id       text COLLATE "C" NOT NULL,
    operation_id    uuid NOT NULL,
    at              timestamptz NOT NULL,
    ended_by_sub    text NOT NULL,
    ended_by_client text NOT NULL,
    end_reason      text NOT NULL,
    request_id      text NOT NULL,
    PRIMARY KEY (tenant_id, operation_id)
);
COMMENT ON TABLE bulk_revocations IS 'All sessions of the tenant created until a time have ended then, which counts at once; a row goes when it has been applied to each of them.';

CREATE TABLE revocation_jobs (
    tenant_id           text COLLATE "C" NOT NULL,
    id                  text COLLATE "C" NOT NULL,
    partner_id          text COLLATE "C",
    user_id             text COLLATE "C",
    filter              text NOT NULL,
    except_session_id   text COLLATE "C" NOT NULL,
    block_logins_before timestamptz,
    created_by_sub      text NOT NULL,
    created_by_client   text NOT NULL,
    reason              text NOT NULL,
    request_id          text NOT NULL,
    created_at          timestamptz NOT NULL,
    level               smallint NOT NULL,
    state               text NOT NULL CHECK (state IN ('running', 'paused', 'completed', 'cancelled')),
    sessions            bigint NOT NULL,
    ended               bigint NOT NULL DEFAULT 0,
    chunks              bigint NOT NULL DEFAULT 0,
    position_at         timestamptz,
    position_id         text COLLATE "C" NOT NULL DEFAULT '',
    updated_at          timestamptz NOT NULL,
    finished_at         timestamptz,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE revocation_jobs IS 'Revocations of the sessions that a search finds, in chunks.';
COMMENT ON COLUMN revocation_jobs.tenant_id IS 'The tenant whose sessions end, or empty: of all tenants.';
COMMENT ON COLUMN revocation_jobs.filter IS 'JSON: which sessions, besides those columns that name the tenant, the partner and the user.';
COMMENT ON COLUMN revocation_jobs.level IS 'Who may stop it: 0 the tenant, 1 the partner, 2 the platform.';
COMMENT ON COLUMN revocation_jobs.created_at IS 'Sessions that were registered later do not end.';
COMMENT ON COLUMN revocation_jobs.chunks IS 'How many chunks are done; one that was begun in another state of the job is rolled back.';
COMMENT ON COLUMN revocation_jobs.position_at IS 'Where the next chunk begins: behind the session with this created_at and position_id.';
CREATE INDEX revocation_jobs_running ON revocation_jobs (updated_at, id) WHERE state = 'running';
COMMENT ON INDEX revocation_jobs_running IS 'Whose turn it is.';
CREATE INDEX revocation_jobs_created_at ON revocation_jobs (created_at, id);
COMMENT ON INDEX revocation_jobs_created_at IS 'The list.';

CREATE TABLE counter_deltas (
    tenant_id        text COLLATE "C" NOT NULL,
    seq              bigint GENERATED BY DEFAULT AS IDENTITY,
    partner_id       text COLLATE "C",
    user_id          text COLLATE "C" NOT NULL DEFAULT '',
    device_type      text COLLATE "C" NOT NULL DEFAULT '',
    created_at       timestamptz,
    revoked_at       timestamptz,
    open             integer NOT NULL DEFAULT 0,
    total            integer NOT NULL DEFAULT 0,
    revoked          integer NOT NULL DEFAULT 0,
    application_id   text COLLATE "C" NOT NULL DEFAULT '',
    application_name text NOT NULL DEFAULT '',
    applications     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0);
COMMENT ON TABLE counter_deltas IS 'What each change adds to the counters, appended in its transaction, until it is rolled up. A number is its counter and the deltas that wait.';

CREATE TABLE user_counter_deltas (
    tenant_id text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    open      bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE user_counter_deltas IS 'Users who are counted when no deltas wait, with what is rolled up of their sessions.';

CREATE TABLE counters (
    tenant_id  text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    name       text NOT NULL DEFAULT '',
    open       bigint NOT NULL DEFAULT 0,
    total      bigint NOT NULL DEFAULT 0,
    revoked    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, partner_id, kind, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE counters IS 'Numbers of a tenant (tenant_id), of a partner (partner_id) or of all (neither). kind says what is counted, key of what.';

CREATE TABLE page_index (
    tenant_id  text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    starts_at  timestamptz NOT NULL,
    open       bigint NOT NULL,
    total      bigint NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, starts_at)
) WITH (fillfactor = 70);
COMMENT ON TABLE page_index IS 'How many sessions were created from a time on, until the next bucket starts: a far page is found without passing over all before it.';

CREATE TABLE session_tombstones (
    session_digest text COLLATE "C" NOT NULL PRIMARY KEY,
    keep_until     timestamptz NOT NULL
);
COMMENT ON TABLE session_tombstones IS 'Keyed digests of ended sessions whose rows are deleted, until no token of them lives any more.';
CREATE INDEX session_tombstones_keep_until ON session_tombstones (keep_until);
COMMENT ON INDEX session_tombstones_keep_until IS 'The purge.';

CREATE TABLE idempotency_keys (
    key_digest   text COLLATE "C" NOT NULL PRIMARY KEY,
    operation_id uuid NOT NULL,
    tenant_ids   text NOT NULL,
    at           timestamptz NOT NULL
);
COMMENT ON TABLE idempotency_keys IS 'Calls that ended sessions and named an Idempotency-Key: the same call again is answered with what the first one did.';
COMMENT ON COLUMN idempotency_keys.tenant_ids IS 'JSON: the tenants in which sessions ended.';
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
COMMENT ON INDEX idempotency_keys_at IS 'The purge.';

CREATE TABLE secrets (
    name  text NOT NULL PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE secrets IS 'The key of the digests (HMAC-SHA-256): who has a digest cannot find out by trying whose it is without it.';
INSERT INTO secrets (name, value) VALUES ('digest_key', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));

CREATE TABLE migration_digests (
    version bigint NOT NULL PRIMARY KEY,
    digest  text NOT NULL
);
COMMENT ON TABLE migration_digests IS 'SHA-256 of the text of each migration that was applied: a database that another text has made is refused.';

CREATE TABLE readiness (
    id         smallint PRIMARY KEY CHECK (id = 1),
    written_at timestamptz NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE readiness IS 'One row that /readyz writes, to see whether anything can be written.';

-- Row-level security: what a request may see is set for its transaction (sessiond.tenant, sessiond.partner; empty or unset is no
-- restriction; sessiond.tenants extends a restriction to one tenant to several, for merged statements), and nothing else is visible to
-- it, whatever its statements say. FORCE: the tables belong to the role that serves. Superusers and roles with BYPASSRLS see everything.
--
-- The settings are read in sub-selects, so once in a statement and not once a row, and of a row only tenant_id is looked at, so that an
-- index-only scan stays one. The empty setting is looked at first: counters of partners and of all have an empty tenant_id.

-- +goose StatementBegin
CREATE FUNCTION tenant_is_partners(tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM tenants WHERE tenant_id = tenant AND partner_id = current_setting('sessiond.partner', true));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
    of_table record;
    visible text;
BEGIN
    FOR of_table IN SELECT * FROM (VALUES
        ('tenants',             'WHEN partner_id THEN true ELSE false'),
        ('sessions',            'ELSE tenant_is_partners(tenant_id)'),
        ('session_apps',        'ELSE tenant_is_partners(tenant_id)'),
        ('revocation_jobs',     'ELSE tenant_is_partners(tenant_id)'),
        ('search_keys',         'ELSE tenant_is_partners(tenant_id)'),
        ('audit_events',        'ELSE tenant_is_partners(tenant_id)'),
        ('bulk_revocations',    'ELSE tenant_is_partners(tenant_id)'),
        ('counter_deltas',      'ELSE tenant_is_partners(tenant_id)'),
        ('user_counter_deltas', 'ELSE tenant_is_partners(tenant_id)'),
        ('not_before_cutoffs',  'WHEN partner_id THEN true ELSE tenant_is_partners(tenant_id)'),
        ('counters',            'WHEN partner_id THEN true ELSE tenant_is_partners(tenant_id)'),
        ('page_index',          'WHEN partner_id THEN true ELSE tenant_is_partners(tenant_id)')
    ) AS tables (name, partners) LOOP
        visible := format($condition$
            CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
                CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true %s END
            WHEN tenant_id THEN true
            ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END
            $condition$, of_table.partners);
        EXECUTE format('CREATE POLICY tenant_scope ON %I USING (%s)', of_table.name, visible);
        -- A partner's administrator who revokes all sessions of a user does so in no one tenant: that event has an empty tenant_id.
        IF of_table.name = 'audit_events' THEN
            EXECUTE format('ALTER POLICY tenant_scope ON audit_events WITH CHECK (tenant_id = '''' OR %s)', visible);
        END IF;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_table.name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE readiness, migration_digests, secrets, idempotency_keys, session_tombstones, page_index, counters, user_counter_deltas, counter_deltas,
    revocation_jobs, bulk_revocations, not_before_cutoffs, audit_events, search_keys, session_apps, sessions, tenants;
DROP FUNCTION tenant_is_partners;
