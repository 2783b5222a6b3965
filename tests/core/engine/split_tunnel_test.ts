import assert from "node:assert/strict";
import { type FlowVerdict, Way } from "../../../src/core/flow/flow_table.ts";
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
  PSH,
  readSegment,
  RST,
  segment,
  type SegmentOptions,
  SYN,
} from "../flow/segments.ts";
import {
  HOST4,
  HOST6,
  NEAR,
  OWN_PORT,
  type Seen,
  SplitWorld,
  TUNNEL_MTU,
} from "./split_world.ts";

const DIRECT: FlowVerdict = { way: Way.Direct, outbound: 0, rule: 1 };
const PROXY: FlowVerdict = { way: Way.Proxy, outbound: 1, rule: 2 };
const TUNNEL: FlowVerdict = { way: Way.Packet, outbound: 2, rule: 3 };
const DROP: FlowVerdict = { way: Way.Drop, outbound: 0, rule: 4 };

const FAMILIES = [
  { name: "IPv4", from: HOST4, to: "192.0.2.7", near: NEAR[2][0] },
  { name: "IPv6", from: HOST6, to: "2001:db8:0:0:0:0:0:7", near: NEAR[2][1] },
] as const;
const ENDS = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 443 };

function world(options: ConstructorParameters<typeof SplitWorld>[0] = {}) {
  const made = new SplitWorld(options);
  made.attach(2);
  made.attach(3);
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
  assert.deepEqual(short(at.fromHost([packet])), ["Held 0"]);
  at.settle(at.asked.at(-1)!, verdict);
  return at.fromHeld();
}

/** A connection that stands, through a tunnel. */
function connect(at: SplitWorld, ends: SegmentOptions): void {
  begin(at, segment({ ...ends, flags: SYN, seq: 100 }), TUNNEL);
  const back = { from: ends.to, to: NEAR[2][0], fromPort: 443, toPort: 4000 };
  at.fromTunnel(2, [
    segment({ ...back, flags: SYN | ACK, seq: 900, ack: 101 }),
  ]);
  at.fromHost([segment({ ...ends, flags: ACK, seq: 101, ack: 901 })]);
}

for (const { name, from, to, near } of FAMILIES) {
  const ends = { from, to, fromPort: 4000, toPort: 9 };
  Deno.test(`${name}: nothing passes before it is decided; then all that waited, in order`, () => {
    const at = world();
    const packets = [[1], [2], [3]].map((data) => udpPacket(ends, data));
    assert.deepEqual(short(at.fromHost(packets)), [
      "Held 0",
      "Held 0",
      "Held 0",
    ]);
    assert.equal(at.asked.length, 1);
    assert.deepEqual(at.fromHeld(), []);
    at.settle(at.asked[0], TUNNEL);
    const seen = at.fromHeld();
    assert.deepEqual(short(seen), ["ToTunnel 2", "ToTunnel 2", "ToTunnel 2"]);
    const outside = { ...ends, from: near };
    seen.forEach(({ bytes }, n) =>
      assert.deepEqual(bytes, [...udpPacket(outside, [n + 1])])
    );
    const back = { from: to, to: near, fromPort: 9, toPort: 4000 };
    const [answer] = at.fromTunnel(2, [udpPacket(back, [9])]);
    assert.deepEqual(answer.verdict, "ToHost");
    assert.deepEqual(
      answer.bytes,
      [...udpPacket({ from: to, to: from, fromPort: 9, toPort: 4000 }, [9])],
    );
  });

  Deno.test(`${name}: each way by UDP and echo`, () => {
    const udp = (fromPort: number) => udpPacket({ ...ends, fromPort });
    const echo = (id16: number) => echoPacket({ from, to, id16 });
    const cases = [
      [udp(1), DIRECT, "ToUdp"],
      [udp(2), PROXY, "ToRelayUdp"],
      [udp(3), TUNNEL, "ToTunnel"],
      [udp(4), DROP, "Drop"],
      [echo(1), DIRECT, "ToEcho"],
      [echo(2), PROXY, "Drop"],
      [echo(3), TUNNEL, "ToTunnel"],
      [echo(4), DROP, "Drop"],
    ] as const;
    const at = world();
    for (const [packet, verdict, expected] of cases) {
      const seen = begin(at, packet, verdict);
      assert.equal(seen[0].verdict, expected);
      // Whoever is refused hears of it.
      assert.equal(seen.length, expected === "Drop" ? 2 : 1);
    }
  });

  Deno.test(`${name}: an echo through a tunnel and its answer, and an error about it`, () => {
    const at = world();
    const [out] = begin(at, echoPacket({ from, to, id16: 7 }), TUNNEL);
    const outside = echoPacket({ from: near, to, id16: 7 });
    assert.deepEqual(out.bytes, [...outside]);
    const isIpv4 = name === "IPv4";
    const reply = { from: to, to: near, id16: 7, type: isIpv4 ? 0 : 129 };
    const [back] = at.fromTunnel(2, [echoPacket(reply)]);
    assert.deepEqual(back.bytes, [...echoPacket({ ...reply, to: from })]);
    const router = isIpv4 ? "203.0.113.1" : "2001:db8:0:0:0:0:0:1";
    const error = (to: string, about: Uint8Array) => {
      const route = { from: router, to };
      const [type, protocol] = isIpv4 ? [11, 1] : [3, 58];
      const rest = [0, 0, 0, 0, ...about];
      return ipPacket(protocol, icmpBytes(route, type, 0, rest), route);
    };
    const [told] = at.fromTunnel(2, [error(near, outside)]);
    assert.equal(told.verdict, "ToHost");
    const inside = echoPacket({ from, to, id16: 7 });
    assert.deepEqual(told.bytes, [...error(from, inside)]);
  });
}

Deno.test("TCP by the relay names the way out and the destination", () => {
  const at = world();
  const to = { words: addressWords("192.0.2.53"), port: 5353 };
  const syn = segment({ ...ENDS, flags: SYN, seq: 1 });
  const [dial] = begin(at, syn, { ...PROXY, to });
  assert.equal(dial.verdict, "ToRelay");
  const row = dial.target as number;
  const { outbound, target, targetPort } = at.redirects;
  assert.equal(outbound[row], 1);
  assert.deepEqual([...target.subarray(row * 4, row * 4 + 4)], [...to.words]);
  assert.equal(targetPort[row], 5353);
});

Deno.test("a segment of no connection is refused; a SYN that waits is not asked about twice", () => {
  const at = world();
  const stray = at.fromHost([segment({ ...ENDS, flags: ACK, seq: 1, ack: 5 })]);
  assert.deepEqual(short(stray), ["Drop no TCP connection", "ToHost 0"]);
  assert.deepEqual(readSegment(stray[1].bytes).flags, RST);
  const syn = segment({ ...ENDS, flags: SYN, seq: 1 });
  at.fromHost([syn]);
  assert.deepEqual(short(at.fromHost([syn])), ["Drop waits for its rule"]);
  assert.equal(at.asked.length, 1);
  // Another SYN is another program's, maybe: the rules are asked again.
  at.fromHost([segment({ ...ENDS, flags: SYN, seq: 2 })]);
  assert.equal(at.asked.length, 2);
  at.settle(at.asked[0], TUNNEL);
  assert.deepEqual(at.fromHeld(), []);
  at.settle(at.asked[1], TUNNEL);
  assert.deepEqual(short(at.fromHeld()), ["ToTunnel 2"]);
});

Deno.test("TCP through a tunnel: the MSS fits it both ways, both directions find each other", () => {
  const at = world();
  const mss = [2, 4, 9000 >> 8, 9000 & 255];
  const fits = [2, 4, (TUNNEL_MTU - 40) >> 8, (TUNNEL_MTU - 40) & 255];
  const syn = { ...ENDS, flags: SYN, seq: 1 };
  const [out] = begin(at, segment({ ...syn, tcpOptions: mss }), TUNNEL);
  const outside = { ...syn, from: NEAR[2][0], tcpOptions: fits };
  assert.deepEqual(out.bytes, [...segment(outside)]);
  const back = {
    ...{ from: ENDS.to, to: NEAR[2][0], fromPort: 443, toPort: 4000 },
    ...{ flags: SYN | ACK, seq: 7, ack: 2, tcpOptions: mss },
  };
  const [answer] = at.fromTunnel(2, [segment(back)]);
  assert.deepEqual(
    answer.bytes,
    [...segment({ ...back, to: HOST4, tcpOptions: fits })],
  );
});

Deno.test("two programs with the same ends outside get ports of their own", () => {
  const at = world();
  const near = begin(at, udpPacket(ENDS), TUNNEL)[0].bytes;
  const other = { ...ENDS, from: "10.0.0.2" };
  const far = begin(at, udpPacket(other), TUNNEL)[0].bytes;
  const port = (bytes: number[]) => (bytes[20] << 8) | bytes[21];
  assert.equal(port(near), 4000);
  assert.notEqual(port(far), 4000);
  const back = { from: ENDS.to, to: NEAR[2][0], fromPort: 443 };
  const answers = [near, far].map((bytes) =>
    at.fromTunnel(2, [udpPacket({ ...back, toPort: port(bytes) })])[0].bytes
  );
  assert.deepEqual(
    answers,
    [HOST4, "10.0.0.2"].map((
      to,
    ) => [...udpPacket({ ...back, to, toPort: 4000 })]),
  );
});

Deno.test("what comes out of a tunnel passes only for a flow of that tunnel", () => {
  const at = world();
  begin(at, udpPacket(ENDS), TUNNEL);
  const back = { from: ENDS.to, to: NEAR[2][0], fromPort: 443, toPort: 4000 };
  const cases = [
    [2, back, "ToHost 0"],
    [3, back, "Drop no mapping"],
    [2, { ...back, fromPort: 444 }, "Drop no mapping"],
    [2, { ...back, toPort: 4001 }, "Drop no mapping"],
    [2, { ...back, from: "192.0.2.8" }, "Drop no mapping"],
    [2, { ...back, to: HOST4 }, "Drop no mapping"],
  ] as const;
  for (const [outbound, ends, expected] of cases) {
    assert.deepEqual(short(at.fromTunnel(outbound, [udpPacket(ends)])), [
      expected,
    ]);
  }
  at.batch.clear();
  at.load([udpPacket(back)]);
  at.batch.peer[0] = 6;
  at.engine.fromTunnel(at.batch, 2, at.now);
  assert.deepEqual(short(at.seen()), ["Drop spoofed source"]);
});

Deno.test("what comes by the direct way passes only for a flow of that way", () => {
  const at = world();
  const [out] = begin(at, udpPacket(ENDS), DIRECT);
  const mapping = out.target as number;
  const ok = at.fromOutside(mapping, ENDS.to, 443, [5]);
  assert.deepEqual(short(ok), ["ToHost 0"]);
  // The program's port is the same, but nobody of the direct way has asked that one.
  const other = udpPacket({ ...ENDS, to: "192.0.2.8" });
  begin(at, other, TUNNEL);
  for (const from of ["192.0.2.8", "192.0.2.9"]) {
    const seen = at.fromOutside(mapping, from, 443, [5]);
    assert.deepEqual(short(seen), ["Drop no mapping"]);
  }
});

Deno.test("a query that goes to another resolver is answered in its own one's name", () => {
  const to = { words: addressWords("203.0.113.53"), port: 5353 };
  const query = { ...ENDS, toPort: 53 };
  const answer = { from: query.to, to: HOST4, fromPort: 53, toPort: 4000 };
  const at = world();
  const [out] = begin(at, udpPacket(query), { ...TUNNEL, to });
  const real = { ...query, from: NEAR[2][0], to: "203.0.113.53", toPort: 5353 };
  assert.deepEqual(out.bytes, [...udpPacket(real)]);
  const back = { from: real.to, to: real.from, fromPort: 5353, toPort: 4000 };
  const [told] = at.fromTunnel(2, [udpPacket(back, [7, 8])]);
  assert.deepEqual(told.bytes, [...udpPacket(answer, [7, 8])]);
  assert.deepEqual(at.answers.map(({ payload }) => payload), [[7, 8]]);

  const direct = world();
  const [sent] = begin(direct, udpPacket(query), { ...DIRECT, to });
  assert.deepEqual(
    [...direct.batch.remote.subarray(0, 4), direct.batch.remotePort[0]],
    [...to.words, 5353],
  );
  const [heard] = direct.fromOutside(
    sent.target as number,
    "203.0.113.53",
    5353,
    [7, 8],
  );
  assert.equal(heard.verdict, "ToHost");
  // But for hop limit and identification, which are the gateway's.
  assert.deepEqual(
    heard.bytes.slice(12),
    [...udpPacket(answer, [7, 8])].slice(12),
  );
  assert.deepEqual(direct.answers.map(({ payload }) => payload), [[7, 8]]);
});

Deno.test("a family that the tunnel has not goes nowhere, and its program hears of it", () => {
  const at = world();
  const ends = { ...ENDS, from: HOST6, to: "2001:db8:0:0:0:0:0:7" };
  const only4 = { ...TUNNEL, outbound: 3 };
  const seen = begin(at, udpPacket(ends), only4);
  assert.deepEqual(short(seen), ["Drop family not in the tunnel", "ToHost 0"]);
  const syn = segment({ ...ends, flags: SYN, seq: 1 });
  const tcp = begin(at, syn, only4);
  assert.deepEqual(short(tcp), ["Drop family not in the tunnel", "ToHost 0"]);
});

Deno.test("a way out that is gone carries nothing", () => {
  const at = world();
  begin(at, udpPacket(ENDS), TUNNEL);
  connect(at, { ...ENDS, flags: 0 });
  const told = at.detach(2);
  assert.deepEqual(short(told), ["ToHost 0"]);
  const reset = readSegment(told[0].bytes);
  assert.deepEqual(
    [reset.flags, reset.seq, reset.fromPort, reset.toPort],
    [RST, 901, 443, 4000],
  );
  assert.equal(at.flows.size, 0);
  assert.equal(at.ended.length, 2);
  const late = begin(at, udpPacket(ENDS), TUNNEL);
  assert.deepEqual(short(late), ["Drop way out is gone", "ToHost 0"]);
});

Deno.test("another verdict: a datagram goes the other way, a connection ends", () => {
  const at = world();
  begin(at, udpPacket(ENDS), TUNNEL);
  const asked = at.asked.at(-1)!;
  assert.deepEqual(at.settle(asked, { ...TUNNEL, rule: 9 }), []);
  assert.equal(at.flows.rule[asked.flow], 9);
  assert.deepEqual(at.settle(asked, DROP), []);
  const back = { from: ENDS.to, to: NEAR[2][0], fromPort: 443, toPort: 4000 };
  assert.deepEqual(short(at.fromTunnel(2, [udpPacket(back)])), [
    "Drop no mapping",
  ]);
  assert.deepEqual(short(at.fromHost([udpPacket(ENDS)])), [
    "Drop dropped by rule",
    "ToHost 0",
  ]);
  at.settle(asked, { ...TUNNEL, outbound: 3 });
  assert.deepEqual(short(at.fromHost([udpPacket(ENDS)])), ["ToTunnel 3"]);

  connect(at, { ...ENDS, flags: 0 });
  const reset = at.settle(at.asked.at(-1)!, PROXY);
  assert.deepEqual(short(reset), ["ToHost 0"]);
  const more = segment({ ...ENDS, flags: PSH | ACK, seq: 101, ack: 901 });
  assert.deepEqual(short(at.fromHost([more])), [
    "Drop no TCP connection",
    "ToHost 0",
  ]);
});

Deno.test("a connection of the relay's that is to go elsewhere is taken from it", () => {
  const at = world();
  const [dial] = begin(at, segment({ ...ENDS, flags: SYN, seq: 1 }), DIRECT);
  at.open(dial.target as number);
  at.settle(at.asked.at(-1)!, PROXY);
  assert.deepEqual(at.cut, [`silent ${dial.target}`]);
  assert.deepEqual(at.abandoned, [dial.target]);
  assert.equal(at.flows.size, 0);
  // One that its program gives up itself may still bring what was sent.
  const [next] = begin(at, segment({ ...ENDS, flags: SYN, seq: 2 }), DIRECT);
  at.open(next.target as number);
  at.fromHost([segment({ ...ENDS, flags: SYN, seq: 3 })]);
  assert.equal(at.cut.length, 1);
  assert.deepEqual(at.abandoned, [dial.target, next.target]);
});

Deno.test("too big for the tunnel: told, or cut where it may be", () => {
  const at = world();
  const data = pattern(1400);
  const whole = { ...ENDS, dontFragment: true };
  const seen = begin(at, udpPacket(whole, data), TUNNEL);
  assert.deepEqual(short(seen), ["Drop too big", "ToHost 0"]);
  assert.deepEqual(seen[1].bytes.slice(20, 22), [3, 4]);
  assert.equal((seen[1].bytes[26] << 8) | seen[1].bytes[27], TUNNEL_MTU);
  // What follows in the worker cuts it.
  assert.deepEqual(short(at.fromHost([udpPacket(ENDS, data)])), ["ToTunnel 2"]);
});

Deno.test("fragments are put together, or dropped where that is the policy", () => {
  const bytes = udpBytes(ENDS, pattern(3000));
  const parts = fragmentsOf(17, bytes, [1480, 2960], { ...ENDS, id: 4 });
  const at = world();
  at.fromHost(parts);
  at.settle(at.asked.at(-1)!, TUNNEL);
  const [out] = at.fromHeld();
  assert.deepEqual([out.verdict, out.bytes.length], ["ToTunnel", 3028]);
  // IPv6 has no router that could cut it later: what came whole to a rule goes on so.
  const ends6 = { ...ENDS, from: HOST6, to: "2001:db8:0:0:0:0:0:7" };
  const parts6 = fragmentsOf(
    17,
    udpBytes(ends6, pattern(3000)),
    [1448, 2896],
    { ...ends6, id: 5 },
  );
  at.fromHost(parts6);
  at.settle(at.asked.at(-1)!, TUNNEL);
  assert.deepEqual(short(at.fromHeld()), ["ToTunnel 2"]);
  const whole = segment({ ...ENDS, flags: ACK, data: pattern(3000) });
  const tcp = fragmentsOf(6, [...whole.subarray(20)], [1480, 2960], {
    ...ENDS,
    id: 6,
  });
  assert.deepEqual(
    short(at.fromHost(tcp)),
    tcp.map(() => "Drop protocol not forwarded"),
  );
  const strict = world({ fragments: "drop" });
  assert.deepEqual(
    short(strict.fromHost(parts)),
    parts.map(() => "Drop protocol not forwarded"),
  );
  assert.equal(strict.asked.length, 0);
  // From a tunnel they come in pieces, too.
  const back = { from: ENDS.to, to: NEAR[2][0], fromPort: 443, toPort: 4000 };
  const pieces = fragmentsOf(17, udpBytes(back, pattern(3000)), [1360], {
    ...back,
    id: 9,
  });
  const seen = at.fromTunnel(2, pieces);
  assert.deepEqual(short(seen), ["Held 0", "Held 0", "ToHost 0"]);
});

Deno.test("a flow that nobody decides about is given up, and asked about again", () => {
  const at = world();
  at.fromHost([udpPacket(ENDS)]);
  at.now += 4000;
  assert.deepEqual(at.tick(), []);
  at.now += 1001;
  assert.deepEqual(short(at.tick()), ["Drop undecided for too long"]);
  assert.deepEqual(short(at.fromHost([udpPacket(ENDS)])), ["Held 0"]);
  assert.equal(at.asked.length, 2);
  at.settle(at.asked[0], TUNNEL);
  assert.deepEqual(at.fromHeld(), []);
});

Deno.test("limits: flows, those that wait, packets that wait, and questions", () => {
  const udp = (fromPort: number) => udpPacket({ ...ENDS, fromPort });
  const full = world({ capacity: 1 });
  assert.deepEqual(short(full.fromHost([udp(1), udp(2)])), [
    "Held 0",
    "Drop flow table full",
  ]);
  const few = world({ maxWaiting: 1 });
  assert.deepEqual(short(few.fromHost([udp(1), udp(2)])), [
    "Held 0",
    "Drop too many undecided",
  ]);
  const each = world({ held: { short: 9, long: 0, perFlow: 2 } });
  assert.deepEqual(short(each.fromHost([udp(1), udp(1), udp(1)])), [
    "Held 0",
    "Held 0",
    "Drop too many undecided",
  ]);
  const deaf = world();
  deaf.canAsk = false;
  assert.deepEqual(short(deaf.fromHost([udp(1)])), ["Drop control queue full"]);
  assert.equal(deaf.flows.size, 0);
});

Deno.test("idle flows end by their kind, and somebody is told", () => {
  const at = world();
  begin(at, udpPacket({ ...ENDS, toPort: 53 }), TUNNEL);
  begin(at, udpPacket(ENDS), TUNNEL);
  begin(at, udpPacket({ ...ENDS, toPort: 5 }), DROP);
  at.now += 15_000;
  at.tick();
  assert.equal(at.flows.size, 2);
  at.now += 15_000;
  at.tick();
  assert.equal(at.flows.size, 1);
  at.now += 300_000;
  at.tick();
  assert.equal(at.flows.size, 0);
  assert.equal(at.ended.length, 3);
});

Deno.test("our own sockets' messages don't go round in a circle; groups go nowhere", () => {
  const at = world();
  const own = { ...ENDS, fromPort: OWN_PORT + 2 };
  assert.deepEqual(short(at.fromHost([udpPacket(own)])), [
    "Drop own socket in the tunnel",
  ]);
  const group = udpPacket({ ...ENDS, to: "224.0.0.251" });
  assert.deepEqual(short(at.fromHost([group])), [
    "Drop multicast or broadcast",
  ]);
  const other = ipPacket(47, pattern(30), ENDS);
  assert.deepEqual(short(at.fromHost([other])), [
    "Drop protocol not forwarded",
  ]);
});

Deno.test("another network: proxies' connections end, mappings are made anew", () => {
  const at = world();
  const [dial] = begin(at, segment({ ...ENDS, flags: SYN, seq: 1 }), PROXY);
  at.open(dial.target as number);
  begin(at, udpPacket(ENDS), DIRECT);
  at.fromHost([udpPacket({ ...ENDS, fromPort: 5 })]);
  at.batch.clear();
  at.engine.reset(at.batch, at.now);
  assert.deepEqual(short(at.seen()), ["ToHost 0"]);
  assert.deepEqual(at.abandoned, [dial.target]);
  assert.equal(at.sockets.retired.length, 1);
  assert.equal(at.flows.waiting, 0);
  assert.equal(at.flows.size, 1);
});
