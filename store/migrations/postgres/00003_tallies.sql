-- Exact numbers without counting: what every change of a session adds to the numbers is written down in the same
-- transaction (session_changes), and folded into tallies soon after. A number is its tally and what is not folded yet.
--
-- The writing down is done by triggers, so that every writer is counted: the previous version of the program while it
-- runs beside this one, and an operator at the prompt.

-- +goose Up
CREATE TABLE session_changes (
    tenant_id        text COLLATE "C" NOT NULL,
    seq              bigint GENERATED ALWAYS AS IDENTITY,
    partner_id       text COLLATE "C",
    user_id          text COLLATE "C" NOT NULL DEFAULT '',
    device_type      text COLLATE "C" NOT NULL DEFAULT '',
    created_at       timestamptz,
    revoked_at       timestamptz,
    -- What to add: to the sessions that have not been ended, to all, to those that somebody ended.
    open             integer NOT NULL DEFAULT 0,
    total            integer NOT NULL DEFAULT 0,
    revoked          integer NOT NULL DEFAULT 0,
    -- A row for an application says what to add to the sessions not ended in which it was reached, and nothing else.
    application_id   text COLLATE "C" NOT NULL DEFAULT '',
    application_name text NOT NULL DEFAULT '',
    applications     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0);

-- Of a tenant (tenant_id), of a partner (partner_id) or of all (neither). The kind says what is counted, the key of what.
CREATE TABLE tallies (
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

-- The sessions made from starts_at on, until the next chunk starts: by them a far page is found without passing all
-- sessions before it.
CREATE TABLE session_chunks (
    tenant_id  text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    starts_at  timestamptz NOT NULL,
    open       bigint NOT NULL,
    total      bigint NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, starts_at)
) WITH (fillfactor = 70);

-- A tenant all of whose sessions made until a time have ended at that time. What this says counts at once, everywhere; the
-- sessions themselves are brought up to date soon after, and then the row goes.
CREATE TABLE tenant_endings (
    tenant_id       text COLLATE "C" NOT NULL,
    operation_id    text COLLATE "C" NOT NULL,
    at              timestamptz NOT NULL,
    ended_by_sub    text NOT NULL,
    ended_by_client text NOT NULL,
    ended_reason    text NOT NULL,
    request_id      text NOT NULL,
    PRIMARY KEY (tenant_id, operation_id)
);

-- +goose StatementBegin
CREATE FUNCTION note_session_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.partner_id, NEW.user_id, NEW.device_type, NEW.created_at)
        IS NOT DISTINCT FROM (OLD.partner_id, OLD.user_id, OLD.device_type, OLD.created_at) THEN
        INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, revoked)
        VALUES (NEW.tenant_id, NEW.partner_id, NEW.user_id, coalesce(NEW.device_type, ''), NEW.created_at,
            coalesce(NEW.revoked_at, OLD.revoked_at), (NEW.ended_how IS NULL)::int - (OLD.ended_how IS NULL)::int,
            (NEW.revoked_at IS NOT NULL)::int - (OLD.revoked_at IS NOT NULL)::int);
    ELSE
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
            VALUES (OLD.tenant_id, OLD.partner_id, OLD.user_id, coalesce(OLD.device_type, ''), OLD.created_at, OLD.revoked_at,
                -(OLD.ended_how IS NULL)::int, -1, -(OLD.revoked_at IS NOT NULL)::int);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
            VALUES (NEW.tenant_id, NEW.partner_id, NEW.user_id, coalesce(NEW.device_type, ''), NEW.created_at, NEW.revoked_at,
                (NEW.ended_how IS NULL)::int, 1, (NEW.revoked_at IS NOT NULL)::int);
        END IF;
    END IF;
    -- A session that ends or goes takes its applications with it.
    IF TG_OP <> 'INSERT' AND OLD.app_count > 0 AND OLD.ended_how IS NULL AND (TG_OP = 'DELETE' OR NEW.ended_how IS NOT NULL) THEN
        INSERT INTO session_changes (tenant_id, application_id, applications)
        SELECT tenant_id, application_id, -1 FROM session_apps
        WHERE tenant_id = OLD.tenant_id AND session_id = OLD.id;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
-- +goose StatementEnd

CREATE TRIGGER sessions_inserted AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION note_session_change();
CREATE TRIGGER sessions_updated AFTER UPDATE ON sessions FOR EACH ROW
    WHEN (NEW.ended_how IS DISTINCT FROM OLD.ended_how OR NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
        OR NEW.device_type IS DISTINCT FROM OLD.device_type OR NEW.partner_id IS DISTINCT FROM OLD.partner_id
        OR NEW.user_id <> OLD.user_id OR NEW.created_at <> OLD.created_at)
    EXECUTE FUNCTION note_session_change();
-- Before: afterwards the applications are gone.
CREATE TRIGGER sessions_deleted BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION note_session_change();

-- +goose StatementBegin
CREATE FUNCTION note_app_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    app session_apps := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    -- Of a session that ended nothing counts, and one that is being deleted has told already.
    INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
    SELECT tenant_id, app.application_id, app.application_name, CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END
    FROM sessions WHERE tenant_id = app.tenant_id AND id = app.session_id AND ended_how IS NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER session_apps_changed AFTER INSERT OR DELETE ON session_apps FOR EACH ROW EXECUTE FUNCTION note_app_change();
CREATE TRIGGER session_apps_renamed AFTER UPDATE ON session_apps FOR EACH ROW
    WHEN (NEW.application_name <> OLD.application_name) EXECUTE FUNCTION note_app_change();

-- What is there already.
INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
SELECT tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, revoked_at,
    (ended_how IS NULL)::int, 1, (revoked_at IS NOT NULL)::int FROM sessions;
INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
SELECT a.tenant_id, a.application_id, a.application_name, 1
FROM session_apps a JOIN sessions s ON s.tenant_id = a.tenant_id AND s.id = a.session_id WHERE s.ended_how IS NULL;

-- The few that have ended by themselves and are not recorded yet are counted for their tenant.
CREATE INDEX sessions_tenant_due ON sessions (tenant_id, ends_at) WHERE ended_how IS NULL;
-- And those that somebody ended, where the last day begins.
CREATE INDEX sessions_tenant_revoked ON sessions (tenant_id, revoked_at) WHERE revoked_at IS NOT NULL;
-- Room for a use of a session beside it: then no index is touched.
ALTER TABLE sessions SET (fillfactor = 90);

-- +goose Down
DROP INDEX sessions_tenant_revoked;
DROP INDEX sessions_tenant_due;
DROP TRIGGER session_apps_renamed ON session_apps;
DROP TRIGGER session_apps_changed ON session_apps;
DROP FUNCTION note_app_change;
DROP TRIGGER sessions_deleted ON sessions;
DROP TRIGGER sessions_updated ON sessions;
DROP TRIGGER sessions_inserted ON sessions;
DROP FUNCTION note_session_change;
DROP TABLE tenant_endings;
DROP TABLE session_chunks;
DROP TABLE tallies;
DROP TABLE session_changes;
