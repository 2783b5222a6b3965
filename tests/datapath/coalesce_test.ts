import assert from "node:assert/strict";
import { COALESCE_MAX_ROWS, Coalescer } from "../support/coalescer.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { coalesceTwin, type TwinOptions } from "./twins/coalesce_twin.ts";
import {
  buildPacket,
  concat,
  fold,
  getU16,
  type PacketShape,
  protocolOf,
  pseudoSum,
  readVnet,
  setU16,
  sum,
  transportAt,
  transportSum,
} from "./twins/packets.ts";
import { Random } from "./twins/random.ts";
import { segmentTwin } from "./twins/segment_twin.ts";
import { randomTrain } from "./twins/trains.ts";

const TRAINS = Deno.env.get("SLUICE_LONG") ? 100_000 : 3_000;
const ARENA = 4 << 20;
const GAP = 16;

type BytesBefore = "overwrite" | "copy";

const kernels = instantiateKernels({ arenaBytes: ARENA });
const tableAt = kernels.firstFree;
const packetsAt = tableAt + 8 * COALESCE_MAX_ROWS;
const outAt = packetsAt + (ARENA >> 1);

/** Runs the kernel over a batch; gives the writes. */
function coalesce(
  packets: readonly Uint8Array[],
  options: TwinOptions & { bytesBefore: BytesBefore },
): Uint8Array[] {
  const coalescer = new Coalescer(kernels, {
    ...options,
    tableAt,
    rows: COALESCE_MAX_ROWS,
  });
  let at = packetsAt;
  for (const packet of packets) {
    at += GAP;
    kernels.bytes.set(packet, at);
    assert.ok(coalescer.add(at, packet.length));
    at += packet.length;
  }
  const bytes = packets.reduce(
    (total, packet) => total + packet.length + 10,
    0,
  );
  kernels.bytes.fill(0xa5, outAt, outAt + bytes + 64);
  const count = coalescer.coalesce(outAt, outAt + bytes);
  assert.equal(count, coalescer.count);
  const guard = kernels.bytes.subarray(outAt + bytes, outAt + bytes + 64);
  assert.ok(guard.every((byte) => byte === 0xa5), "wrote behind the output");
  return Array.from({ length: count }, (_, i) => {
    const start = coalescer.offset(i);
    return kernels.bytes.slice(start, start + coalescer.length(i));
  });
}

/** TCP segments of one flow that follow each other. */
function segments(
  count: number,
  size: number,
  shape: Partial<PacketShape> = {},
): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    buildPacket({
      family: 4,
      protocol: "tcp",
      sourcePort: 443,
      destinationPort: 5000,
      sequence: 1000 + i * size,
      identification: i,
      payload: new Uint8Array(size).fill(i + 1),
      ...shape,
    }));
}

const BOTH = { tcp: true, udp: true, bytesBefore: "copy" } as const;

Deno.test("coalesce: ten TCP segments become one super-packet, both families", () => {
  for (const family of [4, 6] as const) {
    const [write, ...rest] = coalesce(segments(10, 1000, { family }), BOTH);
    assert.deepEqual(rest, []);
    const vnet = readVnet(write!), packet = write!.slice(10);
    const at = family === 4 ? 20 : 40;
    assert.deepEqual(vnet, {
      flags: 1,
      gsoType: family === 4 ? 1 : 4,
      headerLength: at + 20,
      gsoSize: 1000,
      checksumStart: at,
      checksumOffset: 16,
    });
    assert.equal(packet.length, at + 20 + 10_000);
    // The checksum field holds the pseudo-header's sum, so that the sum over
    // what follows completes it.
    assert.equal(
      getU16(packet, at + 16),
      fold(pseudoSum(packet, packet.length - at)),
    );
    assert.equal(
      family === 4 ? getU16(packet, 2) : getU16(packet, 4) + 40,
      packet.length,
    );
  }
});

Deno.test("coalesce: UDP datagrams of one size, and a shorter last one", () => {
  const datagram = (size: number) =>
    buildPacket({
      family: 4,
      protocol: "udp",
      sourcePort: 1,
      destinationPort: 2,
      payload: new Uint8Array(size).fill(7),
    });
  const packets = [
    ...Array(70).fill(0).map(() => datagram(200)),
    datagram(100),
    datagram(200),
  ];
  const writes = coalesce(packets, BOTH);
  assert.deepEqual(writes.map((write) => write.length - 10 - 28), [
    64 * 200,
    6 * 200 + 100,
    200,
  ]);
  assert.equal(readVnet(writes[0]!).gsoType, 5);
  const off = coalesce(packets, { ...BOTH, udp: false });
  assert.equal(off.length, packets.length);
});

/** Each changes the third of five segments so that it may not join. */
const ENDS_A_TRAIN: Record<string, Partial<PacketShape>> = {
  "another window": { window: 501 },
  "another acknowledgment": { acknowledgment: 2 },
  "another TTL": { hopLimit: 63 },
  "another type of service": { trafficClass: 3 },
  "no DF": { dontFragment: false },
  "FIN": { flags: 0x11 },
  "CWR": { flags: 0x90 },
  "ECE": { flags: 0x50 },
  "URG": { flags: 0x30 },
  "an IP option": { ipOptions: new Uint8Array(4).fill(1) },
  "a TCP option": { options: new Uint8Array(12).fill(1) },
  "a gap": { sequence: 4000 },
  "a wrong identification": { identification: 9 },
  "a fragment's identification step": { identification: 0 },
};

for (const [name, shape] of Object.entries(ENDS_A_TRAIN)) {
  Deno.test(`coalesce: ${name} ends a train`, () => {
    const packets = segments(5, 100);
    packets[2] = segments(3, 100, shape)[2]!;
    const writes = coalesce(packets, BOTH);
    assert.equal(writes.length, 3, "two, one, two");
    assert.deepEqual(writes[1]!.slice(10), packets[2]);
  });
}

Deno.test("coalesce: PSH ends a train and is kept", () => {
  const packets = segments(5, 100);
  packets[2] = segments(3, 100, { flags: 0x18 })[2]!;
  const writes = coalesce(packets, BOTH);
  assert.deepEqual(writes.map((write) => write.length - 50), [300, 200]);
  assert.deepEqual(writes.map((write) => write[10 + 33]), [0x18, 0x10]);
});

Deno.test("coalesce: a wrong checksum leaves its packet alone and in order", () => {
  for (const wrong of [0, 1, 2, 3, 4]) {
    const packets = segments(5, 100);
    packets[wrong]![60]! ^= 1;
    const writes = coalesce(packets, BOTH);
    const payloads = concat(...writes.map((write) => write.slice(50)));
    assert.deepEqual(
      payloads,
      concat(...packets.map((packet) => packet.slice(40))),
    );
    const bad = writes.find((write) =>
      write.length === 150 && write[60 + 10] === packets[wrong]![60]
    );
    assert.deepEqual(bad!.slice(10), packets[wrong]);
    assert.deepEqual(readVnet(bad!).flags, 0);
  }
});

Deno.test("coalesce: a wrong IPv4 header checksum is not made right", () => {
  const packets = segments(3, 100);
  packets[1]![10]! ^= 1;
  const writes = coalesce(packets, BOTH);
  assert.deepEqual(writes.map((write) => write.slice(10)), packets);
});

Deno.test("coalesce: a super-packet never passes 65,535 bytes", () => {
  const writes = coalesce(segments(100, 1400), BOTH);
  assert.deepEqual(writes.map((write) => (write.length - 50) / 1400), [
    46,
    46,
    8,
  ]);
});

Deno.test("coalesce: what stays alone is not copied where the bytes before are free", () => {
  const coalescer = new Coalescer(kernels, {
    ...{ tcp: true, udp: true, bytesBefore: "overwrite", tableAt, rows: 4 },
  });
  const [packet] = segments(1, 100);
  kernels.bytes.fill(0xff, packetsAt, packetsAt + 16);
  kernels.bytes.set(packet!, packetsAt + 16);
  coalescer.add(packetsAt + 16, packet!.length);
  assert.equal(coalescer.coalesce(outAt, outAt), 1, "needs no output area");
  assert.equal(coalescer.offset(0), packetsAt + 6);
  assert.equal(coalescer.length(0), packet!.length + 10);
  assert.deepEqual(
    kernels.bytes.slice(packetsAt + 6, packetsAt + 16),
    new Uint8Array(10),
  );
});

Deno.test("coalesce: too small an output is the caller's mistake; a full table says so", () => {
  const coalescer = new Coalescer(kernels, { ...BOTH, tableAt, rows: 2 });
  const packets = segments(2, 100);
  packets.forEach((packet, i) => {
    kernels.bytes.set(packet, packetsAt + 16 + i * 200);
    assert.ok(coalescer.add(packetsAt + 16 + i * 200, packet.length));
  });
  assert.equal(coalescer.add(packetsAt, 0), false);
  assert.throws(() => coalescer.coalesce(outAt, outAt + 249), RangeError);
  assert.throws(
    () => new Coalescer(kernels, { ...BOTH, tableAt, rows: 1025 }),
    RangeError,
  );
});

Deno.test(`coalesce: ${TRAINS} seeded trains are what the twin makes of them`, () => {
  let taken = 0, written = 0;
  for (let seed = 1; seed <= TRAINS; seed++) {
    const random = new Random(seed), packets = randomTrain(random);
    const options = { tcp: !random.oneIn(8), udp: !random.oneIn(4) };
    const bytesBefore = random.pick(["overwrite", "copy"] as const);
    const expected = coalesceTwin(packets, options);
    const writes = coalesce(packets, { ...options, bytesBefore });
    assert.equal(writes.length, expected.length, `seed ${seed}`);
    writes.forEach((write, i) =>
      assert.deepEqual(
        write,
        new Uint8Array(expected[i]!),
        `seed ${seed}, write ${i}`,
      )
    );
    taken += packets.length;
    written += writes.length;
  }
  assert.ok(
    written < taken * 0.7,
    `the trains are worth something: ${taken} to ${written}`,
  );
});

Deno.test("coalesce: segmenting the result gives every flow its packets back, in order", () => {
  for (let seed = 1; seed <= TRAINS / 10; seed++) {
    const packets = randomTrain(new Random(seed)).map(trimmed).filter(isWhole);
    const writes = coalesce(packets, BOTH);
    const back = writes.flatMap((write) => segmentTwin(write)!);
    assert.equal(back.length, packets.length);
    assert.deepEqual(byFlow(back), byFlow(packets), `seed ${seed}`);
  }
});

Deno.test("coalesce: a thousand flows, and flows that fall into one hash entry", () => {
  const packets: Uint8Array[] = [];
  for (let round = 0; round < 2; round++) {
    for (let flow = 0; flow < 512; flow++) {
      packets.push(segments(2, 8, { sourcePort: 1 + flow * 128 })[round]!);
    }
  }
  const writes = coalesce(packets, BOTH);
  assert.ok(
    writes.length <= 560,
    `${writes.length} writes of ${packets.length} packets`,
  );
  assert.deepEqual(
    byFlow(writes.flatMap((write) => segmentTwin(write)!)),
    byFlow(packets),
  );
});

/** The packet without padding. */
function trimmed(packet: Uint8Array): Uint8Array {
  const length = packet[0]! >> 4 === 4
    ? getU16(packet, 2)
    : 40 + getU16(packet, 4);
  return packet.slice(0, length);
}

/** A packet that a host would take. */
function isWhole(packet: Uint8Array): boolean {
  const version = packet[0]! >> 4;
  if (
    version === 4
      ? packet.length < 20 || transportAt(packet) < 20
      : packet.length < 40
  ) return false;
  if (
    version === 4
      ? getU16(packet, 2) !== packet.length
      : getU16(packet, 4) + 40 !== packet.length
  ) {
    return false;
  }
  if (version === 4 && (getU16(packet, 6) & 0x3fff) !== 0) return false; // a fragment
  if (version === 4 && fold(sum(packet, 0, transportAt(packet))) !== 0xffff) {
    return false;
  }
  const least = transportAt(packet) + (protocolOf(packet) === 6 ? 20 : 8);
  return [4, 6].includes(version) && [6, 17].includes(protocolOf(packet)) &&
    packet.length >= least && transportSum(packet) === 0xffff;
}

/** The packets of each flow; an identification under DF says nothing (RFC 6864). */
function byFlow(packets: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const original of packets) {
    const packet = original.slice();
    if (packet[0]! >> 4 === 4 && (packet[6]! & 0x40) !== 0) {
      setU16(packet, 4, 0);
      setU16(packet, 10, 0);
    }
    const at = transportAt(packet);
    const addresses = packet[0]! >> 4 === 4
      ? packet.slice(12, 20)
      : packet.slice(8, 40);
    const key = `${protocolOf(packet)} ${addresses} ${
      packet.slice(at, at + 4)
    }`;
    flows.set(key, [...flows.get(key) ?? [], packet.toHex()]);
  }
  return flows;
}
