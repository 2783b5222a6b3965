/**
 * Connections that can't be made: the client learns it as it would without a
 * proxy, and never sees an accepted connection.
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import { CLIENT_ALLOWED_IPS, dropCount } from "../support/sluice.ts";
import {
  failedDials,
  readFigures,
  startTcpProxy,
  tcpFigures,
} from "../support/tcp_proxy.ts";
import { waitFor } from "../support/wait.ts";

const CLOSED_PORT = 81;
/** A SYN is repeated after a second: what comes earlier answers the first. */
const FIRST_SYN_MS = 900;
/** curl's exit codes. */
const NOT_CONNECTED = 7, TIMED_OUT = 28;

await e2eTest({
  name: "tcp proxy: a closed port is a RST at once, over IPv4 and IPv6",
  needs: [...WIREGUARD_NEEDS, { program: "curl" }],
  run: async (lab) => {
    const { net, agents: [agent], server } = await startTcpProxy(lab);
    for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
      const { outcome, timeMs } = await agent.call("streamOpen", {
        address,
        port: CLOSED_PORT,
        timeoutMs: 10_000,
      });
      assert.equal(outcome, "ConnectionRefused", address);
      assert.ok(timeMs < FIRST_SYN_MS, `${address}: ${timeMs} ms`);
    }
    for (const host of [OUTSIDE.first, `[${OUTSIDE.first6}]`]) {
      const { code } = await net.clients[0].namespace.run([
        "curl",
        ...["-sS", "-m", "10", `http://${host}:${CLOSED_PORT}/`],
      ], { exit: "any" });
      assert.equal(code, NOT_CONNECTED);
    }
    await server.process.stop();
    assert.equal(failedDials(server.process, "refused"), 4);
    assert.equal(readFigures(server.process).opened, 0);
  },
});

await e2eTest({
  name: "tcp proxy: an unreachable host is an ICMP error, over IPv4 and IPv6",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents: [agent], server } = await startTcpProxy(lab);
    const address6 = "2001:db8:3::99";
    await net.router.ip(
      `route add unreachable ${OUTSIDE.nobody}/32`,
      `route add unreachable ${address6}/128`,
    );
    for (const address of [OUTSIDE.nobody, address6]) {
      const { outcome } = await agent.call("streamOpen", {
        address,
        port: 80,
        timeoutMs: 10_000,
      });
      assert.match(outcome, /^(Host|Network)Unreachable$/, address);
    }
    await server.process.stop();
    const failed = failedDials(server.process, "host-unreachable") +
      failedDials(server.process, "network-unreachable");
    assert.equal(failed, 2);
    assert.equal(readFigures(server.process).opened, 0);
  },
});

await e2eTest({
  name: "tcp proxy: a destination that says nothing is never accepted",
  needs: [...WIREGUARD_NEEDS, { program: "curl" }],
  run: async (lab) => {
    const { net, agents: [agent], server } = await startTcpProxy(lab, {
      tcpProxy: { connectTimeout: "2s" },
    });
    await net.router.ip(`route add blackhole ${OUTSIDE.nobody}/32`);
    const [{ outcome }, { code }] = await Promise.all([
      agent.call("streamOpen", {
        address: OUTSIDE.nobody,
        port: 80,
        timeoutMs: 5000,
      }),
      net.clients[0].namespace.run(
        ["curl", "-sS", "-m", "5", `http://${OUTSIDE.nobody}/`],
        { exit: "any" },
      ),
    ]);
    assert.equal(outcome, "no answer");
    assert.equal(code, TIMED_OUT);
    await waitFor("the dials to time out", async () => {
      const { connecting, redirects } = await tcpFigures(server.process);
      return connecting === 0 && redirects === 0;
    });
    await server.process.stop();
    assert.ok(failedDials(server.process, "timed-out") >= 2);
    assert.equal(readFigures(server.process).opened, 0);
  },
});

await e2eTest({
  name:
    "tcp proxy: a service that comes up is reached by the same client's SYN",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside } = await startTcpProxy(lab);
    const place = { address: OUTSIDE.first, port: 9100 };
    const open = () =>
      agent.call("streamOpen", {
        ...place,
        localPort: 40_100,
        timeoutMs: 10_000,
      });
    assert.equal((await open()).outcome, "ConnectionRefused");
    await outside.call("streamListen", place);
    assert.equal((await open()).outcome, "connected");
  },
});

await e2eTest({
  name: "tcp proxy: a denied host is denied by an address that it gets later",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents: [agent], server } = await startTcpProxy(lab, {
      forward: { host: "deny" },
    });
    const late = { address: "10.2.0.77", port: 9200 };
    const { stdout } = await net.gateway.run(["ip", "-oneline", "address"]);
    const link = /^\d+: (\S+) +inet 10\.2\.0\./m.exec(stdout)?.[1];
    await net.gateway.ip(`address add ${late.address}/24 dev ${link}`);
    const host = await Agent.start(net.gateway, "host");
    await host.call("tcpServe", { ...late, greeting: "host" });
    const neighbour = await Agent.start(net.router, "neighbour");
    const from = (who: Agent) =>
      who.call("streamOpen", { ...late, timeoutMs: 5000 });
    assert.equal((await from(neighbour)).outcome, "connected");
    assert.notEqual((await from(agent)).outcome, "connected");
    // The gateway's own look-out has it soon, for datagrams too.
    await host.call("udpEcho", late);
    await waitFor("datagrams to be denied", async () => {
      const { times } = await agent.call("udpEchoTimes", {
        ...late,
        size: 64,
        count: 1,
        timeoutMs: 500,
      });
      return times.length === 0;
    });
    await server.process.stop();
    assert.ok(dropCount(server.process, "host services denied") > 0);
  },
});

await e2eTest({
  name: "tcp proxy: nobody speaks with the relay itself, inside or outside",
  needs: [...WIREGUARD_NEEDS, { program: "ss" }],
  run: async (lab) => {
    const { net, agents: [agent], outside, server } = await startTcpProxy(lab);
    const { stdout } = await net.gateway.run(["ss", "-Hltn"]);
    const relays = Array.from(
      stdout.matchAll(/(198\.18\.254\.1|fd73:[0-9a-f:]+)\S*?:([0-9]+)\s/g),
      ([, address, port]) => ({ address, port: Number(port) }),
    );
    assert.equal(relays.length, 2, stdout);
    const prefixes = ["198.18.254.0/24", "fd73:6c75:6963:6500::/120"];
    const [{ namespace: client }] = net.clients;
    const allowed = [...CLIENT_ALLOWED_IPS, ...prefixes].join(",");
    await client.run([
      "wg",
      ...["set", "wg0", "peer", server.keys.publicKey],
      ...["allowed-ips", allowed],
    ]);
    await client.ip(...prefixes.map((p) => `route add ${p} dev wg0`));
    for (
      const [namespace, gateway4, gateway6] of [
        [net.internet, "198.51.100.1", "2001:db8:3::1"],
        [net.router, "10.2.0.1", "2001:db8:2::1"],
      ] as const
    ) {
      await namespace.ip(
        `route add ${prefixes[0]} via ${gateway4}`,
        `route add ${prefixes[1]} via ${gateway6}`,
      );
    }
    for (const place of relays) {
      for (const from of [agent, outside]) {
        const { outcome } = await from.call("streamOpen", {
          ...place,
          timeoutMs: 1500,
        });
        assert.notEqual(outcome, "connected", `${place.address}`);
      }
    }
    await server.process.stop();
    assert.ok(dropCount(server.process, "relay address") >= 2);
    assert.equal(readFigures(server.process).opened, 0);
  },
});
