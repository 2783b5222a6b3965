/**
 * The host's network on a Windows machine of a test: the stand-in for what Wine's
 * iphlpapi lacks, and what changes the namespace for it.
 */
import { windowsPath } from "../../../scripts/wine/place.ts";
import type { Namespace } from "../../support/lab.ts";
import type { LoggedProcess } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import { NETWORK_BRIDGE_PORT } from "../standins/network_bridge.ts";
import { buildForWindows } from "./standins.ts";

const STANDINS = new URL("../standins/", import.meta.url).pathname;
const HEADERS = new URL("../layouts/headers/", import.meta.url).pathname;

/** Builds the stand-in. @returns variables of a machine that has it. */
export async function hostNetworkEnv(): Promise<Record<string, string>> {
  const path = await buildForWindows({
    name: "iphlp.dll",
    sources: [`${STANDINS}iphlp.c`],
    headers: [`${HEADERS}newer_declarations.h`],
    libraries: ["ws2_32", "iphlpapi"],
  });
  return { SLUICE_TEST_IPHLPAPI: windowsPath(path) };
}

/**
 * Starts what changes the network of the machine's namespace; it ends with the
 * lab.
 * @returns the bridge; its lines are the changes that were asked, with codes.
 */
export async function startNetworkBridge(
  namespace: Namespace,
): Promise<LoggedProcess> {
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const bridge = namespace.spawn("network bridge", [
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    "--quiet",
    ...["--config", config],
    `${STANDINS}network_bridge.ts`,
    String(NETWORK_BRIDGE_PORT),
  ]);
  await waitFor("the network bridge", () => bridge.lines.includes("ready"));
  return bridge;
}
