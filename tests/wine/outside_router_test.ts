/**
 * The outside's sockets of Windows across a router:
 *
 *     windows 203.0.113.1 ---- 203.0.113.254 hop 198.51.100.254 ---- far 198.51.100.1
 *                     MTU 1500                       MTU 1300
 */
import type { Namespace } from "../support/lab.ts";
import { insideTests } from "./support/inside.ts";

const FILE = "./inside/outside_router_windows.ts";

await insideTests([new URL(FILE, import.meta.url).pathname], {
  async prepare(windows) {
    await wire(windows);
    return {};
  },
});

/** Makes the other namespaces and waits until packets pass. */
async function wire(windows: Namespace): Promise<void> {
  const { lab } = windows;
  const router = await lab.namespace("hop");
  const far = await lab.namespace("far");
  await lab.link(
    { namespace: windows, name: "near", addresses: ["203.0.113.1/24"] },
    { namespace: router, name: "east", addresses: ["203.0.113.254/24"] },
  );
  await lab.link(
    { namespace: router, name: "west", addresses: ["198.51.100.254/24"] },
    { namespace: far, name: "lan", addresses: ["198.51.100.1/24"] },
  );
  await router.ip("link set west mtu 1300");
  await router.sysctl("net.ipv4.ip_forward", 1);
  await windows.ip("route add 198.51.100.0/24 via 203.0.113.254");
  await far.ip("link set lan mtu 1300", "route add default via 198.51.100.254");
  for (const namespace of [router, far]) {
    await namespace.sysctl("net.ipv4.icmp_ratelimit", 0);
  }
  await windows.waitUntilReaches("198.51.100.1");
}
