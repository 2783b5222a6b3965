/** What happens at one end of a TCP connection happens at the other, through the gateway's proxy. */
import assert from "node:assert/strict";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import {
  holdingsOf,
  readFigures,
  startTcpProxy,
  waitUntilIdle,
} from "../support/tcp_proxy.ts";
import { assertHears, type TcpEnd, TcpListener } from "../support/tcp_pair.ts";

const MEGABYTE = 1 << 20;

for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
  const family = address.includes(":") ? "IPv6" : "IPv4";
  await e2eTest({
    name: `tcp proxy: halves close by themselves, both ways, ${family}`,
    needs: WIREGUARD_NEEDS,
    run: async (lab) => {
      const { agents: [agent], outside, server } = await startTcpProxy(lab);
      const listener = await TcpListener.open(outside, address);
      for (const first of ["near", "far"] as const) {
        const ends = await listener.connect(agent);
        const one = ends[first];
        const other = first === "near" ? ends.far : ends.near;
        await assertHears(one, other, "a question");
        await one.finish();
        assert.deepEqual(await other.receive(), {
          text: "",
          bytes: 0,
          state: "finished",
        });
        // The other half goes on, with more than any buffer holds.
        const [sent, received] = await Promise.all([
          other.fill(20 * MEGABYTE).then(async (sent) => {
            await other.finish();
            return sent;
          }),
          one.receive(),
        ]);
        assert.equal(sent, 20 * MEGABYTE);
        assert.equal(received.bytes, sent);
        assert.equal(received.state, "finished");
        await one.close();
        await other.close();
      }
      await waitUntilIdle(server.process);
      await server.process.stop();
      assert.match(server.process.text, /TCP ended: finished 2$/m);
    },
  });
}

await e2eTest({
  name: "tcp proxy: a RST from either end is a RST at the other",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startTcpProxy(lab);
    for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
      const listener = await TcpListener.open(outside, address);
      for (const first of ["near", "far"] as const) {
        const ends = await listener.connect(agent);
        const other = first === "near" ? ends.far : ends.near;
        await assertHears(ends[first], other, "last words");
        await ends[first].reset();
        const { state, bytes } = await other.receive();
        assert.deepEqual([state, bytes], ["ConnectionReset", 0]);
        await other.close();
      }
    }
    await waitUntilIdle(server.process);
    await server.process.stop();
    assert.match(server.process.text, /TCP ended: reset 4$/m);
  },
});

await e2eTest({
  name: "tcp proxy: readers that don't read hold their senders, not memory",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startTcpProxy(lab);
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    const { near, far } = await listener.connect(agent);
    // What a first use takes for good: compiled code, the workers' arenas.
    for (const [from, to] of [[near, far], [far, near]]) {
      const most = 50 * MEGABYTE;
      await Promise.all([from.fill(most), to.receive(most)]);
    }
    const before = await holdingsOf(server.process);
    const senders: { from: TcpEnd; to: TcpEnd; sent: number }[] = [];
    for (let i = 0; i < 8; i++) {
      const { near, far } = await listener.connect(agent);
      const [from, to] = i % 2 === 0 ? [near, far] : [far, near];
      const sent = await from.fill(500 * MEGABYTE);
      assert.ok(sent < 100 * MEGABYTE, `back-pressure after ${sent} bytes`);
      senders.push({ from, to, sent });
    }
    const held = senders.reduce((sum, { sent }) => sum + sent, 0) / MEGABYTE;
    const full = await holdingsOf(server.process);
    const grown = full.residentMegabytes - before.residentMegabytes;
    console.log(
      `${
        held.toFixed(1)
      } MB on the way in 8 connections; the gateway's memory ` +
        `went from ${before.residentMegabytes.toFixed(1)} MB by ${
          grown.toFixed(1)
        } MB`,
    );
    assert.ok(grown < 8, `${grown} MB more`);
    // Nothing of it is lost, and others were never kept from going on.
    await assertHears(far, near, "still here");
    for (const { from, to, sent } of senders) {
      const [received] = await Promise.all([to.receive(), from.finish()]);
      assert.deepEqual([received.bytes, received.state], [sent, "finished"]);
      await Promise.all([to.close(), from.close()]);
    }
    await Promise.all([near.close(), far.close()]);
    await waitUntilIdle(server.process);
  },
});

await e2eTest({
  name: "tcp proxy: a port is used again at once, however its connection ended",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], outside, server } = await startTcpProxy(lab);
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    // The client closes last or resets: else its own TIME_WAIT is in the way.
    const endings: ((near: TcpEnd, far: TcpEnd) => Promise<unknown>)[] = [
      async (near, far) => {
        await far.close();
        assert.equal((await near.receive()).state, "finished");
        await near.close();
      },
      async (near, far) => {
        await near.reset();
        assert.equal((await far.receive()).state, "ConnectionReset");
        await far.close();
      },
      async (near, far) => {
        await far.reset();
        assert.equal((await near.receive()).state, "ConnectionReset");
        await near.close();
      },
    ];
    for (let round = 0; round < 30; round++) {
      const { near, far } = await listener.connect(agent, {
        localPort: 40_200,
      });
      await assertHears(near, far, `to round ${round}`);
      await assertHears(far, near, `from round ${round}`);
      await endings[round % endings.length](near, far);
    }
    await waitUntilIdle(server.process);
    await server.process.stop();
    assert.equal(readFigures(server.process).opened, 30);
  },
});

await e2eTest({
  name:
    "tcp proxy: two clients with the same port and destination, each its own",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents, outside, server } = await startTcpProxy(lab, {
      clientCount: 2,
    });
    const listener = await TcpListener.open(outside, OUTSIDE.first);
    const streams = [];
    for (const agent of agents) {
      streams.push(await listener.connect(agent, { localPort: 40_300 }));
    }
    for (const [i, { near, far }] of streams.entries()) {
      await assertHears(near, far, `to the outside from client ${i}`);
      await assertHears(far, near, `to client ${i}`);
    }
    // One ends, the other goes on.
    await streams[0].near.reset();
    assert.equal((await streams[0].far.receive()).state, "ConnectionReset");
    await assertHears(streams[1].near, streams[1].far, "still here");
    await streams[1].near.close();
    await streams[1].far.close();
    await waitUntilIdle(server.process);
  },
});
