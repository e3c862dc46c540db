import { defineConfig } from "orval";

export default defineConfig({
  sessions: {
    input: "../openapi.sdk.yaml",
    output: {
      target: "generated/api.ts",
      client: "fetch",
      mode: "single",
      override: { mutator: { path: "fetch.ts", name: "request", extension: ".js" } },
    },
  },
});
