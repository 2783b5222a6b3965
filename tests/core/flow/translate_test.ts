import assert from "node:assert/strict";
import { Batch } from "../../../src/core/columns/batch.ts";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { makePlain } from "../../../src/core/flow/headers.ts";
import { NatTable } from "../../../src/core/flow/nat.ts";
import {
  restoreOutbound,
  translateInbound,
  translateOutbound,
} from "../../../src/core/flow/translate.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { addressWords, echoPacket, pattern, udpPacket } from "./packets.ts";

const SIZE = { capacity: 4, peers: 2, remotes: 8 };
const AT = 128;

function hex(text: string): number[] {
  return text.trim().split(/\s+/).map((byte) => parseInt(byte, 16));
}

function setUp(
  protocol: number,
  client: string,
  port: number,
  external: number,
) {
  const nat = new NatTable(new ArrayBuffer(NatTable.byteLength(SIZE)), SIZE);
  const row = nat.take();
  nat.publish(row, protocol, addressWords(client), 0, port, 1, 5, external, 0);
  const bytes = new Uint8Array(70_000);
  const batch = new Batch({
    ...{
      bytes,
      capacity: 4,
      spareStart: 69_000,
      spareEnd: 70_000,
      headroom: 16,
      tailroom: 16,
    },
  });
  return { nat, batch, mapping: row, view: new PacketView() };
}

function bytesOf(batch: Batch): number[] {
  const at = batch.offset[0];
  return [...batch.bytes.subarray(at, at + batch.length[0])];
}

// Checksums from a separate program after RFC 1071.
const OUTBOUND_UDP = hex(`
  45 00 00 1f 00 00 40 00 40 11 6e bd   # 20 bytes, DF, TTL 64, UDP
  0a 08 00 02 c0 00 02 07               # 10.8.0.2 -> 192.0.2.7
  0f a0 00 35 00 0b 5f 8f 61 62 63      # 4000 -> 53, "abc"
`.replace(/#.*/g, ""));
const INBOUND_UDP = hex(`
  45 00 00 1f 00 2a 00 00 3f 11 af 93   # id 42, TTL 63
  c0 00 02 07 0a 08 00 02               # 192.0.2.7 -> 10.8.0.2
  00 35 0f a0 00 0b 5f 8f 61 62 63
`.replace(/#.*/g, ""));

Deno.test("outbound UDP: the payload, and the columns for the socket", () => {
  const { nat, batch, mapping, view } = setUp(17, "10.8.0.2", 4000, 4000);
  batch.bytes.set(OUTBOUND_UDP, AT);
  batch.push(AT, OUTBOUND_UDP.length, 1);
  assert.equal(
    parsePacket(batch.bytes, AT, OUTBOUND_UDP.length, view),
    DropReason.None,
  );
  translateOutbound(batch, 0, view, nat, mapping, 1);
  assert.deepEqual(bytesOf(batch), [0x61, 0x62, 0x63]);
  assert.equal(batch.verdict[0], Verdict.ToUdp);
  assert.equal(batch.remotePort[0], 53);
  assert.equal(batch.hopLimit[0], 63);
  assert.deepEqual(batch.remote.subarray(0, 4), addressWords("192.0.2.7"));
});

Deno.test("inbound UDP: the headers, byte for byte", () => {
  const { nat, batch, mapping } = setUp(17, "10.8.0.2", 4000, 4000);
  batch.bytes.set([0x61, 0x62, 0x63], AT);
  batch.push(AT, 3, -1);
  batch.remote.set(addressWords("192.0.2.7"));
  batch.remotePort[0] = 53;
  assert.equal(translateInbound(batch, 0, nat, mapping, 63, 42), true);
  assert.deepEqual(bytesOf(batch), INBOUND_UDP);
});

Deno.test("no more than 48 bytes before a payload are written, nothing behind it", () => {
  const families = [["10.8.0.2", "192.0.2.7", 28], [
    "fd00:0:0:0:0:0:0:2",
    "2001:0:0:0:0:0:0:1",
    48,
  ]];
  for (
    const [client, remote, header] of families as [string, string, number][]
  ) {
    const { nat, batch, mapping } = setUp(17, client, 4000, 4000);
    batch.bytes.fill(0xee);
    batch.push(AT, 10, -1);
    batch.remote.set(addressWords(remote));
    translateInbound(batch, 0, nat, mapping, 63, 42);
    assert.equal(batch.offset[0], AT - header);
    assert.ok(
      batch.bytes.subarray(0, AT - header).every((byte) => byte === 0xee),
    );
    assert.ok(batch.bytes.subarray(AT, 1000).every((byte) => byte === 0xee));
  }
});

Deno.test("an outbound row gives its packet back, options and extension headers left out", () => {
  const v4 = { from: "10.8.0.2", to: "192.0.2.7" };
  const v6 = { from: "fd00:8:0:0:0:0:0:2", to: "2001:db8:0:0:0:0:0:7" };
  const ports = { fromPort: 4000, toPort: 53 };
  const noOps = { options: [1, 1, 1, 0] };
  const padded = { options: [17, 0, 1, 4, 0, 0, 0, 0], firstHeader: 60 };
  const table: [Uint8Array, Uint8Array, number, string, number][] = [
    [
      udpPacket({ ...v4, ...ports }),
      udpPacket({ ...v4, ...ports }),
      17,
      v4.from,
      4000,
    ],
    [
      udpPacket({ ...v4, ...ports, ...noOps }),
      udpPacket({ ...v4, ...ports }),
      17,
      v4.from,
      4000,
    ],
    [
      udpPacket({ ...v6, ...ports }),
      udpPacket({ ...v6, ...ports }),
      17,
      v6.from,
      4000,
    ],
    [
      udpPacket({ ...v6, ...ports, ...padded }),
      udpPacket({ ...v6, ...ports }),
      17,
      v6.from,
      4000,
    ],
    [
      echoPacket({ ...v4, id16: 7 }),
      echoPacket({ ...v4, id16: 7 }),
      1,
      v4.from,
      7,
    ],
    [
      echoPacket({ ...v4, ...noOps, id16: 7 }),
      echoPacket({ ...v4, id16: 7 }),
      1,
      v4.from,
      7,
    ],
    [
      echoPacket({ ...v6, id16: 7 }),
      echoPacket({ ...v6, id16: 7 }),
      58,
      v6.from,
      7,
    ],
  ];
  for (const [packet, expected, protocol, client, port] of table) {
    const { nat, batch, mapping, view } = setUp(protocol, client, port, 9999);
    batch.bytes.set(packet, AT);
    batch.push(AT, packet.length, 1);
    assert.equal(
      parsePacket(batch.bytes, AT, packet.length, view),
      DropReason.None,
    );
    translateOutbound(batch, 0, view, nat, mapping, 0);
    restoreOutbound(batch, 0, nat);
    assert.deepEqual(bytesOf(batch), [...expected]);
  }
});

Deno.test("a plain packet stays as it is", () => {
  const packet = udpPacket({
    from: "10.8.0.2",
    to: "192.0.2.7",
    fromPort: 1,
    toPort: 2,
  }, pattern(9));
  const view = new PacketView();
  const copy = packet.slice();
  parsePacket(copy, 0, copy.length, view);
  makePlain(copy, view);
  assert.deepEqual(copy, packet);
});

Deno.test("what IP can't carry is refused before anything is written", () => {
  const { nat, batch, mapping } = setUp(17, "10.8.0.2", 4000, 4000);
  batch.push(AT, 65_508, -1);
  batch.remote.set(addressWords("192.0.2.7"));
  assert.equal(translateInbound(batch, 0, nat, mapping, 63, 42), false);
  assert.equal(batch.offset[0], AT);
  batch.length[0] = 65_507;
  assert.equal(translateInbound(batch, 0, nat, mapping, 63, 42), true);
  assert.equal(batch.length[0], 65_535);
});
