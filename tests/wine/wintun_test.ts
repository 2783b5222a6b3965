/** Wintun devices under Wine, by a stand-in that has a real TUN interface behind it. */
import { TUN_BENCH } from "../contract/tun_device.ts";
import { Lab } from "../support/lab.ts";
import { missingForLab } from "../support/privileges.ts";
import { WineMachine } from "./support/machine.ts";
import { buildWintun, startTunBridge, WINTUN_ENV } from "./support/wintun.ts";

const NAME = "Wintun devices under Wine carry packets both ways";
const INSIDE = new URL("./inside/wintun_windows.ts", import.meta.url).pathname;

const missing = await missingForLab(["tun"]);
const skipped = missing !== undefined && Deno.env.get("CI") !== "true";

Deno.test({
  name: skipped ? `${NAME} (skipped: ${missing})` : NAME,
  ignore: skipped,
  async fn() {
    if (missing !== undefined) throw new Error(missing);
    await using lab = await Lab.create();
    const namespace = await lab.namespace("windows");
    const { name, address, prefixLength, mtu } = TUN_BENCH;
    await startTunBridge(
      namespace,
      `${name}=${address}/${prefixLength}=${mtu}`,
    );
    const machine = await WineMachine.start(namespace, {
      beside: [await buildWintun()],
      env: WINTUN_ENV,
    });
    await machine.run(
      [
        machine.deno,
        "test",
        "-A",
        "--no-check",
        "--cached-only",
        "--unstable-net",
        INSIDE,
      ],
      { timeoutMs: 60_000, env: { NO_COLOR: "1" } },
    );
  },
});
