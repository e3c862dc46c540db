// What the server answers, held against Kubb's types and zod schemas.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
import assert from "node:assert/strict";
import type { z } from "zod";
import type { SessionListItem, TenantSessionStats } from "./generated/types.js";
import {
  apiErrorSchema, getTenantSession200Schema, getTenantSessionStats200Schema, listSessions200Schema, listTenantSessions200Schema,
  listTenantSessions422Schema, listTenantSessionsQueryParamsSchema, revokeAllSessions200Schema, searchSessions200Schema,
} from "./generated/zod.js";

const [baseUrl = "", tenant_id = "", tenantToken = "", platformToken = ""] = process.argv.slice(2);
const sessions = `/api/v1/tenants/${encodeURIComponent(tenant_id)}/sessions`;

// ask returns the body of an answer, which fits a schema.
async function ask<T extends z.ZodType>(path: string, schema: T, status = 200, token = tenantToken, body?: unknown): Promise<z.infer<T>> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(baseUrl + path, { headers, redirect: "error", ...options });
  assert.equal(answer.status, status, path);
  return schema.parse(await answer.json());
}

// A list, and what the compiler knows of it.
const list = await ask(`${sessions}?per_page=2`, listTenantSessions200Schema);
const items: SessionListItem[] = list.data;
const [first, second] = items;
assert(first && second && items.length === 2 && list.pagination.total_items > 2);
// @ts-expect-error there is no such member
assert.equal(first.nothing, undefined);

// One session, the statistics and a search.
const one = await ask(`${sessions}/${encodeURIComponent(first.id)}`, getTenantSession200Schema);
assert.equal(one.data.user_id, first.user_id);
const stats: TenantSessionStats = (await ask(`${sessions}/stats`, getTenantSessionStats200Schema)).data;
assert(stats.active_sessions > 2 && stats.sessions_by_device_type.desktop >= 0);
assert((await ask(`/api/v1/sessions?user_id=${encodeURIComponent(first.user_id)}`, searchSessions200Schema)).data.length > 0);

// The 422 of an invalid request names each member; the schema of the parameters knows it before.
assert.equal(listTenantSessionsQueryParamsSchema.safeParse({ per_page: 101 }).success, false);
const invalid = await ask(`${sessions}?per_page=101`, listTenantSessions422Schema, 422);
assert.deepEqual(invalid.detail?.[0]?.loc, ["query", "per_page"]);

// What is not there.
assert.equal((await ask(`${sessions}/nothing`, apiErrorSchema, 404)).detail, "Session not found.");

// What the reference declares as any value is typed here.
const everywhere = await ask(`/api/v1/admin/sessions/?per_page=1`, listSessions200Schema, 200, platformToken);
assert.equal(everywhere.data.length, 1);
const ended = await ask("/api/v1/admin/sessions/revoke-all", revokeAllSessions200Schema, 200, platformToken, { user_id: second.user_id, tenant_id });
assert(ended.data.session_ids.includes(second.id));
