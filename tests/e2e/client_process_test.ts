/**
 * The packet side of a split tunnel with real ways out: each flow is seen from
 * outside to come from where its verdict sends it, and from nowhere else.
 */
import assert from "node:assert/strict";
import { type ClientNet, makeClientNet, SEEN } from "../support/client_net.ts";
import { Capture } from "../support/capture.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { LoggedProcess } from "../support/process.ts";
import { startHttpBytes } from "../support/tun2socks.ts";
import { waitFor } from "../support/wait.ts";

const NEEDS = [
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "ping" },
  { program: "socat" },
  { program: "ss" },
] as const;

const DIRECT = { way: "Direct" } as const;
const PROXY = { way: "Proxy", outbound: 1 } as const;
const TUNNEL = { way: "Packet", outbound: 2 } as const;
const PORTS = { direct: 7001, proxy: 7002, tunnel: 7003, drop: 7004, dns: 53 };

const TABLE = {
  [PORTS.direct]: DIRECT,
  [PORTS.proxy]: PROXY,
  [PORTS.tunnel]: TUNNEL,
  [PORTS.drop]: { way: "Drop" },
  [PORTS.dns]: { ...TUNNEL, to: `${OUTSIDE.dns}:53` },
  [OUTSIDE.first]: DIRECT,
  [OUTSIDE.second]: TUNNEL,
  [OUTSIDE.dns]: PROXY,
  [OUTSIDE.first6]: TUNNEL,
} as const;

/** Whom the outside sees at a port, by TCP or UDP; empty where nothing comes. */
async function seen(
  { app }: ClientNet,
  kind: "TCP" | "UDP",
  address: string,
  port: number,
): Promise<string> {
  const family = address.includes(":") ? "6" : "4";
  const host = family === "6" ? `[${address}]` : address;
  const target = `${kind}${family}:${host}:${port}`;
  const { stdout } = await app.run([
    ...["timeout", "5", "sh", "-c"],
    // The other end finishes first: microsocks closes all when one has finished.
    kind === "TCP"
      ? `echo bye | socat -,ignoreeof ${target}`
      : `echo hello | socat -t 3 - ${target}`,
  ], { exit: "any" });
  return stdout.split("\n")[0].replace("::ffff:", "");
}

await e2eTest({
  name:
    "three ways at once: TCP, UDP and ping of both families come from where they should",
  needs: [...NEEDS, { program: "microsocks" }, { program: "tcpdump" }],
  run: async (lab) => {
    const net = await makeClientNet(lab, {
      ports: Object.values(PORTS),
      table: TABLE,
    });
    const { first, first6, second } = OUTSIDE;
    const results = await Promise.all([
      seen(net, "TCP", first, PORTS.direct),
      seen(net, "TCP", first, PORTS.proxy),
      seen(net, "TCP", first, PORTS.tunnel),
      seen(net, "TCP", first6, PORTS.direct),
      seen(net, "TCP", first6, PORTS.proxy),
      seen(net, "TCP", first6, PORTS.tunnel),
      seen(net, "UDP", first, PORTS.direct),
      seen(net, "UDP", first, PORTS.tunnel),
      seen(net, "UDP", first6, PORTS.direct),
      seen(net, "UDP", first6, PORTS.tunnel),
      // The program asks one resolver; another one answers, in its name.
      seen(net, "UDP", second, PORTS.dns),
      seen(net, "TCP", first, PORTS.drop),
      seen(net, "UDP", first, PORTS.drop),
    ]);
    assert.deepEqual(results, [
      `${SEEN.direct} at ${first}`,
      `${SEEN.proxy} at ${first}`,
      `${SEEN.tunnel} at ${first}`,
      `${SEEN.direct6} at ${first6}`,
      `${SEEN.proxy6} at ${first6}`,
      `${SEEN.tunnel6} at ${first6}`,
      `${SEEN.direct} at ${first}`,
      `${SEEN.tunnel} at ${first}`,
      `${SEEN.direct6} at ${first6}`,
      `${SEEN.tunnel6} at ${first6}`,
      `${SEEN.tunnel} at ${OUTSIDE.dns}`,
      "",
      "",
    ]);
    await net.client.waitForLine(/^answer [0-9]+$/);
    // Echoes: direct, through the tunnel, and refused where a proxy carries none.
    assert.ok(await net.app.reaches(first));
    assert.ok(await net.app.reaches(second));
    assert.ok(await net.app.reaches(first6));
    assert.ok(!await net.app.reaches(OUTSIDE.dns));
    await net.client.waitForLine(/^drop not carried by the way out: ICMP/);
    // Too big for the tunnel: the host hears of it, and its next pieces fit.
    const big = await net.app.run(
      ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-s", "3000", second],
    );
    assert.match(big.stdout, /3 received/);
    await net.client.closeInput();
  },
});

await e2eTest({
  name:
    "a tunnel that goes away in mid-flow ends its connections, and nothing leaks",
  needs: [...NEEDS, { program: "microsocks" }, { program: "tcpdump" }],
  run: async (lab) => {
    const net = await makeClientNet(lab, {
      ports: Object.values(PORTS),
      table: TABLE,
    });
    const { first } = OUTSIDE;
    const capture = await Capture.start(
      net.app,
      "out",
      `host ${first} and port ${PORTS.tunnel}`,
    );
    const held = net.app.spawn("held", [
      ...["socat", "-d", "-"],
      `TCP4:${first}:${PORTS.tunnel}`,
    ], { stdin: "piped" });
    await held.waitForLine(new RegExp(`^${SEEN.tunnel} at`));
    await net.tell("detach 2");
    // Its program hears of it at once, without having sent anything.
    await held.waitForExit({ timeoutMs: 3000 });
    assert.match(held.text, /reset by peer/i);
    assert.equal(await seen(net, "TCP", first, PORTS.tunnel), "");
    assert.equal(await seen(net, "UDP", first, PORTS.tunnel), "");
    assert.equal(
      await seen(net, "TCP", first, PORTS.direct),
      `${SEEN.direct} at ${first}`,
    );
    await net.tell("attach 2");
    await waitFor(
      "the tunnel to carry again",
      async () =>
        await seen(net, "TCP", first, PORTS.tunnel) ===
          `${SEEN.tunnel} at ${first}`,
    );
    // Decided anew: a connection ends, the next one goes the other way.
    const moved = net.app.spawn("moved", [
      ...["socat", "-d", "-"],
      `TCP4:${first}:${PORTS.direct}`,
    ], { stdin: "piped" });
    await moved.waitForLine(new RegExp(`^${SEEN.direct} at`));
    const farewell = await Capture.start(
      net.app,
      "out",
      `src ${SEEN.direct} and dst ${first} and tcp`,
    );
    await net.tell(`table ${PORTS.direct} Proxy 1`);
    await net.tell("again");
    await moved.waitForExit({ timeoutMs: 3000 });
    assert.equal(
      await seen(net, "TCP", first, PORTS.direct),
      `${SEEN.proxy} at ${first}`,
    );
    assert.deepEqual((await capture.stop()).length, 0);
    // Not even the end of the old one was told by the old way.
    assert.deepEqual((await farewell.stop()).length, 0);
    await net.client.closeInput();
  },
});

/** Downloads and uploads by curl; what arrives is what was sent. */
async function transfer(
  { app }: ClientNet,
  site: string,
  http: LoggedProcess,
): Promise<void> {
  const count = 20_000_000;
  const down = await app.run([
    "sh",
    "-c",
    `curl -sS --fail -m 40 "${site}/bytes?count=${count}" | sha256sum`,
  ], { timeoutMs: 50_000 });
  const [, sent] = await http.waitForLine(/^sent ([0-9a-f]+)/);
  assert.equal(down.stdout.slice(0, 64), sent);
  const up = await app.run([
    "sh",
    "-c",
    `head -c ${count} /dev/urandom > /run/up; sha256sum < /run/up; ` +
    `curl -sS --fail -m 40 -T /run/up "${site}/hash"; rm /run/up`,
  ], { timeoutMs: 50_000 });
  const [here, there] = up.stdout.split("\n");
  assert.equal(there, here.slice(0, 64));
}

for (const mtu of [1280, 1420]) {
  await e2eTest({
    name:
      `20 MB each way through a tunnel of MTU ${mtu}, both families, hashes right`,
    needs: [...NEEDS, { program: "microsocks" }, { program: "curl" }],
    run: async (lab) => {
      const port = 8080;
      const net = await makeClientNet(lab, {
        ports: [PORTS.direct],
        table: { [port]: TUNNEL },
        mtu,
      });
      for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
        const http = await startHttpBytes(net.outside, { address, port });
        const host = address.includes(":") ? `[${address}]` : address;
        await transfer(net, `http://${host}:${port}`, http);
      }
      await net.client.closeInput();
    },
  });
}

await e2eTest({
  name:
    "another egress is taken at run time; tunnels come and go; the end leaves nothing",
  needs: [...NEEDS, { program: "microsocks" }],
  run: async (lab) => {
    const net = await makeClientNet(lab, {
      ports: Object.values(PORTS),
      table: TABLE,
    });
    const { app, client } = net;
    const { first } = OUTSIDE;
    await lab.link(
      { namespace: app, name: "out2", addresses: ["10.3.0.1/24"] },
      {
        namespace: net.net.router,
        name: "in2",
        addresses: ["10.3.0.2/24"],
      },
    );
    await app.ip("route add default via 10.3.0.2 dev out2 metric 100");
    for (
      const [egress, address] of [
        ["out2", "10.3.0.1"],
        ["out", SEEN.direct],
      ]
    ) {
      await net.tell(`egress ${egress}`);
      for (const kind of ["TCP", "UDP"] as const) {
        const from = await seen(net, kind, first, PORTS.direct);
        assert.equal(from, `${address} at ${first}`);
      }
      assert.ok(await app.reaches(first));
    }
    // More often than there are slots for tunnels.
    for (let n = 0; n < 50; n++) {
      await net.tell("detach 2");
      await net.tell("attach 2");
    }
    assert.equal(
      await seen(net, "TCP", first, PORTS.tunnel),
      `${SEEN.tunnel} at ${first}`,
    );
    // What is ended is asked about again.
    const asks = () =>
      client.lines.filter((line) => /^ask 1 .*198.51.100.10/.test(line)).length;
    const ping = app.spawn("ping", ["ping", "-n", "-i", "0.2", first]);
    await waitFor("the first answers", () => /icmp_seq=3/.test(ping.text));
    const before = asks();
    await net.tell("end");
    await waitFor("another question", () => asks() > before);
    await net.tell("reset");
    assert.equal(
      await seen(net, "UDP", first, PORTS.direct),
      `${SEEN.direct} at ${first}`,
    );
    await ping.stop();
    assert.equal(await client.closeInput(), 0);
    assert.ok(!(await app.interfaces()).includes("cap0"));
    assert.doesNotMatch(client.text, /^failure/m);
  },
});

await e2eTest({
  name:
    "UDP by a SOCKS5 proxy; a query that goes to another resolver is answered in its name",
  needs: [...NEEDS, { program: "danted" }],
  run: async (lab) => {
    const net = await makeClientNet(lab, {
      ports: Object.values(PORTS),
      table: { ...TABLE, [PORTS.dns]: { ...PROXY, to: `${OUTSIDE.dns}:53` } },
      proxy: "dante",
    });
    const { first, second } = OUTSIDE;
    assert.equal(
      await seen(net, "UDP", first, PORTS.proxy),
      `${SEEN.proxy} at ${first}`,
    );
    assert.equal(
      await seen(net, "UDP", second, PORTS.dns),
      `${SEEN.proxy} at ${OUTSIDE.dns}`,
    );
    await net.client.waitForLine(/^answer [0-9]+$/);
    await net.client.closeInput();
  },
});
