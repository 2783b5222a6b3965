/** Scenarios of `sluice client` on Windows: network, machine, config, a client that is up. */
import assert from "node:assert/strict";
import {
  CLIENT_ENV,
  type ClientLab,
  makeClientLab,
  PLACES,
  wireguardTunnel,
} from "../../support/client_lab.ts";
import { OUTSIDE } from "../../support/gateway_net.ts";
import type { Lab } from "../../support/lab.ts";
import type { Need } from "../../support/privileges.ts";
import type { CommandResult, LoggedProcess } from "../../support/process.ts";
import { startDanteIn } from "../../support/tun2socks.ts";
import type { WineMachine } from "./machine.ts";
import { startWindowsHost } from "./windows_host.ts";

/** What all of them need. */
export const CLIENT_NEEDS: readonly Need[] = [
  "wine",
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "danted" },
];
const PROXY_PORT = 1080;
const MAIN = new URL("../../../main.ts", import.meta.url).pathname;
const NAME_RULES =
  "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";

/** Where a client of these scenarios has its config. */
export function configPath(lab: Lab): string {
  return `${lab.directory}/client.yaml`;
}

/** The lab's host as a Windows machine, and a proxy. */
export async function makePlace(
  lab: Lab,
  { env, prepare }: {
    readonly env?: Readonly<Record<string, string>>;
    readonly prepare?: (place: ClientLab) => Promise<void>;
  } = {},
): Promise<{ place: ClientLab; machine: WineMachine }> {
  const place = await makeClientLab(lab);
  await startDanteIn(place.proxies, {
    address: PLACES.proxies,
    port: PROXY_PORT,
    external: ["eth0"],
  });
  await prepare?.(place);
  return { place, machine: await startWindowsHost(place.host, env) };
}

/** Each program by its way; without a kill switch, which Wine has not. */
export function config(place: ClientLab): Record<string, unknown> {
  const dns = [PLACES.tunnelDns, OUTSIDE.first6];
  return {
    tunnels: [
      { ...wireguardTunnel(place), dns },
      {
        name: "socks",
        type: "socks5",
        url: `socks5://${PLACES.proxies}:${PROXY_PORT}`,
        dns,
      },
    ],
    rules: [
      { process: "ALPHA.exe", tunnel: "wg" },
      { process: "beta.exe", tunnel: "socks" },
      { process: "delta.exe", tunnel: "drop" },
    ],
    default: "direct",
    capture: { mode: "wintun" },
    killSwitch: { enabled: false },
  };
}

/** Starts `sluice client` with a config and waits until it is up. */
export async function startClient(
  { lab }: ClientLab,
  machine: WineMachine,
  value: Record<string, unknown>,
): Promise<LoggedProcess> {
  const path = configPath(lab);
  await Deno.writeTextFile(path, JSON.stringify(value));
  const client = machine.spawnSluice([
    ...["client", "-c", path, "--log-level", "debug"],
  ], { env: CLIENT_ENV });
  await client.waitForLine(/client up:/, { timeoutMs: 60_000 });
  return client;
}

/** Waits until the log says so. */
export async function tunnelsAreUp(
  client: LoggedProcess,
  names: readonly string[] = ["wg", "socks"],
): Promise<void> {
  for (const name of names) {
    await client.waitForLine(new RegExp(`${name} is up$`), {
      timeoutMs: 30_000,
    });
  }
}

/** Runs `sluice ARGS` beside the client. */
export function sluice(
  machine: WineMachine,
  ...args: readonly string[]
): Promise<CommandResult> {
  return machine.run(machine.denoRun(MAIN, ...args), {
    env: CLIENT_ENV,
    exit: "any",
    timeoutMs: 30_000,
  });
}

/** Asks the running client by its pipe. */
export async function ask<Answer>(
  machine: WineMachine,
  ...args: readonly string[]
): Promise<Answer> {
  const { stdout, stderr, code } = await sluice(machine, ...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Rules of the system's name resolution policy. */
export async function nameRules(machine: WineMachine): Promise<string[]> {
  const { stdout } = await machine.run(["reg.exe", "query", NAME_RULES], {
    exit: "any",
  });
  return stdout.split("\n").map((line) => line.trim())
    .filter((line) => line.endsWith("}"));
}
