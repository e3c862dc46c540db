// The story that every client tells, with RTK Query.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
import assert from "node:assert/strict";
import { configureStore } from "@reduxjs/toolkit";
import { sessionsApi } from "./generated/api.js";
import type { SessionListItem, SessionResponse } from "./generated/api.js";

const [, tenantId = ""] = process.argv.slice(2);
const store = configureStore({
  reducer: { [sessionsApi.reducerPath]: sessionsApi.reducer },
  middleware: (defaults) => defaults().concat(sessionsApi.middleware),
});
const { endpoints } = sessionsApi;
const fresh = { forceRefetch: true, subscribe: false };

// A list, and what the compiler knows of it.
const list = await store.dispatch(endpoints.listTenantSessions.initiate({ tenantId, perPage: 2, activeOnly: true }, fresh));
assert(list.data, "the list");
const items: SessionListItem[] = list.data.data;
const [first, second] = items;
assert(first && second && items.length === 2 && list.data.pagination.total_items > 2);
// @ts-expect-error there is no such member
assert.equal(first.nothing, undefined);

// One session.
const of = { tenantId, sessionId: first.id };
const one = await store.dispatch(endpoints.getTenantSession.initiate(of, fresh));
const session: SessionResponse | undefined = one.data?.data;
assert.equal(session?.user_id, first.user_id);

// It ends, with a reason, and is in the list no more.
const revoked = await store.dispatch(endpoints.revokeTenantSession.initiate({ ...of, "X-Revoke-Reason": "lost laptop" }));
assert.equal(revoked.error, undefined);
const after = await store.dispatch(endpoints.listTenantSessions.initiate({ tenantId }, fresh));
assert(after.data && !after.data.data.some((item) => item.id === first.id));

// The 422 of an invalid request names each member, and what is not there.
const invalid = await store.dispatch(endpoints.listTenantSessions.initiate({ tenantId, perPage: 101 }, fresh));
assert(invalid.error && "status" in invalid.error && invalid.error.status === 422);
const missing = await store.dispatch(endpoints.getTenantSession.initiate({ tenantId, sessionId: "no/thing" }, fresh));
assert(missing.error && "status" in missing.error && missing.error.status === 404, "an id is one segment of the path");

// What the reference declares as any value is typed here.
const everywhere = await store.dispatch(endpoints.listSessions.initiate({ tenantId, perPage: 1 }, fresh));
assert.equal(everywhere.data?.data.length, 1);
const ended = await store.dispatch(endpoints.revokeAllSessions.initiate({ sessionSelection: { user_id: second.user_id, tenant_id: tenantId } }));
assert(ended.data?.data.session_ids.includes(second.id));
const stats = await store.dispatch(endpoints.getTenantSessionStats.initiate({ tenantId }, fresh));
assert.equal(typeof stats.data?.data.active_sessions, "number");
