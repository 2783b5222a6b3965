/**
 * Tests that run inside Wine, told on as tests of the run outside: one each, so
 * that they are counted and shown by their names.
 */
import { relative } from "node:path";
import { Lab, type Namespace } from "../../support/lab.ts";
import { missingForLab, type Need } from "../../support/privileges.ts";
import { parseJunit, type TestResult } from "./junit.ts";
import { type MachineOptions, WineMachine } from "./machine.ts";

const INSIDE = new URL("../inside", import.meta.url).pathname;
const TIMEOUT_MS = 180_000;

/** What tests inside need. */
export interface InsideOptions {
  /** Besides Wine. */
  readonly needs?: readonly Need[];
  /** Whether the machine has a network card with default routes; loopback alone without. */
  readonly network?: "card";
  /** Prepares the machine's namespace, and says what lies beside deno.exe. */
  readonly prepare?: (namespace: Namespace) => Promise<MachineOptions>;
}

/**
 * Runs the files, one after the other on one machine, and registers what they
 * report. A file that dies is a failed test.
 * @param files paths of `*_windows.ts`.
 */
export async function insideTests(
  files: readonly string[],
  options: InsideOptions = {},
): Promise<void> {
  const missing = await missingForLab(["wine", ...options.needs ?? []]);
  if (missing !== undefined) {
    for (const file of files) registerMissing(file, missing);
    return;
  }
  await using lab = await Lab.create();
  try {
    const namespace = options.network === "card"
      ? await namespaceWithCard(lab)
      : await lab.namespace("windows");
    const machine = await WineMachine.start(
      namespace,
      await options.prepare?.(namespace),
    );
    for (const file of files) {
      const results = await runFile(machine, file);
      for (const result of results) register(file, result);
    }
  } catch (error) {
    register(files.join(", "), failed("the machine runs", String(error)));
  }
}

/** A namespace with a card, and a router that leads nowhere. */
async function namespaceWithCard(lab: Lab): Promise<Namespace> {
  const namespace = await lab.namespace("windows");
  await lab.link(
    {
      namespace,
      name: "eth0",
      addresses: ["192.0.2.2/24", "2001:db8:2::2/64"],
    },
    {
      namespace: await lab.namespace("router"),
      name: "lan",
      addresses: ["192.0.2.1/24", "2001:db8:2::1/64"],
    },
  );
  await namespace.ip(
    "route add default via 192.0.2.1",
    "route add ::/0 via 2001:db8:2::1",
  );
  return namespace;
}

async function runFile(
  machine: WineMachine,
  file: string,
): Promise<TestResult[]> {
  const report = `${machine.namespace.lab.directory}/report.xml`;
  await Deno.remove(report).catch(() => {});
  const { code, stdout, stderr } = await machine.run([
    machine.deno,
    "test",
    "--allow-all",
    "--no-check",
    "--cached-only",
    `--junit-path=${report}`,
    file,
  ], { exit: "any", timeoutMs: TIMEOUT_MS });
  const results = parseJunit(await Deno.readTextFile(report).catch(() => ""));
  const told = results.some(({ outcome }) => typeof outcome === "object");
  if (told || code === 0 && results.length > 0) return results;
  const said = `${stdout}${stderr}`.split("\n").slice(-60).join("\n");
  return [...results, failed("ends well", `exit code ${code}\n${said}`)];
}

function failed(name: string, failure: string): TestResult {
  return { name, outcome: { failure } };
}

function register(file: string, { name, outcome }: TestResult): void {
  Deno.test({
    name: `${label(file)}: ${name}`,
    ignore: outcome === "ignored",
    fn() {
      if (typeof outcome === "object") throw new Error(outcome.failure);
    },
  });
}

function registerMissing(file: string, missing: string): void {
  const inCi = Deno.env.get("CI") === "true";
  Deno.test({
    name: inCi ? label(file) : `${label(file)} (skipped: ${missing})`,
    ignore: !inCi,
    fn() {
      throw new Error(`can't run: ${missing}`);
    },
  });
}

/** `io/os/clock` of `tests/wine/inside/io/os/clock_windows.ts`. */
function label(file: string): string {
  return relative(INSIDE, file).replace(/_windows\.ts$/, "");
}
