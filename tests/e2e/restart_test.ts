/** Either end starts anew; the tunnel comes back by itself. */
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
import {
  connectTo,
  makeClient,
  PORT,
  startConnect,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { startWireguardGo } from "../support/wireguard_go.ts";

await e2eTest({
  name: "restart: our server comes back, the wireguard-go client with it",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab);
    const [place] = net.clients;
    await joinByWireguardGo(server, place, clients[0]);
    assert.equal(await server.process.stop(), 0);
    await startServer(net.gateway, { clients, keys: server.keys });
    // The client notices after 15 s without an answer.
    await place.namespace.waitUntilReaches(TUNNEL.gateway, 40_000);
    assert.equal(
      (await ping(place, TUNNEL.gateway, { count: 3 })).received,
      3,
    );
  },
});

await e2eTest({
  name: "restart: a wireguard-go client comes back to our server at once",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab);
    const [place] = net.clients;
    const tunnel = await joinByWireguardGo(server, place, clients[0]);
    await tunnel.process.stop();
    const started = performance.now();
    await joinByWireguardGo(server, place, clients[0]);
    assert.ok(performance.now() - started < 4000, "no retry was needed");
  },
});

await e2eTest({
  name:
    "restart: our client notices that wireguard-go came back, and comes back itself",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    const peer = await startWireguardGo(
      gateway,
      wireguardGoServer(keys, [client]),
    );
    const options = {
      client,
      serverKey: keys.publicKey,
      endpoint: `${place.gateway}:${PORT}`,
      timers: { unansweredMs: 2000, keepaliveMs: 1000 },
    };
    const connection = await startConnect(place.namespace, options);
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    await peer.process.stop();
    await startWireguardGo(gateway, wireguardGoServer(keys, [client]));
    await place.namespace.waitUntilReaches(TUNNEL.gateway, 20_000);

    assert.equal(await connection.process.stop(), 0);
    await startConnect(place.namespace, options);
    await place.namespace.waitUntilReaches(TUNNEL.gateway, 4000);
  },
});

await e2eTest({
  name: "restart: our client survives the loss of our server",
  needs: ["tun", { program: "ping" }],
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const client = await makeClient(1);
    const server = await startServer(gateway, { clients: [client] });
    await connectTo(server, place, client, {
      timers: { unansweredMs: 2000, keepaliveMs: 1000, retryMs: 1000 },
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    server.process.signal("SIGKILL");
    await server.process.waitForExit();
    assert.equal(
      (await ping(place, TUNNEL.gateway, { count: 3 })).received,
      0,
    );
    await startServer(gateway, { clients: [client], keys: server.keys });
    await place.namespace.waitUntilReaches(TUNNEL.gateway, 20_000);
  },
});
