// Holds the contract against lint/redocly.yaml. A warning fails as an error does.
// Argument: the contract.
import { createConfig, formatProblems, getTotals, lint } from "@redocly/openapi-core";
import { readFileSync } from "node:fs";

const contract = process.argv[2];
const config = await createConfig(readFileSync(new URL("redocly.yaml", import.meta.url), "utf8"));
const problems = await lint({ ref: contract, config });
const totals = getTotals(problems);
formatProblems(problems, { format: "codeframe", totals, version: "" });
console.log(`${contract}: ${totals.errors} errors, ${totals.warnings} warnings`);
process.exitCode = totals.errors + totals.warnings === 0 ? 0 : 1;
