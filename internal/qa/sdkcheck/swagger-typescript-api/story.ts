// The beginning of the story, with swagger-typescript-api and the contract as it is.
// Arguments: address, tenant, a token of the tenant's administrator.
import assert from "node:assert/strict";
import { Api } from "./generated/api.js";
import type { SessionListItem } from "./generated/api.js";

const [baseUrl = "", tenantId = "", token = ""] = process.argv.slice(2);
const client = new Api({ baseUrl, baseApiParams: { headers: { Authorization: `Bearer ${token}` }, redirect: "error" } });

const list = await client.api.listTenantSessions(tenantId, { per_page: 2, active_only: true });
const items: SessionListItem[] = list.data.data;
const [first] = items;
assert(first && items.length === 2);
// @ts-expect-error there is no such member
assert.equal(first.nothing, undefined);

const one = await client.api.getTenantSession(tenantId, first.id);
assert.equal(one.data.data.user_id, first.user_id);
const revoked = await client.api.revokeTenantSession(tenantId, first.id);
assert.equal(revoked.status, 204);
await assert.rejects(client.api.listTenantSessions(tenantId, { per_page: 101 }), { status: 422 });
await assert.rejects(client.api.getTenantSession(tenantId, "nothing"), { status: 404 });
