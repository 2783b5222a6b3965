/** Wintun on a Windows machine of a test: the stand-in and what it talks to. */
import type { Namespace } from "../../support/lab.ts";
import type { LoggedProcess } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import { BRIDGE_PORT } from "../standins/tun_bridge.ts";
import { buildForWindows } from "./standins.ts";

const STANDINS = new URL("../standins/", import.meta.url).pathname;

/** Builds the stand-in. @returns the path of wintun.dll, to lie beside deno.exe. */
export function buildWintun(): Promise<string> {
  return buildForWindows({
    name: "wintun.dll",
    sources: [`${STANDINS}wintun.c`],
    libraries: ["ws2_32"],
  });
}

/** Variables of a machine whose wintun.dll is the stand-in. */
export const WINTUN_ENV = { SLUICE_UNSIGNED_DRIVERS: "allow" } as const;

/**
 * Starts what makes interfaces for adapters, in the machine's namespace; it ends
 * with the lab.
 * @returns the bridge; its lines tell what it makes.
 * @param place `NAME=ADDRESS/LENGTH=MTU`, where there is no host network.
 */
export async function startTunBridge(
  namespace: Namespace,
  place?: string,
): Promise<LoggedProcess> {
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const bridge = namespace.spawn("tun bridge", [
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    "--quiet",
    ...["--config", config],
    `${STANDINS}tun_bridge.ts`,
    String(BRIDGE_PORT),
    ...place === undefined ? [] : [place],
  ]);
  await waitFor(
    "the TUN bridge",
    () => bridge.lines.some((line) => line.startsWith("ready")),
  );
  return bridge;
}
