/** `sluice tun2socks` on Windows, with real proxies on Linux. */
import assert from "node:assert/strict";
import { makeCertificate } from "../io/outbound/tls_proxy.ts";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import {
  type GatewayNet,
  makeGatewayNet,
  OUTSIDE,
} from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import type { Lab } from "../support/lab.ts";
import { dropCount } from "../support/sluice.ts";
import {
  lastStatistic,
  startDanteIn,
  startHttpBytes,
  startMicrosocks,
  startTinyproxy,
  startTls,
  startTun2socks,
} from "../support/tun2socks.ts";
import type { WineMachine } from "./support/machine.ts";
import { startWindowsHost } from "./support/windows_host.ts";

const NEEDS = [
  "wine",
  "tun",
  { program: "curl" },
  { program: "ss" },
  { program: "ping" },
] as const;
const HTTP_PORT = 8080;
const ECHO_PORT = 7;
const BYTES = 5_000_000;
const SOCKS = { address: OUTSIDE.second, port: 1080 } as const;
const SOCKS_URL = `${SOCKS.address}:${SOCKS.port}`;
const SITES = [
  { address: OUTSIDE.first, url: `http://${OUTSIDE.first}:${HTTP_PORT}` },
  { address: OUTSIDE.first6, url: `http://[${OUTSIDE.first6}]:${HTTP_PORT}` },
] as const;

/** curl: could not connect. */
const NOT_CONNECTED = 7;

interface Place {
  readonly net: GatewayNet;
  readonly windows: WineMachine;
  /** Downloads by both families; all hashes are right. */
  download(): Promise<void>;
}

/** Windows in the gateway's place, with HTTP servers in the internet. */
async function makePlace(lab: Lab): Promise<Place> {
  const net = await makeGatewayNet(lab, 0);
  const [windows, ...servers] = await Promise.all([
    startWindowsHost(net.gateway),
    ...SITES.map(({ address }) =>
      startHttpBytes(net.internet, { address, port: HTTP_PORT })
    ),
  ]);
  return {
    net,
    windows,
    async download() {
      for (const [n, { url }] of SITES.entries()) {
        const { stdout } = await net.gateway.run([
          "sh",
          "-c",
          `curl -sS --fail -m 50 "${url}/bytes?count=${BYTES}" | sha256sum`,
        ], { timeoutMs: 60_000 });
        const sent = await servers[n].waitForLine(/^sent ([0-9a-f]{64})$/);
        assert.equal(stdout.slice(0, 64), sent[1], url);
      }
    },
  };
}

await e2eTest({
  name: "windows tun2socks: by microsocks over IPv4 and IPv6, hashes right",
  needs: [...NEEDS, { program: "microsocks" }],
  run: async (lab) => {
    const { net, windows, download } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const before = await hostState(net.gateway);
    const process = await startTun2socks(
      net.gateway,
      ["-x", SOCKS_URL, "--default-route"],
      windows,
    );
    await download();
    // Nobody has this address: the answer is the program's own.
    await net.gateway.waitUntilReaches("192.0.2.77");
    assert.equal(await process.stop(), 0, process.tail());
    assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 2);
    assert.deepEqual(await hostState(net.gateway), before);
  },
});

await e2eTest({
  name: "windows tun2socks: UDP of all sizes by dante, both families",
  needs: [...NEEDS, "root", { program: "danted" }],
  run: async (lab) => {
    const { net, windows } = await makePlace(lab);
    await startDanteIn(net.internet, { ...SOCKS, external: ["eth0"] });
    const [client, outside] = await Promise.all([
      Agent.start(net.gateway),
      Agent.start(net.internet),
    ]);
    const process = await startTun2socks(
      net.gateway,
      ["-x", SOCKS_URL, "--default-route"],
      windows,
    );
    for (const { address } of SITES) {
      await outside.call("udpEcho", { address, port: ECHO_PORT });
      // The last two are more than the interface's MTU: fragments.
      for (const size of [0, 1, 1000, 1472, 4000, 30_000]) {
        const { times } = await client.call("udpEchoTimes", {
          ...{ address, port: ECHO_PORT, size },
          ...{ count: 3, timeoutMs: 5000 },
        });
        assert.equal(times.length, 3, `${size} bytes to ${address}`);
      }
    }
    assert.equal(await process.stop(), 0, process.tail());
  },
});

await e2eTest({
  name: "windows tun2socks: by an HTTP proxy; UDP is dropped and counted",
  needs: [...NEEDS, { program: "tinyproxy" }],
  run: async (lab) => {
    const { net, windows, download } = await makePlace(lab);
    const proxy = { address: OUTSIDE.second, port: 8888 };
    await startTinyproxy(net.internet, proxy);
    const process = await startTun2socks(net.gateway, [
      ...["-x", `http://${proxy.address}:${proxy.port}`, "--default-route"],
    ], windows);
    await download();
    const agent = await Agent.start(net.gateway);
    const { handle } = await agent.call("udpOpen", {});
    await agent.call("udpSend", {
      ...{ handle, address: OUTSIDE.first, port: 4000, text: "lost" },
    });
    await process.waitForLine(/gives no UDP/);
    assert.equal(await process.stop(), 0, process.tail());
    assert.equal(dropCount(process, "UDP refused by the proxy"), 1);
  },
});

await e2eTest({
  name: "windows tun2socks: direct, and nothing goes in circles",
  needs: NEEDS,
  run: async (lab) => {
    const { net, windows, download } = await makePlace(lab);
    const process = await startTun2socks(
      net.gateway,
      ["-x", "direct://", "--default-route"],
      windows,
    );
    await download();
    const [client, outside] = await Promise.all([
      Agent.start(net.gateway),
      Agent.start(net.internet),
    ]);
    await outside.call("udpEcho", { address: OUTSIDE.first, port: ECHO_PORT });
    const { times } = await client.call("udpEchoTimes", {
      ...{ address: OUTSIDE.first, port: ECHO_PORT, size: 1000 },
      ...{ count: 5, timeoutMs: 5000 },
    });
    assert.equal(times.length, 5);
    assert.equal(await process.stop(), 0, process.tail());
    assert.equal(lastStatistic(process, /([0-9 ]+) opened in all/), 2);
  },
});

await e2eTest({
  name: "windows tun2socks: by an HTTP proxy through TLS, both ways",
  needs: [
    ...NEEDS,
    ...["tinyproxy", "socat", "openssl"].map((program) => ({ program })),
  ],
  run: async (lab) => {
    const { net, windows, download } = await makePlace(lab);
    const inner = { address: OUTSIDE.second, port: 8888 };
    const outer = { address: OUTSIDE.second, port: 8443 };
    await startTinyproxy(net.internet, inner);
    const { key, certificate } = await makeCertificate(outer.address);
    await startTls(net.internet, {
      ...outer,
      behind: `${inner.address}:${inner.port}`,
      pem: key + certificate,
    });
    const file = await lab.write("ca.pem", certificate);
    const process = await startTun2socks(net.gateway, [
      ...["-x", `https://${outer.address}:${outer.port}`],
      ...["--proxy-ca", file, "--default-route"],
    ], windows);
    await download();
    const { stdout } = await net.gateway.run([
      ...["sh", "-c"],
      `head -c ${BYTES} /dev/urandom > /run/up; sha256sum < /run/up; ` +
      `curl -sS --fail -m 50 -T /run/up "${SITES[0].url}/hash"; rm /run/up`,
    ], { timeoutMs: 60_000 });
    const [here, there] = stdout.split("\n");
    assert.equal(there, here.slice(0, 64));
    assert.equal(await process.stop(), 0, process.tail());
  },
});

await e2eTest({
  name: "windows tun2socks: a closed port refuses; DNS over TCP by microsocks",
  needs: [...NEEDS, { program: "microsocks" }, { program: "dig" }],
  run: async (lab) => {
    const { net, windows } = await makePlace(lab);
    await startMicrosocks(net.internet, SOCKS);
    const resolver = await Agent.start(net.internet);
    await resolver.call("dnsServe", {
      address: OUTSIDE.dns,
      addresses: { "a.test": "192.0.2.55" },
    });
    const process = await startTun2socks(
      net.gateway,
      ["-x", SOCKS_URL, "--default-route"],
      windows,
    );
    const { stdout } = await net.gateway.run([
      ...["dig", "+short", "+tries=4", "+time=5"],
      ...[`@${OUTSIDE.dns}`, "a.test"],
    ], { timeoutMs: 40_000 });
    assert.equal(stdout.trim(), "192.0.2.55");
    const refused = await net.gateway.run([
      ...["curl", "-sS", "-m", "10", `http://${OUTSIDE.first}:81`],
    ], { exit: "any", timeoutMs: 15_000 });
    assert.equal(refused.code, NOT_CONNECTED, refused.stderr);
    assert.equal(await process.stop(), 0, process.tail());
    assert.match(process.text, /DNS over TCP: [1-9][0-9]* queries, [1-9]/);
    assert.equal(lastStatistic(process, /TCP failed: refused ([0-9]+)/), 1);
  },
});
