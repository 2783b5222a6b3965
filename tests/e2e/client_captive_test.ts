/**
 * `sluice client` in places that make things hard: resolvers that are silent, a
 * proxy that wants to know who asks, an endpoint that moves.
 */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import {
  ask,
  type ClientLab,
  clientStatus,
  ECHO_PORT,
  makeClientLab,
  makeProgram,
  PLACES,
  SEEN,
  seenByDns,
  seenByProxy,
  seenByTcp,
  seenByUdp,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { startMicrosocks, startTinyproxy } from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";

const PATIENCE = { timeoutMs: 60_000, intervalMs: 100 };
const SOCKS_PORT = 1080;
const HTTP_PORT = 3128;
const USER = { user: "guest", password: "secret" };
/** The endpoint's name, who tells its address, and where it moves. */
const ENDPOINT = "vpn.example";
const NAME_SERVER = "198.51.100.54";
const MOVED = "10.3.0.3";

/** How a tunnel stands, and why. */
async function tunnelView({ host }: ClientLab, name: string) {
  const { tunnels } = await clientStatus(host);
  return tunnels.find((tunnel) => tunnel.name === name)!;
}

await clientTest({
  name:
    "client: a tunnel's resolver that is silent is told, and the next of its list is asked",
  programs: { "alpha-dig": "dig" },
  config: (place) => ({
    tunnels: [{
      ...wireguardTunnel(place),
      dns: [OUTSIDE.nobody, PLACES.tunnelDns],
      health: { probe: "own" },
    }],
    rules: [{ process: "alpha*", tunnel: "wg" }],
    default: "direct",
  }),
  up: ["wg"],
  run: async ({ place, host, programs: { "alpha-dig": dig }, client }) => {
    await waitFor("an answer by the other resolver", async () => {
      const seen = await seenByDns(host, dig);
      assert.ok(seen === undefined || seen === SEEN.wireguard, seen);
      return seen;
    }, PATIENCE);
    const said = /198\.51\.100\.99.*\(wg\).*unreachable/;
    await client.waitForLine(said);
    const { problems } = await clientStatus(host);
    assert.ok(
      problems.some((line) => line.includes(OUTSIDE.nobody)),
      problems.join("\n"),
    );
    // Nobody else was asked in between.
    assert.doesNotMatch(place.echoes.get(PLACES.dns)!.text, /who\.example/);
  },
});

await e2eTest({
  name:
    "client: a proxy begins to ask for credentials: that is told, the rule's fallback decides, and nothing leaks",
  needs: [
    "tun",
    { program: "microsocks" },
    { program: "nc" },
    { program: "dig" },
    { program: "tcpdump" },
  ],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host, net, proxies } = place;
    const at = { address: PLACES.proxies, port: SOCKS_PORT };
    const open = await startMicrosocks(proxies, at);
    const [blocked, allowed, dig] = await Promise.all([
      makeProgram(lab, "/usr/bin/nc", "blocked"),
      makeProgram(lab, "/usr/bin/nc", "allowed"),
      makeProgram(lab, "/usr/bin/dig", "blocked-dig"),
    ]);
    const config = (credentials: string) => ({
      tunnels: [{
        name: "socks",
        type: "socks5",
        url: `socks5://${credentials}${at.address}:${at.port}`,
        health: { interval: "1s", timeout: "2s" },
      }],
      rules: [
        { process: "blocked*", tunnel: "socks" },
        { process: "allowed", tunnel: "socks", fallback: "allowDirect" },
      ],
      default: "direct",
    });
    const client = await startClient(place, config(""));
    const seen = (program: string) => seenByProxy(host, program);
    await tunnelIs(host, "socks", "up");
    assert.equal(await seen(blocked), SEEN.proxy);

    await open.stop();
    await startMicrosocks(proxies, { ...at, credentials: USER });
    await waitFor("the proxy's wish to be told", async () => {
      const { state, reason = "" } = await tunnelView(place, "socks");
      return state === "down" && /credentials|user|password/.test(reason);
    }, PATIENCE);
    await client.waitForLine(/socks is down: .*(credentials|user|password)/);

    const wire = net.router.spawn("tcpdump", [
      ...["tcpdump", "-i", "in", "-n", "-l", "--immediate-mode"],
      `net 10.2.0.0/24 and (port ${ECHO_PORT} or port 53)`,
    ]);
    await wire.waitForLine(/listening on/);
    assert.equal(await seen(blocked), undefined);
    assert.equal(await seenByUdp(host, blocked, OUTSIDE.first), undefined);
    assert.equal(await seenByDns(host, dig), undefined);
    const leaked = wire.lines.filter((line) => /^\d\d:\d\d:\d\d/.test(line));
    assert.deepEqual(leaked, []);
    assert.equal(await seen(allowed), SEEN.direct);
    await wire.waitForLine(new RegExp(`\\.${ECHO_PORT}`));

    await Deno.writeTextFile(
      `${lab.directory}/client.yaml`,
      JSON.stringify(config(`${USER.user}:${USER.password}@`)),
    );
    const reload = await ask(host, "reload");
    assert.equal(reload.code, 0, reload.stderr);
    await tunnelIs(host, "socks", "up");
    assert.equal(await seen(blocked), SEEN.proxy);
    assert.equal(await seen(allowed), SEEN.proxy);
    assert.equal(await client.stop(), 0);
  },
});

await clientTest({
  name:
    "client: an HTTP proxy that asks for credentials is told, and its rules fall back",
  needs: [{ program: "tinyproxy" }],
  programs: { blocked: "nc", allowed: "nc", guest: "nc" },
  prepare: ({ proxies }) =>
    startTinyproxy(proxies, {
      address: PLACES.proxies,
      port: HTTP_PORT,
      credentials: USER,
    }),
  config: () => {
    const tunnel = (name: string, credentials: string) => ({
      name,
      type: "http",
      url: `http://${credentials}${PLACES.proxies}:${HTTP_PORT}`,
    });
    return {
      tunnels: [
        tunnel("stranger", ""),
        tunnel("guest", `${USER.user}:${USER.password}@`),
      ],
      rules: [
        { process: "blocked", tunnel: "stranger" },
        { process: "allowed", tunnel: "stranger", fallback: "allowDirect" },
        { process: "guest", tunnel: "guest" },
      ],
      default: "drop",
    };
  },
  run: async ({ place, host, programs, client }) => {
    const { blocked, allowed, guest } = programs;
    await client.waitForLine(
      /stranger is down: .*(credentials|user|password|407)/,
      PATIENCE,
    );
    await tunnelIs(host, "guest", "up");
    assert.equal((await tunnelView(place, "stranger")).state, "down");
    const seen = await Promise.all(
      [blocked, allowed, guest].map((program) => seenByProxy(host, program)),
    );
    assert.deepEqual(seen, [undefined, SEEN.direct, SEEN.proxy]);
  },
});

await clientTest({
  name:
    "client: the name of a WireGuard endpoint is looked up until somebody answers, and again where the address has changed",
  programs: { alpha: "nc" },
  prepare: async ({ net, host }) => {
    await net.internet.ip(`address add ${NAME_SERVER}/24 dev eth0`);
    await host.run([
      "sh",
      "-ec",
      `echo 'nameserver ${NAME_SERVER}\noptions timeout:1' > /run/resolv.conf`,
    ]);
  },
  config: (place) => {
    const tunnel = wireguardTunnel(place);
    const [peer] = tunnel.peers as [Record<string, unknown>];
    return {
      tunnels: [{
        ...tunnel,
        peers: [{ ...peer, endpoint: `${ENDPOINT}:${PLACES.vpnPort}` }],
        dns: [PLACES.tunnelDns],
        health: { interval: "1s", timeout: "2s" },
      }],
      rules: [{ process: "alpha", tunnel: "wg" }],
      default: "direct",
      reconnect: { minDelay: "500ms", maxDelay: "2s" },
    };
  },
  run: async ({ place, host, programs: { alpha }, client }) => {
    const { vpn, net } = place;
    await client.waitForLine(
      /wg is down: .*vpn\.example could not be looked up/,
      PATIENCE,
    );
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first), undefined);

    const first = await serveName(place, "names", PLACES.vpn);
    const isSeen = () =>
      waitFor("alpha to be seen", async () => {
        const seen = await seenByTcp(host, alpha, OUTSIDE.first);
        assert.ok(seen === undefined || seen === SEEN.wireguard, seen);
        return seen;
      }, PATIENCE);
    await isSeen();
    assert.match((await tunnelView(place, "wg")).endpoint!, /^10\.3\.0\.2:/);

    await first.stop();
    await serveName(place, "other names", MOVED);
    await vpn.sysctl("net.ipv4.conf.eth0.promote_secondaries", 1);
    await vpn.ip(
      `address add ${MOVED}/24 dev eth0`,
      `address del ${PLACES.vpn}/24 dev eth0`,
    );
    await net.router.ip(`route replace 10.66.0.0/24 via ${MOVED}`);
    await waitFor("the tunnel to lead to the new address", async () => {
      const { state, endpoint = "" } = await tunnelView(place, "wg");
      return state === "up" && endpoint.startsWith(`${MOVED}:`);
    }, PATIENCE);
    await isSeen();
  },
});

/** A name server that says where the endpoint is, until it is stopped. */
async function serveName(
  { lab, net }: ClientLab,
  name: string,
  address: string,
) {
  const agent = await Agent.start(net.internet, name);
  await agent.call("dnsServe", {
    address: NAME_SERVER,
    addresses: { [ENDPOINT]: address },
  });
  return lab.processes.find((process) => process.name.endsWith(`/${name}`))!;
}
