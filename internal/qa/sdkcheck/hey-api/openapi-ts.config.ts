import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "../openapi.sdk.yaml",
  output: { path: "generated", importFileExtension: ".js" },
  plugins: ["@hey-api/client-fetch"],
  logs: { file: false, level: "warn" },
});
