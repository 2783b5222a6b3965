/** A Windows machine that `sluice` runs on: adapters and host network included. */
import type { Namespace } from "../../support/lab.ts";
import { hostNetworkEnv, startNetworkBridge } from "./host_network.ts";
import { WineMachine } from "./machine.ts";
import { makeStrongHost, strongHostEnv } from "./strong_host.ts";
import { buildWintun, startTunBridge, WINTUN_ENV } from "./wintun.ts";

/** Starts it, with the stand-ins and what is behind them. */
export async function startWindowsHost(
  namespace: Namespace,
  env: Readonly<Record<string, string>> = {},
): Promise<WineMachine> {
  const [wintun, networkEnv, socketsEnv] = await Promise.all([
    buildWintun(),
    hostNetworkEnv(),
    strongHostEnv(),
    startTunBridge(namespace),
    startNetworkBridge(namespace),
    makeStrongHost(namespace),
  ]);
  return await WineMachine.start(namespace, {
    beside: [wintun],
    env: { ...WINTUN_ENV, ...networkEnv, ...socketsEnv, ...env },
  });
}
