/** Under load the server answers an initiation by a cookie (WireGuard paper, 5.4.7). */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import {
  joinByWireguardGo,
  startScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { connectTo, TUNNEL } from "../support/sluice.ts";

const ENV = { SLUICE_TEST_UNDER_LOAD: "1" };

/** Types of the handshake messages in order, and whether mac2 was set. */
function handshake(datagrams: readonly { payload: Uint8Array }[]): string[] {
  return datagrams.flatMap(({ payload }) => {
    const type = payload[0];
    if (type === 1) {
      const mac2 = payload.subarray(132, 148).some((byte) => byte !== 0);
      return [mac2 ? "initiation with cookie" : "initiation"];
    }
    if (type === 3) return [`cookie of ${payload.length} bytes`];
    return type === 2 ? ["response"] : [];
  });
}

const EXPECTED = [
  "initiation",
  "cookie of 64 bytes",
  "initiation with cookie",
  "response",
];

await e2eTest({
  name: "under load: wireguard-go takes our cookie and gets in with it",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, { env: ENV });
    const [place] = net.clients;
    const capture = await Capture.start(place.namespace, "eth0", "udp");
    await joinByWireguardGo(server, place, clients[0]);
    assert.deepEqual(
      handshake(await capture.stopDatagrams()).slice(0, 4),
      EXPECTED,
    );
  },
});

await e2eTest({
  name: "under load: our client takes our cookie and gets in with it",
  needs: ["tun", { program: "ping" }, { program: "tcpdump" }],
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, { env: ENV });
    const [place] = net.clients;
    const capture = await Capture.start(place.namespace, "eth0", "udp");
    await connectTo(server, place, clients[0]);
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    assert.deepEqual(
      handshake(await capture.stopDatagrams()).slice(0, 4),
      EXPECTED,
    );
  },
});
