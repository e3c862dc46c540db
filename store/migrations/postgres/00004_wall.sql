-- A second wall behind the conditions of every statement: what a request may touch is told to the database as well
-- (sessiond.tenant, sessiond.partner; empty or unset is no limit), which lets nothing else through to it.
--
-- FORCE: the tables belong to the role that serves. A superuser, or a role with BYPASSRLS, walks through every wall; serve
-- says so when it starts. The previous version of the program, and an operator at the prompt, set nothing and see all.
--
-- An empty setting is looked at first: what partners and all have in tallies stands under an empty tenant_id. The settings are
-- read in sub-selects so that they are read once in a statement and not once a row, and of a row only tenant_id is looked at,
-- so that what reads an index alone still does.

-- +goose Up
SET LOCAL lock_timeout = '10s';

-- +goose StatementBegin
CREATE FUNCTION partner_has(tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM tenants WHERE tenant_id = tenant AND partner_id = current_setting('sessiond.partner', true));
END $$;
-- +goose StatementEnd

CREATE POLICY wall ON tenants USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE false END
    WHEN tenant_id THEN true ELSE false END);
CREATE POLICY wall ON sessions USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
CREATE POLICY wall ON session_apps USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
CREATE POLICY wall ON audit_events USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
-- What happens is written down, whoever does it.
CREATE POLICY wall ON session_changes USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END) WITH CHECK (true);
CREATE POLICY wall ON tallies USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true
            ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
CREATE POLICY wall ON session_chunks USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true
            ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE session_apps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE session_changes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tallies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE session_chunks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- +goose Down
ALTER TABLE session_chunks DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tallies DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE session_changes DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE session_apps DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenants DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
DROP POLICY wall ON session_chunks;
DROP POLICY wall ON tallies;
DROP POLICY wall ON session_changes;
DROP POLICY wall ON audit_events;
DROP POLICY wall ON session_apps;
DROP POLICY wall ON sessions;
DROP POLICY wall ON tenants;
DROP FUNCTION partner_has;
