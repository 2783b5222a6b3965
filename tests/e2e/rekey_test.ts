/** New sessions under traffic: timers shortened on our side only. */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { generateKeyPair } from "../support/keys.ts";
import {
  ping,
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

/** Two initiations are never closer than the time of a retry. */
const SHORT = {
  rekeyAfterMs: 1500,
  rekeyOnReceiveMs: 2500,
  retryMs: 1000,
  jitterMs: 50,
};

await e2eTest({
  name:
    "rekey: our client starts new sessions with wireguard-go, nothing is lost",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    await startWireguardGo(gateway, wireguardGoServer(keys, [client]));
    const capture = await Capture.start(place.namespace, "eth0", "udp");
    await startConnect(place.namespace, {
      client,
      serverKey: keys.publicKey,
      endpoint: `${place.gateway}:${PORT}`,
      timers: SHORT,
    });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    const result = await ping(place, TUNNEL.gateway, {
      count: 400,
      interval: 0.02,
    });
    assert.deepEqual(result, { sent: 400, received: 400 });
    const initiations = (await capture.stopDatagrams()).filter(
      ({ payload }) => payload.length === 148 && payload[0] === 1,
    );
    assert.ok(
      initiations.length >= 4 && initiations.length <= 9,
      `${initiations.length} handshakes in 8 s`,
    );
  },
});

await e2eTest({
  name: "rekey: our client and our server, both short, nothing is lost",
  needs: ["tun", { program: "ping" }],
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const client = await makeClient(1);
    const server = await startServer(gateway, {
      clients: [client],
      timers: SHORT,
    });
    await connectTo(server, place, client, { timers: SHORT });
    await place.namespace.waitUntilReaches(TUNNEL.gateway);
    const result = await ping(place, TUNNEL.gateway, {
      count: 300,
      interval: 0.02,
    });
    assert.deepEqual(result, { sent: 300, received: 300 });
  },
});
