/**
 * Writes the JSON schemas of the configuration files into config/, for editors.
 * With --check it only says whether the files are up to date.
 */
import { z } from "zod";
import { clientSchema } from "../src/config/client_schema.ts";
import { serverSchema } from "../src/config/server_schema.ts";

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  "server.schema.json": serverSchema,
  "client.schema.json": clientSchema,
};

/** The JSON schema's text. */
export function schemaText(schema: z.ZodType): string {
  return JSON.stringify(z.toJSONSchema(schema, { io: "input" }), null, 2) +
    "\n";
}

if (import.meta.main) {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    const target = new URL(`../config/${name}`, import.meta.url);
    const text = schemaText(schema);
    if (!Deno.args.includes("--check")) {
      await Deno.writeTextFile(target, text);
      continue;
    }
    const current = await Deno.readTextFile(target).catch(() => "");
    if (current !== text) {
      console.error(
        `config/${name} is out of date; run: deno run -A scripts/schema.ts`,
      );
      Deno.exitCode = 1;
    }
  }
}
