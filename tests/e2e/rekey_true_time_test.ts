/**
 * A rekey by the protocol's own 120 seconds with traffic flowing, in both
 * directions of interop at once: our client with wireguard-go's server, and
 * wireguard-go's client with our server. It mostly waits.
 */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { generateKeyPair } from "../support/keys.ts";
import {
  joinByWireguardGo,
  ping,
  startScenario,
  WIREGUARD_NEEDS,
  wireguardGoServer,
} from "../support/scenario.ts";
import { makeClient, PORT, startConnect, TUNNEL } from "../support/sluice.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

const STREAM = { count: 1300, interval: 0.1 };

await e2eTest({
  name: "rekey: across the true 120 s, both ways of interop, no packet lost",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const ours = await startScenario(lab);
    const [place] = ours.net.clients;
    await joinByWireguardGo(ours.server, place, ours.clients[0]);

    const theirs = await makeGatewayNet(lab);
    const [theirPlace] = theirs.clients;
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    await startWireguardGo(theirs.gateway, wireguardGoServer(keys, [client]));
    await startConnect(theirPlace.namespace, {
      client,
      serverKey: keys.publicKey,
      endpoint: `${theirPlace.gateway}:${PORT}`,
    });
    await theirPlace.namespace.waitUntilReaches(TUNNEL.gateway);

    const handshakes = async () =>
      await Promise.all([
        wgShow(ours.net.gateway, ours.server.interfaceName)
          .then((peers) => peers.get(ours.clients[0].publicKey)!),
        wgShow(theirs.gateway, "wg0")
          .then((peers) => peers.get(client.publicKey)!),
      ]);
    const before = await handshakes();
    const results = await Promise.all([
      ping(place, TUNNEL.gateway, STREAM),
      ping(theirPlace, TUNNEL.gateway, STREAM),
    ]);
    const after = await handshakes();
    for (const i of [0, 1]) {
      assert.deepEqual(results[i], { sent: 1300, received: 1300 });
      const between = after[i].latestHandshake - before[i].latestHandshake;
      assert.ok(
        between >= 118 && between <= 127,
        `handshakes ${between} s apart`,
      );
    }
  },
});
