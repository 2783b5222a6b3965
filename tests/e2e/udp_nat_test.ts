/** UDP through the gateway's NAT, probed as a STUN test does (RFC 4787, RFC 5780). */
import assert from "node:assert/strict";
import type { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { GATEWAY_OUTSIDE, OUTSIDE } from "../support/gateway_net.ts";
import {
  startConnectedScenario,
  WIREGUARD_NEEDS,
} from "../support/scenario.ts";
import { dropCount } from "../support/sluice.ts";

const PORTS = [3478, 3479] as const;

/** A socket of an agent. */
class Socket {
  private constructor(
    readonly agent: Agent,
    readonly handle: number,
    readonly port: number,
  ) {}

  static async open(
    agent: Agent,
    options: { readonly address?: string; readonly port?: number } = {},
  ): Promise<Socket> {
    const { handle, port } = await agent.call("udpOpen", options);
    return new Socket(agent, handle, port);
  }

  send(address: string, port: number, text: string): Promise<number> {
    return this.agent.call("udpSend", {
      handle: this.handle,
      address,
      port,
      text,
    });
  }

  /** Text and sender of the next datagram; undefined where none comes. */
  async next(timeoutMs = 3000): Promise<string | undefined> {
    const got = await this.agent.call("udpReceive", {
      handle: this.handle,
      timeoutMs,
    });
    return got ? `${got.text} from ${got.address}:${got.port}` : undefined;
  }
}

/** The two outside addresses with two ports each, as a STUN server has them. */
async function openOutside(outside: Agent) {
  const [near, samePlace, farPlace] = await Promise.all([
    Socket.open(outside, { address: OUTSIDE.first, port: PORTS[0] }),
    Socket.open(outside, { address: OUTSIDE.first, port: PORTS[1] }),
    Socket.open(outside, { address: OUTSIDE.second, port: PORTS[0] }),
  ]);
  return { near, samePlace, farPlace };
}

await e2eTest({
  name: "udp: echo from outside, small, 1,400 bytes, and empty",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent] } = await startConnectedScenario(lab);
    for (const size of [1, 200, 1392, 1400]) {
      const { times } = await agent.call("udpEchoTimes", {
        address: OUTSIDE.first,
        port: 7,
        size,
        count: 20,
        timeoutMs: 2000,
      });
      assert.equal(times.length, 20, `${size} bytes`);
    }
    const empty = await Socket.open(agent);
    await empty.send(OUTSIDE.first, 7, "");
    assert.equal(await empty.next(), ` from ${OUTSIDE.first}:7`);
  },
});

await e2eTest({
  name:
    "udp: mapping is endpoint-independent, the port is kept, its parity too",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents, outside } = await startConnectedScenario(lab, {
      clientCount: 2,
    });
    const { near, samePlace, farPlace } = await openOutside(outside);
    const mapped: string[][] = [];
    for (const agent of agents) {
      const inside = await Socket.open(agent, { port: 40_001 });
      const seen: string[] = [];
      for (const place of [near, samePlace, farPlace]) {
        const address = place === farPlace ? OUTSIDE.second : OUTSIDE.first;
        await inside.send(address, place.port, "probe");
        seen.push((await place.next())!);
      }
      assert.equal(new Set(seen).size, 1, `one mapping for all: ${seen}`);
      mapped.push(seen);
    }
    const ports = mapped.map(([seen]) => {
      assert.ok(seen.startsWith(`probe from ${GATEWAY_OUTSIDE}:`), seen);
      return Number(seen.split(":")[1]);
    });
    assert.equal(ports[0], 40_001, "the port itself, where it is free");
    assert.notEqual(ports[1], ports[0], "no port for two");
    assert.equal(ports[1] % 2, 1, "its parity");
    assert.ok(ports[1] >= 1024, "its class");
  },
});

const FILTERING = [
  { filtering: "endpoint-independent", samePlace: true, farPlace: true },
  { filtering: "address-dependent", samePlace: true, farPlace: false },
  {
    filtering: "address-and-port-dependent",
    samePlace: false,
    farPlace: false,
  },
] as const;

for (const expected of FILTERING) {
  await e2eTest({
    name: `udp: filtering ${expected.filtering}`,
    needs: WIREGUARD_NEEDS,
    run: async (lab) => {
      const { agents: [agent], outside, server } = await startConnectedScenario(
        lab,
        { config: { forward: { udp: { filtering: expected.filtering } } } },
      );
      const { near, samePlace, farPlace } = await openOutside(outside);
      const inside = await Socket.open(agent, { port: 40_002 });
      await inside.send(OUTSIDE.first, near.port, "open");
      const [, mappedPort] = (await near.next())!.split(":");
      const answer = async (from: Socket, address: string) => {
        await from.send(GATEWAY_OUTSIDE, Number(mappedPort), "answer");
        const got = await inside.next(from === near ? 3000 : 700);
        if (got === undefined) return false;
        assert.equal(got, `answer from ${address}:${from.port}`);
        return true;
      };
      assert.equal(await answer(near, OUTSIDE.first), true);
      assert.equal(await answer(samePlace, OUTSIDE.first), expected.samePlace);
      assert.equal(await answer(farPlace, OUTSIDE.second), expected.farPlace);
      await server.process.stop();
      const filtered = [expected.samePlace, expected.farPlace]
        .filter((passed) => !passed).length;
      assert.equal(dropCount(server.process, "filtered by mapping"), filtered);
    },
  });
}

await e2eTest({
  name: "udp: hairpin, with the outside address and port of both",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents, outside } = await startConnectedScenario(lab, {
      clientCount: 2,
    });
    const { near } = await openOutside(outside);
    const [one, two] = await Promise.all([
      Socket.open(agents[0], { port: 41_000 }),
      Socket.open(agents[1], { port: 42_000 }),
    ]);
    for (const socket of [one, two]) {
      await socket.send(OUTSIDE.first, near.port, "open");
      assert.equal(
        await near.next(),
        `open from ${GATEWAY_OUTSIDE}:${socket.port}`,
      );
    }
    await two.send(GATEWAY_OUTSIDE, one.port, "over the hairpin");
    assert.equal(
      await one.next(),
      `over the hairpin from ${GATEWAY_OUTSIDE}:${two.port}`,
    );
    await one.send(GATEWAY_OUTSIDE, two.port, "and back");
    assert.equal(
      await two.next(),
      `and back from ${GATEWAY_OUTSIDE}:${one.port}`,
    );
  },
});

await e2eTest({
  name: "udp: a used-up port range is an ICMP 3/13 and a counted drop",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], server } = await startConnectedScenario(lab, {
      config: { forward: { udp: { ports: "50000-50003" } } },
    });
    const sockets = await Promise.all(
      [0, 1, 2, 3].map((i) => Socket.open(agent, { port: 43_000 + i })),
    );
    for (const socket of sockets) {
      await socket.send(OUTSIDE.first, 7, "mine");
      assert.equal(await socket.next(), `mine from ${OUTSIDE.first}:7`);
    }
    const error = await agent.call("udpError", {
      address: OUTSIDE.first,
      port: 7,
    });
    assert.deepEqual(error && [error.type, error.code], [3, 13]);
    // Those that have a mapping keep it.
    await sockets[0].send(OUTSIDE.first, 7, "still");
    assert.equal(await sockets[0].next(), `still from ${OUTSIDE.first}:7`);
    await server.process.stop();
    assert.equal(dropCount(server.process, "no free port"), 1);
  },
});

await e2eTest({
  name: "udp: policy drop lets nothing out and counts it",
  needs: WIREGUARD_NEEDS,
  run: async (lab) => {
    const { agents: [agent], server } = await startConnectedScenario(lab, {
      config: { forward: { udp: { policy: "drop" } } },
    });
    const { times } = await agent.call("udpEchoTimes", {
      address: OUTSIDE.first,
      port: 7,
      size: 10,
      count: 3,
      timeoutMs: 300,
    });
    assert.equal(times.length, 0);
    await server.process.stop();
    assert.equal(dropCount(server.process, "UDP dropped by policy"), 3);
  },
});
