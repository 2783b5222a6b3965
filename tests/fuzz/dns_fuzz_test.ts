/**
 * Hostile DNS messages, from clients and from upstreams: nothing throws, what is
 * accepted holds together, every query gets one answer of its own. The corpus is
 * real messages; seeds are fixed, so runs repeat.
 */
import assert from "node:assert/strict";
import { type DnsOutput, DnsProxy } from "../../src/core/flow/dns_proxy.ts";
import { isAnswerTo, parseDns } from "../../src/core/wire/dns.ts";
import {
  ageDns,
  emitDnsAnswer,
  emitDnsQuery,
} from "../../src/core/wire/dns_emit.ts";
import { LocalNames } from "../../src/control/local_names.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  soaRecord,
} from "../support/dns_messages.ts";

const NAMES = ["host.test", "a.b.c.example.org", "phone.sluice", "sluice", ""];
const EDNS = [undefined, { udpLimit: 1232 }, { udpLimit: 4096, dnssec: true }];

const QUERIES = NAMES.flatMap((name) =>
  EDNS.flatMap((edns) =>
    ["A", "AAAA", "TXT"].map((type) => buildQuery({ name, type, edns }))
  )
);

const SHAPES = [
  { answers: [aRecord("host.test", 60, "192.0.2.1")] },
  {
    answers: [
      { name: "host.test", type: "CNAME", ttl: 1, data: "x.test" },
      aRecord("x.test", 600, "192.0.2.1"),
    ],
    edns: { udpLimit: 512 },
  },
  { code: 3, authorities: [soaRecord("test", { ttl: 60, minimum: 30 })] },
  { code: 2 },
  { code: 5 },
  { flags: 0x8380 },
  {
    answers: Array.from(
      { length: 60 },
      (_, n) => aRecord("host.test", n, `192.0.2.${n}`),
    ),
  },
];

const CORPUS = [
  ...QUERIES,
  ...QUERIES.slice(0, 9).flatMap((query) =>
    SHAPES.map((shape) => buildAnswer(query, shape))
  ),
];

/** Bytes that lengths, counts, pointers and types like to trip over. */
const INTERESTING = [0, 1, 2, 6, 12, 28, 41, 63, 64, 0x80, 0xbf, 0xc0, 0xff];

function mutate(from: Uint8Array, random: SeededRandom): Uint8Array {
  let bytes = from.slice();
  for (let n = random.below(6); n > 0 && bytes.length > 0; n--) {
    const limit = random.below(3) === 0
      ? bytes.length
      : Math.min(bytes.length, 40);
    const at = random.below(limit);
    switch (random.below(6)) {
      case 0:
        bytes[at] ^= 1 << random.below(8);
        break;
      case 1:
        bytes[at] = random.next();
        break;
      case 2:
        bytes[at] = INTERESTING[random.below(INTERESTING.length)];
        break;
      case 3:
        bytes = bytes.slice(0, random.below(bytes.length + 1));
        break;
      case 4:
        bytes.copyWithin(at, random.below(limit), limit);
        break;
      case 5:
        bytes[4 + random.below(8)] = random.below(4); // counts
        break;
    }
  }
  if (random.below(50) === 0) {
    bytes = new Uint8Array(random.below(200));
    random.fill(bytes, 0, bytes.length);
  }
  return bytes;
}

Deno.test("mutated DNS messages never throw, and what is read holds together", () => {
  const random = new SeededRandom(1035);
  let read = 0, refused = 0, emitted = 0;
  for (let n = 0; n < 100_000; n++) {
    const bytes = mutate(CORPUS[random.below(CORPUS.length)], random);
    const message = parseDns(bytes);
    isAnswerTo(bytes, QUERIES[random.below(QUERIES.length)]);
    if (message === undefined) {
      refused++;
      continue;
    }
    read++;
    const { question, ttlOffsets, cacheSeconds } = message;
    assert.ok(question.length >= 5 && question.length <= 259);
    assert.deepEqual(question, bytes.slice(12, 12 + question.length));
    assert.ok(cacheSeconds >= -1 && cacheSeconds <= 0x7fffffff);
    let before = 12 + question.length;
    for (const at of ttlOffsets) {
      assert.ok(at >= before + 5 && at + 6 <= bytes.length);
      before = at + 6;
    }
    ageDns(bytes, ttlOffsets, random.below(100_000));
    assert.deepEqual(parseDns(bytes)?.ttlOffsets, ttlOffsets);
    if (n % 8 === 0) {
      emitted++;
      const query = emitDnsQuery(message, 0x1234);
      const again = parseDns(query)!;
      assert.equal(again.name, message.name);
      assert.equal(again.edns?.dnssec, message.edns?.dnssec);
      const answer = emitDnsAnswer(again, { responseCode: 2 });
      assert.ok(isAnswerTo(answer, query));
      assert.equal(parseDns(answer)?.responseCode, 2);
    }
  }
  assert.ok(read > 20_000 && refused > 20_000, `${read}, ${refused}`);
  assert.ok(emitted > 2000);
});

/** Plays clients and upstreams, both of them hostile at times. */
class Play {
  readonly random = new SeededRandom(7766);
  readonly proxy: DnsProxy;
  readonly waiting = new Map<number, Uint8Array>();
  readonly asks: (DnsOutput & { kind: "ask" })[] = [];
  now = 0;
  answered = 0;
  #token = 0;

  constructor() {
    const names = new LocalNames("sluice");
    this.proxy = new DnsProxy({
      upstreams: 3,
      timeoutMs: 500,
      cache: { entries: 20, minTtlMs: 0, maxTtlMs: 20_000 },
      random16: () => this.random.below(65536),
      local: (query) => names.answer(query),
    });
  }

  step(): void {
    const { random, proxy } = this;
    switch (random.below(4)) {
      case 0: {
        const from = QUERIES[random.below(QUERIES.length)];
        const query = random.below(3) === 0 ? mutate(from, random) : from;
        const token = ++this.#token;
        const transport = random.below(4) === 0 ? "tcp" : "udp";
        const taken = proxy.handleQuery({ token, transport }, query, this.now);
        if (taken) this.waiting.set(token, query);
        break;
      }
      case 1:
      case 2:
        this.#upstream();
        break;
      case 3:
        this.now += random.below(60);
        proxy.handleTimeout(this.now);
    }
    this.drain();
  }

  drain(): void {
    for (;;) {
      const output = this.proxy.poll();
      if (output === undefined) return;
      if (output.kind === "ask") {
        this.asks.push(output);
        continue;
      }
      const query = this.waiting.get(output.client);
      assert.ok(query !== undefined, "one answer to each query");
      this.waiting.delete(output.client);
      assert.ok(isAnswerTo(output.message, query));
      assert.ok(parseDns(output.message) !== undefined);
      this.answered++;
    }
  }

  #upstream(): void {
    const { random, proxy, asks } = this;
    if (asks.length === 0) return;
    const [ask] = asks.splice(random.below(asks.length), 1);
    if (random.below(10) === 0) return proxy.handleFailure(ask.ask, this.now);
    const shape = SHAPES[random.below(SHAPES.length)];
    const answer = buildAnswer(ask.message, shape);
    const bytes = random.below(2) === 0 ? mutate(answer, random) : answer;
    proxy.handleAnswer(ask.ask, bytes, this.now);
  }
}

Deno.test("a proxy among hostile clients and upstreams answers every query once", () => {
  const play = new Play();
  for (let n = 0; n < 100_000; n++) {
    play.step();
    if (play.asks.length > 300) play.asks.splice(0, 200);
  }
  const { proxy } = play;
  for (;;) {
    const next = proxy.nextTimeout();
    if (next === Infinity) break;
    proxy.handleTimeout(next);
    play.drain();
  }
  assert.equal(play.waiting.size, 0);
  assert.equal(proxy.inFlight, 0);
  const { queries, malformed, answeredFromCache, joined } = proxy.statistics;
  assert.equal(play.answered, queries);
  assert.ok(
    queries > 10_000 && malformed > 500 && answeredFromCache > 500 &&
      joined > 500,
    JSON.stringify(proxy.statistics),
  );
});
