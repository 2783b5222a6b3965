/** Packets that are captured on their way: SplitTunnel with `direct: "passed"`. */
import assert from "node:assert/strict";
import { type FlowVerdict, Way } from "../../../src/core/flow/flow_table.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import {
  addressWords,
  echoPacket,
  fragmentsOf,
  icmpBytes,
  ipPacket,
  pattern,
  udpBytes,
  udpPacket,
} from "../flow/packets.ts";
import {
  ACK,
  readSegment,
  RST,
  segment,
  SYN,
  tcpStart,
} from "../flow/segments.ts";
import {
  HOST4,
  HOST6,
  NEAR,
  OWN_PORT,
  RELAY4,
  RELAY6,
  type Seen,
  SplitWorld,
} from "./split_world.ts";

const DIRECT: FlowVerdict = { way: Way.Direct, outbound: 0, rule: 1 };
const PROXY: FlowVerdict = { way: Way.Proxy, outbound: 1, rule: 2 };
const TUNNEL: FlowVerdict = { way: Way.Packet, outbound: 2, rule: 3 };
const DROP: FlowVerdict = { way: Way.Drop, outbound: 0, rule: 4 };
const RELAY_PORTS = { IPv4: 7004, IPv6: 7006 };

const FAMILIES = [
  { name: "IPv4", from: HOST4, to: "192.0.2.7", relay: RELAY4 },
  { name: "IPv6", from: HOST6, to: "2001:db8:0:0:0:0:0:7", relay: RELAY6 },
] as const;

function world(options: ConstructorParameters<typeof SplitWorld>[0] = {}) {
  const made = new SplitWorld({ direct: "passed", ...options });
  made.attach(2);
  return made;
}

function short(seen: readonly Seen[]): string[] {
  return seen.map(({ verdict, target }) => `${verdict} ${target}`);
}

/** Sends a flow's first packet and decides about it; what came of it. */
function begin(
  at: SplitWorld,
  packet: Uint8Array,
  verdict: FlowVerdict,
): Seen[] {
  assert.deepEqual(short(at.captured("host", [packet])), ["Held 0"]);
  at.settle(at.asked.at(-1)!, verdict);
  return at.fromHeld();
}

function isIntact(bytes: readonly number[]): boolean {
  const packet = Uint8Array.from(bytes);
  const view = new PacketView();
  return parsePacket(packet, 0, packet.length, view) === 0 &&
    verifyTransport(packet, view) === 0;
}

/** As an adapter finds it that computes checksums by itself. */
function unfinished(packet: Uint8Array, checksumAt: number): Uint8Array {
  const left = packet.slice();
  left[checksumAt] = 0x12;
  left[checksumAt + 1] = 0x34;
  return left;
}

/** A datagram as fragments that an adapter takes. */
function piecesOf(
  ends: { from: string; to: string; fromPort: number; toPort: number },
  data: readonly number[],
): Uint8Array[] {
  const cuts = [1376, 2752];
  return fragmentsOf(17, udpBytes(ends, data), cuts, { ...ends, id: 77 });
}

for (const { name, from, to, relay } of FAMILIES) {
  const header = name === "IPv4" ? 20 : 40;
  const ends = { from, to, fromPort: 4000, toPort: 9 };
  const back = { from: to, to: from, fromPort: 9, toPort: 4000 };

  Deno.test(`${name}: a direct flow's packets go on byte for byte, whatever their checksum`, () => {
    const at = world();
    const packet = unfinished(udpPacket(ends, [1, 2, 3]), header + 6);
    const [first] = begin(at, packet, DIRECT);
    assert.deepEqual(first, { verdict: "Pass", target: 0, bytes: [...packet] });
    assert.deepEqual(at.captured("host", [packet]), [first]);
    const answer = udpPacket(back, [4]);
    assert.deepEqual(at.captured("network", [answer]), [
      { verdict: "Pass", target: 0, bytes: [...answer] },
    ]);
    assert.equal(at.flows.traffic.receivedPackets[at.asked[0].flow], 1);
  });

  Deno.test(`${name}: from the network nothing passes that no direct flow has asked for`, () => {
    const at = world();
    const answer = udpPacket(back, [4]);
    const refused = ["Drop no mapping"];
    assert.deepEqual(short(at.captured("network", [answer])), refused);
    at.captured("host", [udpPacket(ends, [1])]);
    assert.deepEqual(short(at.captured("network", [answer])), refused);
    for (const verdict of [DROP, PROXY, TUNNEL]) {
      at.settle(at.asked[0], verdict);
      at.fromHeld();
      assert.deepEqual(short(at.captured("network", [answer])), refused);
    }
    at.settle(at.asked[0], DIRECT);
    // Its first packet by that way opens it.
    assert.deepEqual(short(at.captured("host", [udpPacket(ends, [1])])), [
      "Pass 0",
    ]);
    assert.deepEqual(short(at.captured("network", [answer])), ["Pass 0"]);
    for (
      const other of [
        { ...back, fromPort: 10 },
        { ...back, toPort: 4001 },
        {
          ...back,
          from: name === "IPv4" ? "192.0.2.8" : "2001:db8:0:0:0:0:0:8",
        },
      ]
    ) {
      assert.deepEqual(
        short(at.captured("network", [udpPacket(other, [4])])),
        refused,
      );
    }
  });

  Deno.test(`${name}: a direct connection passes both ways; its program hears when the rules change`, () => {
    const at = world();
    const tcp = { from, to, fromPort: 4000, toPort: 443 };
    const answers = { from: to, to: from, fromPort: 443, toPort: 4000 };
    const syn = segment({ ...tcp, flags: SYN, seq: 100 });
    assert.deepEqual(short(begin(at, syn, DIRECT)), ["Pass 0"]);
    assert.deepEqual(
      short(at.captured("network", [
        segment({ ...answers, flags: SYN | ACK, seq: 900, ack: 101 }),
      ])),
      ["Pass 0"],
    );
    const ack = segment({ ...tcp, flags: ACK, seq: 101, ack: 901 });
    assert.deepEqual(short(at.captured("host", [ack])), ["Pass 0"]);
    const [reset] = at.settle(at.asked[0], DROP);
    assert.equal(reset.verdict, "ToHost");
    const { flags, seq } = readSegment(reset.bytes);
    assert.deepEqual([flags & RST, seq], [RST, 901]);
    assert.deepEqual(at.cut, []);
    assert.deepEqual(
      short(at.captured("network", [
        segment({ ...answers, flags: ACK, seq: 901, ack: 101 }),
      ])),
      ["Drop no mapping"],
    );
  });

  Deno.test(`${name}: what a tunnel takes gets its checksum first`, () => {
    const at = world();
    const packet = unfinished(udpPacket(ends, [1, 2, 3]), header + 6);
    const [sent] = begin(at, packet, TUNNEL);
    assert.equal(sent.verdict, "ToTunnel");
    assert.ok(isIntact(sent.bytes));
    const syn = segment({ ...ends, fromPort: 4001, flags: SYN, seq: 100 });
    const [connect] = begin(at, unfinished(syn, header + 16), TUNNEL);
    assert.equal(connect.verdict, "ToTunnel");
    assert.ok(isIntact(connect.bytes));
  });

  Deno.test(`${name}: a connection for the proxy meets the relay at its own address`, () => {
    const at = world();
    const tcp = { from, to, fromPort: 4000, toPort: 443 };
    const syn = segment({ ...tcp, flags: SYN, seq: 100 });
    const [dial] = begin(at, unfinished(syn, header + 16), PROXY);
    assert.equal(dial.verdict, "ToRelay");
    const row = Number(dial.target);
    at.open(row);
    const [hairpin] = at.captured("host", [unfinished(syn, header + 16)]);
    assert.equal(hairpin.verdict, "ToHost");
    assert.ok(isIntact(hairpin.bytes));
    const view = new PacketView();
    parsePacket(Uint8Array.from(hairpin.bytes), 0, hairpin.bytes.length, view);
    assert.deepEqual([...view.destinationWords], [...addressWords(from)]);
    assert.equal(view.destinationPort, RELAY_PORTS[name]);
    const beside = [...view.sourceWords];
    assert.deepEqual(beside.slice(0, 3), [...addressWords(relay)].slice(0, 3));
    assert.notDeepEqual(beside, [...addressWords(relay)]);

    // The relay's answer, on its way to the address that nobody has.
    const number = beside[3] & 0xff;
    const near = name === "IPv4"
      ? `198.18.254.${number}`
      : `fd73:6c75:6963:6500:0:0:0:${number.toString(16)}`;
    const answer = {
      from,
      to: near,
      fromPort: RELAY_PORTS[name],
      toPort: view.sourcePort,
      flags: SYN | ACK,
      seq: 700,
      ack: 101,
    };
    const [told] = at.captured("host", [
      unfinished(segment(answer), header + 16),
    ]);
    assert.equal(told.verdict, "ToHost");
    assert.ok(isIntact(told.bytes));
    parsePacket(Uint8Array.from(told.bytes), 0, told.bytes.length, view);
    assert.deepEqual([...view.sourceWords], [...addressWords(to)]);
    assert.deepEqual([...view.destinationWords], [...addressWords(from)]);
    assert.deepEqual([view.sourcePort, view.destinationPort], [443, 4000]);

    // Of another address of the host's, or another port, it is nobody's.
    const other = name === "IPv4" ? "10.0.0.9" : "fd00:0:0:0:0:0:0:9";
    for (const wrong of [{ from: other }, { fromPort: 80 }]) {
      assert.deepEqual(
        short(at.captured("host", [segment({ ...answer, ...wrong })])),
        ["Drop relay stray"],
      );
    }
  });

  Deno.test(`${name}: from the network nobody speaks for the relay's clients`, () => {
    const at = world();
    const near = name === "IPv4"
      ? "198.18.254.2"
      : "fd73:6c75:6963:6500:0:0:0:2";
    for (const spoofed of [{ from: near, to: from }, { from: to, to: near }]) {
      const packet = segment({
        ...spoofed,
        fromPort: 40000,
        toPort: RELAY_PORTS[name],
        flags: SYN,
        seq: 1,
      });
      assert.deepEqual(short(at.captured("network", [packet])), [
        "Drop relay address",
      ]);
    }
  });

  Deno.test(`${name}: a ping that goes direct is answered`, () => {
    const at = world();
    const ping = { from, to, id16: 7 };
    assert.deepEqual(short(begin(at, echoPacket(ping), DIRECT)), ["Pass 0"]);
    const reply = echoPacket({
      from: to,
      to: from,
      id16: 7,
      type: name === "IPv4" ? 0 : 129,
    });
    assert.deepEqual(short(at.captured("network", [reply])), ["Pass 0"]);
    const other = reply.slice();
    other[header + 5] ^= 1;
    assert.equal(short(at.captured("network", [other]))[0].slice(0, 4), "Drop");
  });

  Deno.test(`${name}: a tunnel's own socket is let through, both ways`, () => {
    const at = world();
    const own = { from, to, fromPort: OWN_PORT + 2, toPort: 51820 };
    assert.deepEqual(short(at.captured("host", [udpPacket(own, [1])])), [
      "Pass 0",
    ]);
    const answer = {
      from: to,
      to: from,
      fromPort: 51820,
      toPort: OWN_PORT + 2,
    };
    assert.deepEqual(short(at.captured("network", [udpPacket(answer, [1])])), [
      "Pass 0",
    ]);
    at.detach(2);
    assert.deepEqual(short(at.captured("network", [udpPacket(answer, [1])])), [
      "Drop no mapping",
    ]);
  });

  Deno.test(`${name}: a query that goes to another resolver, and its answer`, () => {
    const at = world();
    const query = { from, to, fromPort: 4000, toPort: 53 };
    const resolver = name === "IPv4" ? "192.0.2.99" : "2001:db8:0:0:0:0:0:99";
    const elsewhere = {
      ...DIRECT,
      to: { words: addressWords(resolver), port: 5353 },
    };
    const packet = unfinished(udpPacket(query, [1, 2]), header + 6);
    const [sent] = begin(at, packet, elsewhere);
    assert.equal(sent.verdict, "Pass");
    assert.deepEqual(
      sent.bytes,
      [...udpPacket({ ...query, to: resolver, toPort: 5353 }, [1, 2])],
    );
    const answer = { from: resolver, to: from, fromPort: 5353, toPort: 4000 };
    const [told] = at.captured("network", [udpPacket(answer, [3])]);
    assert.equal(told.verdict, "Pass");
    assert.deepEqual(
      told.bytes,
      [...udpPacket({ from: to, to: from, fromPort: 53, toPort: 4000 }, [3])],
    );
    const real = { from: to, to: from, fromPort: 53, toPort: 4000 };
    assert.deepEqual(short(at.captured("network", [udpPacket(real, [3])])), [
      "Drop no mapping",
    ]);
  });
}

Deno.test("fragments of a direct flow are put together, decided, and go on in pieces", () => {
  const at = world();
  const ends = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 9 };
  const data = pattern(3000);
  const pieces = piecesOf(ends, data);
  const held = at.captured("host", pieces);
  assert.ok(held.every(({ verdict }) => verdict === "Held"));
  at.settle(at.asked[0], DIRECT);
  const sent = at.fromHeld();
  assert.deepEqual(short(sent), ["Pass 0", "Pass 0", "Pass 0"]);
  assert.ok(sent.every(({ bytes }) => bytes.length <= 1500));
  const payload = sent.flatMap(({ bytes }) => bytes.slice(20));
  assert.deepEqual(payload.slice(8), data);

  const back = { from: ends.to, to: HOST4, fromPort: 9, toPort: 4000 };
  const came = at.captured("network", piecesOf(back, data));
  assert.deepEqual(short(came).filter((text) => text !== "Held 0"), [
    "Pass 0",
    "Pass 0",
    "Pass 0",
  ]);
});

Deno.test("fragments of a dropped flow go nowhere, nor do any before it is decided", () => {
  const at = world({ dropped: "silent" });
  const ends = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 9 };
  const pieces = piecesOf(ends, pattern(3000));
  for (const { verdict } of at.captured("host", pieces.slice(1))) {
    assert.equal(verdict, "Held");
  }
  assert.deepEqual(at.asked, []);
  at.captured("host", pieces.slice(0, 1));
  at.settle(at.asked[0], DROP);
  assert.deepEqual(short(at.fromHeld()), ["Drop dropped by rule"]);
  assert.ok(
    at.captured("host", pieces).every(({ verdict }) => verdict !== "Pass"),
  );
});

Deno.test("an ICMP error passes where it is about a direct flow, and only there", () => {
  const at = world();
  const ends = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 9 };
  const router = { from: "203.0.113.1", to: HOST4 };
  const error = (about: typeof ends) =>
    ipPacket(
      1,
      icmpBytes(router, 3, 3, [
        ...[0, 0, 0, 0],
        ...udpPacket(about, [1]).slice(0, 28),
      ]),
      router,
    );
  const sent = udpPacket(ends, [1]);
  assert.match(short(at.captured("network", [error(ends)]))[0], /^Drop/);
  begin(at, sent, DIRECT);
  assert.deepEqual(short(at.captured("network", [error(ends)])), ["Pass 0"]);
  assert.match(
    short(at.captured("network", [error({ ...ends, fromPort: 4001 })]))[0],
    /^Drop/,
  );
});

Deno.test("what a tunnel brings in one piece is given to the host in pieces that fit", () => {
  const at = world();
  const ends = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 9 };
  begin(at, udpPacket(ends, [1]), TUNNEL);
  const back = { from: ends.to, to: NEAR[2][0], fromPort: 9, toPort: 4000 };
  const came = at.fromTunnel(2, piecesOf(back, pattern(3000)));
  const told = came.filter(({ verdict }) => verdict === "ToHost");
  assert.equal(told.length, 3);
  for (const { bytes } of told) {
    assert.ok(bytes.length <= 1500);
    assert.equal(ipv4.destination(Uint8Array.from(bytes), 0), 0x0a000001);
  }
  assert.equal(tcpStart(told[0].bytes), 20);
});

Deno.test("a network that changes leaves direct flows alone", () => {
  const at = world();
  const tcp = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 443 };
  begin(at, segment({ ...tcp, flags: SYN, seq: 100 }), DIRECT);
  at.batch.clear();
  at.engine.resetDirect(at.batch, at.now);
  at.engine.reset(at.batch, at.now);
  assert.deepEqual(at.seen(), []);
  assert.deepEqual(at.ended, []);
});

Deno.test("somebody who calls at a port that is answered, and who calls at another", () => {
  const at = world({ answeredPorts: [22] });
  const call = { from: "203.0.113.9", to: HOST4, fromPort: 5000, toPort: 22 };
  const answer = { from: HOST4, to: call.from, fromPort: 22, toPort: 5000 };
  const syn = (ends: typeof call) => segment({ ...ends, flags: SYN, seq: 7 });
  const refused = ["Drop no mapping"];
  const early = segment({ ...call, flags: ACK, seq: 7, ack: 1 });
  assert.deepEqual(short(at.captured("network", [early])), refused);
  assert.deepEqual(short(at.captured("network", [syn(call)])), ["Pass 0"]);
  assert.deepEqual(
    short(at.captured("host", [
      segment({ ...answer, flags: SYN | ACK, seq: 1, ack: 8 }),
    ])),
    ["Pass 0"],
  );
  assert.deepEqual(short(at.captured("network", [syn(call)])), ["Pass 0"]);
  assert.deepEqual(at.asked, []);
  const other = { ...call, toPort: 80 };
  assert.deepEqual(short(at.captured("network", [syn(other)])), refused);
  assert.deepEqual(
    short(at.captured("network", [udpPacket(call, [1])])),
    refused,
  );
  // What the host begins from that port is a program's like any other.
  const out = { ...answer, toPort: 5001 };
  assert.deepEqual(
    short(at.captured("host", [segment({ ...out, flags: SYN, seq: 1 })])),
    ["Held 0"],
  );
});

Deno.test("callers leave half of the flow table to the host's own programs", () => {
  const at = world({ answeredPorts: [22], capacity: 16 });
  for (let n = 0; n < 20; n++) {
    at.captured("network", [
      segment({
        ...{ from: "203.0.113.9", to: HOST4, toPort: 22 },
        ...{ fromPort: 5000 + n, flags: SYN, seq: 7 },
      }),
    ]);
  }
  assert.equal(at.flows.size, 9);
});
