/** Whole connections through the gateway's relay, over good and bad networks. */
import assert from "node:assert/strict";
import { RelayWorld, Server, SimClient } from "./relay_world.ts";
import type { Weather } from "./world.ts";

const CALM: Weather = {
  loss: 0,
  duplication: 0,
  replay: 0,
  delayMs: 5,
  jitterMs: 0,
};
const BAD: Weather = { ...CALM, loss: 0.05, duplication: 0.05, jitterMs: 60 };
const ALL = Object.values(Server);

const PEERS = [
  { from: "10.8.0.2", to: "192.0.2.7" },
  { from: "10.8.0.3", to: "192.0.2.7" },
  { from: "fd00:8:0:0:0:0:0:4", to: "2001:db8:0:0:0:0:0:7" },
];

function clients(
  world: RelayWorld,
  count: number,
  plan: (n: number) => readonly number[],
): SimClient[] {
  return Array.from({ length: count }, (_, n) => {
    const peer = n % PEERS.length;
    return new SimClient(
      world,
      // Two clients have the same port at once.
      { peer, fromPort: 40_000 + Math.floor(n / PEERS.length), ...PEERS[peer] },
      plan(n),
    );
  });
}

/** Nothing is left anywhere, once all timers are over. */
function assertEmpty(world: RelayWorld): void {
  const { redirects, relay } = world.engine;
  assert.equal(redirects.size, 0, "connections");
  assert.equal(redirects.resting, 0, "resting rows");
  for (let peer = 0; peer < PEERS.length; peer++) {
    assert.equal(redirects.dialingOf(peer), 0);
  }
  assert.equal(world.dials.length, 0, "dials");
  assert.equal(world.kernel.size, 0, "kernel's connections");
  assert.equal(relay.abandoned.length, 0);
  assert.equal(world.clashes, 0, "ends that the kernel still held");
}

Deno.test("over a good network every kind of connection goes as it should", () => {
  const world = new RelayWorld(1);
  world.weather = CALM;
  // What is silent is asked twice: the second SYN finds the first still held.
  const all = clients(world, 12, (n) => [
    ...ALL.map((_, i) => ALL[(n + i) % ALL.length]),
    ...[Server.Silent, Server.Silent, Server.Waits],
  ]);
  world.run(100_000);
  for (const client of all) {
    assert.ok(client.isDone);
    for (const { port, text, outcome } of client.attempts) {
      const outcomes: Record<number, string> = {
        [Server.Refuses]: "reset",
        [Server.Silent]: "timed out",
        [Server.Resets]: "reset",
      };
      assert.equal(outcome, outcomes[port] ?? "ended", `${port}`);
      const isServed = port !== Server.Refuses && port !== Server.Silent;
      assert.equal(text, isServed ? client.expected(port) : "");
    }
  }
  world.run(10 * 60_000);
  assertEmpty(world);
});

for (const seed of [11, 12, 13, 14]) {
  Deno.test(`over a bad network no byte goes astray, and nothing is left: seed ${seed}`, () => {
    const world = new RelayWorld(seed, { redirects: { capacity: 64 } });
    world.weather = BAD;
    const served = ALL.filter((port) => port !== Server.Silent);
    const all = clients(
      world,
      30,
      (n) =>
        Array.from(
          { length: 8 },
          (_, i) => served[(n * 3 + i) % served.length],
        ),
    );
    world.run(200_000);
    let whole = 0;
    for (const client of all) {
      assert.ok(client.isDone);
      for (const { port, text, outcome } of client.attempts) {
        const expected = client.expected(port);
        // Never another connection's; whole wherever it ended in order.
        assert.ok(expected.startsWith(text), `${text}, not ${expected}`);
        if (port === Server.Refuses) assert.equal(outcome, "reset");
        else if (outcome === "ended") {
          assert.equal(text, expected);
          whole++;
        }
      }
    }
    assert.ok(whole > 100, `${whole} whole`);
    world.run(10 * 60_000);
    assertEmpty(world);
  });
}

Deno.test("a port used again at once after every close, hundreds of times", () => {
  const world = new RelayWorld(3, { redirects: { capacity: 256 } });
  world.weather = CALM;
  const plan = Array.from(
    { length: 200 },
    (_, n) => n % 2 === 0 ? Server.ClosesFirst : Server.Waits,
  );
  const all = clients(world, 6, () => plan);
  world.run(200_000);
  for (const client of all) {
    assert.ok(client.isDone);
    for (const { port, text, outcome } of client.attempts) {
      assert.deepEqual([text, outcome], [client.expected(port), "ended"]);
    }
  }
  assert.equal(world.accepted, 6 * 200);
  world.run(5 * 60_000);
  assertEmpty(world);
});

Deno.test("a flood of SYNs of one client does not stop another", () => {
  const world = new RelayWorld(4, { redirects: { capacity: 512 } });
  world.weather = CALM;
  const flood = Array.from({ length: 800 }, (_, n) =>
    new SimClient(world, {
      peer: 0,
      from: PEERS[0].from,
      fromPort: 1024 + n,
      to: PEERS[0].to,
    }, [Server.Silent]));
  const other = new SimClient(
    world,
    { peer: 1, fromPort: 50_000, ...PEERS[1] },
    new Array(20).fill(Server.ClosesFirst),
  );
  world.run(9000);
  assert.equal(world.engine.redirects.dialingOf(0), 256);
  assert.ok(other.isDone);
  assert.ok(other.attempts.every(({ outcome }) => outcome === "ended"));
  assert.ok((world.drops.get("TCP limit of the peer") ?? 0) > 1000);
  world.run(10 * 60_000);
  assert.ok(flood.every(({ isDone }) => isDone));
  assertEmpty(world);
});
