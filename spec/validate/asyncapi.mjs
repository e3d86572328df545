// Validates an AsyncAPI document with the format's own parser; warnings are errors.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Parser } from "@asyncapi/parser";

const file = resolve(process.argv[2]);
const diagnostics = await new Parser().validate(readFileSync(file, "utf8"), { source: file });
const serious = diagnostics.filter(({ severity }) => severity <= 1);
for (const { message, path, severity } of serious) {
  console.error(`${severity === 0 ? "error" : "warning"} at ${path.join(".")}: ${message}`);
}
console.log(`${process.argv[2]}: ${serious.length} problems`);
process.exitCode = serious.length > 0 ? 1 : 0;
