/** wireguard-go as our server: `sluice connect` is the client. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { generateKeyPair, generatePresharedKey } from "../support/keys.ts";
import {
  ping,
  WIREGUARD_NEEDS,
  wireguardGoServer,
} from "../support/scenario.ts";
import {
  type ConnectOptions,
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

await e2eTest({
  name:
    "connect: reaches a wireguard-go server with a preshared key, both families",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const keys = await generateKeyPair();
    const client = await makeClient(1, {
      presharedKey: generatePresharedKey(),
      persistentKeepalive: 1,
    });
    const peer = await startWireguardGo(
      gateway,
      wireguardGoServer(keys, [client]),
    );
    await startConnect(place.namespace, {
      client,
      serverKey: keys.publicKey,
      endpoint: `${place.gateway}:${PORT}`,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    for (const address of [TUNNEL.gateway, TUNNEL.gateway6]) {
      assert.equal((await ping(place, address, { count: 5 })).received, 5);
    }
    const big = await ping(place, TUNNEL.gateway, {
      count: 3,
      more: ["-s", "3000"],
    });
    assert.equal(big.received, 3);

    const before = (await wgShow(gateway, peer.name)).get(client.publicKey)!;
    await new Promise((resolve) => setTimeout(resolve, 3500));
    const after = (await wgShow(gateway, peer.name)).get(client.publicKey)!;
    const keepalives = (after.receivedBytes - before.receivedBytes) / 32;
    assert.ok(
      keepalives >= 2 && keepalives <= 5,
      `${keepalives} keepalives in 3.5 s`,
    );
  },
});

await e2eTest({
  name: "connect: wrong server key and wrong psk give no tunnel",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { gateway, clients } = await makeGatewayNet(lab, 2);
    const keys = await generateKeyPair();
    const presharedKey = generatePresharedKey();
    const identities = await Promise.all([
      makeClient(1),
      makeClient(2, { presharedKey }),
    ]);
    await startWireguardGo(gateway, wireguardGoServer(keys, identities));
    const wrong: Partial<ConnectOptions>[] = [
      { serverKey: (await generateKeyPair()).publicKey },
      {
        client: { ...identities[1], presharedKey: generatePresharedKey() },
      },
    ];
    await Promise.all(clients.map(async (place, i) => {
      await startConnect(place.namespace, {
        client: identities[i],
        serverKey: keys.publicKey,
        endpoint: `${place.gateway}:${PORT}`,
        ...wrong[i],
      });
      const result = await ping(place, TUNNEL.gateway, {
        count: 6,
        interval: 1,
      });
      assert.equal(result.received, 0);
    }));
    for (const state of (await wgShow(gateway, "wg0")).values()) {
      assert.equal(state.latestHandshake, 0);
    }
  },
});

await e2eTest({
  name: "connect: reaches our own server by an IPv6 endpoint",
  needs: ["tun", { program: "ping" }],
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const client = await makeClient(1);
    const server = await startServer(gateway, { clients: [client] });
    await startConnect(place.namespace, {
      client,
      serverKey: server.keys.publicKey,
      endpoint: `[2001:db8:1:1::1]:${PORT}`,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    assert.equal(
      (await ping(place, TUNNEL.gateway6, { count: 5 })).received,
      5,
    );
  },
});
