import assert from "node:assert/strict";
import {
  type DnsOutput,
  DnsProxy,
  type DnsProxyOptions,
  type DnsTransport,
} from "../../../src/core/flow/dns_proxy.ts";
import { emitDnsAnswer } from "../../../src/core/wire/dns_emit.ts";
import {
  type AnswerShape,
  aRecord,
  buildAnswer,
  buildQuery,
  type QueryShape,
  readMessage,
  soaRecord,
  type TestMessage,
} from "../../support/dns_messages.ts";

type Ask = DnsOutput & { kind: "ask" };

const TIMEOUT = 2000;
const PENALTY = 30_000;

/** A proxy with its clock, its clients and what it has asked. */
class World {
  readonly proxy: DnsProxy;
  now = 1_000_000;
  readonly asks: Ask[] = [];
  /** Raw answers by token. */
  readonly answers = new Map<number, Uint8Array>();
  #token = 0;
  #id = 0;

  constructor(options: Partial<DnsProxyOptions> = {}) {
    this.proxy = new DnsProxy({
      upstreams: 3,
      timeoutMs: TIMEOUT,
      cache: { entries: 100, minTtlMs: 0, maxTtlMs: 86_400_000 },
      random16: () => (this.#id += 0x101) & 0xffff,
      local: () => undefined,
      ...options,
    });
  }

  /** Sends a query; gives its token. */
  query(shape: QueryShape, transport: DnsTransport = "udp"): number {
    const token = ++this.#token;
    const query = buildQuery({ id: token, ...shape });
    assert.ok(this.proxy.handleQuery({ token, transport }, query, this.now));
    this.#drain();
    return token;
  }

  /** The newest thing that was asked. */
  get ask(): Ask {
    const ask = this.asks.at(-1);
    assert.ok(ask !== undefined, "nothing was asked");
    return ask;
  }

  /** Answers what was asked last, or `ask`. */
  reply(shape: AnswerShape = {}, ask: Ask = this.ask): void {
    this.give(ask, buildAnswer(ask.message, shape));
  }

  give(ask: Ask, bytes: Uint8Array): void {
    this.proxy.handleAnswer(ask.ask, bytes, this.now);
    this.#drain();
  }

  fail(ask: Ask = this.ask): void {
    this.proxy.handleFailure(ask.ask, this.now);
    this.#drain();
  }

  /** Lets time pass, each timeout at its time. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.proxy.nextTimeout();
      if (next > end) break;
      this.now = Math.max(this.now, next);
      this.proxy.handleTimeout(this.now);
      this.#drain();
    }
    this.now = end;
  }

  answer(token: number): TestMessage {
    const bytes = this.answers.get(token);
    assert.ok(bytes !== undefined, `no answer to ${token}`);
    return readMessage(bytes);
  }

  /** The data of the answer's records. */
  data(token: number): unknown[] {
    return this.answer(token).answers.map(({ data }) => data);
  }

  #drain(): void {
    for (;;) {
      const output = this.proxy.poll();
      if (output === undefined) return;
      if (output.kind === "ask") this.asks.push(output);
      else {
        assert.ok(!this.answers.has(output.client), "answered twice");
        this.answers.set(output.client, output.message);
      }
    }
  }
}

const HOST = aRecord("host.test", 60, "192.0.2.7");
const PLAIN: AnswerShape = { answers: [HOST] };

Deno.test("a question goes to the first upstream, its answer to the client", () => {
  const world = new World();
  const token = world.query({ name: "Host.Test", id: 77 });
  const { upstream, transport, message } = world.ask;
  assert.deepEqual([upstream, transport], [0, "udp"]);
  assert.notEqual(readMessage(message).id, 77, "an id of our own");
  assert.equal(world.answers.size, 0);
  world.reply(PLAIN);
  const answer = world.answer(token);
  assert.equal(answer.id, 77);
  assert.equal(answer.questions[0].name, "Host.Test");
  assert.deepEqual(world.data(token), ["192.0.2.7"]);
  assert.equal(world.proxy.inFlight, 0);
  assert.equal(world.proxy.nextTimeout(), Infinity);
});

Deno.test("the cache answers the second time, TTLs aged, the client's id and spelling", () => {
  const world = new World();
  world.query({ name: "host.test" });
  world.reply(PLAIN);
  world.now += 10_000;
  const token = world.query({ name: "HOST.test", id: 9 }, "tcp");
  assert.equal(world.asks.length, 1);
  const answer = world.answer(token);
  assert.equal(answer.id, 9);
  assert.equal(answer.questions[0].name, "HOST.test");
  assert.equal(answer.answers[0].ttl, 50);
  world.now += 50_000;
  world.query({ name: "host.test" });
  assert.equal(world.asks.length, 2, "its time is over");
  assert.equal(world.proxy.statistics.answeredFromCache, 1);
});

Deno.test("negative answers are kept by their SOA", () => {
  const world = new World();
  const authorities = [soaRecord("test", { ttl: 300, minimum: 20 })];
  world.query({ name: "no.test" });
  world.reply({ code: 3, authorities });
  const token = world.query({ name: "no.test" });
  assert.equal(world.asks.length, 1);
  assert.equal(world.answer(token).rcode, "NXDOMAIN");
  world.now += 20_000;
  world.query({ name: "no.test" });
  assert.equal(world.asks.length, 2);
  world.reply({ code: 3 });
  world.query({ name: "no.test" });
  assert.equal(world.asks.length, 3, "without an SOA it is not kept");
});

Deno.test("type, class, EDNS, DO, RD, AD and CD make another question; an id and spelling don't", () => {
  const world = new World();
  const base: QueryShape = { name: "host.test" };
  const edns = { udpLimit: 4096 };
  const others: QueryShape[] = [
    base,
    { ...base, type: "AAAA" },
    { ...base, class: "CH" },
    { ...base, edns },
    { ...base, edns: { ...edns, dnssec: true } },
    { ...base, flags: 0 },
    { ...base, flags: 0x0120 },
    { ...base, flags: 0x0110 },
    { ...base, name: "host2.test" },
  ];
  for (const shape of others) {
    world.query(shape);
    world.reply(PLAIN);
  }
  assert.equal(world.asks.length, others.length);
  for (const shape of others) {
    world.query({ ...shape, name: shape.name.toUpperCase(), id: 4242 });
    const { edns } = shape;
    if (edns) world.query({ ...shape, edns: { ...edns, udpLimit: 512 } });
  }
  assert.equal(world.asks.length, others.length, "all from the cache");
});

Deno.test("no client's EDNS options go to an upstream", () => {
  const world = new World();
  const options = [{ code: 10, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }];
  world.query({ name: "a.test", edns: { udpLimit: 4096, options } });
  const [opt] = readMessage(world.ask.message).additionals;
  assert.deepEqual((opt as unknown as { options: unknown[] }).options, []);
  assert.equal(opt.udpPayloadSize, 1232);
});

Deno.test("the same question in flight is asked once", () => {
  const world = new World();
  const tokens = [
    world.query({ name: "host.test", id: 1 }),
    world.query({ name: "HOST.test", id: 2 }, "tcp"),
    world.query({ name: "host.TEST", id: 3 }),
  ];
  assert.equal(world.asks.length, 1);
  world.reply(PLAIN);
  const seen = tokens.map((token) => {
    const { id, questions } = world.answer(token);
    return [id, questions[0].name, ...world.data(token)];
  });
  assert.deepEqual(seen, [
    [1, "host.test", "192.0.2.7"],
    [2, "HOST.test", "192.0.2.7"],
    [3, "host.TEST", "192.0.2.7"],
  ]);
  assert.equal(world.proxy.statistics.joined, 2);
});

Deno.test("at most 128 wait for one question; more are told of a failure", () => {
  const world = new World();
  const tokens = Array.from(
    { length: 130 },
    () => world.query({ name: "host.test" }),
  );
  assert.deepEqual([...world.answers.keys()], tokens.slice(128));
  assert.equal(world.answer(tokens[129]).rcode, "SERVFAIL");
  assert.equal(world.proxy.statistics.refused, 2);
  world.reply(PLAIN);
  assert.equal(world.answers.size, 130);
});

Deno.test("at most 2048 questions are in flight; more are told of a failure", () => {
  const world = new World({ upstreams: 1 });
  for (let n = 0; n < 2050; n++) world.query({ name: `${n}.test` });
  assert.equal(world.proxy.inFlight, 2048);
  assert.equal(world.asks.length, 2048);
  assert.deepEqual([...world.answers.keys()], [2049, 2050]);
  world.pass(2 * TIMEOUT);
  assert.equal(world.proxy.inFlight, 0);
  assert.equal(world.answers.size, 2050);
});

Deno.test("silent upstreams are followed by the next, then the client is told", () => {
  const world = new World();
  const token = world.query({ name: "host.test" });
  assert.equal(world.proxy.nextTimeout(), world.now + TIMEOUT);
  world.pass(TIMEOUT - 1);
  assert.equal(world.asks.length, 1);
  world.pass(1);
  world.pass(TIMEOUT);
  world.pass(TIMEOUT - 1);
  assert.deepEqual(world.asks.map(({ upstream }) => upstream), [0, 1, 2]);
  const ids = world.asks.map(({ message }) => readMessage(message).id);
  assert.equal(new Set(ids).size, 3, "each time another id");
  assert.equal(world.answers.size, 0);
  world.pass(1);
  assert.equal(world.answer(token).rcode, "SERVFAIL");
  assert.equal(world.proxy.statistics.upstreamFailures, 3);
  assert.equal(world.proxy.nextTimeout(), Infinity);
});

Deno.test("an upstream that can't be asked is followed at once", () => {
  const world = new World();
  const token = world.query({ name: "host.test" });
  world.fail();
  assert.deepEqual(world.asks.map(({ upstream }) => upstream), [0, 1]);
  world.reply(PLAIN);
  assert.deepEqual(world.data(token), ["192.0.2.7"]);
});

Deno.test("a single upstream gets a second chance", () => {
  const world = new World({ upstreams: 1 });
  const token = world.query({ name: "host.test" });
  world.pass(TIMEOUT);
  assert.equal(world.asks.length, 2);
  world.reply(PLAIN);
  assert.deepEqual(world.data(token), ["192.0.2.7"]);
  const again = world.query({ name: "other.test" });
  world.reply({ code: 2 });
  assert.equal(world.asks.length, 3, "but not to say no again");
  assert.equal(world.answer(again).rcode, "SERVFAIL");
});

Deno.test("what comes for an asking that is over is ignored", () => {
  const world = new World();
  const token = world.query({ name: "host.test" });
  const first = world.ask;
  world.pass(TIMEOUT);
  const second = world.ask;
  world.fail(first);
  world.reply({ answers: [aRecord("host.test", 60, "6.6.6.6")] }, first);
  assert.equal(world.asks.length, 2);
  assert.equal(world.answers.size, 0);
  world.reply(PLAIN, second);
  assert.deepEqual(world.data(token), ["192.0.2.7"]);
  world.reply(PLAIN, second);
  world.fail(second);
  assert.equal(world.answers.size, 1);
});

for (const [code, text] of [[2, "SERVFAIL"], [5, "REFUSED"]] as const) {
  Deno.test(`${text} is followed by the next upstream; the last one's word holds`, () => {
    const world = new World();
    const token = world.query({ name: "host.test" });
    world.reply({ code });
    world.reply({ code });
    assert.deepEqual(world.asks.map(({ upstream }) => upstream), [0, 1, 2]);
    world.reply({ code });
    assert.equal(world.answer(token).rcode, text);
    world.query({ name: "host.test" });
    assert.equal(world.asks.length, 4, "it is not kept");
    assert.equal(world.ask.upstream, 0, "to answer is no reason to be last");
  });
}

Deno.test("silent upstreams are asked last for a while, until they answer", () => {
  const world = new World();
  const ask = (name: string) => {
    world.query({ name });
    return world.ask.upstream;
  };
  assert.equal(ask("1.test"), 0);
  world.pass(TIMEOUT); // 0 was silent
  world.reply();
  assert.equal(ask("2.test"), 1);
  world.now += 1000;
  world.fail(); // 1 too, a little later
  world.reply();
  assert.equal(ask("3.test"), 2);
  world.now += 1000;
  world.fail(); // 2 too: now the one that was silent longest ago
  assert.equal(world.ask.upstream, 0);
  world.reply();
  assert.equal(ask("4.test"), 0, "it has answered since");
  world.fail();
  assert.equal(world.ask.upstream, 1);
  world.fail();
  assert.equal(world.ask.upstream, 2);
  world.reply();
  assert.equal(ask("5.test"), 2);
  world.reply();
  world.now += PENALTY;
  assert.equal(ask("6.test"), 0, "the time is over");
});

Deno.test("a truncated answer is asked for again by TCP, of the same upstream", () => {
  const world = new World();
  const token = world.query({ name: "host.test" }, "tcp");
  world.fail();
  world.reply({ flags: 0x8380 });
  assert.deepEqual([world.ask.upstream, world.ask.transport], [1, "tcp"]);
  assert.equal(world.answers.size, 0);
  const answers = Array.from(
    { length: 100 },
    (_, n) => aRecord("host.test", 60, `192.0.2.${n}`),
  );
  world.reply({ answers });
  assert.equal(world.answer(token).answers.length, 100);
});

Deno.test("where TCP fails the next upstream is asked by UDP", () => {
  const world = new World();
  world.query({ name: "host.test" });
  world.reply({ flags: 0x8380 });
  world.pass(TIMEOUT);
  assert.deepEqual([world.ask.upstream, world.ask.transport], [1, "udp"]);
});

Deno.test("an answer that is still truncated by TCP goes to the client, and is not kept", () => {
  const world = new World();
  const token = world.query({ name: "host.test" });
  world.reply({ flags: 0x8380, answers: [HOST] });
  world.reply({ flags: 0x8380, answers: [HOST] });
  assert.equal(world.answer(token).flag_tc, true);
  world.query({ name: "host.test" });
  assert.equal(world.asks.length, 3);
});

/** Answer bytes of roughly `length`, TXT records of 100 bytes each. */
function txt(length: number): AnswerShape {
  const count = Math.ceil(length / 125);
  return {
    answers: Array.from({ length: count }, (_, n) => ({
      name: "host.test",
      type: "TXT",
      ttl: 60,
      data: `${n}`.padEnd(100, "x"),
    })),
  };
}

const LIMITS = [
  { client: undefined, fits: 300, not: 700 },
  { client: 100, fits: 300, not: 700 },
  { client: 512, fits: 300, not: 700 },
  { client: 1000, fits: 700, not: 1100 },
  { client: 1232, fits: 1000, not: 1400 },
  { client: 4096, fits: 1000, not: 1400 },
  { client: 65535, fits: 1000, not: 1400 },
] as const;

for (const { client, fits, not } of LIMITS) {
  Deno.test(`a client with EDNS limit ${client}: ${fits} bytes whole, ${not} truncated, whole by TCP`, () => {
    const world = new World();
    const edns = client === undefined ? undefined : { udpLimit: client };
    const ask = (name: string, transport: DnsTransport) =>
      world.query({ name, type: "TXT", edns }, transport);
    const small = ask("small.test", "udp");
    world.reply(txt(fits));
    assert.equal(world.answer(small).flag_tc, false);
    assert.ok(world.answer(small).answers.length > 0);
    const large = ask("large.test", "udp");
    world.reply(txt(not));
    const { flag_tc, answers, id, additionals } = world.answer(large);
    assert.ok(flag_tc && answers.length === 0 && id === large);
    assert.equal(additionals.length, edns === undefined ? 0 : 1);
    const whole = ask("large.test", "tcp");
    assert.equal(world.asks.length, 2, "truncated for one, kept for all");
    assert.ok(world.answer(whole).answers.length > 0);
    assert.equal(world.answer(whole).flag_tc, false);
  });
}

/** An answer of exactly `length` bytes. */
function answerOfLength(query: Uint8Array, length: number): Uint8Array {
  const build = (data: Uint8Array) =>
    buildAnswer(query, {
      answers: [{ name: "host.test", type: "NULL", ttl: 60, data }],
    });
  const empty = build(new Uint8Array(0)).length;
  return build(new Uint8Array(length - empty));
}

Deno.test("a client's limit is exact", () => {
  const cases = [[undefined, 512], [600, 600], [1231, 1231], [9000, 1232]];
  for (const [udpLimit, limit] of cases as [number | undefined, number][]) {
    for (const over of [0, 1]) {
      const world = new World();
      const edns = udpLimit === undefined ? undefined : { udpLimit };
      const token = world.query({ name: "host.test", edns });
      world.give(world.ask, answerOfLength(world.ask.message, limit + over));
      assert.equal(world.answer(token).flag_tc, over === 1, `${udpLimit}`);
    }
  }
});

Deno.test("wrong ids, wrong questions and queries are not taken for answers", () => {
  const world = new World();
  const token = world.query({ name: "host.test" });
  const { message } = world.ask;
  const good = buildAnswer(message, PLAIN);
  const wrongId = good.slice();
  wrongId[0] ^= 1;
  const spoofed = [
    wrongId,
    message,
    buildAnswer(buildQuery({ name: "hast.test", id: readMessage(message).id })),
    buildAnswer(
      buildQuery({
        name: "host.test",
        type: "AAAA",
        id: readMessage(message).id,
      }),
    ),
    new Uint8Array(0),
    good.slice(0, 11),
  ];
  for (const bytes of spoofed) world.give(world.ask, bytes);
  assert.equal(world.answers.size, 0);
  assert.equal(world.asks.length, 1, "nor for failures");
  world.give(world.ask, good);
  assert.deepEqual(world.data(token), ["192.0.2.7"]);
});

Deno.test("an answer whose records are malformed counts as none", () => {
  const world = new World();
  world.query({ name: "host.test" });
  const bytes = buildAnswer(world.ask.message, PLAIN);
  world.give(world.ask, bytes.slice(0, -1));
  assert.deepEqual(world.asks.map(({ upstream }) => upstream), [0, 1]);
});

Deno.test("what is no query is not answered", () => {
  const { proxy } = new World();
  const client = { token: 1, transport: "udp" } as const;
  const query = buildQuery({ name: "host.test" });
  for (
    const bytes of [
      new Uint8Array(0),
      new Uint8Array(11),
      new Uint8Array(600).fill(0xff),
      query.slice(0, -1),
      buildAnswer(query),
    ]
  ) {
    assert.equal(proxy.handleQuery(client, bytes, 0), false);
  }
  assert.equal(proxy.poll(), undefined);
  assert.equal(proxy.statistics.malformed, 5);
  assert.equal(proxy.statistics.queries, 0);
});

Deno.test("other operations and zone transfers are not implemented", () => {
  const world = new World();
  const cases: QueryShape[] = [
    { name: "a.test", flags: 5 << 11 },
    { name: "a.test", flags: 4 << 11 },
    { name: "a.test", type: "AXFR" },
    { name: "a.test", type: "IXFR" },
  ];
  for (const shape of cases) {
    const answer = world.answer(world.query(shape, "tcp"));
    assert.equal(answer.rcode, "NOTIMP");
    assert.equal(answer.type, "response");
  }
  assert.equal(world.asks.length, 0);
});

Deno.test("local answers need no upstream, and are addressed to the client", () => {
  const world = new World({
    local: (query) =>
      query.name === "me.sluice"
        ? emitDnsAnswer(query, { responseCode: 3, authoritative: true })
        : undefined,
  });
  const token = world.query({ name: "ME.sluice", id: 5 });
  assert.equal(world.asks.length, 0);
  const answer = world.answer(token);
  assert.equal(answer.id, 5);
  assert.equal(answer.questions[0].name, "ME.sluice");
  world.query({ name: "you.sluice" });
  assert.equal(world.asks.length, 1);
});

Deno.test("timeouts come in the order of asking", () => {
  const world = new World({ upstreams: 2 });
  world.query({ name: "1.test" });
  world.now += 500;
  world.query({ name: "2.test" });
  const first = world.asks[0];
  world.now += 500;
  world.fail(first); // asked again now, so it is due after the second
  assert.equal(world.proxy.nextTimeout(), world.now + 1500);
  world.pass(1500);
  assert.deepEqual(world.asks.map(({ upstream }) => upstream), [0, 0, 1, 1]);
  assert.equal(world.proxy.nextTimeout(), world.now + 500);
});
