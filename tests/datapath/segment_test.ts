import assert from "node:assert/strict";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { SEGMENT_ROW_BYTES, Segmenter } from "../support/segmenter.ts";
import {
  buildPacket,
  concat,
  fold,
  getU16,
  getU32,
  type PacketShape,
  PLAIN_VNET,
  pseudoSum,
  setU16,
  transportAt,
  transportSum,
  type Vnet,
  writeVnet,
} from "./twins/packets.ts";
import { Random } from "./twins/random.ts";
import { segmentTwin } from "./twins/segment_twin.ts";

const CASES = Deno.env.get("SLUICE_LONG") ? 100_000 : 3_000;
const ARENA = 2 << 20;
const ROWS = 2048;
const HEADROOM = 16, TAILROOM = 16;

const kernels = instantiateKernels({ arenaBytes: ARENA });
const tableAt = kernels.firstFree;
const sourceAt = tableAt + ROWS * SEGMENT_ROW_BYTES;
const outAt = sourceAt + 70_000;
const outEnd = kernels.bytes.length;

function segmenter(padLimit = 0, rows = ROWS): Segmenter {
  return new Segmenter(kernels, {
    headroom: HEADROOM,
    tailroom: TAILROOM,
    padLimit,
    tableAt,
    rows,
  });
}

/** The kernel's packets for a source, undefined where it calls it malformed. */
function segment(source: Uint8Array, padLimit = 0): Uint8Array[] | undefined {
  kernels.bytes.set(source, sourceAt);
  const result = segmenter(padLimit);
  const count = result.segment(sourceAt, source.length, outAt, outEnd);
  assert.ok(count >= 0);
  return count === 0 ? undefined : Array.from({ length: count }, (_, i) => {
    const at = result.offset(i);
    return kernels.bytes.slice(at, at + result.length(i));
  });
}

/** A super-packet as the kernel gives it: the checksum field holds the pseudo-header's sum. */
function superPacket(
  shape: PacketShape,
  gsoSize: number,
  change: Partial<Vnet> = {},
): Uint8Array {
  const packet = buildPacket(shape),
    at = transportAt(packet),
    tcp = shape.protocol === "tcp";
  const checksumOffset = tcp ? 16 : 6;
  setU16(
    packet,
    at + checksumOffset,
    fold(pseudoSum(packet, packet.length - at)),
  );
  const vnet = writeVnet({
    flags: 1,
    gsoType: !tcp ? 5 : shape.family === 4 ? 1 : 4,
    headerLength: packet.length - shape.payload.length,
    gsoSize,
    checksumStart: at,
    checksumOffset,
    ...change,
  });
  return concat(vnet, packet);
}

function shape(
  family: 4 | 6,
  protocol: "tcp" | "udp",
  payload: number,
): PacketShape {
  return {
    ...{
      family,
      protocol,
      sourcePort: 443,
      destinationPort: 40000,
      sequence: 0xffff_ff00,
    },
    ...{
      identification: 0xfffe,
      flags: 0x99,
      options: protocol === "tcp" ? new Uint8Array(12) : undefined,
    },
    payload: Uint8Array.from({ length: payload }, (_, i) => i * 7),
  };
}

for (const family of [4, 6] as const) {
  for (const protocol of ["tcp", "udp"] as const) {
    Deno.test(`segment: a ${protocol} super-packet over IPv${family}`, () => {
      const source = superPacket(shape(family, protocol, 3500), 1000);
      const packets = segment(source)!;
      assert.equal(packets.length, 4);
      packets.forEach((packet, i) => {
        const at = transportAt(packet);
        assert.equal(transportSum(packet), 0xffff, "checksum is complete");
        if (family === 4) {
          assert.equal(getU16(packet, 2), packet.length);
          assert.equal(getU16(packet, 4), (0xfffe + i) & 0xffff);
        } else {
          assert.equal(getU16(packet, 4), packet.length - 40);
        }
        if (protocol === "udp") {
          assert.equal(getU16(packet, at + 4), packet.length - at);
        } else {
          assert.equal(
            getU32(packet, at + 4),
            (0xffff_ff00 + i * 1000) % 0x1_0000_0000,
          );
          // CWR on the first only, PSH and FIN on the last only, ACK on all.
          assert.equal(packet[at + 13], [0x90, 0x10, 0x10, 0x19][i]);
        }
      });
      assert.deepEqual(
        packets,
        segmentTwin(source)!.map((packet) => new Uint8Array(packet)),
      );
    });
  }
}

Deno.test("segment: messages lie back to back, padded with zeros but not past the limit", () => {
  for (const padLimit of [0, 1059, 1060, 1061, 1064, 1500]) {
    kernels.bytes.set(superPacket(shape(4, "tcp", 3500), 1000), sourceAt);
    kernels.bytes.fill(0xa5, outAt, outAt + 8000);
    const result = segmenter(padLimit);
    assert.equal(result.segment(sourceAt, 10 + 52 + 3500, outAt, outEnd), 4);
    let at = outAt;
    for (let i = 0; i < 4; i++) {
      const length = result.length(i), full = Math.ceil(length / 16) * 16;
      const padded = full <= padLimit ? full : Math.max(length, padLimit);
      assert.equal(result.offset(i), at + HEADROOM);
      const padding = kernels.bytes.subarray(
        result.offset(i) + length,
        result.offset(i) + padded,
      );
      assert.ok(padding.every((byte) => byte === 0));
      const tail = kernels.bytes.subarray(
        result.offset(i) + padded,
        result.offset(i) + padded + TAILROOM,
      );
      assert.ok(
        tail.every((byte) => byte === 0xa5),
        "the tag's room is untouched",
      );
      at = result.offset(i) + padded + TAILROOM;
    }
    assert.equal(result.nextAt, at);
  }
});

Deno.test("segment: a plain packet passes as it is, or gets its checksum", () => {
  const packet = buildPacket(shape(4, "udp", 99));
  assert.deepEqual(segment(concat(writeVnet(PLAIN_VNET), packet)), [packet]);
  const partial = superPacket(shape(6, "tcp", 99), 0, { gsoType: 0 });
  assert.equal(transportSum(segment(partial)![0]!), 0xffff);
});

Deno.test("segment: a checksum of 0 is stored as 0xffff", () => {
  const packet = new Uint8Array(40);
  packet[0] = 0x45;
  packet[20] = packet[21] = 0xff; // with a zero field the sum is 0xffff, its complement 0
  const vnet = writeVnet({
    ...PLAIN_VNET,
    flags: 1,
    checksumStart: 20,
    checksumOffset: 6,
  });
  assert.equal(getU16(segment(concat(vnet, packet))![0]!, 26), 0xffff);
});

Deno.test("segment: IPv6 extension headers stay in every segment", () => {
  const packet = buildPacket({ ...shape(6, "tcp", 3000) });
  const extended = concat(
    packet.slice(0, 40),
    new Uint8Array([6, 0, 1, 4, 0, 0, 0, 0]),
    packet.slice(40),
  );
  extended[6] = 0;
  const vnet = writeVnet({
    ...{
      flags: 1,
      gsoType: 4,
      headerLength: 80,
      gsoSize: 1200,
      checksumStart: 48,
      checksumOffset: 16,
    },
  });
  const source = concat(vnet, extended), packets = segment(source)!;
  assert.equal(packets.length, 3);
  assert.deepEqual(
    packets,
    segmentTwin(source)!.map((part) => new Uint8Array(part)),
  );
});

/** Super-packets that no kernel gives. */
const MALFORMED: Record<string, () => Uint8Array> = {
  "nothing": () => new Uint8Array(0),
  "a vnet header alone": () => new Uint8Array(10),
  "a cut vnet header": () => new Uint8Array(9),
  "no segment size": () => superPacket(shape(4, "tcp", 100), 0),
  "no checksum to complete": () =>
    superPacket(shape(4, "tcp", 100), 10, { flags: 0 }),
  "UFO": () => superPacket(shape(4, "udp", 100), 10, { gsoType: 3 }),
  "an unknown type": () =>
    superPacket(shape(4, "udp", 100), 10, { gsoType: 9 }),
  "TCPV6 over IPv4": () =>
    superPacket(shape(4, "tcp", 100), 10, { gsoType: 4 }),
  "TCPV4 over IPv6": () =>
    superPacket(shape(6, "tcp", 100), 10, { gsoType: 1 }),
  "a transport header elsewhere": () =>
    superPacket(shape(4, "tcp", 100), 10, { checksumStart: 24 }),
  "a transport header before the end of IPv6's": () =>
    superPacket(shape(6, "tcp", 100), 10, { checksumStart: 36 }),
  "a transport header behind the packet": () =>
    superPacket(shape(6, "tcp", 100), 10, { checksumStart: 60000 }),
  "a checksum behind the packet": () =>
    superPacket(shape(6, "tcp", 100), 0, {
      gsoType: 0,
      checksumStart: 60000,
      checksumOffset: 60000,
    }),
  "a TCP header of 16 bytes": () =>
    withByte(superPacket(shape(4, "tcp", 100), 10), 10 + 32, 0x40),
  "a TCP header longer than the packet": () =>
    withByte(superPacket(shape(4, "tcp", 4), 10), 10 + 32, 0xf0),
  "IP version 5": () =>
    withByte(superPacket(shape(4, "tcp", 100), 10), 10, 0x55),
};

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value;
  return bytes;
}

for (const [name, make] of Object.entries(MALFORMED)) {
  Deno.test(`segment: refuses ${name}`, () => {
    assert.equal(segment(make()), undefined);
    assert.equal(segmentTwin(make()), undefined);
  });
}

Deno.test("segment: every truncation of a super-packet is refused or split as the twin does", () => {
  const source = superPacket(shape(4, "tcp", 100), 30);
  for (let length = 0; length <= source.length; length++) {
    const cut = source.slice(0, length);
    assert.deepEqual(
      segment(cut),
      segmentTwin(cut)?.map((packet) => new Uint8Array(packet)),
      `${length}`,
    );
  }
});

Deno.test("segment: too small an output or table is told, and nothing is written behind it", () => {
  const source = superPacket(shape(4, "tcp", 3500), 1000);
  kernels.bytes.set(source, sourceAt);
  const result = segmenter(1500);
  assert.equal(result.segment(sourceAt, source.length, outAt, outEnd), 4);
  const needed = result.nextAt - outAt;
  for (let room = 0; room < needed; room += 13) {
    kernels.bytes.fill(0xa5, outAt + room, outAt + needed);
    assert.equal(
      result.segment(sourceAt, source.length, outAt, outAt + room),
      -1,
    );
    assert.equal(result.count, 0);
    assert.ok(
      kernels.bytes.subarray(outAt + room, outAt + needed).every((byte) =>
        byte === 0xa5
      ),
    );
  }
  assert.equal(
    result.segment(sourceAt, source.length, outAt, outAt + needed),
    4,
  );
  assert.equal(
    segmenter(1500, 3).segment(sourceAt, source.length, outAt, outEnd),
    -1,
  );
});

Deno.test(`segment: ${CASES} seeded sources are split as the twin does`, () => {
  let split = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const random = new Random(seed), family = random.pick([4, 6] as const);
    const protocol = random.pick(["tcp", "udp"] as const);
    const size = random.pick([1, 2, 100, 536, 1208, 1400, 9000]);
    const length = Math.min(random.below(size * 12), 20_000);
    const source = superPacket({
      ...shape(family, protocol, 0),
      ...{
        sequence: random.uint32(),
        identification: random.below(0x10000),
        flags: random.below(256),
      },
      ...{
        options: protocol === "tcp"
          ? random.bytes(4 * random.below(11))
          : undefined,
      },
      payload: random.bytes(length),
    }, size);
    const damage = random.pick([0, 0, 0, 1, 2, 5]);
    for (let i = 0; i < damage; i++) {
      source[random.below(64)] = random.below(256);
    }
    const expected = segmentTwin(source)?.map((packet) =>
      new Uint8Array(packet)
    );
    if ((expected?.length ?? 0) > ROWS) continue;
    assert.deepEqual(
      segment(source, random.pick([0, 1420])),
      expected,
      `seed ${seed}`,
    );
    if ((expected?.length ?? 0) > 1) split++;
  }
  assert.ok(split > CASES / 3, `${split} were super-packets`);
});
