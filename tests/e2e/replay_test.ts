/**
 * Datagrams that were on the way once are sent again, byte for byte, by somebody
 * who saw them: from where they came, and from elsewhere (WireGuard paper, 5.4.6
 * for data, 5.1 for initiations).
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { FINE } from "../support/lossy_line.ts";
import {
  RELAY_ADDRESS,
  startRelayedTunnel,
  type Tunnel,
} from "../support/relayed_tunnel.ts";
import { dropCount, TUNNEL } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { wgShow } from "../support/wireguard_go.ts";

const NEEDS = ["tun", { program: "wg" }, { program: "ping" }] as const;
const COUNT = 100;
const PORT = 9000;
const REPLAYED = "replayed or too old";
const OPTIONS = { weather: FINE, seed: 1 };

/** The gateway's peer as `wg show` has it. */
async function peerOf({ gateway, server, identity }: Tunnel) {
  const peers = await wgShow(gateway, server.interfaceName);
  return peers.get(identity.publicKey)!;
}

/** Waits until the gateway's statistics say so. */
async function waitForStatistics(
  { server: { process } }: Tunnel,
  what: string,
  probe: () => boolean,
): Promise<void> {
  await waitFor(what, () => {
    if (probe()) return true;
    process.signal("SIGUSR1");
    return false;
  }, { intervalMs: 200, timeoutMs: 10_000 });
}

/** How many handshakes the last statistics count under a name. */
function handshakeCount({ server }: Tunnel, name: string): number {
  const line = server.process.lines.findLast((l) => l.includes("handshakes:"));
  return Number(line?.match(new RegExp(`\\b${name} ([0-9]+)`))?.[1] ?? 0);
}

/** Sockets at both ends inside the tunnel. */
async function openSockets(tunnel: Tunnel) {
  const [client, gateway] = await Promise.all([
    Agent.start(tunnel.client),
    Agent.start(tunnel.gateway),
  ]);
  const near = await client.call("udpOpen", {
    address: tunnel.identity.address,
  });
  const far = await gateway.call("udpOpen", {
    address: TUNNEL.gateway,
    port: PORT,
  });
  return {
    /** Sends to the gateway. */
    send: (text: string) =>
      client.call("udpSend", {
        handle: near.handle,
        address: TUNNEL.gateway,
        port: PORT,
        text,
      }),
    /** What the gateway gets next. */
    receive: async () =>
      (await gateway.call("udpReceive", {
        handle: far.handle,
        timeoutMs: 5000,
      }))?.text,
    /** Whether the client gets what the gateway sends. */
    reachesClient: async (text: string) => {
      await gateway.call("udpSend", {
        handle: far.handle,
        address: tunnel.identity.address,
        port: near.port,
        text,
      });
      const answer = await client.call("udpReceive", {
        handle: near.handle,
        timeoutMs: 5000,
      });
      return answer?.text === text;
    },
  };
}

await e2eTest({
  name: "replay: data sent again is refused, delivered once, moves no endpoint",
  needs: NEEDS,
  run: async (lab) => {
    const tunnel = await startRelayedTunnel(lab, OPTIONS);
    const { relay, server } = tunnel;
    const sockets = await openSockets(tunnel);
    await relay.call({ command: "forget data" });
    for (let i = 0; i < COUNT; i++) await sockets.send(`datagram ${i}`);
    for (let i = 0; i < COUNT; i++) {
      assert.equal(await sockets.receive(), `datagram ${i}`);
    }
    const endpoint = (await peerOf(tunnel)).endpoint;
    assert.ok(endpoint.startsWith(`${RELAY_ADDRESS.far}:`), endpoint);

    for (const [i, from] of (["far", "other"] as const).entries()) {
      const { kept } = await relay.call({
        command: "replay",
        kind: "data",
        count: COUNT,
        from,
      });
      assert.ok(kept.data >= COUNT);
      const refused = COUNT * (i + 1);
      await waitForStatistics(
        tunnel,
        `${refused} refused`,
        () => dropCount(server.process, REPLAYED) >= refused,
      );
      assert.equal(dropCount(server.process, REPLAYED), refused);
      assert.equal((await peerOf(tunnel)).endpoint, endpoint);
      assert.ok(await sockets.reachesClient(`to the client after ${from}`));
      await sockets.send(`after ${from}`);
      assert.equal(await sockets.receive(), `after ${from}`);
    }
    assert.equal((await relay.call({ command: "state" })).toOther, 0);

    // From there fresh data does move it: the way itself is open.
    await relay.call({ command: "use", from: "other" });
    await sockets.send("fresh");
    assert.equal(await sockets.receive(), "fresh");
    const moved = (await peerOf(tunnel)).endpoint;
    assert.ok(moved.startsWith(`${RELAY_ADDRESS.other}:`), moved);
  },
});

await e2eTest({
  name: "replay: a recorded initiation starts no session",
  needs: NEEDS,
  run: async (lab) => {
    const tunnel = await startRelayedTunnel(lab, OPTIONS);
    const { relay } = tunnel;
    const sockets = await openSockets(tunnel);
    const before = await relay.call({ command: "state" });
    const peer = await peerOf(tunnel);
    await sockets.send("before");
    assert.equal(await sockets.receive(), "before");
    assert.ok(before.kept.initiation >= 1 && before.responses >= 1);

    for (const [i, from] of (["far", "other"] as const).entries()) {
      await relay.call({
        command: "replay",
        kind: "initiation",
        count: 1,
        from,
      });
      await waitForStatistics(
        tunnel,
        `${i + 1} refused`,
        () => handshakeCount(tunnel, "replayed") >= i + 1,
      );
      assert.ok(await sockets.reachesClient(`to the client after ${from}`));
      await sockets.send(`after ${from}`);
      assert.equal(await sockets.receive(), `after ${from}`);
    }
    assert.equal(handshakeCount(tunnel, "replayed"), 2);
    assert.equal(
      handshakeCount(tunnel, "initiations accepted"),
      before.responses,
    );
    const after = await relay.call({ command: "state" });
    assert.equal(after.responses, before.responses);
    assert.equal(after.toOther, 0);
    const { endpoint, latestHandshake } = await peerOf(tunnel);
    assert.equal(endpoint, peer.endpoint);
    assert.equal(latestHandshake, peer.latestHandshake);
  },
});
