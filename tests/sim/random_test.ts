/**
 * A thousand seeded lives of two peers: loss, reordering, duplication, replay,
 * clock steps, roaming and restarts, all at random. Whatever happened, once the
 * network is well again both directions work; and at no time is a packet
 * accepted twice (the pair asserts that) or a nonce used twice (the end does).
 */
import assert from "node:assert/strict";
import { Pair } from "./pair.ts";
import { CALM } from "./world.ts";

const RUNS = 1000;
const SECOND = 1000;
/** Time for everything to be repaired: unanswered data, then attempts. */
const HEALING_MS = 60 * SECOND;

interface Tally {
  sent: number;
  arrived: number;
  handshakes: number;
  restarts: number;
}

/** One life. @throws AssertionError where the pair does not come together. */
function live(seed: number, tally: Tally): void {
  const pair = new Pair(seed, {
    keepaliveMs: seed % 5 === 0 ? [25 * SECOND, 0] : undefined,
  });
  const { world } = pair;
  const { random } = world;
  // Who forgets what it has sent and received must at least keep its clock.
  const remembers = random.chance(0.7);
  const end = world.now + (100 + random.below(300)) * SECOND;
  while (world.now < end) {
    if (random.chance(0.1)) {
      world.weather = {
        loss: random.chance(0.1) ? 1 : random.unit() * 0.5,
        duplication: random.unit() * 0.3,
        replay: random.unit() * 0.2,
        delayMs: random.below(300),
        jitterMs: random.chance(0.5) ? 0 : random.below(2000),
      };
    }
    const side = random.below(2);
    // Two that move at once, unheard, can never find each other again.
    if (random.chance(0.02)) pair.roam(seed & 1);
    if (random.chance(0.02)) {
      tally.restarts++;
      pair.restart(side, { remembers });
    }
    if (remembers && random.chance(0.02)) {
      const days = random.below(5) - 2;
      world.hosts[side].wallOffset += days * 86_400 * SECOND;
    }
    const burst = random.chance(0.7) ? random.below(3) : 0;
    for (let i = 0; i < burst; i++) {
      pair.send(random.below(2));
      tally.sent++;
    }
    pair.run(random.below(random.chance(0.1) ? 40_000 : 4000));
  }

  world.weather = CALM;
  for (let healing = 0; healing < HEALING_MS; healing += 2 * SECOND) {
    pair.send(0);
    pair.send(1);
    pair.run(2 * SECOND);
  }
  for (let i = 0; i < 3; i++) {
    const numbers = [pair.send(0), pair.send(1)];
    pair.run(SECOND);
    for (const side of [0, 1]) {
      const arrived = pair.hasArrived(side, numbers[side]);
      assert.ok(arrived, `seed ${seed}: side ${side} is not heard`);
    }
  }
  for (const side of [0, 1]) {
    const { sessions, device } = pair.end(side);
    const inUse = sessions.capacity - sessions.freeCount;
    assert.ok(inUse <= 4, `seed ${seed}: ${inUse} sessions`);
    assert.equal(device.staged.waiting, 0);
    tally.arrived += pair.arrived[side].size;
    tally.handshakes += pair.end(side).handshakes.length;
  }
}

Deno.test(`${RUNS} random lives end well`, () => {
  const tally = { sent: 0, arrived: 0, handshakes: 0, restarts: 0 };
  for (let seed = 1; seed <= RUNS; seed++) live(seed, tally);
  // The lives were lively enough to mean something.
  assert.ok(tally.sent > 20 * RUNS, JSON.stringify(tally));
  assert.ok(tally.handshakes > 4 * RUNS, JSON.stringify(tally));
  assert.ok(tally.restarts > RUNS, JSON.stringify(tally));
});

Deno.test("the same seed gives the same life", () => {
  const record = () => {
    const events: string[] = [];
    const pair = new Pair(77);
    pair.world.weather = { ...CALM, loss: 0.3, jitterMs: 500, replay: 0.2 };
    pair.world.tap = (bytes, from, to) => {
      events.push(`${pair.world.now} ${from} ${to} ${bytes.join()}`);
    };
    for (let i = 0; i < 50; i++) {
      pair.send(i & 1);
      pair.run(3 * SECOND);
    }
    return events;
  };
  assert.deepEqual(record(), record());
});
