// The story that every client tells, with openapi-typescript's types and openapi-fetch.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.js";

type Schemas = components["schemas"];

const [baseUrl = "", tenant_id = "", tenantToken = "", platformToken = ""] = process.argv.slice(2);
const connect = (token: string) =>
  createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` }, redirect: "error" });
const api = connect(tenantToken);
const platform = connect(platformToken);

// A list, and what the compiler knows of it.
const list = await api.GET("/api/v1/tenants/{tenant_id}/sessions", {
  params: { path: { tenant_id }, query: { per_page: 2, active_only: true } },
});
assert(list.data, "the list");
const items: Schemas["SessionListItem"][] = list.data.data;
const [first, second] = items;
assert(first && second && items.length === 2);
assert(list.data.pagination.total_items > 2 && list.data.pagination.per_page === 2);
const email: string | null | undefined = first.user_email;
assert.match(email ?? "", /@/);
// @ts-expect-error there is no such member
assert.equal(first.nothing, undefined);

// One session.
const path = { tenant_id, session_id: first.id };
const one = await api.GET("/api/v1/tenants/{tenant_id}/sessions/{session_id}", { params: { path } });
const session: Schemas["SessionResponse"] | undefined = one.data?.data;
assert.equal(session?.user_id, first.user_id);
assert(session?.sso_apps?.every((app) => app.application_name.length > 0));

// It ends, and is in the list no more.
const revoked = await api.DELETE("/api/v1/tenants/{tenant_id}/sessions/{session_id}", { params: { path } });
assert.equal(revoked.response.status, 204);
const after = await api.GET("/api/v1/tenants/{tenant_id}/sessions", { params: { path: { tenant_id } } });
assert(after.data && !after.data.data.some((item) => item.id === first.id));
assert.equal(after.data.pagination.total_items, list.data.pagination.total_items - 1);

// The 422 of an invalid request names each member.
const invalid = await api.GET("/api/v1/tenants/{tenant_id}/sessions", {
  params: { path: { tenant_id }, query: { per_page: 101 } },
});
assert.equal(invalid.response.status, 422);
assert(invalid.error && Array.isArray(invalid.error.detail));
const entry: Schemas["ValidationError"] | undefined = invalid.error.detail[0];
const loc: (string | number)[] | undefined = entry?.loc;
assert.deepEqual(loc, ["query", "per_page"]);
assert.equal(entry?.type, "less_than_equal");
await assert.rejects(async () => {
  // @ts-expect-error a number is wanted, and the server says so too
  const wrong = await api.GET("/api/v1/tenants/{tenant_id}/sessions", { params: { path: { tenant_id }, query: { page: "x" } } });
  throw wrong.error;
}, { detail: [{ loc: ["query", "page"], msg: "Input should be a valid integer, unable to parse string as an integer", type: "int_parsing" }] });

// What is not there.
const missing = await api.GET("/api/v1/tenants/{tenant_id}/sessions/{session_id}", {
  params: { path: { tenant_id, session_id: "nothing" } },
});
assert.equal(missing.response.status, 404);
assert.equal(missing.error?.detail, "Session not found.");

// The path that ends in a slash, and what the reference declares as any value or any object.
const everywhere = await platform.GET("/api/v1/admin/sessions/", { params: { query: { tenant_id, per_page: 1 } } });
assert.equal(everywhere.data?.data.length, 1);
const ended = await platform.POST("/api/v1/admin/sessions/revoke-all", {
  params: { header: { "X-Revoke-Reason": "left" } }, body: { user_id: second.user_id, tenant_id },
});
assert(ended.data?.data.session_ids.includes(second.id));
const stats = await api.GET("/api/v1/tenants/{tenant_id}/sessions/stats", { params: { path: { tenant_id } } });
const active: number | undefined = stats.data?.data.active_sessions;
assert(active);
