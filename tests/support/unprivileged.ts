/**
 * Running the program as an ordinary user. Runtime, module cache and project may
 * lie where only root may look, so they are mounted where everybody may.
 */
import type { Namespace } from "./lab.ts";

const USER_ID = 65534;
const PLACE = "/run/lab";
const PROJECT = new URL("../../", import.meta.url).pathname;

/** How to run as an ordinary user in a namespace. */
export interface Unprivileged {
  readonly setpriv: readonly string[];
  readonly env: Record<string, string>;
  /** The runtime's command line up to the program's own arguments. */
  readonly sluice: readonly string[];
}

/** Prepares a namespace; needs root. */
export async function prepareUnprivileged(
  namespace: Namespace,
): Promise<Unprivileged> {
  const cache = Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("HOME") ?? "/root"}/.cache/deno`;
  await namespace.run([
    "sh",
    "-ec",
    [
      `mkdir -p ${PLACE}/cache ${PLACE}/project ${PLACE}/home`,
      `touch ${PLACE}/deno`,
      `mount --bind '${Deno.execPath()}' ${PLACE}/deno`,
      `mount --bind '${cache}' ${PLACE}/cache`,
      `mount --bind '${PROJECT}' ${PLACE}/project`,
      `chown ${USER_ID} ${PLACE}/home`,
    ].join("\n"),
  ]);
  return {
    setpriv: [
      `--reuid=${USER_ID}`,
      `--regid=${USER_ID}`,
      "--clear-groups",
      "--inh-caps=-all",
    ],
    env: { DENO_DIR: `${PLACE}/cache`, HOME: `${PLACE}/home` },
    sluice: [
      `${PLACE}/deno`,
      ...["run", "-A", "--quiet", "--cached-only"],
      ...["--config", `${PLACE}/project/deno.json`, `${PLACE}/project/main.ts`],
    ],
  };
}
