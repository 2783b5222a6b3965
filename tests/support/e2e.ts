/** A test in namespaces: skipped with its reason where it can't run, its logs shown where it fails. */
import { Lab } from "./lab.ts";
import { missingForLab, type Need } from "./privileges.ts";

/** What a test with a lab is. */
export interface E2eTest {
  readonly name: string;
  /** Besides namespaces: TUN devices, programs, peers. */
  readonly needs: readonly Need[];
  readonly run: (lab: Lab) => Promise<void>;
}

/**
 * Registers a test that gets a lab of its own. Where something is missing it is
 * ignored with the reason in its name; with CI=true it fails.
 */
export async function e2eTest(test: E2eTest): Promise<void> {
  const missing = await missingForLab(test.needs);
  if (missing !== undefined && Deno.env.get("CI") !== "true") {
    Deno.test({
      name: `${test.name} (skipped: ${missing})`,
      ignore: true,
      fn: () => {},
    });
    return;
  }
  Deno.test(test.name, async () => {
    if (missing !== undefined) throw new Error(`can't run: ${missing}`);
    await using lab = await Lab.create();
    try {
      await test.run(lab);
    } catch (error) {
      const report = lab.report();
      if (report) console.log(report);
      throw error;
    }
  });
}
