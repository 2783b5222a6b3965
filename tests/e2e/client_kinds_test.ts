/** `sluice client` by each kind of tunnel that client_ways_test.ts has not: AmneziaWG, HTTP, HTTP through TLS. */
import { AMNEZIA } from "../support/amnezia.ts";
import assert from "node:assert/strict";
import {
  clientStatus,
  PLACES,
  SEEN,
  seenByDns,
  seenByProxy,
  seenByTcp,
  seenByUdp,
} from "../support/client_lab.ts";
import { clientTest } from "../support/client_scenario.ts";
import { generateKeyPair } from "../support/keys.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { makeClient, PORT, startServer } from "../support/sluice.ts";
import { authorityPath, makeAuthority } from "../support/tls_authority.ts";
import { startTinyproxy, startTls } from "../support/tun2socks.ts";

const HTTP = { address: PLACES.proxies, port: 3128 };
const TLS = { address: PLACES.proxies, port: 8443 };

const [serverKeys, member] = await Promise.all([
  generateKeyPair(),
  makeClient(1),
]);

await clientTest({
  name: "client: a program by AmneziaWG, TCP, UDP, DNS and both families",
  programs: { alpha: "nc", gamma: "nc", "alpha-dig": "dig" },
  prepare: ({ proxies }) =>
    startServer(proxies, {
      clients: [member],
      keys: serverKeys,
      config: {
        interface: { amnezia: AMNEZIA },
        forward: { tcp: "proxy", ipv6: "nat" },
      },
    }),
  config: () => ({
    tunnels: [{
      name: "awg",
      type: "amneziawg",
      privateKey: member.privateKey,
      addresses: [`${member.address}/32`, `${member.address6}/128`],
      peers: [{
        publicKey: serverKeys.publicKey,
        endpoint: `${PLACES.proxies}:${PORT}`,
      }],
      amnezia: { ...AMNEZIA, i1: "<b 0xc0ff00ee><r 25><t>" },
      dns: [PLACES.tunnelDns],
    }],
    rules: [{ process: "alpha*", tunnel: "awg" }],
    default: "direct",
  }),
  up: ["awg"],
  run: async ({ host, programs }) => {
    const { alpha, gamma, "alpha-dig": dig } = programs;
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first), SEEN.proxy);
    assert.equal(await seenByUdp(host, alpha, OUTSIDE.first), SEEN.proxy);
    assert.equal(await seenByTcp(host, alpha, OUTSIDE.first6), SEEN.proxy6);
    assert.equal(await seenByUdp(host, alpha, OUTSIDE.first6), SEEN.proxy6);
    assert.equal(await seenByDns(host, dig), SEEN.proxy);
    assert.equal(await seenByTcp(host, gamma, OUTSIDE.first), SEEN.direct);
    const { tunnels: [awg] } = await clientStatus(host);
    assert.ok(awg.receivedBytes > 0);
  },
});

await clientTest({
  name:
    "client: a program by an HTTP proxy, TCP and DNS; its UDP is dropped and counted",
  needs: [{ program: "tinyproxy" }],
  programs: { alpha: "nc", gamma: "nc", "alpha-dig": "dig" },
  prepare: ({ proxies }) => startTinyproxy(proxies, HTTP),
  config: () => ({
    tunnels: [{
      name: "web",
      type: "http",
      url: `http://${HTTP.address}:${HTTP.port}`,
      dns: [PLACES.tunnelDns],
    }],
    rules: [{ process: "alpha*", tunnel: "web" }],
    default: "direct",
  }),
  up: ["web"],
  run: async ({ host, programs }) => {
    const { alpha, gamma, "alpha-dig": dig } = programs;
    assert.equal(await seenByProxy(host, alpha), SEEN.proxy);
    assert.equal(
      await seenByProxy(host, alpha, OUTSIDE.first6),
      SEEN.proxy6,
    );
    assert.equal(await seenByDns(host, dig), SEEN.proxy);
    assert.equal(await seenByUdp(host, alpha, OUTSIDE.first), undefined);
    assert.equal(await seenByUdp(host, gamma, OUTSIDE.first), SEEN.direct);
    const { counters } = await clientStatus(host);
    assert.ok(counters["decided:unsupported"] >= 1, JSON.stringify(counters));
  },
});

await clientTest({
  name:
    "client: a program by an HTTP proxy through TLS, its certificate checked",
  needs: ["tinyproxy", "socat", "openssl"].map((program) => ({ program })),
  programs: { alpha: "nc", beta: "nc" },
  prepare: async ({ lab, proxies }) => {
    await startTinyproxy(proxies, HTTP);
    for (const [n, name] of ["safe", "stranger"].entries()) {
      const { pem } = await makeAuthority(lab, {
        name,
        address: TLS.address,
      });
      await startTls(proxies, {
        ...TLS,
        port: TLS.port + n,
        behind: `${HTTP.address}:${HTTP.port}`,
        pem,
      });
    }
  },
  env: ({ lab }) => ({ DENO_CERT: authorityPath(lab, "safe") }),
  config: () => ({
    tunnels: ["safe", "stranger"].map((name, n) => ({
      name,
      type: "http",
      url: `https://${TLS.address}:${TLS.port + n}`,
    })),
    rules: [
      { process: "alpha", tunnel: "safe" },
      { process: "beta", tunnel: "stranger" },
    ],
    default: "direct",
  }),
  up: ["safe"],
  run: async ({ host, programs: { alpha, beta }, client }) => {
    assert.equal(await seenByProxy(host, alpha), SEEN.proxy);
    await client.waitForLine(/stranger is down: .*certificate/i);
    assert.equal(await seenByProxy(host, beta), undefined);
  },
});
