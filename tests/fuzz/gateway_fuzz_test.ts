/**
 * Hostile packets against the whole gateway: valid ones of every kind, mutated
 * by a seeded generator, from clients, the host, the relay and the outside, with
 * reports, failed sends and passing time in between. Nothing throws, every row is
 * decided, rows stay in their place, tables stay within their bounds, and the
 * same seed ends the same way.
 */
import assert from "node:assert/strict";
import type { Batch } from "../../src/core/columns/batch.ts";
import {
  DROP_REASON_COUNT,
  DropReason,
} from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import type { GatewayConfig } from "../../src/core/engine/gateway.ts";
import { MappingState } from "../../src/core/flow/nat.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { readDestination } from "../../src/core/route/addresses.ts";
import { RELAY, World } from "../core/engine/world.ts";
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
} from "../core/flow/packets.ts";
import { ACK, FIN, PSH, RST, segment, SYN } from "../core/flow/segments.ts";

const CASES = 240_000;
const CASES_TWICE = 24_000;
const CAPACITY = 48;
const REDIRECTS = 24;
const PEERS = 3;
const MTU = 1280;
const HOST_OUTSIDE = "203.0.113.5";

const FROM = ["10.8.0.2", "10.8.0.3", "10.8.0.4"];
const FROM6 = FROM.map((_, n) => `fd00:8:0:0:0:0:0:${n + 2}`);
const TO = [
  "192.0.2.7",
  "10.8.0.1",
  "10.8.0.3",
  "10.8.0.99",
  "224.0.0.1",
  HOST_OUTSIDE,
];
const TO6 = [
  "2001:db8:0:0:0:0:0:7",
  "fd00:8:0:0:0:0:0:1",
  "fd00:8:0:0:0:0:0:3",
  "ff02:0:0:0:0:0:0:1",
];

type Pick = (below: number) => number;

function generator(seed: number): Pick {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Valid packets of every kind; each peer's own. */
function corpusOf(peer: number): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (const [from, all] of [[FROM[peer], TO], [FROM6[peer], TO6]] as const) {
    for (const to of all) {
      const ports = { from, to, fromPort: 4000 + peer, toPort: 53 };
      const long = udpBytes({ ...ports, fromPort: 5000 }, pattern(2000));
      packets.push(
        udpPacket(ports),
        udpPacket(
          { ...ports, toPort: 4001, hopLimit: 2, dontFragment: true },
          pattern(1300),
        ),
        udpPacket(ports, pattern(1400)),
        tcpPacket(ports),
        echoPacket({ from, to, id16: 7 }, pattern(30)),
        ipPacket(47, pattern(24), { from, to }),
        ...fragmentsOf(17, long, [800, 1600], { from, to, id: 3 }),
      );
      const isIpv6 = from.includes(":");
      const inner = [
        ...udpPacket({ from: to, to: from, fromPort: 53, toPort: 4000 }),
      ];
      const message = icmpBytes({ from, to }, isIpv6 ? 1 : 3, 1, [
        0,
        0,
        0,
        0,
        ...inner,
      ]);
      packets.push(ipPacket(isIpv6 ? 58 : 1, message, { from, to }));
    }
  }
  const options = { from: FROM[peer], to: TO[0], fromPort: 4000, toPort: 53 };
  packets.push(udpPacket({ ...options, options: [7, 7, 4, 0, 0, 0, 0, 0] }));
  const headers = [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
  const options6 = { ...options, from: FROM6[peer], to: TO6[0] };
  packets.push(udpPacket({ ...options6, options: headers, firstHeader: 0 }));
  return packets;
}

/** What clients send by TCP: every kind of segment for a few pairs. */
function tcpCorpusOf(peer: number): Uint8Array[] {
  return [[FROM[peer], TO[0]], [FROM6[peer], TO6[0]]].flatMap(([from, to]) =>
    [1, 2, 3, 4].flatMap((fromPort) =>
      [SYN, SYN, ACK, PSH | ACK, FIN | ACK, RST, SYN | ACK, 0].map((flags) =>
        segment({
          ...{ from, to, fromPort, toPort: 443, flags },
          seq: flags === SYN ? 1000 : 1001,
          ack: 2001,
          tcpOptions: flags === SYN ? [2, 4, 0x23, 0x28] : [],
          data: flags === (PSH | ACK) ? pattern(40) : [],
        })
      )
    )
  );
}

/** What the kernel sends by the relay's port: for rows and generations that there are, or nearly. */
function relayPacket(world: World, pick: Pick): Uint8Array {
  const row = pick(REDIRECTS + 2);
  const generation = row < REDIRECTS ? world.redirects.generationOf(row) : 0;
  const beside = 2 + ((generation + (pick(8) === 0 ? pick(64) : 0)) & 63);
  const isIpv4 = pick(2) === 0;
  const flags = [SYN | ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK][pick(6)];
  return segment({
    from: isIpv4 ? "198.18.254.1" : "fd73:6c75:6963:6500:0:0:0:1",
    to: isIpv4
      ? `198.18.254.${beside}`
      : `fd73:6c75:6963:6500:0:0:0:${beside.toString(16)}`,
    fromPort: isIpv4 ? 4433 : 4434,
    toPort: 1024 + row,
    flags,
    seq: 2000,
    ack: 1000 + pick(3),
    tcpOptions: (flags & SYN) === 0 ? [] : [2, 4, 0x23, 0x28],
  });
}

/** Changes some bytes, the length, or nothing; often mends the checksums afterwards. */
function mutate(packet: Uint8Array, pick: Pick): Uint8Array {
  let bytes = packet.slice();
  const kind = pick(10);
  if (kind === 0) bytes = bytes.slice(0, pick(bytes.length + 1));
  if (kind === 1) {
    bytes = Uint8Array.from([...bytes, ...pattern(pick(64), pick(256))]);
  }
  const changes = kind < 3 ? 0 : 1 + pick(4);
  for (let n = 0; n < changes && bytes.length > 0; n++) {
    const at = pick(Math.min(bytes.length, pick(3) === 0 ? 1 << 16 : 72));
    bytes[at] = pick(4) === 0 ? [0, 1, 0xff, 0x80][pick(4)] : pick(256);
  }
  if (pick(4) !== 0) mend(bytes);
  return bytes;
}

/** Makes the IPv4 header's checksum and a UDP checksum of IPv4 right again, so that deeper code is reached. */
function mend(bytes: Uint8Array): void {
  if (bytes.length < 20 || bytes[0] >>> 4 !== 4) return;
  const header = (bytes[0] & 15) * 4;
  if (header < 20 || header > bytes.length) return;
  bytes[10] = bytes[11] = 0;
  const checksum = slowChecksum([...bytes.subarray(0, header)]);
  bytes[10] = checksum >> 8;
  bytes[11] = checksum & 255;
  if (bytes[9] === 17 && bytes.length >= header + 8) {
    bytes[header + 6] = bytes[header + 7] = 0;
  }
}

/** One world under fire. */
class Siege {
  readonly world: World;
  readonly pick: Pick;
  readonly corpus = [0, 1, 2].map((peer) => [
    ...corpusOf(peer),
    ...tcpCorpusOf(peer),
  ]);
  readonly reasons = new Set<number>();
  readonly verdicts = new Set<number>();
  readonly words = new Int32Array(4);
  digest = 0;
  cases = 0;

  constructor(seed: number, config: Partial<GatewayConfig>) {
    this.pick = generator(seed);
    this.world = new World({
      capacity: CAPACITY,
      spare: 40_000,
      redirects: { capacity: REDIRECTS },
      config: {
        ...{
          mtu: MTU,
          maxMappingsPerPeer: 20,
          portFirst: 4000,
          portLast: 4060,
        },
        ...{ outsideAddresses: addressWords(HOST_OUTSIDE), fragmentSlots: 6 },
        ...{
          fragmentSlotsPerPeer: 3,
          udpTimeoutMs: 120_000,
          errorsPerSecond: 50,
        },
        relay: { ...RELAY, maxConnectionsPerPeer: 7, maxDialingPerPeer: 2 },
        ...config,
      },
    });
  }

  run(cases: number): void {
    while (this.cases < cases) {
      this.#step();
      this.#check();
      this.world.now += this.pick(200);
    }
  }

  #step(): void {
    const { world, pick } = this;
    switch (pick(10)) {
      case 0:
        return this.#host();
      case 1:
      case 2:
        return this.#outside();
      case 3:
        return this.#report();
      case 4:
        return this.#maintain();
      default: {
        const peer = pick(PEERS);
        const count = 1 + pick(12);
        world.load(
          peer,
          Array.from({ length: count }, () => this.#packet(peer)),
        );
        this.cases += count;
        world.open.fromTunnel(world.batch, world.now);
        this.#checkRows(world.batch, count);
        if (pick(2) === 0) this.#settle();
        if (pick(4) === 0) this.#failSends(count);
      }
    }
  }

  #packet(peer: number): Uint8Array {
    const { pick } = this;
    // Now and then a packet of another peer: spoofed.
    const corpus = this.corpus[pick(16) === 0 ? pick(PEERS) : peer];
    const packet = corpus[pick(corpus.length)];
    return pick(6) === 0 ? packet : mutate(packet, pick);
  }

  #host(): void {
    const { world, pick } = this;
    const count = 1 + pick(6);
    world.load(
      -1,
      Array.from({ length: count }, () => {
        if (pick(2) === 0) return this.#packet(pick(PEERS));
        const packet = relayPacket(world, pick);
        return pick(3) === 0 ? mutate(packet, pick) : packet;
      }),
    );
    this.cases += count;
    world.seal.fromHost(world.batch, world.now);
    this.#checkRows(world.batch, count);
  }

  #outside(): void {
    const { world, pick } = this;
    const { batch } = world;
    const count = 1 + pick(6);
    world.load(
      -1,
      Array.from({ length: count }, () => {
        if (pick(3) !== 0) {
          return Uint8Array.from(pattern(pick(3000), pick(256)));
        }
        const reply = icmpBytes({ from: TO[0], to: TO[0] }, 0, 0, [
          0,
          pick(20),
          0,
          1,
          ...pattern(9),
        ]);
        return mutate(Uint8Array.from(reply), pick);
      }),
    );
    for (let row = 0; row < count; row++) {
      batch.target[row] = pick(4) === 0 ? -1 : pick(CAPACITY + 4) - 2;
      batch.remote.set(addressWords(pick(3) === 0 ? TO6[0] : TO[0]), row * 4);
      batch.remotePort[row] = pick(65536);
      batch.hopLimit[row] = pick(3);
    }
    this.cases += count;
    world.seal.fromOutside(batch, world.now);
    this.#checkRows(batch, count);
  }

  #report(): void {
    const { world, pick } = this;
    const { batch } = world;
    batch.clear();
    const payloadLength = pick(1400);
    batch.bytes.set(pattern(payloadLength, pick(256)), 96);
    const words = () =>
      addressWords([TO[0], TO6[0], "0.0.0.0", "224.0.0.1"][pick(4)]);
    world.seal.fromOutsideError(batch, pick(CAPACITY + 4) - 2, {
      ...{
        type: pick(16),
        code: pick(16),
        extra: pick(2000),
        family: pick(2) === 0 ? 4 : 6,
      },
      ...{
        offender: words(),
        destination: words(),
        destinationPort: pick(65536),
      },
      ...{ payloadAt: 96, payloadLength },
    }, world.now);
    this.cases++;
    assert.equal(batch.count, 1);
    this.#checkRows(batch, 0);
  }

  #failSends(loaded: number): void {
    const { world, pick } = this;
    const { batch } = world;
    const count = batch.count;
    for (let row = 0; row < count; row++) {
      const verdict = batch.verdict[row];
      if (verdict !== Verdict.ToUdp && verdict !== Verdict.ToEcho) continue;
      const failure = (1 + pick(5)) as 1 | 2 | 3 | 4 | 5;
      world.open.sendFailed(batch, row, failure, pick(1500));
      assert.equal(batch.verdict[row], Verdict.Drop);
    }
    this.#checkRows(batch, loaded);
  }

  /** What the relay does with its dials, and what becomes of rows that it can't be given. */
  #settle(): void {
    const { world, pick } = this;
    const { redirects, relay } = world;
    relay.isFull = pick(8) === 0;
    for (let n = 0; n < 4; n++) {
      const row = pick(REDIRECTS);
      const generation = redirects.generationOf(row) - (pick(6) === 0 ? 1 : 0);
      const state = pick(3) === 0 ? RedirectState.Refused : RedirectState.Open;
      redirects.settle(row, generation, state);
    }
    relay.abandoned.splice(0);
  }

  #maintain(): void {
    const { world, pick } = this;
    this.#settle();
    if (pick(40) === 0) world.open.removePeer(pick(PEERS));
    if (pick(20) === 0) world.now += 200_000;
    world.open.tick(world.now);
    if (pick(3) !== 0) world.sockets.closeRetired(world.nat);
  }

  #checkRows(batch: Batch, loaded: number): void {
    for (let row = 0; row < batch.count; row++) {
      const verdict = batch.verdict[row];
      const target = batch.target[row];
      const at = batch.offset[row];
      const length = batch.length[row];
      this.verdicts.add(verdict);
      this.digest =
        (Math.imul(this.digest, 31) + verdict * 7 + target * 13 + length) | 0;
      assert.notEqual(verdict, Verdict.Undecided);
      assert.ok(at >= 0 && length >= 0 && at + length <= batch.bytes.length);
      if (row < loaded) {
        assert.equal(Math.floor(at / 66_000), row, "a row stays in its place");
      }
      if (verdict === Verdict.Drop) {
        assert.ok(target > DropReason.None && target < DROP_REASON_COUNT);
        this.reasons.add(target);
      } else if (verdict === Verdict.ToPeer) {
        assert.ok(target >= 0 && target < PEERS);
        const reason = readDestination(batch.bytes, at, length, this.words);
        assert.equal(reason, DropReason.None);
        if (row >= loaded) assert.ok(length <= MTU);
      } else if (verdict === Verdict.ToUdp || verdict === Verdict.ToEcho) {
        assert.equal(this.world.nat.stateOf(target), MappingState.Open);
        assert.equal(this.world.nat.peer[target], batch.peer[row]);
      } else if (verdict === Verdict.ToRelay) {
        assert.ok(target >= 0 && target < REDIRECTS);
        assert.equal(this.world.redirects.peer[target], batch.peer[row]);
      }
    }
  }

  #check(): void {
    const { nat, sockets, redirects } = this.world;
    assert.ok(redirects.size + redirects.resting <= REDIRECTS);
    for (let peer = 0; peer < PEERS; peer++) {
      assert.ok(redirects.connectionsOf(peer) <= 7);
      assert.ok(redirects.dialingOf(peer) <= 2);
    }
    assert.ok(nat.size <= CAPACITY);
    assert.ok(sockets.live.size <= CAPACITY);
    assert.ok(sockets.retired.length <= CAPACITY);
    for (let peer = 0; peer < PEERS; peer++) {
      assert.ok(nat.mappingsOf(peer) <= 20);
    }
  }
}

const FILTERINGS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;

/** Verdicts that are other engines', or none. */
const OTHERS: readonly number[] = [
  Verdict.Undecided,
  Verdict.ToRelayUdp,
  Verdict.ToTunnel,
  Verdict.Pass,
];

FILTERINGS.forEach((filtering, n) => {
  Deno.test(`the gateway stands against mutated packets, filtering ${filtering}`, () => {
    const siege = new Siege(0x51ce + n, {
      filtering,
      host: n === 1 ? "deny" : "allow",
      tcp: "proxy",
    });
    siege.run(CASES / FILTERINGS.length);
    // The generator reaches what it should: all verdicts and most reasons.
    for (const verdict of Object.values(Verdict)) {
      const isReached = !OTHERS.includes(verdict);
      assert.equal(siege.verdicts.has(verdict), isReached, `${verdict}`);
    }
    assert.ok(siege.reasons.size >= 24, `${siege.reasons.size} reasons`);
    const { TcpHeld, TcpNoConnection, TcpPeerLimit, RelayStray } = DropReason;
    for (const reason of [TcpHeld, TcpNoConnection, TcpPeerLimit, RelayStray]) {
      assert.ok(siege.reasons.has(reason), `reason ${reason}`);
    }
    // All of it goes away with its peers.
    const { world } = siege;
    for (let peer = 0; peer < PEERS; peer++) world.open.removePeer(peer);
    world.sockets.closeRetired(world.nat);
    world.relay.isFull = false;
    world.open.tick(world.now + 3000);
    assert.equal(world.redirects.size + world.redirects.resting, 0);
    assert.equal(world.nat.size, 0);
    assert.equal(world.sockets.live.size, 0);
  });
});

Deno.test("the same seed ends the same way", () => {
  const [first, second] = [0, 1].map(() => {
    const siege = new Siege(7, { tcp: "proxy" });
    siege.run(CASES_TWICE);
    return siege.digest;
  });
  assert.equal(first, second);
});
