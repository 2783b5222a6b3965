/** The host's network under Wine, changed for real by way of a stand-in. */
import { insideTests } from "./support/inside.ts";
import { hostNetworkEnv, startNetworkBridge } from "./support/host_network.ts";

const FILES = [
  "./inside/io/os/host_network_windows.ts",
  "./inside/io/os/network_monitor_windows.ts",
];

await insideTests(
  FILES.map((file) => new URL(file, import.meta.url).pathname),
  {
    needs: ["tun"],
    async prepare(namespace) {
      await namespace.run(["ip", "tuntap", "add", "dev", "t0", "mode", "tun"]);
      await namespace.run(["ip", "link", "set", "t0", "up"]);
      await startNetworkBridge(namespace);
      return { env: await hostNetworkEnv() };
    },
  },
);
