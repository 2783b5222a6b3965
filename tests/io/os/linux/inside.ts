/**
 * Runs a file of tests inside a network namespace of its own, where it may make
 * interfaces. The file is named *_inside.ts, so that nobody runs it outside.
 */
import { Lab } from "../../../support/lab.ts";
import { missingForLab, type Need } from "../../../support/privileges.ts";
import { CommandError } from "../../../support/process.ts";

/** Which tests to run, and what they need. */
export interface InsideOptions {
  /** The file, beside the calling one. */
  readonly file: string;
  /** `import.meta.url` of the caller. */
  readonly caller: string;
  readonly needs: readonly Need[];
  /** A command that runs the tests, e.g. one that makes more namespaces. */
  readonly through?: readonly string[];
}

/** Registers one test that runs all tests of the file in a new namespace. */
export async function testInside(
  name: string,
  options: InsideOptions,
): Promise<void> {
  const missing = await missingForLab(options.needs);
  const skipped = missing !== undefined && Deno.env.get("CI") !== "true";
  Deno.test({
    name: skipped ? `${name} (skipped: ${missing})` : name,
    ignore: skipped,
    async fn() {
      if (missing !== undefined) throw new Error(missing);
      await using lab = await Lab.create();
      const namespace = await lab.namespace("host");
      const file = new URL(options.file, options.caller).pathname;
      const config = new URL("../../../../deno.json", import.meta.url).pathname;
      const command = [
        ...options.through ?? [],
        Deno.execPath(),
        "test",
        "-A",
        "--no-check",
        "--config",
        config,
        file,
      ];
      try {
        await namespace.run(command, {
          timeoutMs: 120_000,
          env: { NO_COLOR: "1" },
        });
      } catch (error) {
        if (error instanceof CommandError) throw new Error(error.message);
        throw error;
      }
    },
  });
}
