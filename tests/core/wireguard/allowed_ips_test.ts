import assert from "node:assert/strict";
import fc from "fast-check";
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";
import { type Prefix, prefixContains } from "../../../src/core/wire/address.ts";
import { parseAddress, parsePrefix } from "../../../src/core/wire/address.ts";
import { assertNoAllocation } from "./allocation.ts";
import { Random } from "./hex.ts";

function trie(nodes = 1000): AllowedIps {
  const size = AllowedIps.byteLength({ nodes });
  return new AllowedIps(new SharedArrayBuffer(size), { nodes });
}

function prefix(text: string): { words: Uint32Array; length: number } {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  const { family, words, length } = parsed;
  return { words, length: family === 4 ? length + 96 : length };
}

function insert(ips: AllowedIps, text: string, peer: number): void {
  const { words, length } = prefix(text);
  assert.ok(ips.insert(words, length, peer), text);
}

function lookup(ips: AllowedIps, text: string): number {
  const words = parseAddress(text);
  assert.ok(words, text);
  const found = ips.lookup(words, 0);
  assert.equal(ips.lookup(Int32Array.from(words), 0), found, "signed words");
  return found;
}

/** The slow router: a list. */
class Twin {
  entries: { prefix: Prefix; peer: number }[] = [];

  insert(prefix: Prefix, peer: number): void {
    this.#drop(prefix);
    this.entries.push({ prefix, peer });
  }

  remove(peer: number): void {
    this.entries = this.entries.filter((entry) => entry.peer !== peer);
  }

  removePrefix(prefix: Prefix, peer: number): void {
    if (this.entries.find((e) => same(e.prefix, prefix))?.peer === peer) {
      this.#drop(prefix);
    }
  }

  lookup(words: Uint32Array): number {
    let best: { prefix: Prefix; peer: number } | undefined;
    for (const entry of this.entries) {
      if (!prefixContains(entry.prefix, words)) continue;
      if (!best || entry.prefix.length > best.prefix.length) best = entry;
    }
    return best?.peer ?? -1;
  }

  #drop(prefix: Prefix): void {
    this.entries = this.entries.filter((e) => !same(e.prefix, prefix));
  }
}

function same(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.length === b.length &&
    prefixContains(a, b.words);
}

Deno.test("the longest prefix wins, in both families", () => {
  const ips = trie();
  insert(ips, "0.0.0.0/0", 1);
  insert(ips, "10.0.0.0/8", 2);
  insert(ips, "10.1.0.0/16", 3);
  insert(ips, "10.1.2.3/32", 4);
  insert(ips, "10.1.2.2/32", 5);
  insert(ips, "2001:db8::/32", 6);
  insert(ips, "2001:db8:0:1::/64", 7);
  insert(ips, "2001:db8:0:1::5/128", 8);
  const table: [string, number][] = [
    ["1.2.3.4", 1],
    ["255.255.255.255", 1],
    ["10.200.0.1", 2],
    ["10.1.255.255", 3],
    ["10.1.2.3", 4],
    ["10.1.2.2", 5],
    ["10.1.2.1", 3],
    ["2001:db8:ffff::", 6],
    ["2001:db8:0:1::6", 7],
    ["2001:db8:0:1::5", 8],
    ["2001:db9::", -1],
    ["::", -1],
    ["ffff::", -1],
  ];
  for (const [address, peer] of table) {
    assert.equal(lookup(ips, address), peer, address);
  }
  assert.equal(ips.lookup4(0x0a010203), 4);
  assert.equal(ips.lookup4(0x0a010203 | 0), 4);
  assert.equal(ips.size, 8);
});

Deno.test("::/0 covers no IPv4 address and 0.0.0.0/0 no IPv6 address", () => {
  const ips = trie();
  insert(ips, "::/0", 1);
  assert.equal(lookup(ips, "1.2.3.4"), -1);
  assert.equal(lookup(ips, "2001:db8::1"), 1);
  insert(ips, "0.0.0.0/0", 2);
  assert.equal(lookup(ips, "1.2.3.4"), 2);
  assert.equal(lookup(ips, "2001:db8::1"), 1);
});

Deno.test("host bits are ignored, and a prefix moves to its newest peer", () => {
  const ips = trie();
  insert(ips, "10.1.2.3/8", 1);
  assert.equal(lookup(ips, "10.9.9.9"), 1);
  insert(ips, "10.77.0.0/8", 2);
  assert.equal(lookup(ips, "10.9.9.9"), 2);
  assert.equal(ips.prefixesOf(1).length, 0);
  assert.deepEqual(ips.prefixesOf(2), [prefix("10.0.0.0/8")]);
  assert.equal(ips.size, 1);
});

Deno.test("one prefix can be taken from its own peer only", () => {
  const ips = trie();
  insert(ips, "10.0.0.0/8", 1);
  insert(ips, "10.1.0.0/16", 1);
  const { words, length } = prefix("10.1.0.0/16");
  assert.ok(!ips.removePrefix(words, length, 2));
  assert.ok(!ips.removePrefix(words, length + 1, 1));
  assert.ok(!ips.removePrefix(words, length - 1, 1));
  assert.ok(ips.removePrefix(words, length, 1));
  assert.ok(!ips.removePrefix(words, length, 1));
  assert.equal(lookup(ips, "10.1.1.1"), 1);
  assert.deepEqual(ips.prefixesOf(1), [prefix("10.0.0.0/8")]);
});

Deno.test("a full trie refuses and stays right; removing gives room back", () => {
  const nodes = 64;
  const ips = trie(nodes);
  const random = new Random(5);
  for (let round = 0; round < 200; round++) {
    let peer = 0;
    while (ips.insert(Uint32Array.of(0, 0, 0xffff, random.next()), 128, peer)) {
      peer++;
      assert.ok(peer <= nodes);
    }
    assert.ok(peer >= nodes / 2 - 1, `${peer} prefixes fitted`);
    assert.equal(ips.size, peer);
    for (let i = peer; i >= 0; i--) ips.remove(i);
    assert.equal(ips.size, 0);
    assert.equal(ips.lookup4(0), -1);
  }
});

const peerIds = fc.integer({ min: 0, max: 5 });
const smallPrefix: fc.Arbitrary<Prefix> = fc.oneof(
  // Few distinct bits, so that prefixes nest and collide.
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 32 }))
    .map(([bits, length]): Prefix => ({
      family: 4,
      words: Uint32Array.of(0, 0, 0xffff, (bits << 24 | bits) >>> 0),
      length,
    })),
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 128 }))
    .map(([bits, length]): Prefix => ({
      family: 6,
      words: Uint32Array.of((bits << 24) >>> 0, bits, 0, bits),
      length,
    })),
);
const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constant("insert" as const), smallPrefix, peerIds),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant("drop" as const), smallPrefix, peerIds),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constant("remove" as const), smallPrefix, peerIds),
  },
);

Deno.test("any sequence of changes gives what a list gives", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const ips = trie(400);
      const twin = new Twin();
      const probes: Uint32Array[] = [];
      for (const [kind, at, peer] of operations) {
        const length = at.family === 4 ? at.length + 96 : at.length;
        // A short IPv6 prefix of zeros is not one of IPv4.
        if (kind === "insert") {
          assert.ok(ips.insert(at.words, length, peer));
          twin.insert(at, peer);
        } else if (kind === "drop") {
          ips.removePrefix(at.words, length, peer);
          twin.removePrefix(at, peer);
        } else {
          ips.remove(peer);
          twin.remove(peer);
        }
        probes.push(at.words);
        assert.equal(ips.size, twin.entries.length);
      }
      for (const words of probes) {
        for (let bit = 0; bit < 128; bit += 5) {
          const probe = words.slice();
          probe[bit >> 5] ^= 1 << (31 - (bit & 31));
          assert.equal(ips.lookup(probe, 0), twin.lookup(probe));
        }
        assert.equal(ips.lookup(words, 0), twin.lookup(words));
      }
      for (let peer = 0; peer <= 5; peer++) {
        const expected = twin.entries.filter((e) => e.peer === peer).length;
        assert.equal(ips.prefixesOf(peer).length, expected);
      }
    }),
    { numRuns: 300 },
  );
});

/**
 * Address words that run something at the `moment`-th time they are read: a
 * lookup that another thread overtakes, at a chosen point.
 */
function interrupted(
  text: string,
  moment: number,
  run: () => void,
): { words: Uint32Array; reads: () => number } {
  const words = parseAddress(text);
  assert.ok(words);
  let reads = 0;
  const proxy = new Proxy(words, {
    get(target, key) {
      if (typeof key === "string" && reads++ === moment) run();
      return target[key as unknown as number];
    },
  });
  return { words: proxy, reads: () => reads };
}

Deno.test("a lookup that is overtaken gives the answer before or after", () => {
  const build = () => {
    const ips = trie(6);
    insert(ips, "2001:db8::/32", 1);
    insert(ips, "2001:db8:1::/48", 2);
    insert(ips, "2001:db8:1:1::/64", 3);
    insert(ips, "2001:db8:1:1::5/128", 4);
    return ips;
  };
  // Takes nodes out of the way of the lookup and uses them for prefixes that
  // fit the address, too, but belong to others.
  const overtake = (ips: AllowedIps) => {
    for (const peer of [2, 3, 4]) ips.remove(peer);
    insert(ips, "2001:db8:1:1::5/128", 5);
    ips.remove(5);
    insert(ips, "2001:db8:1:1::4/127", 6);
    insert(ips, "2001:db8:1:1::5/128", 7);
    ips.remove(7);
    ips.remove(6);
    insert(ips, "::/0", 8);
    insert(ips, "2001:db8:1:1::6/128", 9);
  };
  let moment = 0;
  for (; moment < 1000; moment++) {
    const ips = build();
    const { words, reads } = interrupted(
      "2001:db8:1:1::5",
      moment,
      () => overtake(ips),
    );
    const found = ips.lookup(words, 0);
    if (reads() <= moment) {
      assert.equal(found, 4, "it was not overtaken");
      break;
    }
    assert.ok(found === 4 || found === 1, `at read ${moment}: peer ${found}`);
  }
  assert.ok(moment > 10);
});

Deno.test("what was found during a change is forgotten after it", () => {
  const size = AllowedIps.byteLength({ nodes: 100 });
  const buffer = new SharedArrayBuffer(size);
  const writer = new AllowedIps(buffer, { nodes: 100 });
  const reader = new AllowedIps(buffer, { nodes: 100 });
  const addresses = ["10.1.2.3", "10.1.2.4", "10.9.9.9", "2001:db8::1", "::"];
  const ask = () => addresses.map((text) => lookup(reader, text));
  assert.deepEqual(ask(), [-1, -1, -1, -1, -1]);

  const changes: (() => unknown)[] = [
    () => insert(writer, "10.0.0.0/8", 1),
    () => insert(writer, "2001:db8::/32", 2),
    () => insert(writer, "10.1.2.3/32", 3),
    () => insert(writer, "10.1.2.0/24", 4),
    () => insert(writer, "10.1.2.3/32", 5),
    () => insert(writer, "::/0", 6),
    () => writer.removePrefix(prefix("10.1.2.3/32").words, 128, 5),
    () => writer.remove(4),
    () => writer.remove(2),
    () => writer.remove(1),
  ];
  const { store, add } = Atomics;
  for (const change of changes) {
    // The reader asks before and after each step by which a change shows.
    Atomics.store = ((cells: Int32Array, i: number, value: number) => {
      ask();
      const stored = store(cells, i, value);
      ask();
      return stored;
    }) as typeof store;
    Atomics.add = ((cells: Int32Array, i: number, value: number) => {
      const before = add(cells, i, value);
      ask();
      return before;
    }) as typeof add;
    try {
      change();
    } finally {
      Atomics.store = store;
      Atomics.add = add;
    }
    const fresh = new AllowedIps(buffer, { nodes: 100 });
    const expected = addresses.map((text) => lookup(fresh, text));
    assert.deepEqual(ask(), expected);
  }
  assert.deepEqual(ask(), [-1, -1, -1, 6, 6]);
});

Deno.test("more addresses than are kept get the right answers", () => {
  const ips = trie(80_000);
  insert(ips, "10.0.0.0/8", 0);
  const words = new Uint32Array([0, 0, 0xffff, 0]);
  for (let n = 0; n < 30_000; n++) {
    words[3] = 0x0a000000 + n * 3;
    assert.ok(ips.insert(words, 128, n + 1));
  }
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 90_000; n++) {
      words[3] = 0x0a000000 + n;
      const expected = n % 3 === 0 ? n / 3 + 1 : 0;
      assert.equal(ips.lookup(words, 0), expected);
    }
  }
});

Deno.test("a reader in another thread never sees a wrong peer", async () => {
  // The writer moves 10.0.0.0/8 between no, one and many longer prefixes; the
  // answer for 10.0.0.1 is peer 1 at every moment.
  const nodes = 256;
  const buffer = new SharedArrayBuffer(AllowedIps.byteLength({ nodes }));
  const ips = new AllowedIps(buffer, { nodes });
  insert(ips, "10.0.0.0/8", 1);
  const control = new Int32Array(new SharedArrayBuffer(8));
  const url = new URL("./allowed_ips_reader.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const result = new Promise<{ wrong: number; lookups: number }>((resolve) => {
    worker.onmessage = (event) => resolve(event.data);
  });
  worker.postMessage({ buffer, nodes, control });
  await Atomics.waitAsync(control, 1, 0).value;
  const random = new Random(9);
  for (let round = 0; round < 3000; round++) {
    for (let i = 0; i < 20; i++) {
      const address = 0x0a800000 + random.below(100) * 65536 + random.below(4);
      ips.insert(Uint32Array.of(0, 0, 0xffff, address), 128, 2);
    }
    ips.remove(2);
  }
  Atomics.store(control, 0, 1);
  const { wrong, lookups } = await result;
  worker.terminate();
  assert.ok(lookups > 0);
  assert.equal(wrong, 0, `${wrong} of ${lookups} lookups were wrong`);
});

Deno.test("lookups allocate nothing", () => {
  const ips = trie();
  insert(ips, "10.0.0.0/8", 1);
  insert(ips, "10.1.0.0/16", 2);
  insert(ips, "2001:db8::/32", 3);
  const words = Int32Array.of(0x20010db8, 0, 0, 1);
  assertNoAllocation((i) => {
    ips.lookup4(0x0a010000 + i);
    ips.lookup(words, 0);
  });
});
