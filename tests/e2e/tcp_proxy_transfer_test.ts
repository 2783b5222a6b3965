/** Real programs over TCP through the gateway's proxy: curl, netcat. */
import assert from "node:assert/strict";
import { tcpThroughput } from "../bench/measure.ts";
import { e2eTest } from "../support/e2e.ts";
import { GATEWAY_OUTSIDE, OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";
import type { LoggedProcess } from "../support/process.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import {
  readFigures,
  startTcpProxy,
  waitUntilIdle,
} from "../support/tcp_proxy.ts";
import { startHttpBytes } from "../support/tun2socks.ts";

const NEEDS = [...WIREGUARD_NEEDS, { program: "curl" }] as const;
const HTTP_PORT = 8080;
const CURL_SECONDS = 120;

/** Downloads so many bytes. @returns their SHA-256 as it arrived. */
async function download(
  client: Namespace,
  site: string,
  bytes: number,
): Promise<string> {
  const { stdout } = await client.run([
    "sh",
    "-c",
    `curl -sS --fail -m ${CURL_SECONDS} "${site}/bytes?count=${bytes}" | sha256sum`,
  ], { timeoutMs: CURL_SECONDS * 1000 });
  return stdout.slice(0, 64);
}

/** The SHA-256 of what the server sent last. */
async function lastSent(server: LoggedProcess): Promise<string> {
  await server.waitForLine(/^sent /);
  const line = server.lines.findLast((line) => line.startsWith("sent "));
  return line!.slice("sent ".length);
}

await e2eTest({
  name: "tcp proxy: curl downloads 100 MB and uploads 50 MB, hashes right",
  needs: NEEDS,
  run: async (lab) => {
    const { net, server } = await startTcpProxy(lab);
    const [{ namespace: client }] = net.clients;
    const http = await startHttpBytes(net.internet, {
      address: OUTSIDE.first,
      port: HTTP_PORT,
    });
    const site = `http://${OUTSIDE.first}:${HTTP_PORT}`;
    const hash = await download(client, site, 100_000_000);
    assert.equal(hash, await lastSent(http));
    const { stdout } = await client.run([
      "sh",
      "-c",
      "head -c 50000000 /dev/urandom > /run/up; sha256sum < /run/up; " +
      `curl -sS --fail -m ${CURL_SECONDS} -T /run/up "${site}/hash"`,
    ], { timeoutMs: CURL_SECONDS * 1000 });
    const [here, there] = stdout.split("\n");
    assert.equal(there, here.slice(0, 64));
    await waitUntilIdle(server.process);
    assert.equal(await server.process.stop(), 0);
    assert.equal(readFigures(server.process).opened, 2);
  },
});

await e2eTest({
  name: "tcp proxy: curl over IPv6 and IPv4 at once, each by its own family",
  needs: NEEDS,
  run: async (lab) => {
    const { net, server } = await startTcpProxy(lab);
    const [{ namespace: client }] = net.clients;
    const places = [
      { address: OUTSIDE.first, host: OUTSIDE.first },
      { address: OUTSIDE.first6, host: `[${OUTSIDE.first6}]` },
    ];
    await Promise.all(places.map(async ({ address, host }) => {
      const http = await startHttpBytes(net.internet, {
        address,
        port: HTTP_PORT,
      });
      const site = `http://${host}:${HTTP_PORT}`;
      const hash = await download(client, site, 20_000_000);
      assert.equal(hash, await lastSent(http), address);
    }));
    await waitUntilIdle(server.process);
  },
});

await e2eTest({
  name: "tcp proxy: iperf3 with four streams, both ways",
  needs: [...WIREGUARD_NEEDS, { program: "iperf3" }],
  run: async (lab) => {
    const { net, server } = await startTcpProxy(lab);
    const ends = {
      client: net.clients[0].namespace,
      server: net.internet,
      address: OUTSIDE.first,
    };
    for (const from of ["client", "server"] as const) {
      const load = { seconds: 1, streams: 4, from };
      const gigabits = await tcpThroughput(ends, load);
      assert.ok(gigabits > 0.01, `${gigabits} Gbit/s from the ${from}`);
    }
    await waitUntilIdle(server.process);
    await server.process.stop();
    // iperf3 has one more, for itself.
    assert.equal(readFigures(server.process).opened, 10);
  },
});

for (const workers of ["single", "2"]) {
  await e2eTest({
    name: `tcp proxy: with workers ${workers}, bytes and short connections`,
    needs: NEEDS,
    run: async (lab) => {
      const { net, agents: [agent], outside, server } = await startTcpProxy(
        lab,
        { env: { SLUICE_WORKERS: workers } },
      );
      const [{ namespace: client }] = net.clients;
      const address = OUTSIDE.first;
      const http = await startHttpBytes(net.internet, {
        address,
        port: HTTP_PORT,
      });
      const place = { address, port: 8000, answerBytes: 3000 };
      await outside.call("crowdServe", { ...place, kind: "answer" });
      const [hash, count] = await Promise.all([
        download(client, `http://${address}:${HTTP_PORT}`, 50_000_000),
        agent.call("crowdShort", { ...place, seconds: 2, together: 16 }),
      ]);
      assert.equal(hash, await lastSent(http));
      assert.deepEqual(count.errors, {});
      await waitUntilIdle(server.process);
      await server.process.stop();
      assert.equal(readFigures(server.process).opened, count.answered + 1);
    },
  });
}

await e2eTest({
  name: "tcp proxy: the outside sees the gateway's own address",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside } = await startTcpProxy(lab);
    const sources: string[] = [];
    for (
      const [address, source] of [
        [OUTSIDE.first, GATEWAY_OUTSIDE],
        [OUTSIDE.first6, "2001:db8:2::1"],
      ]
    ) {
      const listener = await outside.call("streamListen", {
        address,
        port: 9000,
      });
      const { outcome } = await agent.call("streamOpen", {
        address,
        port: 9000,
        timeoutMs: 10_000,
      });
      assert.equal(outcome, "connected");
      const taken = await outside.call("streamAccept", {
        listener,
        timeoutMs: 10_000,
      });
      sources.push(taken!.address);
      assert.equal(taken!.address, source);
    }
    assert.equal(sources.length, 2);
  },
});

await e2eTest({
  name:
    "tcp proxy: the tunnel's MTU sets the MSS for the client, narrow links outside work",
  needs: [...NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const mtu = 1300;
    const { net, server } = await startTcpProxy(lab, { interface: { mtu } });
    const [{ namespace: client }] = net.clients;
    await net.router.ip("link set out mtu 1280");
    await net.internet.ip("link set eth0 mtu 1280");
    for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
      const isIpv6 = address.includes(":");
      const host = isIpv6 ? `[${address}]` : address;
      const http = await startHttpBytes(net.internet, {
        address,
        port: HTTP_PORT,
      });
      // The answer to the SYN, on the client's own side of the tunnel.
      const dump = client.spawn(`tcpdump ${address}`, [
        "tcpdump",
        ...["-Z", "root", "--immediate-mode", "-l", "-nn", "-i", "wg0"],
        `src host ${address} and tcp`,
      ]);
      await dump.waitForLine(/listening on/);
      const site = `http://${host}:${HTTP_PORT}`;
      const hash = await download(client, site, 5_000_000);
      assert.equal(hash, await lastSent(http));
      const [, mss] = await dump.waitForLine(/Flags \[S\.\].*\bmss ([0-9]+)/);
      assert.equal(Number(mss), mtu - (isIpv6 ? 60 : 40), address);
      await dump.stop();
    }
    await waitUntilIdle(server.process);
  },
});

await e2eTest({
  name: "tcp proxy: netcat, line by line",
  needs: [...WIREGUARD_NEEDS, { program: "nc" }],
  run: async (lab) => {
    const { net, outside, server } = await startTcpProxy(lab);
    await outside.call("crowdServe", {
      address: OUTSIDE.first,
      port: 2323,
      kind: "echo",
    });
    const [{ namespace: client }] = net.clients;
    const nc = client.spawn("nc", ["nc", "-N", OUTSIDE.first, "2323"], {
      stdin: "piped",
    });
    for (let line = 1; line <= 20; line++) {
      await nc.writeLine(`line ${line}`);
      await nc.waitForLine(new RegExp(`^line ${line}$`));
    }
    // The end of its input is a half-close; the echo's end is the other one.
    assert.equal(await nc.closeInput(), 0);
    await waitUntilIdle(server.process);
  },
});
