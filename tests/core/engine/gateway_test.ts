import assert from "node:assert/strict";
import {
  addressWords,
  echoPacket,
  fragmentsOf,
  icmpBytes,
  ipPacket,
  pattern,
  slowChecksum,
  tcpPacket,
  udpBytes,
  udpPacket,
} from "../flow/packets.ts";
import { World } from "./world.ts";

const CLIENT = "10.8.0.2";
const CLIENT6 = "fd00:8:0:0:0:0:0:2";
const GATEWAY6 = "fd00:8:0:0:0:0:0:1";
const OUT = "192.0.2.7";
const OUT6 = "2001:db8:0:0:0:0:0:7";

Deno.test("an echo request to the gateway is answered in its place", () => {
  const world = new World();
  const [seen] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT, to: "10.8.0.1", id16: 9 }),
  );
  assert.equal(seen.verdict, "ToPeer");
  assert.equal(seen.target, 0);
  const expected = echoPacket({
    from: "10.8.0.1",
    to: CLIENT,
    id16: 9,
    type: 0,
  });
  assert.deepEqual(seen.bytes, [...expected]);
});

Deno.test("an ICMPv6 echo request to the gateway is answered in its place", () => {
  const world = new World();
  const [seen] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT6, to: GATEWAY6, id16: 9 }),
  );
  const expected = echoPacket({
    from: GATEWAY6,
    to: CLIENT6,
    id16: 9,
    type: 129,
  });
  assert.deepEqual(seen.bytes, [...expected]);
});

Deno.test("padding behind the packet is trimmed", () => {
  const world = new World();
  const packet = echoPacket({ from: CLIENT, to: "10.8.0.3", id16: 9 });
  const [seen] = world.fromTunnel(
    0,
    Uint8Array.from([...packet, 0, 0, 0, 0, 0]),
  );
  assert.equal(seen.bytes.length, packet.length);
});

Deno.test("DNS to the gateway goes to control, TCP DNS to the host, the rest by policy", () => {
  const dns = udpPacket({
    from: CLIENT,
    to: "10.8.0.1",
    fromPort: 5000,
    toPort: 53,
  });
  const tcpDns = tcpPacket({
    from: CLIENT,
    to: "10.8.0.1",
    fromPort: 5000,
    toPort: 53,
  });
  const ssh = tcpPacket({
    from: CLIENT,
    to: "10.8.0.1",
    fromPort: 5000,
    toPort: 22,
  });
  const verdicts = (host: "allow" | "deny" | "absent") =>
    new World({ config: { host } }).fromTunnel(0, dns, tcpDns, ssh).map((
      seen,
    ) => seen.verdict);
  assert.deepEqual(verdicts("allow"), ["ToControl", "ToHost", "ToHost"]);
  assert.deepEqual(verdicts("deny"), ["ToControl", "ToHost", "Drop"]);
  assert.deepEqual(verdicts("absent"), ["ToControl", "Drop", "Drop"]);
});

Deno.test("a packet for another peer goes there with one hop less", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT,
    to: "10.8.0.3",
    fromPort: 1,
    toPort: 2,
    hopLimit: 9,
  });
  const [seen] = world.fromTunnel(0, packet);
  const expected = udpPacket({
    from: CLIENT,
    to: "10.8.0.3",
    fromPort: 1,
    toPort: 2,
    hopLimit: 8,
  });
  assert.equal(seen.verdict, "ToPeer");
  assert.equal(seen.target, 1);
  assert.deepEqual(seen.bytes, [...expected]);
});

Deno.test("a site behind a peer is reached by its allowed IPs, outside the VPN's subnets too", () => {
  const world = new World({
    peers: [["10.8.0.2/32"], ["10.8.0.3/32", "172.16.5.0/24"]],
  });
  const packet = udpPacket({
    from: CLIENT,
    to: "172.16.5.9",
    fromPort: 1,
    toPort: 2,
  });
  const [seen] = world.fromTunnel(0, packet);
  assert.deepEqual([seen.verdict, seen.target], ["ToPeer", 1]);
});

Deno.test("UDP to the outside becomes its payload; the answer becomes a packet", () => {
  const world = new World();
  const data = pattern(40);
  const packet = udpPacket({
    ...{
      from: CLIENT,
      to: OUT,
      fromPort: 4000,
      toPort: 53,
      hopLimit: 10,
      dontFragment: true,
    },
  }, data);
  const [out] = world.fromTunnel(0, packet);
  assert.equal(out.verdict, "ToUdp");
  assert.deepEqual(out.bytes, data);
  assert.deepEqual(out.remote, [...addressWords(OUT)]);
  assert.deepEqual([out.remotePort, out.hopLimit, out.dontFragment], [
    53,
    9,
    1,
  ]);
  assert.deepEqual(world.sockets.opened, [{
    protocol: 17,
    family: 4,
    port: 4000,
    row: 0,
  }]);

  const from = { address: OUT, port: 53, hopLimit: 33 };
  const [back] = world.fromOutside(out.target as number, from, [7, 8, 9]);
  assert.deepEqual([back.verdict, back.target], ["ToPeer", 0]);
  const id = back.bytes[4] * 256 + back.bytes[5];
  const expected = udpPacket({
    ...{ from: OUT, to: CLIENT, fromPort: 53, toPort: 4000, hopLimit: 32, id },
  }, [7, 8, 9]);
  assert.deepEqual(back.bytes, [...expected]);
});

Deno.test("UDP over IPv6 both ways", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT6,
    to: OUT6,
    fromPort: 4000,
    toPort: 53,
  }, [1]);
  const [out] = world.fromTunnel(0, packet);
  assert.deepEqual([out.verdict, out.dontFragment, out.hopLimit], [
    "ToUdp",
    1,
    63,
  ]);
  assert.deepEqual(out.remote, [...addressWords(OUT6)]);
  const [back] = world.fromOutside(out.target as number, {
    address: OUT6,
    port: 53,
  }, [7, 8]);
  const expected = udpPacket({
    from: OUT6,
    to: CLIENT6,
    fromPort: 53,
    toPort: 4000,
  }, [7, 8]);
  assert.deepEqual(back.bytes, [...expected]);
});

Deno.test("headers with options lose them on the way out and nothing else", () => {
  const world = new World();
  const options = [1, 1, 1, 0];
  const addresses = { from: CLIENT, to: OUT, fromPort: 4000, toPort: 53 };
  const [out] = world.fromTunnel(
    0,
    udpPacket({ ...addresses, options }, [5, 6]),
  );
  assert.deepEqual(out.bytes, [5, 6]);
  const destinationOptions = [17, 0, 1, 4, 0, 0, 0, 0];
  const [out6] = world.fromTunnel(
    0,
    udpPacket({
      ...{ from: CLIENT6, to: OUT6, fromPort: 4000, toPort: 53 },
      options: destinationOptions,
      firstHeader: 60,
    }, [5, 6]),
  );
  assert.deepEqual(out6.bytes, [5, 6]);
});

Deno.test("echo to the outside: two clients with the same identifier and sequence", () => {
  const world = new World();
  const [first] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT, to: OUT, id16: 77 }),
  );
  const [second] = world.fromTunnel(
    1,
    echoPacket({ from: "10.8.0.3", to: OUT, id16: 77 }),
  );
  assert.equal(first.verdict, "ToEcho");
  const idOf = (bytes: number[]) => bytes[4] * 256 + bytes[5];
  assert.notEqual(idOf(first.bytes), idOf(second.bytes));
  for (const seen of [first, second]) assert.equal(slowChecksum(seen.bytes), 0);

  const answers = [first, second].map((seen) => {
    const addresses = { from: OUT, to: "203.0.113.1" };
    const rest = [...seen.bytes.slice(4)];
    // The raw socket gives no row (-1), the identifier finds it.
    return world.fromOutside(
      -1,
      { address: OUT },
      icmpBytes(addresses, 0, 0, rest),
    )[0];
  });
  assert.deepEqual(answers.map((seen) => [seen.verdict, seen.target]), [[
    "ToPeer",
    0,
  ], [
    "ToPeer",
    1,
  ]]);
  answers.forEach((seen, n) => {
    const id = seen.bytes[4] * 256 + seen.bytes[5];
    const to = ["10.8.0.2", "10.8.0.3"][n];
    const expected = echoPacket({ from: OUT, to, id16: 77, type: 0, id });
    assert.deepEqual(seen.bytes, [...expected]);
  });
});

Deno.test("ICMPv6 echo to the outside and back", () => {
  const world = new World();
  const [out] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT6, to: OUT6, id16: 77 }),
  );
  assert.equal(out.verdict, "ToEcho");
  const reply = [129, 0, 0, 0, ...out.bytes.slice(4)];
  const [back] = world.fromOutside(
    out.target as number,
    { address: OUT6 },
    reply,
  );
  const expected = echoPacket({ from: OUT6, to: CLIENT6, id16: 77, type: 129 });
  assert.deepEqual(back.bytes, [...expected]);
});

Deno.test("TCP is dropped, or refused with a reset", () => {
  const syn = tcpPacket({ from: CLIENT, to: OUT, fromPort: 4000, toPort: 443 });
  const dropped = new World({ config: { tcp: "drop" } }).fromTunnel(0, syn);
  assert.deepEqual(dropped.map((seen) => seen.target), [
    "TCP dropped by policy",
  ]);
  const [row, reset] = new World({ config: { tcp: "reject" } }).fromTunnel(
    0,
    syn,
  );
  assert.equal(row.target, "TCP rejected by policy");
  assert.deepEqual([reset.verdict, reset.target, reset.bytes[33]], [
    "ToPeer",
    0,
    0x14,
  ]);
  assert.deepEqual(reset.bytes.slice(12, 20), [192, 0, 2, 7, 10, 8, 0, 2]);
});

Deno.test("ipv6: refuse answers «no route»", () => {
  const world = new World({ config: { ipv6: "refuse" } });
  const packet = udpPacket({
    from: CLIENT6,
    to: OUT6,
    fromPort: 4000,
    toPort: 53,
  });
  const [row, error] = world.fromTunnel(0, packet);
  assert.equal(row.target, "IPv6 refused by policy");
  assert.deepEqual([
    error.verdict,
    error.bytes[6],
    error.bytes[40],
    error.bytes[41],
  ], [
    "ToPeer",
    58,
    1,
    0,
  ]);
  assert.deepEqual(error.bytes.slice(48), [...packet]);
});

Deno.test("a VPN address without a peer is «host unreachable»", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT,
    to: "10.8.0.99",
    fromPort: 4000,
    toPort: 53,
  });
  const [row, error] = world.fromTunnel(0, packet);
  assert.equal(row.target, "no peer for destination");
  assert.deepEqual([error.verdict, error.bytes[20], error.bytes[21]], [
    "ToPeer",
    3,
    1,
  ]);
  assert.deepEqual(error.bytes.slice(12, 20), [10, 8, 0, 1, 10, 8, 0, 2]);
  assert.deepEqual(error.bytes.slice(28), [...packet]);
});

Deno.test("a used-up hop limit is «time exceeded», to peers and to the outside", () => {
  const world = new World();
  for (const to of ["10.8.0.3", OUT]) {
    const packet = udpPacket({
      from: CLIENT,
      to,
      fromPort: 4000,
      toPort: 53,
      hopLimit: 1,
    });
    const [row, error] = world.fromTunnel(0, packet);
    assert.equal(row.target, "hop limit exceeded");
    assert.deepEqual([error.bytes[20], error.bytes[21]], [11, 0]);
    assert.deepEqual(error.bytes.slice(28), [...packet]);
  }
});

Deno.test("too big for the other peer's tunnel: an error with DF, fragments without", () => {
  const world = new World({ config: { mtu: 1280 } });
  const addresses = { from: CLIENT, to: "10.8.0.3", fromPort: 1, toPort: 2 };
  const [row, error] = world.fromTunnel(
    0,
    udpPacket({ ...addresses, dontFragment: true }, pattern(1400)),
  );
  assert.equal(row.target, "too big");
  assert.deepEqual([error.bytes[20], error.bytes[21]], [3, 4]);
  assert.deepEqual(error.bytes.slice(26, 28), [1280 >> 8, 1280 & 255]);
  const parts = world.fromTunnel(
    0,
    udpPacket({ ...addresses, id: 5 }, pattern(1400)),
  );
  assert.deepEqual(
    parts.map((seen) => [seen.verdict, seen.target, seen.bytes.length <= 1280]),
    [
      ["ToPeer", 1, true],
      ["ToPeer", 1, true],
    ],
  );
  const [row6, error6] = world.fromTunnel(
    0,
    udpPacket(
      { from: CLIENT6, to: "fd00:8:0:0:0:0:0:3", fromPort: 1, toPort: 2 },
      pattern(1400),
    ),
  );
  assert.equal(row6.target, "too big");
  assert.deepEqual([error6.bytes[40], error6.bytes[46], error6.bytes[47]], [
    2,
    5,
    0,
  ]);
});

Deno.test("errors of our own stay within their rate, each peer for itself", () => {
  const world = new World({ config: { errorsPerSecond: 10, errorBurst: 5 } });
  const lost = (from: string) =>
    udpPacket({ from, to: "10.8.0.99", fromPort: 1, toPort: 2 });
  const errors = (peer: number, from: string, count: number) =>
    Array.from(
      { length: count },
      () => world.fromTunnel(peer, lost(from)).length - 1,
    )
      .reduce((a, b) => a + b);
  assert.equal(errors(0, CLIENT, 20), 5);
  assert.equal(errors(1, "10.8.0.3", 20), 5);
  world.now += 200;
  assert.equal(errors(0, CLIENT, 20), 2);
});

Deno.test("no error about an ICMP error", () => {
  const world = new World();
  const message = icmpBytes({ from: CLIENT, to: OUT }, 3, 1, [
    0,
    0,
    0,
    0,
    ...pattern(28),
  ]);
  const packet = ipPacket(1, message, { from: CLIENT, to: "10.8.0.99" });
  assert.equal(world.fromTunnel(0, packet).length, 1);
});

Deno.test("the host's packets go to the peer of their destination", () => {
  const world = new World();
  const to = (address: string) =>
    udpPacket({ from: "10.8.0.1", to: address, fromPort: 1, toPort: 2 });
  const seen = world.fromHost(
    to("10.8.0.4"),
    to("10.8.0.77"),
    to("224.0.0.251"),
    to("8.8.8.8"),
  );
  assert.deepEqual(seen.map((row) => row.target), [
    2,
    "no peer for destination",
    "multicast or broadcast",
    "no peer for destination",
  ]);
});

Deno.test("a mapping goes with its address to another peer", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT,
    to: OUT,
    fromPort: 4000,
    toPort: 53,
  });
  const [before] = world.fromTunnel(0, packet);
  world.allow("10.8.0.2/32", 1);
  const [after] = world.fromTunnel(1, packet);
  assert.equal(world.nat.peer[after.target as number], 1);
  assert.deepEqual(world.sockets.retired, [{ row: before.target, handle: 10 }]);
});

Deno.test("removing a peer ends its mappings and no other's", () => {
  const world = new World();
  for (let port = 5000; port < 5005; port++) {
    world.fromTunnel(
      0,
      udpPacket({ from: CLIENT, to: OUT, fromPort: port, toPort: 53 }),
    );
    world.fromTunnel(
      1,
      udpPacket({ from: "10.8.0.3", to: OUT, fromPort: port, toPort: 53 }),
    );
  }
  world.open.removePeer(0);
  assert.equal(world.sockets.retired.length, 5);
  assert.equal(world.nat.mappingsOf(0), 0);
  assert.equal(world.nat.mappingsOf(1), 5);
  world.sockets.closeRetired(world.nat);
  world.open.tick(world.now);
  assert.equal(world.nat.size, 5);
});

Deno.test("what comes in for an address that its peer has lost goes nowhere", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT,
    to: OUT,
    fromPort: 4000,
    toPort: 53,
  });
  const mapping = world.fromTunnel(0, packet)[0].target as number;
  const arrives = () =>
    world.fromOutside(mapping, { address: OUT, port: 53 }, [1])[0];
  assert.equal(arrives().verdict, "ToPeer");
  world.allowedIps.remove(0);
  assert.equal(arrives().target, "no mapping");
  world.allow("10.8.0.2/32", 2);
  assert.equal(arrives().target, "no mapping");
});

Deno.test("a fragmented echo request to the gateway is answered in fragments", () => {
  const world = new World();
  const addresses = { from: CLIENT, to: "10.8.0.1", id: 5 };
  const rest = [0, 9, 0, 1, ...pattern(3000)];
  const parts = fragmentsOf(
    1,
    icmpBytes(addresses, 8, 0, rest),
    [1400, 2800],
    addresses,
  );
  const seen = world.fromTunnel(0, ...parts).filter((row) =>
    row.verdict !== "Held"
  );
  assert.deepEqual(seen.map((row) => [row.verdict, row.target]), [
    ["ToPeer", 0],
    ["ToPeer", 0],
    ["ToPeer", 0],
  ]);
  const body = seen.flatMap((row) => row.bytes.slice(20));
  assert.deepEqual(body, icmpBytes(addresses, 0, 0, rest));
});

Deno.test("fragments for peers and for the host pass as they are", () => {
  const world = new World();
  for (
    const [to, verdict] of [["10.8.0.3", "ToPeer"], ["10.8.0.1", "ToHost"]]
  ) {
    const addresses = { from: CLIENT, to, fromPort: 1, toPort: 2, id: 5 };
    const parts = fragmentsOf(
      17,
      udpBytes(addresses, pattern(2000)),
      [1000],
      addresses,
    );
    const seen = world.fromTunnel(0, ...parts);
    assert.deepEqual(seen.map((row) => row.verdict), [verdict, verdict]);
  }
});
