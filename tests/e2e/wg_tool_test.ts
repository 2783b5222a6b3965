/** `wg` talks to our interface: show, showconf, set. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { generateKeyPair } from "../support/keys.ts";
import {
  joinByWireguardGo,
  ping,
  startScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { PORT, TUNNEL } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { wgShow } from "../support/wireguard_go.ts";

await e2eTest({
  name: "wg: show has true handshake times, endpoints and byte counts",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      clientCount: 2,
    });
    const [place] = net.clients;
    const name = server.interfaceName;
    const tunnel = await joinByWireguardGo(server, place, clients[0]);
    const joinedAt = Date.now() / 1000;
    await ping(place, TUNNEL.gateway, { count: 20, interval: 0.02 });
    await ping(place, TUNNEL.gateway, { count: 5, more: ["-s", "3000"] });

    // Both ends count whole messages, so they agree when nothing is under way.
    await waitFor("both ends to agree on the bytes", async () => {
      const ours = (await wgShow(net.gateway, name)).get(clients[0].publicKey)!;
      const theirs = (await wgShow(place.namespace, tunnel.name)).get(
        server.keys.publicKey,
      )!;
      if (
        ours.receivedBytes === theirs.sentBytes &&
        ours.sentBytes === theirs.receivedBytes
      ) return true;
      throw new Error(
        `ours ${ours.receivedBytes}/${ours.sentBytes}, ` +
          `theirs ${theirs.sentBytes}/${theirs.receivedBytes}`,
      );
    });
    const peers = await wgShow(net.gateway, name);
    assert.equal(peers.size, 2);
    const connected = peers.get(clients[0].publicKey)!;
    assert.ok(connected.receivedBytes > 20 * 128 + 5 * 3000);
    assert.ok(
      connected.latestHandshake > joinedAt - 10 &&
        connected.latestHandshake <= joinedAt + 1,
    );
    assert.match(connected.endpoint, new RegExp(`^${place.address}:[0-9]+$`));
    assert.deepEqual(
      [...connected.allowedIps].sort(),
      [
        `${clients[0].address}/32`,
        `${clients[0].address6}/128`,
      ].sort(),
    );
    const other = peers.get(clients[1].publicKey)!;
    assert.deepEqual(
      [other.latestHandshake, other.receivedBytes, other.sentBytes],
      [0, 0, 0],
    );
    const { stdout } = await net.gateway.run(["wg", "show"]);
    assert.match(stdout, new RegExp(`interface: ${name}`));
    assert.match(stdout, /latest handshake: .*second|Now/);
  },
});

await e2eTest({
  name: "wg: showconf gives back the configuration, set changes it",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      clientCount: 2,
    });
    const name = server.interfaceName;
    const { stdout } = await net.gateway.run(["wg", "showconf", name]);
    assert.match(stdout, new RegExp(`ListenPort = ${PORT}`));
    assert.ok(stdout.includes(`PrivateKey = ${server.keys.privateKey}`));
    for (const client of clients) {
      assert.ok(stdout.includes(`PublicKey = ${client.publicKey}`));
    }

    const [first, second] = net.clients;
    await joinByWireguardGo(server, first, clients[0]);
    await joinByWireguardGo(server, second, clients[1]);
    await net.gateway.run([
      "wg",
      ...["set", name, "peer", clients[1].publicKey, "remove"],
    ]);
    assert.equal((await wgShow(net.gateway, name)).size, 1);
    assert.equal(
      (await ping(second, TUNNEL.gateway, { count: 2 })).received,
      0,
    );
    assert.equal(
      (await ping(first, TUNNEL.gateway, { count: 2 })).received,
      2,
    );

    const added = await generateKeyPair();
    await net.gateway.run([
      "wg",
      ...["set", name, "peer", added.publicKey],
      ...["persistent-keepalive", "25", "endpoint", "10.1.2.2:4444"],
      ...["allowed-ips", "10.66.0.200/32,10.66.0.201/32"],
    ]);
    const state = (await wgShow(net.gateway, name)).get(added.publicKey)!;
    assert.equal(state.endpoint, "10.1.2.2:4444");
    assert.equal(state.persistentKeepalive, "25");
    assert.deepEqual([...state.allowedIps].sort(), [
      "10.66.0.200/32",
      "10.66.0.201/32",
    ]);
  },
});
