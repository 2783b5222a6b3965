/** What scenarios of `sluice client` have in common: network, programs, a client that is up, its end. */
import assert from "node:assert/strict";
import {
  type ClientLab,
  makeClientLab,
  makeProgram,
  startClient,
  tunnelIs,
} from "./client_lab.ts";
import { e2eTest } from "./e2e.ts";
import type { Namespace } from "./lab.ts";
import type { Need } from "./privileges.ts";
import type { LoggedProcess } from "./process.ts";

/** Programs that others are copies of. */
const ORIGINALS = {
  nc: "/usr/bin/nc",
  dig: "/usr/bin/dig",
  ping: "/usr/bin/ping",
  sh: "/bin/sh",
} as const;

/** What all of them need. */
const NEEDS: readonly Need[] = ["tun", "wireguard-go", { program: "wg" }];

/** Copies by the names that rules know them by. */
export type ProgramKinds<Name extends string> = Readonly<
  Record<Name, keyof typeof ORIGINALS>
>;

/** A network in which a client runs. */
export interface ClientWorld<Name extends string> {
  readonly place: ClientLab;
  readonly host: Namespace;
  /** Paths of programs. */
  readonly programs: Readonly<Record<Name, string>>;
  readonly client: LoggedProcess;
}

/** A scenario. */
export interface ClientScenario<Name extends string> {
  readonly name: string;
  /** Besides what all need, and the programs themselves. */
  readonly needs?: readonly Need[];
  readonly programs: ProgramKinds<Name>;
  /** What must be there first: proxies, servers. */
  readonly prepare?: (place: ClientLab) => Promise<unknown>;
  readonly config: (
    place: ClientLab,
  ) => Record<string, unknown> | Promise<Record<string, unknown>>;
  readonly env?: (place: ClientLab) => Record<string, string>;
  /** Names of tunnels that must be up before it runs. */
  readonly up?: readonly string[];
  readonly run: (world: ClientWorld<Name>) => Promise<void>;
}

/** Registers it; in the end the client ends by itself, without a complaint. */
export async function clientTest<Name extends string>(
  scenario: ClientScenario<Name>,
): Promise<void> {
  const { name, needs = [], up = [] } = scenario;
  const kinds = Object.values<keyof typeof ORIGINALS>(scenario.programs);
  const copied = [...new Set(kinds)].map((program) => ({ program }));
  await e2eTest({
    name,
    needs: [...NEEDS, ...copied, ...needs],
    run: async (lab) => {
      const place = await makeClientLab(lab);
      const { host } = place;
      const programs = await makePrograms(place, scenario.programs);
      await scenario.prepare?.(place);
      const client = await startClient(
        place,
        await scenario.config(place),
        { env: scenario.env?.(place) },
      );
      await Promise.all(up.map((tunnel) => tunnelIs(host, tunnel, "up")));
      await scenario.run({ place, host, programs, client });
      assert.equal(await client.stop(), 0);
    },
  });
}

/** Copies programs under other names. @returns their paths. */
export async function makePrograms<Name extends string>(
  { lab }: ClientLab,
  kinds: ProgramKinds<Name>,
): Promise<Record<Name, string>> {
  const entries = Object.entries(kinds) as [Name, keyof typeof ORIGINALS][];
  return Object.fromEntries(
    await Promise.all(
      entries.map(async ([name, kind]) => [
        name,
        await makeProgram(lab, ORIGINALS[kind], name),
      ]),
    ),
  );
}
