/**
 * Many TCP connections through the gateway's proxy: 5,000 at once, short ones in
 * a row, a SYN flood. SLUICE_LONG=1 makes short ones for 30 s.
 */
import assert from "node:assert/strict";
import type { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import { dropCount, PORT } from "../support/sluice.ts";
import {
  holdingsOf,
  type ProcessHoldings,
  readFigures,
  startTcpProxy,
  tcpFigures,
  waitUntilIdle,
} from "../support/tcp_proxy.ts";
import { waitFor } from "../support/wait.ts";

const LONG = Deno.env.get("SLUICE_LONG") === "1";
const PLACE = { address: OUTSIDE.first, port: 8000 } as const;
const SHORT_SECONDS = LONG ? 30 : 3;
const SHORT_RATE = 1000;
const ANSWER_BYTES = 512;
const EACH = 2500;
/** Descriptors of a connection: its socket to the client and its socket outside. */
const SOCKETS = 2;
/** Descriptors that may come and go beside connections. */
const SPARE_DESCRIPTORS = 8;

function megabytes({ residentMegabytes }: ProcessHoldings): string {
  return `${residentMegabytes.toFixed(1)} MB`;
}

/** Opens connections at each client and sends over each of them. */
async function fillUp(agents: readonly Agent[], count: number): Promise<void> {
  const opened = await Promise.all(
    agents.map((agent) =>
      agent.call("crowdOpen", { ...PLACE, count, together: 50 })
    ),
  );
  for (const result of opened) {
    assert.deepEqual(result, { open: count, errors: {} });
  }
  const echoes = await Promise.all(
    agents.map((agent) => agent.call("crowdEcho", { timeoutMs: 60_000 })),
  );
  for (const result of echoes) {
    assert.deepEqual(result, { echoed: count, errors: {} });
  }
}

await e2eTest({
  name: "tcp proxy: 5,000 connections at once, and nothing of them is left",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents, outside, server } = await startTcpProxy(lab, {
      clientCount: 2,
    });
    const { process } = server;
    await outside.call("crowdServe", { ...PLACE, kind: "echo" });
    // What a first use leaves for good, such as compiled code, is no leak.
    await fillUp(agents, 100);
    for (const agent of agents) {
      await agent.call("crowdClose", { how: "finish" });
    }
    await waitUntilIdle(process);
    const before = await holdingsOf(process);

    await fillUp(agents, EACH);
    const full = await holdingsOf(process);
    const figures = await tcpFigures(process);
    assert.equal(figures.open, 2 * EACH);
    assert.equal(figures.redirects, 2 * EACH);
    const more = full.descriptors - before.descriptors;
    assert.ok(
      Math.abs(more - 2 * EACH * SOCKETS) <= SPARE_DESCRIPTORS,
      `${more}`,
    );

    await agents[0].call("crowdClose", { how: "finish" });
    await agents[1].call("crowdClose", { how: "reset" });
    await waitUntilIdle(process);
    const after = await waitFor(
      "the descriptors to be given back",
      async () => {
        const after = await holdingsOf(process);
        return after.descriptors <= before.descriptors + SPARE_DESCRIPTORS &&
          after;
      },
    );
    const { open, accepted } = await outside.call("crowdServed", PLACE);
    assert.deepEqual({ open, accepted }, { open: 0, accepted: 2 * EACH + 200 });
    console.log(
      `resident: ${megabytes(before)} before, ${megabytes(full)} with 5,000 ` +
        `connections, ${megabytes(after)} after`,
    );
    const grown = after.residentMegabytes - before.residentMegabytes;
    assert.ok(grown < 16, `${grown} MB more after all than before`);
    assert.equal(await process.stop(), 0);
    assert.equal(readFigures(process).opened, 2 * EACH + 200);
  },
});

await e2eTest({
  name:
    `tcp proxy: ${SHORT_RATE} short connections a second for ${SHORT_SECONDS} s, none fails`,
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startTcpProxy(lab);
    const { process } = server;
    await outside.call("crowdServe", {
      ...PLACE,
      kind: "answer",
      answerBytes: ANSWER_BYTES,
    });
    const before = await holdingsOf(process);
    const count = await agent.call("crowdShort", {
      ...PLACE,
      seconds: SHORT_SECONDS,
      together: 64,
      answerBytes: ANSWER_BYTES,
      perSecond: SHORT_RATE,
    });
    assert.deepEqual(count.errors, {});
    await waitUntilIdle(process);
    const after = await holdingsOf(process);
    const rate = count.answered / count.durationMs * 1000;
    console.log(
      `${rate.toFixed(0)} connections a second, median ${
        count.medianMs.toFixed(1)
      } ms, p99 ${count.p99Ms.toFixed(1)} ms, longest ${
        count.longestMs.toFixed(0)
      } ms; resident ${megabytes(before)} before, ${megabytes(after)} after`,
    );
    // How many the machine can do at this moment is not for a test to say.
    assert.ok(count.answered > SHORT_SECONDS * 20, `${count.answered}`);
    const more = after.descriptors - before.descriptors;
    assert.ok(more <= SPARE_DESCRIPTORS, `${more} descriptors more`);
    await process.stop();
    assert.equal(readFigures(process).opened, count.answered);
  },
});

/** Loses some of what comes in by UDP from clients, and by TCP from outside. */
async function makeLossy(namespace: Namespace, percent: number): Promise<void> {
  const lost = `numgen random mod 100 < ${percent} drop`;
  await namespace.run(["nft", "-f", "-"], {
    input: `table inet lossy { chain input {
      type filter hook input priority 0
      udp dport ${PORT} udp length > 100 ${lost}
      udp sport ${PORT} udp length > 100 ${lost}
      ip saddr ${PLACE.address} tcp sport ${PLACE.port} ${lost}
      ip daddr ${PLACE.address} tcp dport ${PLACE.port} ${lost}
    }
    }`,
  });
}

await e2eTest({
  name: "tcp proxy: where packets are lost on both sides no connection is",
  needs: [...WIREGUARD_NEEDS, { program: "nft" }],
  run: async (lab) => {
    const { net, agents: [agent], outside, server } = await startTcpProxy(lab);
    const { process } = server;
    const answerBytes = 5000;
    await outside.call("crowdServe", { ...PLACE, kind: "answer", answerBytes });
    for (
      const namespace of [net.clients[0].namespace, net.gateway, net.internet]
    ) await makeLossy(namespace, 3);
    const count = await agent.call("crowdShort", {
      ...PLACE,
      seconds: 3,
      together: 200,
      answerBytes,
      perSecond: 200,
    });
    assert.deepEqual(count.errors, {});
    assert.ok(count.answered > 60, `${count.answered} answered`);
    await waitUntilIdle(process);
    await waitFor(
      "the outside to see them all closed",
      async () => (await outside.call("crowdServed", PLACE)).open === 0,
    );
    await process.stop();
    assert.equal(readFigures(process).opened, count.answered);
    assert.match(process.text, /TCP ended: finished [0-9 ]+$/m);
  },
});

await e2eTest({
  name: "tcp proxy: a SYN flood of one client doesn't stop another, nor itself",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { net, agents, outside, server, clients } = await startTcpProxy(lab, {
      clientCount: 2,
      // Only what one client may have in the making holds it back.
      tcpProxy: { connectTimeout: "3s", maxConnectionsPerPeer: 16_384 },
    });
    const [flooding, honest] = agents;
    await outside.call("crowdServe", {
      ...PLACE,
      kind: "answer",
      answerBytes: ANSWER_BYTES,
    });
    await net.router.ip(`route add blackhole ${OUTSIDE.nobody}/32`);
    const ask = (agent: Agent, seconds: number) =>
      agent.call("crowdShort", {
        ...PLACE,
        seconds,
        together: 4,
        answerBytes: ANSWER_BYTES,
        perSecond: 100,
      });
    const flood = flooding.call("synFlood", {
      source: clients[0].address,
      address: OUTSIDE.nobody,
      port: 80,
      count: 12_000,
      perSecond: 3000,
    });
    const during = await ask(honest, 3);
    assert.ok(await flood > 10_000, "the flood was one");
    assert.deepEqual(during.errors, {});
    assert.ok(during.answered > 30, `${during.answered} while it was flooded`);
    // Its held SYNs time out; then the flooding client is served again too.
    await waitFor("the flood to be over", async () => {
      const { connecting } = await tcpFigures(server.process);
      return connecting === 0;
    });
    const afterwards = await ask(flooding, 1);
    assert.deepEqual(afterwards.errors, {});
    assert.ok(afterwards.answered > 0);
    await waitUntilIdle(server.process);
    await server.process.stop();
    const refused = dropCount(server.process, "TCP limit of the peer");
    assert.ok(refused > 5000, `${refused} SYNs over the limit`);
    console.log(
      `${during.answered} answered during the flood, p99 ${
        during.p99Ms.toFixed(1)
      } ms; ${refused} SYNs dropped`,
    );
  },
});

await e2eTest({
  name: "tcp proxy: a SYN flood to an open port leaves nothing",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents, outside, server, clients } = await startTcpProxy(lab, {
      clientCount: 2,
    });
    await outside.call("crowdServe", { ...PLACE, kind: "echo" });
    const before = await holdingsOf(server.process);
    // The client's own system answers each SYN+ACK by a RST.
    const flood = agents[0].call("synFlood", {
      source: clients[0].address,
      ...PLACE,
      count: 3000,
      perSecond: 1500,
    });
    const opened = await agents[1].call("crowdOpen", {
      ...PLACE,
      count: 100,
      together: 4,
    });
    await flood;
    assert.deepEqual(opened, { open: 100, errors: {} });
    const { echoed } = await agents[1].call("crowdEcho", { timeoutMs: 20_000 });
    assert.equal(echoed, 100);
    await agents[1].call("crowdClose", { how: "finish" });
    await waitUntilIdle(server.process);
    const after = await holdingsOf(server.process);
    const more = after.descriptors - before.descriptors;
    assert.ok(more <= SPARE_DESCRIPTORS, `${more} descriptors more`);
    await waitFor(
      "the outside to see them all closed",
      async () => (await outside.call("crowdServed", PLACE)).open === 0,
    );
  },
});
