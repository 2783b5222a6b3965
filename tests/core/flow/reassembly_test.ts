import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import {
  Reassembly,
  REASSEMBLY_TIMEOUT_MS,
} from "../../../src/core/flow/reassembly.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import {
  fragment,
  fragmentsOf,
  ipPacket,
  pattern,
  udpBytes,
} from "./packets.ts";

const ADDRESSES = { from: "10.8.0.2", to: "192.0.2.7", id: 0x1234 };
const ADDRESSES6 = {
  from: "fd00:8:0:0:0:0:0:2",
  to: "2001:db8:0:0:0:0:0:7",
  id: 0x89abcdef,
};
const PORTS = { fromPort: 4000, toPort: 53 };

class Bench {
  readonly reassembly = new Reassembly({ slots: 4, slotsPerPeer: 2 });
  readonly view = new PacketView();

  /** Adds a fragment. @returns the whole packet, or the reason. */
  add(packet: Uint8Array, peer = 0, now = 0): Uint8Array | DropReason {
    assert.equal(
      parsePacket(packet, 0, packet.length, this.view),
      DropReason.None,
    );
    const reason = this.reassembly.add(packet, this.view, peer, now);
    if (this.reassembly.completed < 0) return reason;
    const slot = this.reassembly.completed;
    const whole = new Uint8Array(this.reassembly.lengthOf(slot));
    this.reassembly.takeOut(slot, whole, 0);
    return whole;
  }

  /** The reason alone: a whole packet would make a difference of 64 KiB to print. */
  reasonFor(packet: Uint8Array): DropReason | "whole" {
    const result = this.add(packet);
    return result instanceof Uint8Array ? "whole" : result;
  }

  addAll(
    packets: readonly Uint8Array[],
    peer = 0,
  ): (Uint8Array | DropReason)[] {
    return packets.map((packet) => this.add(packet, peer));
  }
}

for (const addresses of [ADDRESSES, ADDRESSES6]) {
  const family = addresses.from.includes(":") ? "IPv6" : "IPv4";
  const data = udpBytes({ ...addresses, ...PORTS }, pattern(3000));
  const whole = ipPacket(17, data, { ...addresses });
  const cut = () => fragmentsOf(17, data, [800, 1600, 2400], addresses);

  Deno.test(`${family}: fragments in any order give the packet back`, () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
        (order) => {
          const results = new Bench().addAll(order.map((n) => cut()[n]));
          assert.deepEqual(results.slice(0, 3), [0, 0, 0]);
          assert.deepEqual(results[3], whole);
        },
      ),
      { numRuns: 24, seed: 1 },
    );
  });

  Deno.test(`${family}: any cuts, any order, duplicates among them`, () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 375 }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        cuts,
        fc.integer({ min: 0, max: 1 << 30 }),
        (blocks, salt) => {
          const at = blocks.map((block) => block * 8).toSorted((a, b) => a - b);
          const parts = fragmentsOf(17, data, at, addresses);
          const order = parts.map((part, n) => ({
            part,
            key: Math.imul(n + 1, salt | 1) >>> 0,
          }))
            .toSorted((a, b) => a.key - b.key).map(({ part }) => part);
          const bench = new Bench();
          let found: Uint8Array | undefined;
          order.forEach((part, n) => {
            const last = n === order.length - 1;
            const result = bench.add(part);
            if (result instanceof Uint8Array) found = result;
            else if (!last) {
              assert.equal(bench.add(part), DropReason.None, "a duplicate");
            }
          });
          assert.deepEqual(found, whole);
          assert.equal(bench.reassembly.size, 0);
        },
      ),
      { numRuns: 200, seed: 2 },
    );
  });

  Deno.test(`${family}: an overlap ends the whole datagram, its later parts too`, () => {
    const bench = new Bench();
    const [first, second, third, last] = cut();
    assert.equal(bench.add(first), DropReason.None);
    const overlap = fragment(17, data.slice(792, 1600), 792, true, addresses);
    assert.equal(bench.add(overlap), DropReason.FragmentOverlap);
    for (const part of [second, third, last, first]) {
      assert.equal(bench.add(part), DropReason.FragmentOverlap);
    }
  });

  Deno.test(`${family}: the same place with other bytes is an overlap`, () => {
    const bench = new Bench();
    const [first, second] = cut();
    bench.add(first);
    assert.equal(bench.add(second), DropReason.None);
    const forged = second.slice();
    forged[forged.length - 1] ^= 1;
    assert.equal(bench.add(forged), DropReason.FragmentOverlap);
  });

  Deno.test(`${family}: two different ends, and data behind the end, are overlaps`, () => {
    const end = (at: number) =>
      fragment(17, data.slice(at, at + 8), at, false, addresses);
    const middle = (at: number) =>
      fragment(17, data.slice(at, at + 8), at, true, addresses);
    const run = (...parts: Uint8Array[]) => new Bench().addAll(parts).at(-1);
    assert.equal(run(end(80), end(160)), DropReason.FragmentOverlap);
    assert.equal(run(end(80), middle(160)), DropReason.FragmentOverlap);
    assert.equal(run(middle(160), end(80)), DropReason.FragmentOverlap);
    assert.equal(run(end(80), middle(80)), DropReason.FragmentOverlap);
  });

  Deno.test(`${family}: two datagrams, peers and times do not mix`, () => {
    const bench = new Bench();
    const [first, ...rest] = cut();
    bench.add(first, 0);
    bench.addAll(rest.slice(0, 2), 1);
    assert.equal(
      bench.add(rest[2], 1),
      DropReason.None,
      "the other peer's first part is missing",
    );
    assert.equal(bench.reassembly.size, 2);
  });

  Deno.test(`${family}: what is incomplete after 30 s is given up and counted once`, () => {
    const bench = new Bench();
    const [first, second, third, last] = cut();
    bench.addAll([first, second]);
    assert.equal(bench.reassembly.expire(REASSEMBLY_TIMEOUT_MS - 1), 0);
    assert.equal(bench.reassembly.expire(REASSEMBLY_TIMEOUT_MS), 1);
    assert.equal(bench.reassembly.expire(REASSEMBLY_TIMEOUT_MS), 0);
    assert.equal(bench.reassembly.size, 0);
    bench.add(third, 0, REASSEMBLY_TIMEOUT_MS);
    assert.equal(bench.add(last, 0, REASSEMBLY_TIMEOUT_MS), DropReason.None);
  });
}

Deno.test("a peer over its share gives up its oldest; others keep theirs", () => {
  const bench = new Bench();
  const part = (id: number) =>
    fragment(17, pattern(8), 8, true, { ...ADDRESSES, id });
  assert.equal(bench.add(part(1), 0, 0), DropReason.None);
  assert.equal(bench.add(part(1), 1, 0), DropReason.None);
  for (let id = 2; id < 1000; id++) {
    assert.equal(bench.add(part(id), 0, id), DropReason.None);
  }
  assert.equal(bench.reassembly.size, 3);
  assert.equal(bench.reassembly.expire(1000), 997);
});

Deno.test("all slots in use by others: the fragment is dropped", () => {
  const bench = new Bench();
  const part = (id: number) =>
    fragment(17, pattern(8), 8, true, { ...ADDRESSES, id });
  for (let id = 0; id < 4; id++) bench.add(part(id), id >> 1);
  assert.equal(bench.add(part(9), 2), DropReason.FragmentTableFull);
});

Deno.test("the largest datagram passes, one that ends behind 65,535 does not", () => {
  const bench = new Bench();
  const data = udpBytes({ ...ADDRESSES, ...PORTS }, pattern(65_507));
  const cuts = Array.from({ length: 43 }, (_, n) => (n + 1) * 1480);
  const results = bench.addAll(fragmentsOf(17, data, cuts, ADDRESSES));
  const whole = results.at(-1);
  assert.ok(whole instanceof Uint8Array);
  assert.ok(Buffer.from(whole).equals(ipPacket(17, data, ADDRESSES)));
  const beyond = fragment(17, pattern(32), 65_496, false, ADDRESSES);
  const view = new PacketView();
  const parsed = parsePacket(beyond, 0, beyond.length, view);
  const reason = parsed || bench.reassembly.add(beyond, view, 0, 0);
  assert.equal(reason, DropReason.BadTotalLength);
});

Deno.test("options of the first fragment can't push the packet past 65,535", () => {
  const bench = new Bench();
  const payload = pattern(65_515);
  const end = fragment(17, payload.slice(1480), 1480, false, ADDRESSES);
  const first = ipPacket(17, udpHead(payload.slice(0, 1480)), {
    ...ADDRESSES,
    moreFragments: true,
    options: new Array(40).fill(1),
  });
  assert.equal(bench.add(end), DropReason.None);
  assert.equal(bench.reasonFor(first), DropReason.BadTotalLength);
  assert.equal(bench.reassembly.size, 0);
});

Deno.test("IPv6: headers before the fragment header are kept", () => {
  const bench = new Bench();
  const data = udpBytes({ ...ADDRESSES6, ...PORTS }, pattern(100));
  const destinationOptions = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
  const part = (start: number, end: number, more: number) => {
    const field = start | more;
    return ipPacket(17, data.slice(start, end), {
      ...ADDRESSES6,
      options: [
        ...destinationOptions(44),
        17,
        0,
        field >> 8,
        field & 255,
        0,
        0,
        0,
        7,
      ],
      firstHeader: 60,
    });
  };
  bench.add(part(40, 108, 0));
  const expected = ipPacket(17, data, {
    ...ADDRESSES6,
    options: destinationOptions(17),
    firstHeader: 60,
  });
  assert.deepEqual(bench.add(part(0, 40, 1)), expected);
});

/** Makes the UDP header of a first fragment claim a length that parsers accept. */
function udpHead(bytes: number[]): number[] {
  return [...bytes.slice(0, 4), 0xff, 0xe0, ...bytes.slice(6)];
}
