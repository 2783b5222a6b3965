/**
 * Hostile proxies, resolvers and clients around UDP in the relay worker:
 * nothing throws, each datagram is carried or counted once, what reaches a
 * client is a whole packet for it, and nothing is left at the end. Seeds are
 * fixed, so runs repeat.
 */
import assert from "node:assert/strict";
import { RelayMessage } from "../../src/core/columns/relay_message.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import { UdpCounters } from "../../src/datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
} from "../../src/datapath/relay/udp_relay.ts";
import { RefusedUdpCarrier } from "../../src/io/outbound/udp_carrier.ts";
import { Socks5UdpCarrier } from "../../src/io/outbound/socks5_udp.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../src/io/ports/stream_sockets.ts";
import {
  DatagramRoom,
  type UdpCarrier,
} from "../../src/io/ports/udp_carrier.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import { udpPacket } from "../core/flow/packets.ts";
import { FakeStreams } from "../datapath/relay/dns_fakes.ts";
import { FakeHost } from "../datapath/relay/udp_fakes.ts";
import { aRecord, buildAnswer, buildQuery } from "../support/dns_messages.ts";

const GREETING = [5, 0];
const GRANT = [5, 0, 0, 1, 127, 0, 0, 1, 0x9c, 0x40];
const GRANT6 = [5, 0, 0, 4, ...new Array(15).fill(0), 1, 0x9c, 0x40];
const GRANT_NAME = [5, 0, 0, 3, 4, 104, 111, 115, 116, 0x9c, 0x40];
const DATAGRAMS = [
  [0, 0, 0, 1, 192, 0, 2, 1, 0, 9, 1, 2, 3],
  [0, 0, 0, 1, 192, 0, 2, 1, 0, 9],
  [0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1, 0, 9, 7],
  [0, 0, 0, 3, 4, 104, 111, 115, 116, 0, 9, 7],
  [0, 0, 1, 1, 192, 0, 2, 1, 0, 9, 1, 2, 3],
];

/** Changes, cuts, or lengthens bytes; often not at all. */
function mutate(random: SeededRandom, bytes: ArrayLike<number>): Uint8Array {
  let out = Uint8Array.from(Array.from(bytes));
  switch (random.below(6)) {
    case 0:
      return out.slice(0, random.below(out.length + 1));
    case 1:
      for (let n = random.below(4); n >= 0 && out.length > 0; n--) {
        out[random.below(out.length)] = random.next();
      }
      return out;
    case 2: {
      const extra = new Uint8Array(random.below(300));
      random.fill(extra, 0, extra.length);
      out = Uint8Array.from([...out, ...extra]);
      return out;
    }
    default:
      return out;
  }
}

/** Sockets to a proxy that says what chance wants. */
class HostileSockets {
  readonly open = new Map<number, "control" | "data">();
  /** What is to be read at a descriptor; undefined is the end. */
  readonly waiting = new Map<number, (Uint8Array | undefined)[]>();
  received = 0;
  readonly #random: SeededRandom;
  #last = 10;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get sockets(): StreamSockets {
    const chance = (n: number) => this.#random.below(n) === 0;
    return {
      connect: () => chance(20) ? -111 : this.#make("control"),
      connectResult: () => chance(20) ? -111 : chance(4) ? -115 : 0,
      openDatagram: () => chance(20) ? -24 : this.#make("data"),
      connectDatagram: () => chance(20) ? -101 : 0,
      bind: () => 0,
      keepAlive: () => 0,
      localPort: () => 1 + this.#random.below(65_535),
      send: (_: number, __: Uint8Array, length: number) =>
        chance(20) ? -11 : chance(30) ? -111 : length,
      receive: (descriptor: number, bytes: Uint8Array, length: number) =>
        this.#receive(descriptor, bytes, length),
      peek: (descriptor: number, bytes: Uint8Array, length: number) =>
        this.#peek(descriptor, bytes, length),
      discard: (descriptor: number, bytes: Uint8Array, length: number) =>
        this.#discard(descriptor, bytes, length),
      close: (descriptor: number) => {
        assert.ok(this.open.delete(descriptor), "closed twice");
        this.waiting.delete(descriptor);
      },
      errorText: (error: number) => `error ${error}`,
    } as Partial<StreamSockets> as StreamSockets;
  }

  #make(kind: "control" | "data"): number {
    const descriptor = this.#last++;
    this.open.set(descriptor, kind);
    this.waiting.set(descriptor, []);
    return descriptor;
  }

  #peek(descriptor: number, bytes: Uint8Array, length: number): number {
    assert.ok(this.open.has(descriptor), "not open");
    const queue = this.waiting.get(descriptor)!;
    if (queue.length === 0) return -SocketError.WouldBlock;
    const [next] = queue;
    if (next === undefined) return 0;
    const count = Math.min(next.length, length);
    bytes.set(next.subarray(0, count));
    return count === 0 && this.open.get(descriptor) === "control"
      ? -SocketError.ConnectionReset
      : count;
  }

  #discard(descriptor: number, _bytes: Uint8Array, length: number): number {
    const queue = this.waiting.get(descriptor)!;
    const rest = queue[0]!.subarray(length);
    if (rest.length > 0) queue[0] = rest;
    else queue.shift();
    return length;
  }

  #receive(descriptor: number, bytes: Uint8Array, length: number): number {
    const count = this.#peek(descriptor, bytes, length);
    if (count >= 0) {
      this.waiting.get(descriptor)!.shift();
      if (this.open.get(descriptor) === "data") this.received++;
    }
    return count;
  }
}

function makeRelay(
  host: FakeHost,
  carrier: UdpCarrier,
  more: { sockets: StreamSockets; streams: FakeStreams },
): { relay: UdpRelay; counters: UdpCounters } {
  const counters = new UdpCounters(new ArrayBuffer(UdpCounters.byteLength));
  const relay = new UdpRelay({
    host,
    carrier,
    counters,
    dialer: more.streams.dialer,
    sockets: more.sockets,
    limits: {
      ...UDP_RELAY_LIMITS,
      sessions: 8,
      pending: 4,
      refusedMs: 400,
      failedMs: 100,
    },
    seed: 1,
  });
  return { relay, counters };
}

function clientPacket(random: SeededRandom, toPort: number): Uint8Array {
  const isIpv6 = random.below(3) === 0;
  const n = random.below(4);
  return udpPacket({
    from: isIpv6 ? "fd00:0:0:0:0:0:0:2" : "10.0.0.2",
    to: isIpv6 ? "2001:db8:0:0:0:0:0:1" : "192.0.2.1",
    fromPort: 4000 + n,
    toPort,
  }, Array.from({ length: random.below(40) }, () => random.below(256)));
}

Deno.test("a hostile proxy and hostile clients: each datagram is carried or counted", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed);
    const hostile = new HostileSockets(random);
    const host = new FakeHost();
    const { sockets } = hostile;
    const carrier = new Socks5UdpCarrier({
      kind: "socks5",
      proxy: {
        words: Int32Array.from(parseAddress("127.0.0.1")!),
        port: 1080,
        host: "127.0.0.1",
      },
    }, { sockets, room: new DatagramRoom() });
    const streams = new FakeStreams();
    streams.prepare = (stream) => stream.state = "failed";
    const { relay, counters } = makeRelay(host, carrier, { sockets, streams });
    let now = 0;
    let sent = 0;
    for (let step = 0; step < 3000; step++) {
      now += random.below(200);
      const packet = mutate(random, clientPacket(random, 9));
      relay.message(RelayMessage.Udp, 0, 0, packet, 0, packet.length, now);
      sent++;
      for (const [descriptor, kind] of hostile.open) {
        const queue = hostile.waiting.get(descriptor)!;
        if (kind === "data") {
          queue.push(mutate(random, DATAGRAMS[random.below(DATAGRAMS.length)]));
        } else if (random.below(3) === 0) {
          const texts = [GREETING, GREETING, GRANT, GRANT, GRANT6, GRANT_NAME];
          const text = texts[random.below(texts.length)];
          const said = random.below(10) === 0
            ? mutate(random, text)
            : Uint8Array.from(text);
          queue.push(random.below(200) === 0 ? undefined : said);
        }
      }
      for (const [descriptor, { tag }] of [...host.watched]) {
        if (host.watched.get(descriptor)?.tag !== tag) continue;
        if (random.below(3) > 0) relay.ready(tag, 1, now);
      }
      if (random.below(4) === 0) relay.tick(now);
      // Events for what is closed already, too.
      relay.ready(random.below(40), 8, now);
    }
    const counts = counters.snapshot();
    relay[Symbol.dispose]();
    assert.equal(hostile.open.size, 0, "all is closed");
    assert.equal(host.watched.size, 0);
    assert.equal(relay.sessions, 0);
    assert.equal(host.answers.length, counts.datagramsIn);
    const inward = counts.datagramsIn + counts.droppedProxyMalformed +
      counts.droppedProxyFragment + counts.droppedProxyDomain +
      counts.droppedForeignFamily;
    assert.equal(inward, hostile.received);
    const outward = counts.datagramsOut + counts.droppedMalformed +
      counts.droppedNotForwarded + counts.droppedRefused +
      counts.droppedSessionsFull + counts.droppedTooManyPending +
      counts.droppedWaiting +
      counts.droppedAssociationFailed + counts.droppedSendFailed +
      counts.droppedLoop + counts.dnsQueries + counts.droppedDnsMalformed;
    // What waited when the end came is in no count.
    assert.ok(
      outward <= sent && sent - outward <= 64,
      `${sent - outward} lost`,
    );
    assert.ok(counts.datagramsIn > 100 && counts.datagramsOut > 100);
  }
});

Deno.test("hostile resolvers over TCP: nothing throws, answers fit their queries", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed);
    const host = new FakeHost();
    const streams = new FakeStreams();
    const carrier = new RefusedUdpCarrier("http", "no UDP");
    const { relay, counters } = makeRelay(host, carrier, {
      sockets: streams.sockets,
      streams,
    });
    let now = 0;
    const records = [aRecord("host.test", 60, "192.0.2.7")];
    for (let step = 0; step < 600; step++) {
      now += random.below(400);
      const query = mutate(
        random,
        buildQuery({ name: "host.test", type: "A" }),
      );
      const packet = udpPacket({
        from: "10.0.0.2",
        to: `192.0.2.${random.below(3)}`,
        fromPort: 1 + random.below(100),
        toPort: 53,
      }, [...query]);
      relay.message(RelayMessage.Udp, 0, 0, packet, 0, packet.length, now);
      for (const stream of streams.all.slice(-16)) {
        if (stream.isClosed) continue;
        if (stream.state === "pending") {
          stream.state = random.below(5) === 0 ? "failed" : "connected";
        }
        for (const asked of stream.takeMessages()) {
          if (random.below(4) === 0) continue;
          try {
            stream.give(
              mutate(random, buildAnswer(asked, { answers: records })),
            );
          } catch {
            stream.give(mutate(random, asked)); // no query that dns-packet reads
          }
        }
        if (random.below(30) === 0) stream.end = "finished";
        if (random.below(30) === 0) stream.end = "reset";
      }
      for (const [descriptor, { tag }] of [...host.watched]) {
        if (host.watched.get(descriptor)?.tag === tag) relay.ready(tag, 1, now);
      }
      relay.tick(now);
    }
    for (const { to, from } of host.answers) {
      assert.match(to, /^10\.0\.0\.2:/);
      assert.match(from, /^192\.0\.2\.[0-2]:53$/);
    }
    const counts = counters.snapshot();
    assert.ok(counts.dnsAnswers > 50, "some get through");
    assert.ok(
      counts.dnsQueries <= counts.dnsAnswers + counts.dnsFailures +
          counts.droppedDnsTimeout + counts.droppedDnsBusy + 512,
    );
    relay[Symbol.dispose]();
    assert.ok(streams.all.every((stream) => stream.isClosed));
    assert.equal(host.watched.size, 0);
  }
});
