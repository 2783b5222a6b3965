/** `interface.tun: none`: a gateway without any privilege. */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import {
  joinByWireguardGo,
  ping,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { makeClient, startServer, TUNNEL } from "../support/sluice.ts";
import { prepareUnprivileged } from "../support/unprivileged.ts";

await e2eTest({
  name: "tun none: an ordinary user serves ping, DNS and UDP; no host services",
  needs: [...WIREGUARD_NEEDS, "root", { program: "dig" }],
  run: async (lab) => {
    const net = await makeGatewayNet(lab, 2);
    const clients = await Promise.all([makeClient(1), makeClient(2)]);
    await net.gateway.sysctl("net.ipv4.ping_group_range", "0 2147483647");
    const user = await prepareUnprivileged(net.gateway);
    const server = await startServer(net.gateway, {
      clients,
      config: { interface: { tun: "none" } },
      user,
    });
    const outside = await Agent.start(net.internet);
    await outside.call("udpEcho", { address: OUTSIDE.first, port: 7 });
    await outside.call("dnsServe", {
      address: OUTSIDE.dns,
      addresses: { "host.test": OUTSIDE.first },
    });
    const agents = await Promise.all(net.clients.map(async (place, i) => {
      await joinByWireguardGo(server, place, clients[i]);
      return await Agent.start(place.namespace);
    }));

    assert.deepEqual((await net.gateway.interfaces()).sort(), [
      "client1",
      "client2",
      "out",
    ]);
    // Two clients, one identifier: ping sockets are numbered by the gateway.
    const echoes = await Promise.all(
      agents.map((agent) =>
        agent.call("icmpEcho", {
          address: OUTSIDE.first,
          identifier: 99,
          count: 20,
          timeoutMs: 2000,
        })
      ),
    );
    for (const { answers, strangers } of echoes) {
      assert.deepEqual([answers.length, strangers], [20, 0]);
    }
    const { times } = await agents[0].call("udpEchoTimes", {
      address: OUTSIDE.first,
      port: 7,
      size: 1400,
      count: 20,
      timeoutMs: 2000,
    });
    assert.equal(times.length, 20);
    const { stdout } = await net.clients[1].namespace.run([
      "dig",
      ...["+short", "+tries=1", `@${TUNNEL.gateway}`, "host.test"],
    ]);
    assert.equal(stdout.trim(), OUTSIDE.first);
    const between = await ping(net.clients[0], clients[1].address, {
      count: 5,
    });
    assert.equal(between.received, 5);

    const service = await Agent.start(net.gateway, "service");
    await service.call("tcpServe", {
      address: "0.0.0.0",
      port: 8080,
      greeting: "never",
    });
    const attempt = await agents[0].call("tcpConnect", {
      address: TUNNEL.gateway,
      port: 8080,
      timeoutMs: 1500,
    });
    assert.notEqual(attempt.outcome, "connected");
    assert.equal(await server.process.stop(), 0);
  },
});
