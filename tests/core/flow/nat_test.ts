import assert from "node:assert/strict";
import {
  MappingState,
  NatTable,
  OpenFailure,
} from "../../../src/core/flow/nat.ts";
import { GATEWAY_DEFAULTS } from "../../../src/core/engine/gateway_config.ts";
import { isExpired } from "../../../src/core/flow/filtering.ts";
import { Mapper, type MapperLimits } from "../../../src/core/flow/mapper.ts";
import { FakeSockets } from "../engine/world.ts";
import { addressWords } from "./packets.ts";

const SIZE = { capacity: 64, peers: 8, remotes: 8 };

function table(size = SIZE): NatTable {
  return new NatTable(new SharedArrayBuffer(NatTable.byteLength(size)), size);
}

function setUp(limits: Partial<MapperLimits> = {}, size = SIZE) {
  const nat = table(size);
  const sockets = new FakeSockets();
  const all = { ...GATEWAY_DEFAULTS, ...limits };
  return { nat, sockets, limits: all, mapper: new Mapper(nat, sockets, all) };
}

/** A generator of numbers that repeats itself for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

Deno.test("the table fits the bytes that it asks for, whatever its size", () => {
  for (const capacity of [1, 2, 3, 63, 64, 1000]) {
    for (const peers of [1, 7]) table({ capacity, peers, remotes: 8 });
  }
});

Deno.test("a row's life: free, open, closing, free; the port stays taken until the end", () => {
  const { nat, mapper, sockets } = setUp();
  const words = addressWords("10.8.0.2");
  const row = mapper.map(17, words, 0, 4000, 1, 0);
  assert.equal(nat.stateOf(row), MappingState.Open);
  assert.equal(nat.lookupExternal(17, 4, 4000), row);
  mapper.removePeer(1);
  assert.equal(nat.stateOf(row), MappingState.Closing);
  assert.equal(nat.lookupOutbound(17, words, 0, 4000), -1);
  assert.equal(nat.lookupExternal(17, 4, 4000), row);
  sockets.closeRetired(nat);
  assert.equal(nat.stateOf(row), MappingState.Free);
  nat.markFree(row);
  nat.reclaim();
  assert.equal(nat.lookupExternal(17, 4, 4000), -1);
  assert.equal(nat.size, 0);
});

Deno.test("a new mapping in an old row has another generation", () => {
  const { nat, mapper, sockets } = setUp({}, { ...SIZE, capacity: 1 });
  const words = addressWords("10.8.0.2");
  const row = mapper.map(17, words, 0, 4000, 1, 0);
  const generation = nat.generation[row];
  mapper.removePeer(1);
  assert.ok(
    mapper.map(17, words, 0, 4001, 1, 0) < 0,
    "closing rows are not used again",
  );
  sockets.closeRetired(nat);
  assert.equal(mapper.map(17, words, 0, 4001, 1, 0), row);
  assert.notEqual(nat.generation[row], generation);
});

Deno.test("rows go round many times through the ring of freed rows", () => {
  const { nat, mapper, sockets } = setUp({}, { ...SIZE, capacity: 3 });
  const words = addressWords("10.8.0.2");
  for (let round = 0; round < 1000; round++) {
    for (let port = 0; port < 1 + round % 3; port++) {
      assert.ok(
        mapper.map(17, words, 0, 2000 + port, 1, round) >= 0,
        `round ${round}`,
      );
    }
    mapper.removePeer(1);
    sockets.closeRetired(nat);
  }
  nat.reclaim();
  assert.equal(nat.size, 0);
  assert.equal(sockets.taken.size, 0);
});

Deno.test("rows that anybody may ask about are in no state at all", () => {
  const nat = table();
  for (const row of [-1, 64, 1 << 30]) {
    assert.equal(nat.stateOf(row), MappingState.Free);
  }
});

/** What the NAT should do, in maps and strings. */
class SlowNat {
  readonly #rows = new Map<
    string,
    { peer: number; external: number; last: number }
  >();
  readonly closing = new Set<string>();
  constructor(readonly limits: MapperLimits) {}

  map(name: string, peer: number, now: number): string | undefined {
    const row = this.#rows.get(name);
    if (row === undefined) return undefined;
    if (row.peer !== peer) {
      this.#rows.delete(name);
      return undefined;
    }
    row.last = now;
    return `${row.external}`;
  }
  opened(name: string, peer: number, external: number, now: number) {
    this.#rows.set(name, { peer, external, last: now });
  }
  removePeer(peer: number) {
    for (const [name, row] of this.#rows) {
      if (row.peer === peer) this.#rows.delete(name);
    }
  }
  countOf(peer: number): number {
    return [...this.#rows.values()].filter((row) => row.peer === peer).length;
  }
  expire(now: number) {
    for (const [name, row] of this.#rows) {
      const limit = name.startsWith("17")
        ? this.limits.udpTimeoutMs
        : this.limits.icmpTimeoutMs;
      if (now - row.last >= limit) this.#rows.delete(name);
    }
  }
  get externals(): string[] {
    return [...this.#rows].map(([name, row]) =>
      `${name.split(" ")[0]} ${row.external}`
    );
  }
  get names(): string[] {
    return [...this.#rows.keys()].toSorted();
  }
}

Deno.test("the table agrees with a slow twin under seeded traffic", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const pick = random(seed);
    const { nat, sockets, limits, mapper } = setUp({
      ...{ maxMappingsPerPeer: 12, portFirst: 2000, portLast: 2040 },
    });
    const slow = new SlowNat(limits);
    const addresses = ["10.8.0.2", "10.8.0.3", "fd00:8:0:0:0:0:0:2"];
    let now = 0;
    for (let step = 0; step < 3000; step++) {
      now += pick(4000);
      const action = pick(100);
      if (action < 90) {
        const peer = pick(4);
        const protocol = pick(2) === 0 ? 17 : 1;
        const address = addresses[pick(3)];
        const port = 1990 + pick(60);
        const name = `${protocol} ${address} ${port}`;
        const row = mapper.map(
          protocol,
          addressWords(address),
          0,
          port,
          peer,
          now,
        );
        const known = slow.map(name, peer, now);
        if (known !== undefined) {
          assert.ok(row >= 0);
          assert.equal(
            `${nat.externalPort[row]}`,
            known,
            `seed ${seed} step ${step}`,
          );
        } else if (row >= 0) {
          assert.ok(slow.countOf(peer) < 12);
          slow.opened(name, peer, nat.externalPort[row], now);
        } else {
          const full = slow.countOf(peer) >= 12 || nat.size === nat.capacity;
          assert.ok(
            full || sockets.taken.size >= 41,
            `seed ${seed} step ${step}`,
          );
        }
      } else if (action < 93) {
        const peer = pick(4);
        mapper.removePeer(peer);
        slow.removePeer(peer);
      } else if (action < 97) {
        // Enough ticks for a whole round.
        mapper.sweep(now);
        slow.expire(now);
      } else {
        sockets.closeRetired(nat);
      }
      const externals = slow.externals;
      assert.equal(new Set(externals).size <= externals.length, true);
    }
    mapper.sweep(now);
    slow.expire(now);
    const names = Array.from({ length: nat.highWater }, (_, row) => row)
      .filter((row) => nat.stateOf(row) === MappingState.Open)
      .map((row) => {
        const words = nat.internal.subarray(row * 4, row * 4 + 4);
        const address = addresses.find((text) =>
          `${addressWords(text)}` === `${words}`
        );
        return `${nat.protocol[row]} ${address} ${nat.internalPort[row]}`;
      }).toSorted();
    assert.deepEqual(names, slow.names, `seed ${seed}`);
  }
});

/** A table full of one peer's mappings, all made at 0. */
function fillTable(capacity: number) {
  const size = { capacity, peers: 2, remotes: 8 };
  const made = setUp({ maxMappingsPerPeer: capacity }, size);
  const words = addressWords("10.8.0.2");
  for (let n = 0; n < capacity; n++) {
    words[3] = n >> 14;
    const row = made.mapper.map(17, words, 0, 2000 + (n & 0x3fff), 1, 0);
    assert.ok(row >= 0);
  }
  return { ...made, idle: made.limits.udpTimeoutMs };
}

Deno.test("a burst of mappings that went idle together ends within seconds, a bounded number a sweep", () => {
  const { nat, mapper, idle } = fillTable(6000);
  mapper.sweep(idle - 1);
  assert.equal(nat.mappingsOf(1), 6000);
  const left = Array.from({ length: 6 }, () => {
    mapper.sweep(idle);
    return nat.mappingsOf(1);
  });
  assert.deepEqual(left, [4976, 3952, 2928, 1904, 880, 0]);
});

Deno.test("a sweep looks at a bounded number of rows, and finds the few that are idle among many", () => {
  const { nat, mapper, idle } = fillTable(40_000);
  const lone = [7, 16_383, 16_384, 39_999];
  nat.lastOutboundAt.fill(idle);
  for (const row of lone) nat.lastOutboundAt[row] = 0;
  nat.lastInboundAt.fill(0);
  const open = () =>
    lone.filter((row) => nat.stateOf(row) === MappingState.Open);
  mapper.sweep(idle);
  assert.deepEqual(open(), [16_384, 39_999]);
  mapper.sweep(idle);
  assert.deepEqual(open(), [39_999]);
  mapper.sweep(idle);
  assert.deepEqual(open(), []);
  assert.equal(nat.mappingsOf(1), 39_996);
});

Deno.test("an unswept idle mapping is expired for whoever asks", () => {
  const { nat, mapper, limits } = setUp();
  const row = mapper.map(17, addressWords("10.8.0.2"), 0, 4000, 1, 0);
  assert.equal(isExpired(nat, row, limits, limits.udpTimeoutMs - 1), false);
  assert.equal(isExpired(nat, row, limits, limits.udpTimeoutMs), true);
});

Deno.test("failures of sockets leave nothing behind", () => {
  for (const failure of Object.values(OpenFailure)) {
    const { nat, mapper, sockets } = setUp();
    sockets.failure = failure;
    for (let n = 0; n < 200; n++) {
      assert.ok(mapper.map(17, addressWords("10.8.0.2"), 0, 4000, 1, 0) < 0);
    }
    assert.equal(nat.size, 0);
    sockets.failure = 0;
    assert.ok(mapper.map(17, addressWords("10.8.0.2"), 0, 4000, 1, 0) >= 0);
  }
});

Deno.test("a shared raw socket, which tells no port, has the identifier that was asked for", () => {
  const nat = table();
  const shared = { open: () => 3, port: () => 0, retire: () => {} };
  const mapper = new Mapper(nat, shared, GATEWAY_DEFAULTS);
  const a = mapper.map(1, addressWords("10.8.0.2"), 0, 77, 0, 0);
  const b = mapper.map(1, addressWords("10.8.0.3"), 0, 77, 1, 0);
  assert.equal(nat.externalPort[a], 77);
  assert.notEqual(nat.externalPort[b], 77);
  assert.equal(nat.lookupExternal(1, 4, nat.externalPort[b]), b);
});
