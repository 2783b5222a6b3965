/** RFC 4787 (UDP) and RFC 5508 (ICMP): each requirement by its number, through the whole gateway. */
import assert from "node:assert/strict";
import { MappingState } from "../../../src/core/flow/nat.ts";
import {
  addressWords,
  echoPacket,
  fragmentsOf,
  icmpBytes,
  ipPacket,
  pattern,
  slowChecksum,
  udpBytes,
  udpPacket,
} from "../flow/packets.ts";
import { type Seen, World, type WorldOptions } from "./world.ts";

const CLIENT = "10.8.0.2";
const OTHER = "10.8.0.3";
const OUT = "192.0.2.7";
const OUT2 = "198.51.100.9";
const HOST_OUTSIDE = "203.0.113.5";

function send(
  world: World,
  peer: number,
  from: string,
  fromPort: number,
  to = OUT,
  toPort = 53,
) {
  const [seen] = world.fromTunnel(
    peer,
    udpPacket({ from, to, fromPort, toPort }),
  );
  return seen;
}

function externalOf(world: World, seen: Seen): number {
  assert.equal(seen.verdict, "ToUdp");
  return world.nat.externalPort[seen.target as number];
}

function arrives(
  world: World,
  mapping: number,
  address: string,
  port: number,
): string {
  const [seen] = world.fromOutside(mapping, { address, port }, [1]);
  return seen.verdict === "Drop" ? `${seen.target}` : seen.verdict;
}

Deno.test("RFC 4787 REQ-1: one mapping for all destinations", () => {
  const world = new World();
  const rows = [[OUT, 53], [OUT, 54], [OUT2, 53]].map(([to, port]) =>
    send(world, 0, CLIENT, 4000, to as string, port as number).target
  );
  assert.deepEqual(rows, [0, 0, 0]);
  assert.equal(world.sockets.opened.length, 1);
});

Deno.test("RFC 4787 REQ-2: all mappings of a client leave by the host's one address per family", () => {
  const world = new World();
  for (let port = 4000; port < 4010; port++) send(world, 0, CLIENT, port);
  assert.deepEqual([
    ...new Set(world.sockets.opened.map((socket) => socket.family)),
  ], [4]);
});

Deno.test("RFC 4787 REQ-3: no port is used twice, and the class is kept", () => {
  const world = new World({ config: { portFirst: 1 } });
  const ports = [0, 1, 2].flatMap((peer) =>
    [123, 1000, 4000].map((port) =>
      externalOf(world, send(world, peer, `10.8.0.${peer + 2}`, port))
    )
  );
  assert.equal(new Set(ports).size, ports.length);
  ports.forEach((port, n) => assert.equal(port < 1024, n % 3 < 2, `${port}`));
});

Deno.test("RFC 4787 REQ-3: where low ports are not permitted, a high one serves", () => {
  const world = new World({ config: { portFirst: 1 } });
  world.sockets.firstPermitted = 1024;
  const port = externalOf(world, send(world, 0, CLIENT, 123));
  assert.ok(port >= 1024 && (port & 1) === 1);
});

Deno.test("RFC 4787 REQ-4: the same port where free, else the same parity", () => {
  const world = new World();
  for (const port of [4000, 4001]) {
    assert.equal(externalOf(world, send(world, 0, CLIENT, port)), port);
    const other = externalOf(world, send(world, 1, OTHER, port));
    assert.notEqual(other, port);
    assert.equal(other & 1, port & 1);
  }
});

Deno.test("RFC 4787 REQ-5: a mapping lives its time, and no more than a sweep longer", () => {
  const world = new World();
  const mapping = send(world, 0, CLIENT, 4000).target as number;
  world.pass(299_000);
  assert.equal(arrives(world, mapping, OUT, 53), "ToPeer");
  world.pass(1000);
  assert.equal(arrives(world, mapping, OUT, 53), "no mapping");
  world.pass(60_000);
  assert.equal(world.nat.size, 0);
  assert.equal(world.sockets.live.size, 0);
});

Deno.test("RFC 4787 REQ-6: outbound refreshes; inbound only where configured", () => {
  for (const refresh of ["outbound", "both"] as const) {
    const world = new World({ config: { refresh } });
    const mapping = send(world, 0, CLIENT, 4000).target as number;
    world.pass(200_000);
    assert.equal(arrives(world, mapping, OUT, 53), "ToPeer");
    world.pass(200_000);
    const expected = refresh === "both" ? "ToPeer" : "no mapping";
    assert.equal(arrives(world, mapping, OUT, 53), expected);
  }
  const world = new World();
  const mapping = send(world, 0, CLIENT, 4000).target as number;
  for (let n = 0; n < 5; n++) {
    world.pass(200_000);
    assert.equal(send(world, 0, CLIENT, 4000).target, mapping);
  }
});

Deno.test("RFC 4787 REQ-8: the three filtering behaviours", () => {
  const rules: [
    NonNullable<WorldOptions["config"]>["filtering"],
    string,
    string,
  ][] = [
    ["endpoint-independent", "ToPeer", "ToPeer"],
    ["address-dependent", "ToPeer", "filtered by mapping"],
    [
      "address-and-port-dependent",
      "filtered by mapping",
      "filtered by mapping",
    ],
  ];
  for (const [filtering, otherPort, otherAddress] of rules) {
    const world = new World({ config: { filtering } });
    const mapping = send(world, 0, CLIENT, 4000).target as number;
    assert.equal(arrives(world, mapping, OUT, 53), "ToPeer", filtering);
    assert.equal(arrives(world, mapping, OUT, 54), otherPort, filtering);
    assert.equal(arrives(world, mapping, OUT2, 53), otherAddress, filtering);
    // Another mapping of the same client has its own filter.
    send(world, 0, CLIENT, 4001, OUT2, 53);
    assert.equal(arrives(world, mapping, OUT2, 53), otherAddress, filtering);
  }
});

Deno.test("RFC 4787 REQ-9: hairpinning, with the external source address and port", () => {
  const world = new World({
    config: { outsideAddresses: addressWords(HOST_OUTSIDE) },
  });
  const target = send(world, 1, OTHER, 5000);
  const external = externalOf(world, target);
  // The sender's own port is taken, so that its external one differs.
  send(world, 1, OTHER, 4000);
  const [seen] = world.fromTunnel(
    0,
    udpPacket({
      ...{
        from: CLIENT,
        to: HOST_OUTSIDE,
        fromPort: 4000,
        toPort: external,
        hopLimit: 20,
      },
      options: [1, 1, 1, 1],
    }, [4, 5, 6]),
  );
  assert.deepEqual([seen.verdict, seen.target], ["ToPeer", 1]);
  const sender = world.nat.lookupOutbound(17, addressWords(CLIENT), 0, 4000);
  const fromPort = world.nat.externalPort[sender];
  assert.notEqual(fromPort, 4000);
  const id = seen.bytes[4] * 256 + seen.bytes[5];
  const expected = udpPacket({
    ...{
      from: HOST_OUTSIDE,
      to: OTHER,
      fromPort,
      toPort: 5000,
      hopLimit: 19,
      id,
    },
  }, [4, 5, 6]);
  assert.deepEqual(seen.bytes, [...expected]);
});

Deno.test("RFC 4787 REQ-9: hairpinned packets meet the target's filter", () => {
  const world = new World({
    config: {
      outsideAddresses: addressWords(HOST_OUTSIDE),
      filtering: "address-and-port-dependent",
    },
  });
  const external = externalOf(world, send(world, 1, OTHER, 5000));
  const knock = () => send(world, 0, CLIENT, 4000, HOST_OUTSIDE, external);
  assert.equal(knock().target, "filtered by mapping");
  send(world, 1, OTHER, 5000, HOST_OUTSIDE, 4000);
  assert.equal(knock().verdict, "ToPeer");
});

Deno.test("a host address outside is the gateway's own where no mapping has the port", () => {
  const world = new World({
    config: { outsideAddresses: addressWords(HOST_OUTSIDE), host: "deny" },
  });
  assert.equal(
    send(world, 0, CLIENT, 4000, HOST_OUTSIDE, 123).target,
    "host services denied",
  );
  const [echo] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT, to: HOST_OUTSIDE, id16: 3 }),
  );
  assert.equal(echo.verdict, "ToPeer");
});

Deno.test("RFC 4787 REQ-11: the same traffic gives the same ports", () => {
  const ports = () => {
    const world = new World();
    return [0, 1, 2, 0, 1, 2].map((peer, n) =>
      externalOf(
        world,
        send(world, peer, `10.8.0.${peer + 2}`, 4000 + (n >> 1)),
      )
    );
  };
  assert.deepEqual(ports(), ports());
});

Deno.test("RFC 4787 REQ-12: errors are passed in and never end a mapping", () => {
  const world = new World();
  const packet = udpPacket({
    from: CLIENT,
    to: OUT,
    fromPort: 4000,
    toPort: 53,
  }, [1, 2, 3, 4]);
  const mapping = world.fromTunnel(0, packet)[0].target as number;
  const before = world.nat.lastOutboundAt[mapping];
  const [error] = world.outsideError(mapping, {
    ...{
      type: 3,
      code: 3,
      offender: OUT,
      destination: OUT,
      destinationPort: 53,
    },
    payload: [1, 2, 3, 4],
  });
  assert.deepEqual([error.verdict, error.target], ["ToPeer", 0]);
  assert.deepEqual(error.bytes.slice(12, 20), [192, 0, 2, 7, 10, 8, 0, 2]);
  assert.deepEqual(error.bytes.slice(20, 22), [3, 3]);
  assert.equal(slowChecksum(error.bytes.slice(0, 20)), 0);
  assert.equal(slowChecksum(error.bytes.slice(20)), 0);
  const embedded = udpPacket(
    { from: CLIENT, to: OUT, fromPort: 4000, toPort: 53, hopLimit: 1 },
    [1, 2, 3, 4],
  );
  assert.deepEqual(error.bytes.slice(28), [...embedded]);
  assert.equal(world.nat.stateOf(mapping), MappingState.Open);
  assert.equal(world.nat.lastOutboundAt[mapping], before);
});

Deno.test("RFC 4787 REQ-13: fragmentation needed reaches the client with its MTU", () => {
  const world = new World();
  const mapping = send(world, 0, CLIENT, 4000).target as number;
  const [error] = world.outsideError(mapping, {
    ...{
      type: 3,
      code: 4,
      extra: 1400,
      offender: OUT2,
      destination: OUT,
      destinationPort: 53,
    },
    payload: pattern(900),
  });
  assert.deepEqual(error.bytes.slice(20, 22), [3, 4]);
  assert.deepEqual(error.bytes.slice(24, 28), [0, 0, 5, 120]);
  assert.ok(error.bytes.length <= 576);
});

Deno.test("RFC 4787 REQ-13: a send that is too big with DF is answered about the client's packet", () => {
  const world = new World();
  const packet = udpPacket(
    { from: CLIENT, to: OUT, fromPort: 4000, toPort: 53, dontFragment: true },
    pattern(1392),
  );
  world.fromTunnel(0, packet);
  world.open.sendFailed(world.batch, 0, 1, 1300);
  const [row, error] = world.seen();
  assert.equal(row.target, "too big");
  assert.deepEqual(error.bytes.slice(20, 22), [3, 4]);
  assert.deepEqual(error.bytes.slice(24, 28), [0, 0, 1300 >> 8, 1300 & 255]);
  assert.deepEqual(error.bytes.slice(28), [...packet.slice(0, 548)]);
});

Deno.test("RFC 4787 REQ-14: fragments out, in order and out of order", () => {
  const options = { from: CLIENT, to: OUT, fromPort: 4000, toPort: 53, id: 99 };
  const data = pattern(3000);
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const world = new World();
    const parts = fragmentsOf(
      17,
      udpBytes(options, data),
      [1400, 2800],
      options,
    );
    const seen = world.fromTunnel(0, ...order.map((n) => parts[n]));
    assert.deepEqual(seen.map((row) => row.verdict), [
      "Held",
      "Held",
      "Held",
      "ToUdp",
    ]);
    assert.deepEqual(seen[3].bytes, data);
    assert.deepEqual([seen[3].dontFragment, seen[3].remotePort], [0, 53]);
  }
});

Deno.test("RFC 4787 REQ-14: fragments of IPv6, over several batches", () => {
  const options = {
    ...{
      from: "fd00:8:0:0:0:0:0:2",
      to: "2001:db8:0:0:0:0:0:7",
      fromPort: 4000,
      toPort: 53,
    },
    id: 0x98765432,
  };
  const data = pattern(3000);
  const world = new World();
  const parts = fragmentsOf(17, udpBytes(options, data), [1400, 2800], options);
  assert.equal(world.fromTunnel(0, parts[2])[0].verdict, "Held");
  assert.equal(world.fromTunnel(0, parts[0])[0].verdict, "Held");
  const [held, whole] = world.fromTunnel(0, parts[1]);
  assert.equal(held.verdict, "Held");
  assert.deepEqual(whole.bytes, data);
  assert.equal(
    whole.dontFragment,
    0,
    "what came in fragments may leave in fragments",
  );
});

Deno.test("a datagram larger than the tunnel's MTU comes in as fragments", () => {
  for (
    const [to, out] of [[CLIENT, OUT], [
      "fd00:8:0:0:0:0:0:2",
      "2001:db8:0:0:0:0:0:7",
    ]]
  ) {
    const world = new World();
    const packet = udpPacket({ from: to, to: out, fromPort: 4000, toPort: 53 });
    const mapping = world.fromTunnel(0, packet)[0].target as number;
    const data = pattern(3000);
    const rows = world.fromOutside(mapping, { address: out, port: 53 }, data);
    assert.ok(
      rows.length === 3 && rows.every((row) => row.verdict === "ToPeer"),
    );
    assert.ok(
      rows.every((row) => row.target === 0 && row.bytes.length <= 1420),
    );
    // The client puts them together; here another gateway does, for which it is outside.
    const other = new World({
      ...{ peers: [[out.includes(":") ? "2001:db8::7/128" : OUT]] },
      config: { subnets: [] },
    });
    const again = other.fromTunnel(
      0,
      ...rows.map((row) => Uint8Array.from(row.bytes)),
    );
    assert.deepEqual(again.at(-1)!.bytes, data);
  }
});

Deno.test("RFC 5508 REQ-1: one echo mapping for all destinations, its identifier our own", () => {
  const world = new World();
  const echo = (to: string) =>
    world.fromTunnel(0, echoPacket({ from: CLIENT, to, id16: 500 }))[0].target;
  assert.deepEqual([echo(OUT), echo(OUT2)], [0, 0]);
});

Deno.test("RFC 5508 REQ-2: an echo mapping lives 60 s", () => {
  const world = new World();
  const [out] = world.fromTunnel(
    0,
    echoPacket({ from: CLIENT, to: OUT, id16: 500 }),
  );
  const mapping = out.target as number;
  const reply = icmpBytes({ from: OUT, to: OUT }, 0, 0, out.bytes.slice(4));
  world.pass(59_000);
  assert.equal(
    world.fromOutside(mapping, { address: OUT }, reply)[0].verdict,
    "ToPeer",
  );
  world.pass(1000);
  assert.equal(
    world.fromOutside(mapping, { address: OUT }, reply)[0].target,
    "unmatched echo reply",
  );
});

Deno.test("RFC 5508 REQ-3: bad checksums are dropped both ways", () => {
  const world = new World();
  const request = echoPacket({ from: CLIENT, to: OUT, id16: 500 });
  const mapping = world.fromTunnel(0, request)[0].target as number;
  const broken = request.slice();
  broken[30] ^= 1;
  assert.equal(world.fromTunnel(0, broken)[0].target, "bad checksum");
  const reply = icmpBytes({ from: OUT, to: OUT }, 0, 0, [1, 244, 0, 1, 9]);
  reply[8] ^= 1;
  assert.equal(
    world.fromOutside(mapping, { address: OUT }, reply)[0].target,
    "bad checksum",
  );
});

Deno.test("RFC 5508 REQ-4: an error about an echo has the client's identifier in it", () => {
  const world = new World();
  world.fromTunnel(1, echoPacket({ from: OTHER, to: OUT, id16: 500 }));
  const request = echoPacket({ from: CLIENT, to: OUT, id16: 500 });
  const [out] = world.fromTunnel(0, request);
  const report = {
    type: 11,
    code: 0,
    offender: OUT2,
    destination: OUT,
    payload: out.bytes,
  };
  // By row, and by the identifier where a raw socket reports.
  for (const row of [out.target as number, -1]) {
    const [error] = world.outsideError(row, report);
    assert.deepEqual([error.verdict, error.target], ["ToPeer", 0]);
    assert.deepEqual(error.bytes.slice(12, 22), [
      198,
      51,
      100,
      9,
      10,
      8,
      0,
      2,
      11,
      0,
    ]);
    const embedded = echoPacket({
      from: CLIENT,
      to: OUT,
      id16: 500,
      hopLimit: 1,
    });
    assert.deepEqual(error.bytes.slice(28), [...embedded]);
  }
});

Deno.test("RFC 5508 REQ-4: an error about no mapping is dropped", () => {
  const world = new World();
  assert.equal(
    world.outsideError(5, { destination: OUT })[0].target,
    "no mapping",
  );
  assert.equal(
    world.outsideError(-1, {
      destination: OUT,
      payload: [8, 0, 0, 0, 1, 1, 0, 0],
    })[0].target,
    "no mapping",
  );
});

Deno.test("RFC 5508 REQ-5: errors that clients send to the outside are dropped", () => {
  const world = new World();
  const inner = [
    ...udpPacket({ from: OUT, to: CLIENT, fromPort: 53, toPort: 4000 }),
  ];
  const message = icmpBytes({ from: CLIENT, to: OUT }, 3, 3, [
    0,
    0,
    0,
    0,
    ...inner,
  ]);
  const [seen] = world.fromTunnel(
    0,
    ipPacket(1, message, { from: CLIENT, to: OUT }),
  );
  assert.equal(seen.target, "ICMP not forwarded");
});

Deno.test("RFC 5508 REQ-8: no mapping to be had is type 3 code 13", () => {
  const world = new World({ config: { portFirst: 5000, portLast: 5001 } });
  send(world, 0, CLIENT, 5000);
  send(world, 0, CLIENT, 5001);
  const packet = udpPacket({
    from: CLIENT,
    to: OUT,
    fromPort: 5002,
    toPort: 53,
  });
  const [row, error] = world.fromTunnel(0, packet);
  assert.equal(row.target, "no free port");
  assert.deepEqual(error.bytes.slice(20, 22), [3, 13]);
  assert.deepEqual(error.bytes.slice(28), [...packet]);
});
