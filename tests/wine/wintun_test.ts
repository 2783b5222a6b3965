/** Wintun devices under Wine, by a stand-in that has a real TUN interface behind it. */
import { TUN_BENCH } from "../contract/tun_device.ts";
import { insideTests } from "./support/inside.ts";
import { buildWintun, startTunBridge, WINTUN_ENV } from "./support/wintun.ts";

const FILES = [
  "./inside/wintun_windows.ts",
  "./inside/wintun_api_windows.ts",
  "./inside/wintun_worker_windows.ts",
];

await insideTests(
  FILES.map((file) => new URL(file, import.meta.url).pathname),
  {
    needs: ["tun"],
    async prepare(namespace) {
      const { name, address, prefixLength, mtu } = TUN_BENCH;
      await startTunBridge(
        namespace,
        `${name}=${address}/${prefixLength}=${mtu}`,
      );
      return { beside: [await buildWintun()], env: WINTUN_ENV };
    },
  },
);
