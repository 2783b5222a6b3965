/** `sluice server` on Windows: it serves wireguard-go on Linux as the Linux one does. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import {
  joinByWireguardGo,
  ping,
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import {
  dropCount,
  makeClient,
  type SluiceHost,
  startServer,
  TUNNEL,
} from "../support/sluice.ts";
import { startHttpBytes } from "../support/tun2socks.ts";
import { startWindowsHost } from "./support/windows_host.ts";

const NEEDS = [
  "wine",
  ...WIREGUARD_NEEDS,
  { program: "dig" },
  { program: "curl" },
] as const;
const HTTP_PORT = 8080;

await e2eTest({
  name: "windows server: ping, DNS and UDP of wireguard-go clients",
  needs: NEEDS,
  run: async (lab) => {
    const { net, outside, agents, clients } = await startConnectedScenario(
      lab,
      { host: startWindowsHost, clientCount: 2 },
    );
    const [first] = net.clients;
    for (
      const address of [
        TUNNEL.gateway,
        TUNNEL.gateway6,
        clients[1].address,
        // Not the internet's IPv6 address: Wine has no ICMPv6 sockets.
        OUTSIDE.first,
      ]
    ) {
      assert.deepEqual(await ping(first, address, { count: 5 }), {
        sent: 5,
        received: 5,
      }, address);
    }
    await outside.call("dnsServe", {
      address: OUTSIDE.dns,
      addresses: { "host.test": OUTSIDE.first },
    });
    for (const transport of ["+notcp", "+tcp"]) {
      const { stdout } = await first.namespace.run(
        ["dig", "+short", transport, `@${TUNNEL.gateway}`, "host.test"],
      );
      assert.equal(stdout.trim(), OUTSIDE.first, transport);
    }
    for (const size of [1, 200, 1392, 1400]) {
      const { times } = await agents[0].call("udpEchoTimes", {
        address: OUTSIDE.first,
        port: 7,
        size,
        count: 20,
        timeoutMs: 2000,
      });
      assert.equal(times.length, 20, `${size} bytes`);
    }
  },
});

await e2eTest({
  name: "windows server: TCP by the proxy, hashes right; a closed port refuses",
  needs: NEEDS,
  run: async (lab) => {
    const { net, agents: [agent] } = await startConnectedScenario(lab, {
      host: startWindowsHost,
      config: { forward: { tcp: "proxy" } },
    });
    const [{ namespace }] = net.clients;
    for (
      const [address, url] of [
        [OUTSIDE.first, `http://${OUTSIDE.first}:${HTTP_PORT}`],
        [OUTSIDE.first6, `http://[${OUTSIDE.first6}]:${HTTP_PORT}`],
      ]
    ) {
      const http = await startHttpBytes(net.internet, {
        address,
        port: HTTP_PORT,
      });
      const down = await namespace.run([
        "sh",
        "-c",
        `curl -sS --fail -m 60 "${url}/bytes?count=10000000" | sha256sum`,
      ], { timeoutMs: 70_000 });
      const sent = await http.waitForLine(/^sent ([0-9a-f]{64})$/);
      assert.equal(down.stdout.slice(0, 64), sent[1]);
      const up = await namespace.run([
        "sh",
        "-c",
        "head -c 5000000 /dev/urandom > /run/up; sha256sum < /run/up; " +
        `curl -sS --fail -m 60 -T /run/up "${url}/hash"; rm /run/up`,
      ], { timeoutMs: 70_000 });
      const [here, there] = up.stdout.split("\n");
      assert.equal(there, here.slice(0, 64));
    }
    const { outcome } = await agent.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 81,
      timeoutMs: 10_000,
    });
    assert.equal(outcome, "refused");
  },
});

await e2eTest({
  name:
    "windows server: TCP that is to be dropped gets no answer, and is counted",
  needs: NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startConnectedScenario(
      lab,
      { host: startWindowsHost, config: { forward: { tcp: "drop" } } },
    );
    await outside.call("tcpServe", {
      address: OUTSIDE.first,
      port: 80,
      greeting: "never",
    });
    const { outcome } = await agent.call("tcpConnect", {
      address: OUTSIDE.first,
      port: 80,
      timeoutMs: 2500,
    });
    assert.equal(outcome, "no answer");
    assert.equal(await server.process.stop(), 0, server.process.tail());
    assert.ok(dropCount(server.process, "TCP dropped by policy") >= 2);
  },
});

await e2eTest({
  name: "windows server: killed, it starts again; in the end nothing is left",
  needs: NEEDS,
  run: async (lab) => {
    const net = await makeGatewayNet(lab);
    const [place] = net.clients;
    const clients = [await makeClient(1)];
    const machine = await startWindowsHost(net.gateway);
    const host = () => Promise.resolve<SluiceHost>(machine);
    const before = await hostState(net.gateway);
    const server = await startServer(net.gateway, { clients, host });
    const tunnel = await joinByWireguardGo(server, place, clients[0]);
    server.process.signal("SIGKILL");
    await server.process.waitForExit();

    const { keys } = server;
    const again = await startServer(net.gateway, { clients, host, keys });
    await tunnel.process.stop();
    await joinByWireguardGo(again, place, clients[0]);
    assert.equal(await again.process.stop(), 0, again.process.tail());
    assert.deepEqual(await hostState(net.gateway), before);
  },
});
