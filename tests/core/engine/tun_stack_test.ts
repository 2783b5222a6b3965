/** What becomes of what this host's programs send, packet by packet. */
import assert from "node:assert/strict";
import { SendFailure } from "../../../src/core/engine/outside_error.ts";
import { TCP_RELAY_DEFAULTS } from "../../../src/core/engine/tcp_relay_config.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import {
  echoPacket,
  fragmentsOf,
  ipPacket,
  pattern,
  udpBytes,
  udpPacket,
} from "../flow/packets.ts";
import {
  ACK,
  partialSegment,
  readSegment,
  RST,
  segment,
  SYN,
} from "../flow/segments.ts";
import { HOST4, RELAY4, RELAY6, StackWorld } from "./stack_world.ts";

const HOST6 = "fd00:0:0:0:0:0:0:1";
const SITE4 = "203.0.113.7";
const SITE6 = "2001:db8:0:0:0:0:0:7";

const FAMILIES = [
  { from: HOST4, to: SITE4, relay: RELAY4, port: 7004 },
  { from: HOST6, to: SITE6, relay: RELAY6, port: 7006 },
] as const;

for (const { from, to, relay, port } of FAMILIES) {
  for (const form of ["whole", "partial"] as const) {
    const build = form === "whole" ? segment : partialSegment;
    const partial = form === "whole" ? 0 : 1;
    /** With the checksum that the device would have added. */
    const read = (bytes: number[]) =>
      readSegment(partial === 0 ? bytes : completed(bytes));

    Deno.test(`TCP ${from} to ${to}, checksums ${form}: to the relay and back`, () => {
      const world = new StackWorld();
      const ends = { from, to, fromPort: 40_000, toPort: 443 };
      const syn = build({ ...ends, flags: SYN, seq: 77 });
      const [dial] = world.fromHost([syn], partial);
      assert.equal(dial.verdict, "ToRelay");
      // The relay gets it whole, whatever the device has left out.
      assert.equal(readSegment(dial.bytes).to, to);
      const row = dial.target as number;
      assert.equal(world.fromHost([syn], partial)[0].verdict, "Drop");

      world.settle(row);
      const data = pattern(5000);
      const [toRelay] = world.fromHost(
        [build({ ...ends, flags: ACK, seq: 78, data })],
        partial,
      );
      assert.equal(toRelay.verdict, "ToHost");
      assert.equal(toRelay.partial, partial);
      const seen = read(toRelay.bytes);
      assert.deepEqual([seen.to, seen.toPort], [relay, port]);
      assert.deepEqual(seen.data, data);

      const [answer] = world.fromHost([
        build({
          from: relay,
          to: seen.from,
          fromPort: port,
          toPort: seen.fromPort,
          flags: ACK,
          data,
        }),
      ], partial);
      assert.equal(answer.verdict, "ToHost");
      const back = read(answer.bytes);
      assert.deepEqual(
        [back.from, back.fromPort, back.to, back.toPort],
        [to, 443, from, 40_000],
      );
      assert.deepEqual(back.data, data);
    });
  }

  Deno.test(`TCP ${from} to ${to}: what belongs to no connection gets a RST`, () => {
    const world = new StackWorld();
    const [dropped, reset] = world.fromHost([
      segment({ from, to, fromPort: 1, toPort: 2, flags: ACK, ack: 9 }),
    ]);
    assert.equal(dropped.target, "no TCP connection");
    assert.equal(reset.verdict, "ToHost");
    const seen = readSegment(reset.bytes);
    assert.equal(seen.flags, RST);
    assert.deepEqual([seen.from, seen.to, seen.seq], [to, from, 9]);
  });

  Deno.test(`echo ${from} to ${to}: answered here, whoever is asked`, () => {
    const world = new StackWorld();
    const data = pattern(1400);
    const [answer] = world.fromHost([echoPacket({ from, to, id16: 7 }, data)]);
    assert.equal(answer.verdict, "ToHost");
    const type = from.includes(":") ? 129 : 0;
    assert.deepEqual(
      answer.bytes,
      [...echoPacket({ from: to, to: from, id16: 7, type, id: 0 }, data)],
    );
  });

  Deno.test(`UDP ${from} to ${to}: whole to the relay worker`, () => {
    const world = new StackWorld();
    const packet = udpPacket({ from, to, fromPort: 5000, toPort: 53 });
    const [handed] = world.fromHost([packet]);
    assert.equal(handed.verdict, "ToRelayUdp");
    assert.deepEqual(handed.bytes, [...packet]);
    packet[packet.length - 1] ^= 1;
    assert.equal(world.fromHost([packet])[0].target, "bad checksum");
  });

  Deno.test(`UDP ${from} to ${to} by sockets: out and back`, () => {
    const world = new StackWorld({ udp: "sockets" });
    const ends = { from, to, fromPort: 5000, toPort: 53 };
    const data = pattern(600);
    const [sent] = world.fromHost([udpPacket(ends, data)]);
    assert.equal(sent.verdict, "ToUdp");
    assert.deepEqual(sent.bytes, data);
    assert.equal(world.nat.size, 1);
    const row = sent.target as number;
    const [answer] = world.fromOutside(row, to, 53, data);
    assert.equal(answer.verdict, "ToHost");
    const udpAt = from.includes(":") ? 40 : 20;
    const back = { from: to, to: from, fromPort: 53, toPort: 5000 };
    assert.deepEqual(answer.bytes.slice(udpAt), udpBytes(back, data));
  });

  Deno.test(`echo ${from} to ${to}, forwarded: by a mapping`, () => {
    const world = new StackWorld({ echo: "forward" });
    const [sent] = world.fromHost([echoPacket({ from, to, id16: 7 })]);
    assert.equal(sent.verdict, "ToEcho");
    assert.equal(world.nat.size, 1);
    // A reply under the program's own identifier would reach it without us, too.
    const [socket] = world.sockets.opened;
    assert.notEqual(socket.port, 7);
    assert.deepEqual(sent.bytes.slice(4, 6), [
      socket.port >> 8,
      socket.port & 255,
    ]);
  });
}

Deno.test("fragments of datagrams and echo requests are put together first", () => {
  const world = new StackWorld();
  const ends = { from: HOST4, to: SITE4, fromPort: 5000, toPort: 6000 };
  const data = pattern(3000);
  const parts = fragmentsOf(17, udpBytes(ends, data), [1480], {
    ...ends,
    id: 9,
  });
  const seen = world.fromHost(parts);
  assert.deepEqual(
    seen.map(({ verdict }) => verdict),
    ["Held", "Held", "ToRelayUdp"],
  );
  assert.deepEqual(seen[2].bytes.slice(20), udpBytes(ends, data));
});

Deno.test("a datagram that can't be sent is answered by an ICMP error from nobody of this host", () => {
  const world = new StackWorld({ udp: "sockets" });
  const ends = { from: HOST4, to: SITE4, fromPort: 5000, toPort: 53 };
  const packet = udpPacket(ends);
  world.fromHost([packet]);
  world.stack.sendFailed(world.batch, 0, SendFailure.HostUnreachable, 0);
  const [dropped, error] = world.seen();
  assert.equal(dropped.target, "send failed");
  assert.equal(error.verdict, "ToHost");
  assert.deepEqual(error.bytes.slice(12, 20), [198, 18, 254, 254, 10, 0, 0, 1]);
  assert.deepEqual(error.bytes.slice(20, 22), [3, 1]);
  assert.deepEqual(error.bytes.slice(28), [...packet]);
});

Deno.test("mappings end when they are idle", () => {
  const world = new StackWorld({ udp: "sockets" });
  const ends = { from: HOST4, to: SITE4, fromPort: 5000, toPort: 53 };
  world.fromHost([udpPacket(ends)]);
  world.now += 301_000;
  world.stack.tick(world.now);
  world.sockets.closeRetired(world.nat);
  world.stack.tick(world.now + 1000);
  assert.equal(world.nat.size, 0);
});

const DROPPED: readonly [string, Uint8Array, string][] = [
  ["multicast", udp(HOST4, "224.0.0.251"), "multicast or broadcast"],
  ["broadcast", udp(HOST4, "255.255.255.255"), "multicast or broadcast"],
  ["the subnet's", udp(HOST4, "10.0.0.255"), "multicast or broadcast"],
  ["link-local", udp(HOST4, "169.254.1.1"), "multicast or broadcast"],
  [
    "a group of IPv6",
    udp(HOST6, "ff02:0:0:0:0:0:0:fb"),
    "multicast or broadcast",
  ],
  [
    "from a link's own address",
    udp("fe80:0:0:0:0:0:0:1", SITE6),
    "multicast or broadcast",
  ],
  ["mapped", udp(HOST6, "0:0:0:0:0:ffff:cb00:7107"), "multicast or broadcast"],
  ["the relay's address", udp(HOST4, "198.18.254.9"), "relay address"],
  ["what the relay never sent", udp(RELAY4, SITE4), "relay stray"],
  [
    "another protocol",
    ipPacket(47, [1, 2, 3, 4], { from: HOST4, to: SITE4 }),
    "protocol not forwarded",
  ],
  [
    "an ICMP error",
    ipPacket(1, [3, 3, 0xfc, 0xfc, 0, 0, 0, 0], { from: HOST4, to: SITE4 }),
    "ICMP not forwarded",
  ],
  ["garbage", new Uint8Array(40).fill(0xff), "unknown IP version"],
];

for (const [name, packet, reason] of DROPPED) {
  Deno.test(`dropped: ${name}`, () => {
    const world = new StackWorld();
    const [seen] = world.fromHost([packet]);
    assert.deepEqual([seen.verdict, seen.target], ["Drop", reason]);
  });
}

Deno.test("a partial checksum behind IP options is refused: the device could not complete it", () => {
  const world = new StackWorld();
  const packet = partialSegment({
    from: HOST4,
    to: SITE4,
    fromPort: 1,
    toPort: 2,
    flags: SYN,
    options: [1, 1, 1, 1],
  });
  assert.equal(world.fromHost([packet], 1)[0].target, "protocol not forwarded");
});

Deno.test("without IPv6 at the relay, TCP over it is dropped", () => {
  const world = new StackWorld({
    gateway: {
      relay: {
        ...TCP_RELAY_DEFAULTS,
        ipv4: { address: parsePrefix(`${RELAY4}/24`)!, port: 7004 },
        ipv6: undefined,
      },
    },
  });
  const packet = segment({
    from: HOST6,
    to: SITE6,
    fromPort: 1,
    toPort: 2,
    flags: SYN,
  });
  assert.equal(world.fromHost([packet])[0].target, "protocol not forwarded");
});

Deno.test("what was read is counted by protocol and verdict", () => {
  const world = new StackWorld();
  const datagram = udp(HOST4, SITE4);
  world.fromHost([
    datagram,
    datagram,
    echoPacket({ from: HOST4, to: SITE4, id16: 1 }),
    new Uint8Array(20),
  ]);
  assert.deepEqual(
    world.counters.snapshot().map(({ protocol, verdict, packets }) =>
      `${protocol} ${verdict} ${packets}`
    ),
    ["UDP ToRelayUdp 2", "ICMP ToPeer 1", "other Drop 1"],
  );
  assert.equal(world.counters.snapshot()[0].bytes, 2 * datagram.length);
});

function udp(from: string, to: string): Uint8Array {
  return udpPacket({ from, to, fromPort: 5000, toPort: 5353 });
}

/** Adds the rest of a partial TCP checksum, as a device does. */
function completed(packet: number[]): number[] {
  const bytes = [...packet];
  const at = bytes[0] >> 4 === 4 ? (bytes[0] & 15) * 4 : 40;
  let sum = 0;
  for (let i = at; i < bytes.length; i += 2) {
    sum += bytes[i] * 256 + (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes[at + 16] = (~sum >> 8) & 255;
  bytes[at + 17] = ~sum & 255;
  return bytes;
}
