import assert from "node:assert/strict";
import { parseAddress } from "../../../src/core/wire/address.ts";
import type { DnsClient } from "../../../src/datapath/relay/dns_connection.ts";
import {
  DnsOverTcp,
  type DnsOverTcpLimits,
} from "../../../src/datapath/relay/dns_over_tcp.ts";
import {
  type UdpCount,
  UdpCounters,
} from "../../../src/datapath/relay/udp_counters.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  readMessage,
} from "../../support/dns_messages.ts";
import { type FakeStream, FakeStreams } from "./dns_fakes.ts";
import { FakeHost } from "./udp_fakes.ts";

const LIMITS: DnsOverTcpLimits = {
  connections: 2,
  queries: 8,
  dialMs: 10_000,
  queryMs: 5_000,
  idleMs: 10_000,
};
const FIRST_TAG = 100;

interface Delivered {
  readonly to: number;
  readonly from: string;
  readonly payload: Uint8Array;
}

class World {
  readonly host = new FakeHost();
  readonly streams = new FakeStreams();
  readonly counters = new UdpCounters(new ArrayBuffer(UdpCounters.byteLength));
  readonly delivered: Delivered[] = [];
  readonly dns: DnsOverTcp;
  now = 0;

  constructor(limits: Partial<DnsOverTcpLimits> = {}) {
    const { dialer, sockets } = this.streams;
    this.dns = new DnsOverTcp({
      dialer,
      sockets,
      host: this.host,
      counters: this.counters,
      limits: { ...LIMITS, ...limits },
      firstTag: FIRST_TAG,
      answer: (from, to, payload) =>
        this.delivered.push({
          to: to.port,
          from: `${from.words[3] & 255}:${from.port}`,
          payload: payload.slice(),
        }),
    });
  }

  ask(query: Uint8Array, port = 4000, resolver = "192.0.2.1"): void {
    this.dns.ask(query, end("10.0.0.2", port), end(resolver, 53), this.now);
  }

  /** Lets a dial stand. */
  connect(stream = this.streams.last): void {
    stream.state = "connected";
    this.wake(stream);
  }

  wake(stream: FakeStream = this.streams.last): void {
    const watch = this.host.watched.get(stream.descriptor);
    assert.ok(watch, "nobody waits for it");
    this.dns.ready(watch.tag, this.now);
  }

  wait(ms: number): void {
    this.now += ms;
    this.dns.tick(this.now);
  }

  count(name: UdpCount): number {
    return this.counters.get(name);
  }
}

function end(address: string, port: number): DnsClient {
  return { words: Int32Array.from(parseAddress(address)!), port };
}

function query(name = "host.test", id?: number): Uint8Array {
  const bytes = buildQuery({ name, type: "A" });
  if (id !== undefined) bytes.set([id >> 8, id & 255]);
  return bytes;
}

Deno.test("queries of the same id share a connection and get their own answers, in any order", () => {
  const world = new World();
  for (const port of [1, 2, 3]) world.ask(query(`h${port}.test`, 7), port);
  assert.equal(world.streams.all.length, 1);
  world.connect();
  const asked = world.streams.last.takeMessages();
  assert.deepEqual(
    asked.map((one) => readMessage(one).questions[0].name),
    ["h1.test", "h2.test", "h3.test"],
  );
  assert.equal(new Set(asked.map((one) => readMessage(one).id)).size, 3);
  for (const i of [2, 0, 1]) {
    world.streams.last.give(buildAnswer(asked[i], { answers: [] }));
  }
  world.wake();
  assert.deepEqual(
    world.delivered.map(({ to, payload }) => {
      const { id, questions } = readMessage(payload);
      return [to, id, questions[0].name];
    }),
    [[3, 7, "h3.test"], [1, 7, "h1.test"], [2, 7, "h2.test"]],
  );
  assert.equal(world.count("dnsQueries"), 3);
  assert.equal(world.count("dnsAnswers"), 3);
  assert.equal(world.dns.inFlight, 0);
});

Deno.test("but for the id, the query is the client's own, EDNS included", () => {
  const world = new World();
  const bytes = buildQuery({
    name: "HoSt.test",
    type: "TXT",
    edns: {
      udpLimit: 4096,
      options: [{ code: 10, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
    },
  });
  world.ask(bytes.slice());
  world.connect();
  const [asked] = world.streams.last.takeMessages();
  assert.deepEqual(asked.slice(2), bytes.slice(2));
});

Deno.test("messages may come in any pieces, and go in any", () => {
  const world = new World();
  world.ask(query());
  world.streams.last.room = 3;
  world.connect();
  while (world.streams.last.fromUs.length < query().length + 2) {
    assert.equal(
      world.host.watched.get(world.streams.last.descriptor)?.wants,
      "write",
    );
    world.streams.last.room = 3;
    world.wake();
  }
  const { last } = world.streams;
  assert.equal(world.host.watched.get(last.descriptor)?.wants, "read");
  const [asked] = last.takeMessages();
  last.give(buildAnswer(asked, { answers: [] }));
  const bytes = last.toUs.splice(0);
  for (const byte of bytes) {
    assert.equal(world.delivered.length, 0);
    last.toUs.push(byte);
    world.wake();
  }
  assert.equal(world.delivered.length, 1);
});

Deno.test("an answer that the client can't take is sent empty with TC, with its code", () => {
  const answers = Array.from(
    { length: 40 },
    (_, n) => aRecord("host.test", 60, `192.0.2.${n}`),
  );
  // 40 records of 25 bytes: more than 512, less than 1232.
  const cases = [
    { edns: undefined, truncated: true },
    { edns: { udpLimit: 512 }, truncated: true },
    { edns: { udpLimit: 1232 }, truncated: false },
    { edns: { udpLimit: 4096 }, truncated: false },
  ];
  for (const { edns, truncated } of cases) {
    const world = new World();
    world.ask(buildQuery({ name: "host.test", type: "A", edns }));
    world.connect();
    const [asked] = world.streams.last.takeMessages();
    world.streams.last.give(buildAnswer(asked, { answers }));
    world.wake();
    const message = readMessage(world.delivered[0].payload);
    assert.equal(message.flag_tc, truncated);
    assert.equal(message.answers.length, truncated ? 0 : 40);
    assert.equal(message.questions[0].name, "host.test");
    assert.equal(world.count("dnsTruncated"), truncated ? 1 : 0);
  }
  const world = new World();
  const asks = { name: "host.test", type: "A", edns: { udpLimit: 4096 } };
  world.ask(buildQuery(asks));
  world.connect();
  const [asked] = world.streams.last.takeMessages();
  world.streams.last.give(
    buildAnswer(asked, { answers: [...answers, ...answers] }),
  );
  world.wake();
  assert.equal(readMessage(world.delivered[0].payload).flag_tc, true);
});

Deno.test("a connection is used again while it is fresh, and closed when idle", () => {
  const world = new World();
  const exchange = () => {
    world.ask(query());
    if (world.streams.last.state === "pending") world.connect();
    const [asked] = world.streams.last.takeMessages();
    world.streams.last.give(buildAnswer(asked, { answers: [] }));
    world.wake();
  };
  exchange();
  world.wait(9_999);
  exchange();
  assert.equal(world.streams.all.length, 1);
  world.wait(9_999);
  assert.equal(world.dns.connections, 1);
  world.wait(1);
  assert.equal(world.dns.connections, 0);
  assert.equal(world.streams.last.isClosed, true);
  assert.equal(world.host.watched.size, 0);
  exchange();
  assert.equal(world.streams.all.length, 2);
});

Deno.test("a client that asks again while its query is under way is not asked for twice", () => {
  const world = new World();
  world.ask(query("host.test", 9), 5);
  world.ask(query("host.test", 9), 5);
  world.ask(query("host.test", 9), 6);
  world.connect();
  assert.equal(world.streams.last.takeMessages().length, 2);
});

Deno.test("a resolver that closes is asked again once by another connection", () => {
  const world = new World();
  world.ask(query("a.test"), 1);
  world.ask(query("b.test"), 2);
  world.connect();
  const first = world.streams.last;
  const [asked] = first.takeMessages();
  first.give(buildAnswer(asked, { answers: [] }));
  first.end = "finished";
  world.wake();
  assert.equal(world.delivered.length, 1);
  assert.equal(first.isClosed, true);
  assert.equal(world.streams.all.length, 2);
  world.connect();
  const again = world.streams.last.takeMessages();
  assert.deepEqual(
    again.map((one) => readMessage(one).questions[0].name),
    ["b.test"],
  );
  world.streams.last.end = "reset";
  world.wake();
  assert.equal(world.streams.all.length, 2);
  assert.equal(readMessage(world.delivered[1].payload).rcode, "SERVFAIL");
  assert.equal(world.count("dnsFailures"), 1);
  assert.equal(world.dns.connections, 0);
});

Deno.test("a resolver that can't be reached is told as a failure at once", () => {
  const world = new World();
  world.ask(query("host.test", 7));
  world.streams.last.state = "failed";
  world.wake();
  const message = readMessage(world.delivered[0].payload);
  assert.equal(message.rcode, "SERVFAIL");
  assert.equal(message.id, 7);
  assert.equal(world.streams.last.isClosed, true);
  world.streams.prepare = (stream) => stream.state = "failed";
  world.ask(query());
  assert.equal(world.count("dnsFailures"), 2);
  assert.equal(world.dns.connections, 0);
});

Deno.test("a dial that hangs fails at its deadline", () => {
  const world = new World();
  world.ask(query());
  world.wait(9_999);
  assert.equal(world.delivered.length, 0);
  world.wait(1);
  assert.equal(readMessage(world.delivered[0].payload).rcode, "SERVFAIL");
});

Deno.test("a query without an answer ends; a connection that says nothing is not used again", () => {
  const world = new World();
  world.ask(query("a.test"), 1);
  world.connect();
  const first = world.streams.last;
  world.wait(3_000);
  world.ask(query("b.test"), 2);
  world.wait(2_000);
  assert.equal(world.count("droppedDnsTimeout"), 1);
  assert.equal(first.isClosed, true);
  // What was asked later gets its second chance.
  world.connect();
  const [asked] = world.streams.last.takeMessages();
  assert.equal(readMessage(asked).questions[0].name, "b.test");
  world.streams.last.give(buildAnswer(asked, { answers: [] }));
  world.wake();
  assert.equal(world.delivered.length, 1);
});

Deno.test("one lost answer does not end a connection that others use", () => {
  const world = new World();
  world.ask(query("a.test"), 1);
  world.connect();
  world.wait(1_000);
  world.ask(query("b.test"), 2);
  const [, second] = world.streams.last.takeMessages();
  world.streams.last.give(buildAnswer(second, { answers: [] }));
  world.wake();
  world.wait(4_000);
  assert.equal(world.count("droppedDnsTimeout"), 1);
  assert.equal(world.streams.last.isClosed, false);
});

Deno.test("queries and resolvers are bounded", () => {
  const world = new World();
  for (let i = 0; i < 10; i++) world.ask(query(), i + 1);
  assert.equal(world.count("droppedDnsBusy"), 2);
  const other = new World();
  for (let i = 1; i <= 3; i++) other.ask(query(), i, `192.0.2.${i}`);
  assert.equal(other.streams.all.length, 2);
  assert.equal(other.count("droppedDnsBusy"), 1);
  // An idle connection makes room.
  other.connect(other.streams.all[0]);
  const [asked] = other.streams.all[0].takeMessages();
  other.streams.all[0].give(buildAnswer(asked, { answers: [] }));
  other.wake(other.streams.all[0]);
  other.ask(query(), 4, "192.0.2.4");
  assert.equal(other.streams.last.target, "192.0.2.4:53");
  assert.equal(other.streams.all[0].isClosed, true);
});

Deno.test("what is no query is dropped", () => {
  const world = new World();
  world.ask(new Uint8Array(0));
  world.ask(Uint8Array.of(1, 2, 3));
  world.ask(buildAnswer(query(), { answers: [] }));
  assert.equal(world.count("droppedDnsMalformed"), 3);
  assert.equal(world.streams.all.length, 0);
});

Deno.test("answers that nobody asked for are ignored; what is no DNS ends the connection", () => {
  const world = new World();
  world.ask(query("a.test"));
  world.connect();
  const [asked] = world.streams.last.takeMessages();
  const foreign = buildAnswer(asked, { answers: [] });
  foreign[0] ^= 0x55;
  world.streams.last.give(foreign);
  const otherName = query("b.test");
  otherName.set(asked.slice(0, 2));
  world.streams.last.give(buildAnswer(otherName, { answers: [] }));
  world.wake();
  assert.equal(world.delivered.length, 0);
  assert.equal(world.dns.inFlight, 1);
  world.streams.prepare = (stream) => stream.state = "failed";
  world.streams.last.give(Uint8Array.of(1, 2, 3));
  world.wake();
  assert.equal(world.streams.all[0].isClosed, true);
  assert.equal(readMessage(world.delivered[0].payload).rcode, "SERVFAIL");
});

Deno.test("the end closes all connections", () => {
  const world = new World();
  world.ask(query(), 1, "192.0.2.1");
  world.connect();
  world.ask(query(), 2, "192.0.2.2");
  world.dns.closeAll();
  assert.ok(world.streams.all.every((stream) => stream.isClosed));
  assert.equal(world.host.watched.size, 0);
  assert.equal(world.dns.nextTimeout(), Infinity);
});
