// The story that every client tells, with the functions of orval.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
import assert from "node:assert/strict";
import type { Connection } from "./fetch.js";
import {
  getTenantSession, getTenantSessionStats, listSessions, listTenantSessions, revokeAllSessions, revokeTenantSession,
} from "./generated/api.js";
import type { SessionListItem, SessionResponse, ValidationError } from "./generated/api.js";

const [baseUrl = "", tenant_id = "", tenantToken = "", platformToken = ""] = process.argv.slice(2);
const api: Connection = { baseUrl, token: tenantToken };
const platform: Connection = { baseUrl, token: platformToken };

// A list, and what the compiler knows of it.
const list = await listTenantSessions(tenant_id, { per_page: 2, active_only: true }, api);
assert(list.status === 200);
const items: SessionListItem[] = list.data.data;
const [first, second] = items;
assert(first && second && items.length === 2);
assert(list.data.pagination.total_items > 2 && list.data.pagination.per_page === 2);
const email: string | null | undefined = first.user_email;
assert.match(email ?? "", /@/);
// @ts-expect-error there is no such member
assert.equal(first.nothing, undefined);

// One session.
const one = await getTenantSession(tenant_id, first.id, api);
assert(one.status === 200);
const session: SessionResponse = one.data.data;
assert.equal(session.user_id, first.user_id);
assert(session.sso_apps?.every((app) => app.application_name.length > 0));

// It ends, and is in the list no more.
const revoked = await revokeTenantSession(tenant_id, first.id, api);
assert.equal(revoked.status, 204);
const after = await listTenantSessions(tenant_id, {}, api);
assert(after.status === 200 && !after.data.data.some((item) => item.id === first.id));
assert.equal(after.data.pagination.total_items, list.data.pagination.total_items - 1);

// The 422 of an invalid request names each member.
const invalid = await listTenantSessions(tenant_id, { per_page: 101 }, api);
assert(invalid.status === 422);
const entry: ValidationError | undefined = invalid.data.detail?.[0];
const loc: (string | number)[] | undefined = entry?.loc;
assert.deepEqual(loc, ["query", "per_page"]);
assert.equal(entry?.type, "less_than_equal");
await assert.rejects(async () => {
  // @ts-expect-error a number is wanted, and the server says so too
  const wrong = await listTenantSessions(tenant_id, { page: "x" }, api);
  throw wrong.data;
}, { detail: [{ loc: ["query", "page"], msg: "Input should be a valid integer, unable to parse string as an integer", type: "int_parsing" }] });

// What is not there.
const missing = await getTenantSession(tenant_id, "nothing", api);
assert(missing.status === 404);
assert.equal(missing.data.detail, "Session not found.");

// The path that ends in a slash, and what the reference declares as any value or any object.
const everywhere = await listSessions({ tenant_id, per_page: 1 }, platform);
assert(everywhere.status === 200 && everywhere.data.data.length === 1);
const ended = await revokeAllSessions({ user_id: second.user_id, tenant_id }, { ...platform, headers: { "X-Revoke-Reason": "left" } });
assert(ended.status === 200 && ended.data.data.session_ids.includes(second.id));
const stats = await getTenantSessionStats(tenant_id, api);
assert(stats.status === 200);
const active: number = stats.data.data.active_sessions;
assert(active > 0);
