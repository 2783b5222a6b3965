/** wireguard-go as our client: handshake, preshared key, keepalive, wrong keys. */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { generateKeyPair, generatePresharedKey } from "../support/keys.ts";
import {
  joinByWireguardGo,
  ping,
  startScenario,
  WIREGUARD_NEEDS,
  wireguardGoClient,
} from "../support/scenario.ts";
import { dropCount, makeClient, TUNNEL } from "../support/sluice.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

await e2eTest({
  name:
    "server: a wireguard-go client reaches gateway, another client and the internet",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab, {
      clientCount: 2,
    });
    await Promise.all(
      net.clients.map((place, i) =>
        joinByWireguardGo(server, place, clients[i])
      ),
    );
    const [first] = net.clients;
    for (
      const address of [
        TUNNEL.gateway,
        TUNNEL.gateway6,
        clients[1].address,
        clients[1].address6,
        OUTSIDE.first,
      ]
    ) {
      assert.deepEqual(await ping(first, address, { count: 5 }), {
        sent: 5,
        received: 5,
      }, address);
    }
  },
});

await e2eTest({
  name:
    "server: a preshared key works; wrong psk and wrong key are never answered",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const presharedKey = generatePresharedKey();
    const clients = await Promise.all([
      makeClient(1, { presharedKey }),
      makeClient(2, { presharedKey: generatePresharedKey() }),
      makeClient(3),
    ]);
    const { net, server } = await startScenario(lab, { clients });
    await joinByWireguardGo(server, net.clients[0], clients[0]);

    const wrongPsk = { ...clients[1], presharedKey };
    const wrongKey = { ...clients[2], ...await generateKeyPair() };
    const captures = await Promise.all(
      [1, 2].map((i) => Capture.start(net.clients[i].namespace, "eth0", "udp")),
    );
    const strangers = await Promise.all([
      startWireguardGo(
        net.clients[1].namespace,
        wireguardGoClient(server, net.clients[1], wrongPsk),
      ),
      startWireguardGo(
        net.clients[2].namespace,
        wireguardGoClient(server, net.clients[2], wrongKey),
      ),
    ]);
    // Two initiations of each: the first and the retry after 5 s.
    await Promise.all(
      [1, 2].map((i) =>
        ping(net.clients[i], TUNNEL.gateway, { count: 7, interval: 1 })
      ),
    );
    for (const stranger of strangers) {
      const state = (await wgShow(stranger.namespace, stranger.name)).get(
        server.keys.publicKey,
      )!;
      assert.equal(state.latestHandshake, 0);
    }
    const [fromWrongPsk, fromWrongKey] = await Promise.all(
      captures.map((capture) => capture.stopDatagrams()),
    );
    // An unknown key is dropped in silence. A wrong psk shows only in the
    // response, which the client then can't open (WireGuard paper, 5.4.3).
    const answers = (datagrams: typeof fromWrongKey) =>
      datagrams.filter((d) => d.sourcePort === 51820).map((d) => d.payload[0]);
    assert.deepEqual(answers(fromWrongKey), []);
    assert.ok(answers(fromWrongPsk).every((type) => type === 2));
    // The honest client never noticed.
    assert.equal(
      (await ping(net.clients[0], TUNNEL.gateway, { count: 3 })).received,
      3,
    );
  },
});

await e2eTest({
  name: "server: persistent keepalives go out by the peer's setting",
  needs: [...WIREGUARD_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const clients = [await makeClient(1, { persistentKeepalive: 1 })];
    const { net, server } = await startScenario(lab, { clients });
    await joinByWireguardGo(server, net.clients[0], {
      ...clients[0],
      persistentKeepalive: undefined,
    });
    const capture = await Capture.start(
      net.clients[0].namespace,
      "eth0",
      "udp src port 51820",
    );
    await new Promise((resolve) => setTimeout(resolve, 4500));
    const keepalives = (await capture.stopDatagrams()).filter(
      ({ payload }) => payload.length === 32 && payload[0] === 4,
    );
    assert.ok(
      keepalives.length >= 3 && keepalives.length <= 6,
      `${keepalives.length} keepalives in 4.5 s`,
    );
  },
});

await e2eTest({
  name:
    "server: a packet from an address outside of the peer's allowed IPs is dropped",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, server, clients } = await startScenario(lab);
    const [place] = net.clients;
    await joinByWireguardGo(server, place, clients[0]);
    await place.namespace.ip("address add 10.66.0.77/32 dev wg0");
    const spoofed = await ping(place, TUNNEL.gateway, {
      count: 3,
      more: ["-I", "10.66.0.77"],
    });
    assert.equal(spoofed.received, 0);
    assert.equal(
      (await ping(place, TUNNEL.gateway, { count: 2 })).received,
      2,
    );
    await server.process.stop();
    assert.equal(dropCount(server.process, "spoofed source"), 3);
  },
});
