-- Exact numbers without counting: what every change of a session adds to the numbers is written down in the same
-- transaction (session_changes), and folded into tallies soon after. A number is its tally and what is not folded yet.
--
-- The writing down is done by triggers, so that every writer is counted: the previous version of the program, and an
-- operator at the prompt.

-- +goose Up
CREATE TABLE session_changes (
    seq              INTEGER PRIMARY KEY,
    tenant_id        TEXT NOT NULL,
    partner_id       TEXT,
    user_id          TEXT NOT NULL DEFAULT '',
    device_type      TEXT NOT NULL DEFAULT '',
    created_at       TIMESTAMP,
    revoked_at       TIMESTAMP,
    -- What to add: to the sessions that have not been ended, to all, to those that somebody ended.
    open             INTEGER NOT NULL DEFAULT 0,
    total            INTEGER NOT NULL DEFAULT 0,
    revoked          INTEGER NOT NULL DEFAULT 0,
    -- A row for an application says what to add to the sessions not ended in which it was reached, and nothing else.
    application_id   TEXT NOT NULL DEFAULT '',
    application_name TEXT NOT NULL DEFAULT '',
    applications     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX session_changes_tenant ON session_changes (tenant_id);

-- Of a tenant (tenant_id), of a partner (partner_id) or of all (neither). The kind says what is counted, the key of what.
CREATE TABLE tallies (
    tenant_id  TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    name       TEXT NOT NULL DEFAULT '',
    open       INTEGER NOT NULL DEFAULT 0,
    total      INTEGER NOT NULL DEFAULT 0,
    revoked    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, partner_id, kind, key)
) WITHOUT ROWID;

-- The sessions made from starts_at on, until the next chunk starts: by them a far page is found without passing all
-- sessions before it.
CREATE TABLE session_chunks (
    tenant_id  TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    starts_at  TIMESTAMP NOT NULL,
    open       INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, partner_id, starts_at)
) WITHOUT ROWID;

-- A tenant all of whose sessions made until a time have ended at that time. What this says counts at once, everywhere; the
-- sessions themselves are brought up to date soon after, and then the row goes.
CREATE TABLE tenant_endings (
    tenant_id       TEXT NOT NULL,
    operation_id    TEXT NOT NULL,
    at              TIMESTAMP NOT NULL,
    ended_by_sub    TEXT NOT NULL,
    ended_by_client TEXT NOT NULL,
    ended_reason    TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, operation_id)
);

-- +goose StatementBegin
CREATE TRIGGER sessions_inserted AFTER INSERT ON sessions BEGIN
    INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
    VALUES (NEW.tenant_id, NEW.partner_id, NEW.user_id, coalesce(NEW.device_type, ''), NEW.created_at, NEW.revoked_at,
        NEW.ended_how IS NULL, 1, NEW.revoked_at IS NOT NULL);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_updated AFTER UPDATE ON sessions
WHEN NEW.ended_how IS NOT OLD.ended_how OR NEW.revoked_at IS NOT OLD.revoked_at OR NEW.device_type IS NOT OLD.device_type
    OR NEW.partner_id IS NOT OLD.partner_id OR NEW.user_id <> OLD.user_id OR NEW.created_at <> OLD.created_at
BEGIN
    INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
    VALUES (OLD.tenant_id, OLD.partner_id, OLD.user_id, coalesce(OLD.device_type, ''), OLD.created_at, OLD.revoked_at,
        -(OLD.ended_how IS NULL), -1, -(OLD.revoked_at IS NOT NULL)),
        (NEW.tenant_id, NEW.partner_id, NEW.user_id, coalesce(NEW.device_type, ''), NEW.created_at, NEW.revoked_at,
        NEW.ended_how IS NULL, 1, NEW.revoked_at IS NOT NULL);
    -- A session that ends takes its applications with it.
    INSERT INTO session_changes (tenant_id, application_id, applications)
    SELECT tenant_id, application_id, -1 FROM session_apps
    WHERE OLD.ended_how IS NULL AND NEW.ended_how IS NOT NULL AND tenant_id = OLD.tenant_id AND session_id = OLD.id;
END;
-- +goose StatementEnd
-- Before: afterwards the applications are gone.
-- +goose StatementBegin
CREATE TRIGGER sessions_deleted BEFORE DELETE ON sessions BEGIN
    INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
    VALUES (OLD.tenant_id, OLD.partner_id, OLD.user_id, coalesce(OLD.device_type, ''), OLD.created_at, OLD.revoked_at,
        -(OLD.ended_how IS NULL), -1, -(OLD.revoked_at IS NOT NULL));
    INSERT INTO session_changes (tenant_id, application_id, applications)
    SELECT tenant_id, application_id, -1 FROM session_apps
    WHERE OLD.ended_how IS NULL AND tenant_id = OLD.tenant_id AND session_id = OLD.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_apps_inserted AFTER INSERT ON session_apps BEGIN
    INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
    SELECT tenant_id, NEW.application_id, NEW.application_name, 1
    FROM sessions WHERE tenant_id = NEW.tenant_id AND id = NEW.session_id AND ended_how IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_apps_renamed AFTER UPDATE ON session_apps WHEN NEW.application_name <> OLD.application_name BEGIN
    INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
    SELECT tenant_id, NEW.application_id, NEW.application_name, 0
    FROM sessions WHERE tenant_id = NEW.tenant_id AND id = NEW.session_id AND ended_how IS NULL;
END;
-- +goose StatementEnd
-- Of a session that ended nothing counts, and one that is being deleted has told already.
-- +goose StatementBegin
CREATE TRIGGER session_apps_deleted AFTER DELETE ON session_apps BEGIN
    INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
    SELECT tenant_id, OLD.application_id, OLD.application_name, -1
    FROM sessions WHERE tenant_id = OLD.tenant_id AND id = OLD.session_id AND ended_how IS NULL;
END;
-- +goose StatementEnd

-- What is there already.
INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
SELECT tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, revoked_at,
    ended_how IS NULL, 1, revoked_at IS NOT NULL FROM sessions;
INSERT INTO session_changes (tenant_id, application_id, application_name, applications)
SELECT a.tenant_id, a.application_id, a.application_name, 1
FROM session_apps a JOIN sessions s ON s.tenant_id = a.tenant_id AND s.id = a.session_id WHERE s.ended_how IS NULL;

-- The few that have ended by themselves and are not recorded yet are counted for their tenant.
CREATE INDEX sessions_tenant_due ON sessions (tenant_id, ends_at) WHERE ended_how IS NULL;
-- And those that somebody ended, where the last day begins.
CREATE INDEX sessions_tenant_revoked ON sessions (tenant_id, revoked_at) WHERE revoked_at IS NOT NULL;

-- +goose Down
DROP INDEX sessions_tenant_revoked;
DROP INDEX sessions_tenant_due;
DROP TRIGGER session_apps_deleted;
DROP TRIGGER session_apps_renamed;
DROP TRIGGER session_apps_inserted;
DROP TRIGGER sessions_deleted;
DROP TRIGGER sessions_updated;
DROP TRIGGER sessions_inserted;
DROP TABLE tenant_endings;
DROP TABLE session_chunks;
DROP TABLE tallies;
DROP TABLE session_changes;
