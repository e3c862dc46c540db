import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query";

// The endpoints come from generated/api.ts. A product sets the token in prepareHeaders, from its own store.
const [, , baseUrl = "", , tenantToken = "", platformToken = ""] = process.argv;

export const emptyApi = createApi({
  baseQuery: fetchBaseQuery({
    baseUrl,
    redirect: "error",
    prepareHeaders: (headers, { endpoint }) => {
      const ofPlatform = endpoint === "listSessions" || endpoint === "revokeAllSessions";
      headers.set("Authorization", `Bearer ${ofPlatform ? platformToken : tenantToken}`);
    },
  }),
  endpoints: () => ({}),
});
