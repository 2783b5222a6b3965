/** A Windows machine that `sluice` runs on: adapters and host network included. */
import type { Namespace } from "../../support/lab.ts";
import { hostNetworkEnv, startNetworkBridge } from "./host_network.ts";
import { WineMachine } from "./machine.ts";
import { buildWintun, startTunBridge, WINTUN_ENV } from "./wintun.ts";

/** Starts it, with the stand-ins and what is behind them. */
export async function startWindowsHost(
  namespace: Namespace,
): Promise<WineMachine> {
  const [wintun, networkEnv] = await Promise.all([
    buildWintun(),
    hostNetworkEnv(),
    startTunBridge(namespace),
    startNetworkBridge(namespace),
  ]);
  return await WineMachine.start(namespace, {
    beside: [wintun],
    env: { ...WINTUN_ENV, ...networkEnv },
  });
}
