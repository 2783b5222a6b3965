/**
 * Writes config/server.schema.json from the schema of server.yaml, for editors.
 * With --check it only says whether the file is up to date.
 */
import { z } from "zod";
import { serverSchema } from "../src/config/server_schema.ts";

const TARGET = new URL("../config/server.schema.json", import.meta.url);

/** The JSON schema's text. */
export function schemaText(): string {
  const schema = z.toJSONSchema(serverSchema, { io: "input" });
  return JSON.stringify(schema, null, 2) + "\n";
}

if (import.meta.main) {
  if (Deno.args.includes("--check")) {
    const current = await Deno.readTextFile(TARGET).catch(() => "");
    if (current !== schemaText()) {
      console.error(
        "config/server.schema.json is out of date; run: deno run -A scripts/schema.ts",
      );
      Deno.exit(1);
    }
  } else {
    await Deno.writeTextFile(TARGET, schemaText());
  }
}
