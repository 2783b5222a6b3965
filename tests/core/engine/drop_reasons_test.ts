/** Every reason for which the gateway's engine drops is reached, each by its own packet. */
import assert from "node:assert/strict";
import { OpenFailure } from "../../../src/core/flow/outside_sockets.ts";
import {
  addressWords,
  echoPacket,
  fragment,
  icmpBytes,
  ipPacket,
  pattern,
  tcpPacket,
  udpPacket,
} from "../flow/packets.ts";
import { RELAY, type Seen, World, type WorldOptions } from "./world.ts";

const CLIENT = "10.8.0.2";
const CLIENT6 = "fd00:8:0:0:0:0:0:2";
const OUT = "192.0.2.7";
const UDP = { from: CLIENT, to: OUT, fromPort: 4000, toPort: 53 };
const UDP6 = { ...UDP, from: CLIENT6, to: "2001:db8:0:0:0:0:0:7" };
const PROXY: WorldOptions = { config: { tcp: "proxy" } };
const ECHO = { from: CLIENT, to: OUT, id16: 7 };

interface Case {
  readonly reason: string;
  readonly world?: WorldOptions;
  readonly run: (world: World) => Seen[];
}

/** A packet of peer 0. */
function tunnel(
  packet: Uint8Array,
  world?: WorldOptions,
): Omit<Case, "reason"> {
  return { world, run: (it) => it.fromTunnel(0, packet) };
}

function changed(packet: Uint8Array, at: number, value: number): Uint8Array {
  const copy = packet.slice();
  copy[at] = value;
  return copy;
}

const part = (id: number) =>
  fragment(17, pattern(64), 64, true, { ...UDP, id });

const CASES: Case[] = [
  { reason: "packet too short", ...tunnel(new Uint8Array(5).fill(0x45)) },
  { reason: "packet too short", ...tunnel(new Uint8Array(0)) },
  { reason: "unknown IP version", ...tunnel(changed(udpPacket(UDP), 0, 0x55)) },
  { reason: "bad header length", ...tunnel(changed(udpPacket(UDP), 0, 0x44)) },
  { reason: "bad total length", ...tunnel(changed(udpPacket(UDP), 2, 0xff)) },
  { reason: "bad checksum", ...tunnel(changed(udpPacket(UDP), 8, 63)) },
  { reason: "bad checksum", ...tunnel(changed(udpPacket(UDP), 29, 9)) },
  {
    reason: "bad checksum",
    ...tunnel(changed(udpPacket({ ...UDP, to: "10.8.0.1" }), 29, 9)),
  },
  {
    reason: "bad extension header",
    ...tunnel(
      ipPacket(17, [], {
        ...UDP6,
        options: [0, 0, 0, 0, 0, 0, 0, 0],
        firstHeader: 44,
      }),
    ),
  },
  {
    reason: "spoofed source",
    ...tunnel(udpPacket({ ...UDP, from: "10.8.0.3" })),
  },
  {
    reason: "spoofed source",
    ...tunnel(udpPacket({ ...UDP6, from: "0:0:0:0:0:ffff:a08:2" })),
  },
  {
    reason: "spoofed source",
    ...tunnel(udpPacket({ ...UDP, from: "127.0.0.1" }), {
      peers: [["0.0.0.0/0"]],
    }),
  },
  {
    reason: "spoofed source",
    run: (it) => it.fromTunnel(-1, udpPacket({ ...UDP, from: "8.8.8.8" })),
  },
  {
    reason: "no peer for destination",
    ...tunnel(udpPacket({ ...UDP, to: "10.8.0.99" })),
  },
  {
    reason: "no peer for destination",
    run: (it) => it.fromHost(udpPacket({ ...UDP, to: "10.8.0.99" })),
  },
  {
    reason: "TCP dropped by policy",
    ...tunnel(tcpPacket(UDP), { config: { tcp: "drop" } }),
  },
  { reason: "TCP rejected by policy", ...tunnel(tcpPacket(UDP)) },
  {
    reason: "TCP held while dialing",
    world: PROXY,
    run: (it) => {
      it.fromTunnel(0, tcpPacket(UDP));
      return it.fromTunnel(0, tcpPacket(UDP));
    },
  },
  {
    reason: "no TCP connection",
    ...tunnel(tcpPacket({ ...UDP, flags: 16 }), PROXY),
  },
  {
    reason: "TCP table full",
    world: { ...PROXY, redirects: { capacity: 1 } },
    run: (it) => {
      it.fromTunnel(0, tcpPacket(UDP));
      return it.fromTunnel(0, tcpPacket({ ...UDP, fromPort: 4001 }));
    },
  },
  {
    reason: "TCP limit of the peer",
    world: {
      config: { tcp: "proxy", relay: { ...RELAY, maxDialingPerPeer: 1 } },
    },
    run: (it) => {
      it.fromTunnel(0, tcpPacket(UDP));
      return it.fromTunnel(0, tcpPacket({ ...UDP, fromPort: 4001 }));
    },
  },
  {
    reason: "relay address",
    ...tunnel(udpPacket({ ...UDP, to: "198.18.254.9" }), PROXY),
  },
  {
    reason: "relay stray",
    world: PROXY,
    run: (it) => it.fromHost(tcpPacket({ ...UDP, from: "198.18.254.1" })),
  },
  {
    reason: "relay queue full",
    world: PROXY,
    run: (it) => {
      it.fromTunnel(0, tcpPacket(UDP));
      it.open.dialFailed(it.batch, 0);
      return it.seen();
    },
  },
  {
    reason: "UDP dropped by policy",
    ...tunnel(udpPacket(UDP), { config: { udp: "drop" } }),
  },
  {
    reason: "ICMP dropped by policy",
    ...tunnel(echoPacket(ECHO), { config: { icmp: "drop" } }),
  },
  {
    reason: "IPv6 refused by policy",
    ...tunnel(udpPacket(UDP6), { config: { ipv6: "refuse" } }),
  },
  {
    reason: "host services denied",
    ...tunnel(udpPacket({ ...UDP, to: "10.8.0.1" }), {
      config: { host: "deny" },
    }),
    run: (it) =>
      it.fromTunnel(0, udpPacket({ ...UDP, to: "10.8.0.1", toPort: 123 })),
  },
  {
    reason: "protocol not forwarded",
    ...tunnel(ipPacket(47, pattern(20), UDP)),
  },
  {
    reason: "protocol not forwarded",
    ...tunnel(ipPacket(58, pattern(20), UDP)),
  },
  {
    reason: "multicast or broadcast",
    ...tunnel(udpPacket({ ...UDP, to: "224.0.0.251" })),
  },
  {
    reason: "multicast or broadcast",
    ...tunnel(udpPacket({ ...UDP, to: "10.8.0.255" })),
  },
  {
    reason: "multicast or broadcast",
    ...tunnel(udpPacket({ ...UDP, to: "127.0.0.1" })),
  },
  {
    reason: "multicast or broadcast",
    ...tunnel(udpPacket({ ...UDP6, to: "0:0:0:0:0:ffff:a08:3" })),
  },
  {
    reason: "multicast or broadcast",
    run: (it) => it.fromHost(udpPacket({ ...UDP, to: "255.255.255.255" })),
  },
  {
    reason: "hop limit exceeded",
    ...tunnel(udpPacket({ ...UDP, hopLimit: 1 })),
  },
  {
    reason: "hop limit exceeded",
    ...tunnel(udpPacket({ ...UDP6, hopLimit: 0 })),
  },
  {
    reason: "hop limit exceeded",
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.fromOutside(mapping, { address: OUT, port: 53, hopLimit: 1 }, [
        1,
      ]);
    },
  },
  {
    reason: "too big",
    ...tunnel(
      udpPacket({ ...UDP, to: "10.8.0.3", dontFragment: true }, pattern(1500)),
    ),
  },
  {
    reason: "no mapping",
    run: (it) => it.fromOutside(3, { address: OUT, port: 53 }, [1]),
  },
  {
    reason: "no free port",
    world: { config: { portFirst: 5000, portLast: 5000 } },
    run: (it) => {
      it.fromTunnel(0, udpPacket(UDP));
      return it.fromTunnel(0, udpPacket({ ...UDP, fromPort: 4001 }));
    },
  },
  {
    reason: "mapping table full",
    world: { capacity: 1 },
    run: (it) => {
      it.fromTunnel(0, udpPacket(UDP));
      return it.fromTunnel(0, udpPacket({ ...UDP, fromPort: 4001 }));
    },
  },
  {
    reason: "mapping table full",
    world: { config: { maxMappingsPerPeer: 1 } },
    run: (it) => {
      it.fromTunnel(0, udpPacket(UDP));
      return it.fromTunnel(0, udpPacket({ ...UDP, fromPort: 4001 }));
    },
  },
  {
    reason: "no descriptor left",
    run: (it) => {
      it.sockets.failure = OpenFailure.OutOfResources;
      return it.fromTunnel(0, udpPacket(UDP));
    },
  },
  {
    reason: "filtered by mapping",
    world: { config: { filtering: "address-dependent" } },
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.fromOutside(mapping, { address: "9.9.9.9", port: 53 }, [1]);
    },
  },
  {
    reason: "filtered by mapping",
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.fromOutside(mapping, {
        address: "2001:db8:0:0:0:0:0:7",
        port: 53,
      }, [1]);
    },
  },
  {
    reason: "ICMP not forwarded",
    ...tunnel(echoPacket({ ...ECHO, type: 13 })),
  },
  {
    reason: "ICMP not forwarded",
    run: (it) => {
      const mapping = it.fromTunnel(0, echoPacket(ECHO))[0].target as number;
      return it.fromOutside(
        mapping,
        { address: OUT },
        icmpBytes(ECHO, 8, 0, [0, 7, 0, 1]),
      );
    },
  },
  {
    reason: "ICMP not forwarded",
    run: (it) => {
      it.sockets.failure = -2;
      return it.fromTunnel(0, echoPacket(ECHO));
    },
  },
  {
    reason: "ICMP not forwarded",
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.outsideError(mapping, { type: 5, code: 1, destination: OUT });
    },
  },
  {
    reason: "unmatched echo reply",
    run: (it) =>
      it.fromOutside(-1, { address: OUT }, icmpBytes(ECHO, 0, 0, [9, 9, 0, 1])),
  },
  {
    reason: "unmatched echo reply",
    run: (it) => it.fromOutside(-1, { address: OUT }, [0, 0]),
  },
  {
    reason: "unmatched echo reply",
    run: (it) => {
      const mapping = it.fromTunnel(0, echoPacket(ECHO))[0].target as number;
      return it.fromOutside(
        mapping,
        { address: OUT },
        icmpBytes(ECHO, 0, 0, [9, 9, 0, 1]),
      );
    },
  },
  {
    reason: "fragment table full",
    world: { config: { fragmentSlots: 1 } },
    run: (it) => {
      it.fromTunnel(0, part(1));
      const other = fragment(17, pattern(64), 64, true, {
        ...UDP,
        from: "10.8.0.3",
        id: 1,
      });
      return it.fromTunnel(1, other);
    },
  },
  {
    reason: "fragment overlap",
    run: (it) => {
      it.fromTunnel(0, part(1));
      return it.fromTunnel(
        0,
        fragment(17, pattern(64), 72, true, { ...UDP, id: 1 }),
      );
    },
  },
  {
    reason: "fragment timeout",
    run: (it) => {
      it.fromTunnel(0, part(1));
      it.now += 30_000;
      return it.fromTunnel(0);
    },
  },
  {
    reason: "batch full",
    world: { spare: 1000 },
    run: (it) => {
      it.fromTunnel(
        0,
        fragment(17, pattern(1400), 1400, false, { ...UDP, id: 1 }),
      );
      const head = [...udpPacket(UDP, pattern(1392)).slice(20)];
      head[4] = (1400 + 1400) >> 8;
      head[5] = (1400 + 1400) & 255;
      return it.fromTunnel(0, fragment(17, head, 0, true, { ...UDP, id: 1 }));
    },
  },
  {
    reason: "batch full",
    world: { spare: 1000 },
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.fromOutside(mapping, { address: OUT, port: 53 }, pattern(3000));
    },
  },
  {
    reason: "batch full",
    world: { spare: 100 },
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.outsideError(mapping, { destination: OUT });
    },
  },
  {
    reason: "send failed",
    run: (it) => {
      it.fromTunnel(0, udpPacket(UDP));
      it.open.sendFailed(it.batch, 0, 2, 0);
      return it.seen();
    },
  },
  {
    reason: "bad total length",
    run: (it) => {
      const mapping = it.fromTunnel(0, udpPacket(UDP))[0].target as number;
      return it.fromOutside(
        mapping,
        { address: OUT, port: 53 },
        pattern(65_520),
      );
    },
  },
  {
    reason: "filtered by mapping",
    world: {
      config: {
        outsideAddresses: addressWords("203.0.113.5"),
        filtering: "address-dependent",
      },
    },
    run: (it) => {
      it.fromTunnel(1, udpPacket({ ...UDP, from: "10.8.0.3" }));
      return it.fromTunnel(
        0,
        udpPacket({ ...UDP, to: "203.0.113.5", toPort: 4000 }),
      );
    },
  },
];

CASES.forEach(({ reason, world: options, run }, n) => {
  Deno.test(`dropped: ${reason} (${n})`, () => {
    const world = new World(options);
    const seen = run(world);
    assert.ok(seen.length > 0);
    assert.equal(seen.find((row) => row.verdict === "Drop")?.target, reason);
    assert.ok(!seen.some((row) => row.verdict === "Undecided"));
  });
});

Deno.test("one bad packet never ends a batch", () => {
  const world = new World();
  const good = udpPacket(UDP);
  const seen = world.fromTunnel(
    0,
    good,
    new Uint8Array(3),
    good,
    changed(good, 0, 0),
    good,
  );
  assert.deepEqual(seen.map((row) => row.verdict), [
    "ToUdp",
    "Drop",
    "ToUdp",
    "Drop",
    "ToUdp",
  ]);
});
