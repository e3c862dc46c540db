import { defineConfig } from "@kubb/core";
import { pluginOas } from "@kubb/plugin-oas";
import { pluginTs } from "@kubb/plugin-ts";
import { pluginZod } from "@kubb/plugin-zod";

export default defineConfig({
  root: ".",
  input: { path: "../openapi.sdk.yaml" },
  output: { path: "generated", clean: true, format: false, extension: { ".ts": ".js" } },
  plugins: [
    pluginOas({ generators: [] }),
    pluginTs({ output: { path: "types.ts" } }),
    pluginZod({ output: { path: "zod.ts" }, typed: true }),
  ],
});
