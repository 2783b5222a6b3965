/**
 * The test bed itself, with wireguard-go at both ends: what the other scenarios
 * rely on (routes, captures, `wg`) is proven without any code of ours.
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { generateKeyPair, generatePresharedKey } from "../support/keys.ts";
import { startWireguardGo, wgShow } from "../support/wireguard_go.ts";

await e2eTest({
  name: "lab: the clients' network and the internet don't reach each other",
  needs: [{ program: "ping" }],
  run: async (lab) => {
    const { gateway, internet, clients: [client] } = await makeGatewayNet(lab);
    await gateway.waitUntilReaches(OUTSIDE.first);
    await client.namespace.waitUntilReaches(client.gateway);
    assert.equal(await client.namespace.reaches(OUTSIDE.first), false);
    assert.equal(await internet.reaches(client.address), false);
  },
});

await e2eTest({
  name: "lab: two wireguard-go talk; the capture shows their handshake",
  needs: ["tun", "wireguard-go", { program: "wg" }, { program: "tcpdump" }, {
    program: "ping",
  }],
  run: async (lab) => {
    const { gateway, clients: [client] } = await makeGatewayNet(lab);
    const [serverKeys, clientKeys] = await Promise.all([
      generateKeyPair(),
      generateKeyPair(),
    ]);
    const presharedKey = generatePresharedKey();
    const capture = await Capture.start(client.namespace, "eth0", "udp");
    await startWireguardGo(gateway, {
      privateKey: serverKeys.privateKey,
      listenPort: 51820,
      addresses: ["10.66.0.1/24"],
      peers: [{
        publicKey: clientKeys.publicKey,
        presharedKey,
        allowedIps: ["10.66.0.2/32"],
      }],
    });
    const tunnel = await startWireguardGo(client.namespace, {
      privateKey: clientKeys.privateKey,
      addresses: ["10.66.0.2/24"],
      peers: [{
        publicKey: serverKeys.publicKey,
        presharedKey,
        endpoint: `${client.gateway}:51820`,
        allowedIps: ["10.66.0.0/24"],
      }],
    });
    await client.namespace.waitUntilReaches("10.66.0.1");

    const state = (await wgShow(client.namespace, tunnel.name)).get(
      serverKeys.publicKey,
    )!;
    assert.ok(Math.abs(state.latestHandshake - Date.now() / 1000) < 30);
    assert.ok(state.receivedBytes > 92 && state.sentBytes > 148);

    const datagrams = await capture.stopDatagrams();
    const shape = (type: number) =>
      datagrams.filter((d) => d.payload[0] === type).map((d) =>
        d.payload.length
      );
    assert.equal(shape(1)[0], 148);
    assert.equal(shape(2)[0], 92);
    assert.ok(
      shape(4).includes(16 + 96 + 16),
      "a ping of 84 bytes, padded to 96",
    );
  },
});

await e2eTest({
  name: "lab: agents see echoes, refusals and ICMP errors",
  needs: [],
  run: async (lab) => {
    const { gateway, internet } = await makeGatewayNet(lab);
    const [near, far] = await Promise.all([
      Agent.start(gateway),
      Agent.start(internet),
    ]);
    await far.call("udpEcho", { address: OUTSIDE.first, port: 7 });

    const echo = { address: OUTSIDE.first, port: 7, count: 2, timeoutMs: 3000 };
    const times = await near.call("udpEchoTimes", { ...echo, size: 3000 });
    assert.equal(times.times.length, 2);

    const expired = await near.call("udpError", {
      address: OUTSIDE.first,
      port: 7,
      ttl: 1,
    });
    assert.deepEqual([expired?.type, expired?.code, expired?.offender], [
      11,
      0,
      "10.2.0.2",
    ]);
    const closed = await near.call("udpError", {
      address: OUTSIDE.first,
      port: 9999,
    });
    assert.deepEqual([closed?.type, closed?.code, closed?.offender], [
      3,
      3,
      OUTSIDE.first,
    ]);

    const refused = await near.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 81,
      timeoutMs: 3000,
    });
    assert.equal(refused.outcome, "refused");
    const pings = await near.call("icmpEcho", {
      address: OUTSIDE.second,
      identifier: 0x1234,
      sequence: 65535,
      count: 2,
    });
    assert.deepEqual(pings.answers.map((answer) => answer.sequence), [
      65535,
      0,
    ]);
  },
});
