-- Requests of several tenants travel in one statement, each row of it about the tenant that its request may touch. The wall is
-- then around these tenants: sessiond.tenants has them all, sessiond.tenant the first. It is looked at for rows of others only,
-- and read once in a statement, as the other settings are.

-- +goose Up
SET LOCAL lock_timeout = '10s';
ALTER POLICY wall ON tenants USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE false END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON sessions USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON session_apps USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON audit_events USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON session_changes USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON tallies USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);
ALTER POLICY wall ON session_chunks USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE tenant_id = ANY ((SELECT nullif(current_setting('sessiond.tenants', true), '')::text[])::text[]) END);

-- +goose Down
ALTER POLICY wall ON session_chunks USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON tallies USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON session_changes USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON audit_events USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON session_apps USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON sessions USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true ELSE partner_has(tenant_id) END
    WHEN tenant_id THEN true ELSE false END);
ALTER POLICY wall ON tenants USING (
    CASE coalesce((SELECT current_setting('sessiond.tenant', true)), '') WHEN '' THEN
        CASE coalesce((SELECT current_setting('sessiond.partner', true)), '') WHEN '' THEN true WHEN partner_id THEN true ELSE false END
    WHEN tenant_id THEN true ELSE false END);
