/** What happens at one end of a TCP connection happens at the other, through the gateway's proxy. */
import assert from "node:assert/strict";
import type { Agent } from "../support/agent.ts";
import type { StreamReceived } from "../support/agent/tcp_stream.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { WIREGUARD_NEEDS } from "../support/scenario.ts";
import {
  holdingsOf,
  readFigures,
  startTcpProxy,
  waitUntilIdle,
} from "../support/tcp_proxy.ts";
import { waitFor } from "../support/wait.ts";

const PORT = 9000;
const PATIENCE_MS = 20_000;
const MEGABYTE = 1 << 20;

/** One end of a connection. */
class Stream {
  constructor(readonly agent: Agent, readonly handle: number) {}

  send(text: string): Promise<string> {
    return this.agent.call("streamSend", { handle: this.handle, text });
  }

  /** Sends as much as the other end takes. @returns bytes */
  fill(most: number): Promise<number> {
    const { handle } = this;
    return this.agent.call("streamFill", { handle, most, stallMs: 1000 });
  }

  receive(most?: number): Promise<StreamReceived> {
    const { handle } = this;
    return this.agent.call("streamReceive", {
      handle,
      timeoutMs: PATIENCE_MS,
      most,
    });
  }

  finish(): Promise<void> {
    return this.agent.call("streamFinish", { handle: this.handle });
  }

  reset(): Promise<void> {
    return this.agent.call("streamReset", { handle: this.handle });
  }

  close(): Promise<void> {
    return this.agent.call("streamClose", { handle: this.handle });
  }
}

/** Makes connections from a client to a listener outside. */
class Dials {
  constructor(
    readonly outside: Agent,
    readonly listener: number,
    readonly address: string,
  ) {}

  static async listen(outside: Agent, address: string): Promise<Dials> {
    const place = { address, port: PORT };
    const listener = await outside.call("streamListen", place);
    return new Dials(outside, listener, address);
  }

  /** Both ends of a new connection. */
  async open(
    client: Agent,
    options: { readonly localPort?: number } = {},
  ): Promise<{ readonly near: Stream; readonly far: Stream }> {
    const { address, outside, listener } = this;
    // The port is the client's own until the last FIN is acknowledged.
    const opened = await waitFor("the port to be free", async () => {
      const opened = await client.call("streamOpen", {
        address,
        port: PORT,
        timeoutMs: PATIENCE_MS,
        ...options,
      });
      return opened.outcome !== "AddressNotAvailable" && opened;
    }, { intervalMs: 5 });
    assert.equal(opened.outcome, "connected");
    const timeoutMs = PATIENCE_MS;
    const taken = await outside.call("streamAccept", { listener, timeoutMs });
    assert.ok(taken, "the connection arrives outside");
    return {
      near: new Stream(client, opened.handle),
      far: new Stream(outside, taken.handle),
    };
  }
}

/** What one end hears of the other's text. */
async function hears(from: Stream, to: Stream, text: string): Promise<void> {
  assert.equal(await from.send(text), "sent");
  assert.equal((await to.receive(text.length)).text, text);
}

for (const address of [OUTSIDE.first, OUTSIDE.first6]) {
  const family = address.includes(":") ? "IPv6" : "IPv4";
  await e2eTest({
    name: `tcp proxy: halves close by themselves, both ways, ${family}`,
    needs: WIREGUARD_NEEDS,
    run: async (lab) => {
      const { agents: [agent], outside, server } = await startTcpProxy(lab);
      const dials = await Dials.listen(outside, address);
      for (const first of ["near", "far"] as const) {
        const ends = await dials.open(agent);
        const one = ends[first];
        const other = first === "near" ? ends.far : ends.near;
        await hears(one, other, "a question");
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
      const dials = await Dials.listen(outside, address);
      for (const first of ["near", "far"] as const) {
        const ends = await dials.open(agent);
        const other = first === "near" ? ends.far : ends.near;
        await hears(ends[first], other, "last words");
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
    const dials = await Dials.listen(outside, OUTSIDE.first);
    const { near, far } = await dials.open(agent);
    // What a first use takes for good: compiled code, the workers' arenas.
    for (const [from, to] of [[near, far], [far, near]]) {
      const most = 50 * MEGABYTE;
      await Promise.all([from.fill(most), to.receive(most)]);
    }
    const before = await holdingsOf(server.process);
    const senders: { from: Stream; to: Stream; sent: number }[] = [];
    for (let i = 0; i < 8; i++) {
      const { near, far } = await dials.open(agent);
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
    await hears(far, near, "still here");
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
    const dials = await Dials.listen(outside, OUTSIDE.first);
    // The client closes last or resets: else its own TIME_WAIT is in the way.
    const endings: ((near: Stream, far: Stream) => Promise<unknown>)[] = [
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
      const { near, far } = await dials.open(agent, { localPort: 40_200 });
      await hears(near, far, `to round ${round}`);
      await hears(far, near, `from round ${round}`);
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
    const dials = await Dials.listen(outside, OUTSIDE.first);
    const streams = [];
    for (const agent of agents) {
      streams.push(await dials.open(agent, { localPort: 40_300 }));
    }
    for (const [i, { near, far }] of streams.entries()) {
      await hears(near, far, `to the outside from client ${i}`);
      await hears(far, near, `to client ${i}`);
    }
    // One ends, the other goes on.
    await streams[0].near.reset();
    assert.equal((await streams[0].far.receive()).state, "ConnectionReset");
    await hears(streams[1].near, streams[1].far, "still here");
    await streams[1].near.close();
    await streams[1].far.close();
    await waitUntilIdle(server.process);
  },
});
