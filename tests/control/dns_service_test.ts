import assert from "node:assert/strict";
import {
  DnsService,
  type DnsUpstreams,
} from "../../src/control/dns_service.ts";
import { LocalNames } from "../../src/control/local_names.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import type { DnsTransport } from "../../src/core/flow/dns_proxy.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";
import { DnsUpstreamSockets } from "../../src/io/outbound/dns_upstream.ts";
import { parsePacket } from "../../src/core/wire/packet.ts";
import { PacketView } from "../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../src/core/wire/transport_checksum.ts";
import { tcpPacket, udpPacket } from "../core/flow/packets.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  type QueryShape,
  readMessage,
} from "../support/dns_messages.ts";
import { DnsTestServer } from "../support/dns_server.ts";

/** A client's packets come from here. */
const ENDS = [
  { from: "10.8.0.2", to: "10.8.0.1" },
  { from: "fd00:8:0:0:0:0:0:2", to: "fd00:8:0:0:0:0:0:1" },
] as const;

interface Asked {
  readonly upstream: number;
  readonly transport: DnsTransport;
  readonly message: Uint8Array;
  answer(bytes: Uint8Array | undefined): void;
  fail(error: Error): void;
}

/** Upstreams that a test plays itself. */
class PlayedUpstreams implements DnsUpstreams {
  readonly asked: Asked[] = [];
  #next = Promise.withResolvers<Asked>();

  constructor(readonly count: number) {}

  ask(
    upstream: number,
    transport: DnsTransport,
    message: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<
      Uint8Array | undefined
    >();
    const asked = {
      upstream,
      transport,
      message,
      answer: resolve,
      fail: reject,
    };
    this.asked.push(asked);
    this.#next.resolve(asked);
    this.#next = Promise.withResolvers();
    return promise;
  }

  /** The next thing asked from now on. */
  get next(): Promise<Asked> {
    return this.#next.promise;
  }
}

interface Sent {
  readonly peer: number;
  readonly packet: Uint8Array;
}

/** A service with its clock; packets that it sends can be waited for. */
class World implements Disposable {
  readonly service: DnsService;
  readonly sent: Sent[] = [];
  now = 0;
  #next = Promise.withResolvers<Sent>();

  constructor(upstreams: DnsUpstreams, timeoutMs = 10_000) {
    const names = new LocalNames("sluice");
    const addresses = [parsePrefix("10.8.0.9/32")!];
    names.set([{ name: "phone", addresses }]);
    let id = 0;
    this.service = new DnsService({
      proxy: {
        timeoutMs,
        cache: { entries: 100, minTtlMs: 0, maxTtlMs: 60_000 },
        random16: () => ++id,
        local: (query) => names.answer(query),
      },
      upstreams,
      sendPacket: (peer, packet) => {
        this.sent.push({ peer, packet });
        this.#next.resolve({ peer, packet });
        this.#next = Promise.withResolvers();
      },
      now: () => this.now,
    });
  }

  /** The next packet from now on. */
  get next(): Promise<Sent> {
    return this.#next.promise;
  }

  [Symbol.dispose](): void {
    this.service.stop();
  }
}

function queryPacket(
  ends: { from: string; to: string },
  shape: QueryShape,
): Uint8Array {
  const fromPort = 40_000, toPort = 53;
  return udpPacket({ ...ends, fromPort, toPort }, [...buildQuery(shape)]);
}

/** What an answer's packet carries, its checksums verified. */
function opened(packet: Uint8Array) {
  const view = new PacketView();
  assert.equal(parsePacket(packet, 0, packet.length, view), DropReason.None);
  assert.equal(verifyTransport(packet, view), DropReason.None);
  const { sourcePort, destinationPort, payloadAt } = view;
  const message = readMessage(packet.slice(payloadAt + 8));
  return {
    message,
    ports: [sourcePort, destinationPort],
    destination: view.destinationWords.slice(),
    source: view.sourceWords.slice(),
  };
}

for (const ends of ENDS) {
  Deno.test(`a query from ${ends.from} is answered by a packet back to it`, async () => {
    const upstreams = new PlayedUpstreams(1);
    using world = new World(upstreams);
    const query = queryPacket(ends, { name: "Host.test", id: 77 });
    const asked = upstreams.next;
    assert.equal(world.service.handlePacket(5, query), DropReason.None);
    const { message, answer, transport } = await asked;
    assert.equal(transport, "udp");
    const sent = world.next;
    answer(buildAnswer(message, {
      answers: [aRecord("Host.test", 60, "192.0.2.7")],
    }));
    const { peer, packet } = await sent;
    assert.equal(peer, 5);
    const got = opened(packet);
    assert.deepEqual(got.ports, [53, 40_000]);
    const view = new PacketView();
    parsePacket(query, 0, query.length, view);
    assert.deepEqual(got.destination, view.sourceWords);
    assert.deepEqual(got.source, view.destinationWords);
    assert.equal(got.message.id, 77);
    assert.equal(got.message.answers[0].data, "192.0.2.7");
  });
}

Deno.test("names of peers are answered at once", () => {
  using world = new World(new PlayedUpstreams(1));
  const query = queryPacket(ENDS[0], { name: "phone.sluice" });
  world.service.handlePacket(1, query);
  assert.equal(world.sent.length, 1);
  const { message } = opened(world.sent[0].packet);
  assert.equal(message.answers[0].data, "10.8.0.9");
});

Deno.test("packets that are no queries are dropped for their reason, or in silence", () => {
  using world = new World(new PlayedUpstreams(1));
  const { service } = world;
  const whole = queryPacket(ENDS[0], { name: "phone.sluice" });
  const drop = (packet: Uint8Array) => service.handlePacket(0, packet);
  assert.equal(drop(new Uint8Array(0)), DropReason.TooShort);
  assert.equal(drop(whole.slice(0, 30)), DropReason.BadTotalLength);
  const damaged = whole.slice();
  damaged[40] ^= 1;
  assert.equal(drop(damaged), DropReason.BadChecksum);
  const tcp = tcpPacket({ ...ENDS[0], fromPort: 1, toPort: 53 });
  assert.equal(drop(tcp), DropReason.ProtocolNotForwarded);
  const ports = { fromPort: 1, toPort: 53 };
  drop(udpPacket({ ...ENDS[0], ...ports }, []));
  drop(udpPacket({ ...ENDS[0], ...ports }, [1, 2, 3]));
  const answer = buildAnswer(buildQuery({ name: "phone.sluice" }));
  drop(udpPacket({ ...ENDS[0], ...ports }, [...answer]));
  assert.equal(world.sent.length, 0);
  assert.equal(service.statistics.malformed, 3);
});

Deno.test("a padded packet is read to its own end", () => {
  using world = new World(new PlayedUpstreams(1));
  const query = queryPacket(ENDS[0], { name: "phone.sluice" });
  const padded = new Uint8Array(query.length + 15);
  padded.set(query);
  assert.equal(world.service.handlePacket(1, padded), DropReason.None);
  assert.equal(world.sent.length, 1);
});

Deno.test("a query by TCP gets its answer; what is none gets nothing", async () => {
  const upstreams = new PlayedUpstreams(1);
  using world = new World(upstreams);
  const asked = upstreams.next;
  const answered = world.service.handleStream(
    buildQuery({ name: "host.test", id: 3 }),
  );
  const { message, answer } = await asked;
  answer(buildAnswer(message, {
    answers: [aRecord("host.test", 60, "192.0.2.7")],
  }));
  const { id, answers } = readMessage((await answered)!);
  assert.deepEqual([id, answers[0].data], [3, "192.0.2.7"]);
  const nothing = await world.service.handleStream(Uint8Array.of(1, 2));
  assert.equal(nothing, undefined);
});

Deno.test("an upstream without an answer, or with an error, is followed by the next", async () => {
  const upstreams = new PlayedUpstreams(3);
  using world = new World(upstreams);
  let asked = upstreams.next;
  const sent = world.next;
  world.service.handlePacket(1, queryPacket(ENDS[0], { name: "host.test" }));
  const first = await asked;
  asked = upstreams.next;
  first.answer(undefined);
  const second = await asked;
  asked = upstreams.next;
  second.fail(new Error("no descriptors left"));
  const third = await asked;
  assert.deepEqual(
    upstreams.asked.map(({ upstream }) => upstream),
    [0, 1, 2],
  );
  third.answer(undefined);
  assert.equal(opened((await sent).packet).message.rcode, "SERVFAIL");
});

Deno.test("the proxy's own time-outs come by the clock", async () => {
  const upstreams = new PlayedUpstreams(2);
  using world = new World(upstreams, 10);
  let asked = upstreams.next;
  const sent = world.next;
  world.service.handlePacket(1, queryPacket(ENDS[0], { name: "host.test" }));
  await asked;
  asked = upstreams.next;
  world.now += 10; // the first never answers
  assert.equal((await asked).upstream, 1);
  world.now += 10;
  assert.equal(opened((await sent).packet).message.rcode, "SERVFAIL");
  // Late answers find nobody.
  for (const { answer, message } of upstreams.asked) {
    answer(buildAnswer(message));
  }
  await Promise.resolve();
  assert.equal(world.sent.length, 1);
});

Deno.test("after its end a service answers nothing, and keeps no timer", async () => {
  const upstreams = new PlayedUpstreams(2);
  const world = new World(upstreams);
  const asked = upstreams.next;
  const query = queryPacket(ENDS[0], { name: "host.test" });
  world.service.handlePacket(1, query);
  const { answer } = await asked;
  world.service.stop();
  answer(undefined); // no reason to ask the second one
  await new Promise((resume) => setTimeout(resume, 0));
  world.service.handlePacket(1, query);
  assert.equal(
    await world.service.handleStream(buildQuery({ name: "a.test" })),
    undefined,
  );
  assert.equal(world.sent.length, 0);
  assert.equal(upstreams.asked.length, 1);
});

Deno.test("with real upstreams: silence, a refusal, spoofs, truncation; then the cache", async () => {
  const good = (query: Uint8Array) =>
    buildAnswer(query, {
      answers: Array.from(
        { length: 100 },
        (_, n) => aRecord("host.test", 60, `192.0.2.${n}`),
      ),
    });
  using silent = new DnsTestServer({});
  using refusing = new DnsTestServer({
    udp: (query) => [buildAnswer(query, { code: 5 })],
  });
  using truncating = new DnsTestServer({
    udp: (query) => {
      const wrong = buildAnswer(query);
      wrong[0] ^= 0x55;
      return [wrong, buildAnswer(query, { flags: 0x8380 })];
    },
    tcp: (query) => [good(query)],
  });
  const upstreams = new DnsUpstreamSockets([silent, refusing, truncating]);
  using world = new World(upstreams, 300);
  const tick = setInterval(() => world.now += 10, 10);
  const ask = () =>
    world.service.handleStream(buildQuery({ name: "host.test" }));
  const first = readMessage((await ask())!);
  clearInterval(tick);
  assert.equal(first.answers.length, 100);
  const seen = [silent, refusing, truncating].map((server) =>
    server.seen.map(({ transport }) => transport)
  );
  assert.deepEqual(seen, [["udp"], ["udp"], ["udp", "tcp"]]);
  const second = readMessage((await ask())!);
  assert.equal(second.answers.length, 100);
  assert.equal(world.service.statistics.answeredFromCache, 1);
  assert.equal(truncating.seen.length, 2);
});
