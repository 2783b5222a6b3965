import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DNS_HEADER_LENGTH,
  isAnswerTo,
  parseDns,
  RecordType,
  ResponseCode,
} from "../../../src/core/wire/dns.ts";
import {
  ageDns,
  EDNS_UDP_LIMIT,
  emitDnsAnswer,
  emitDnsQuery,
  readdressDns,
} from "../../../src/core/wire/dns_emit.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  readMessage,
  soaRecord,
} from "../../support/dns_messages.ts";
import { hex } from "../wireguard/hex.ts";

/** As `dig Host.test` sends it: EDNS with a limit of 1232, DO, and a cookie. */
const DIG_QUERY = hex(`
  4a12 0120 0001 0000 0000 0001
  04 486f7374 04 74657374 00  0001 0001
  00 0029 04d0 0000 8000 000c  000a 0008 0102030405060708
`);

/** A CNAME, then the address; names compressed; OPT last. */
const ANSWER = hex(`
  4a12 8180 0001 0002 0000 0001
  04 486f7374 04 74657374 00  0001 0001
  c00c 0005 0001 0000012c 0004  01 78 c011
  c027 0001 0001 00000064 0004  c0000201
  00 0029 04d0 0000 0000 0000
`);

/** «No such name», an SOA with TTL 900 and MINIMUM 60 in the authority. */
const NO_SUCH_NAME = hex(`
  4a12 8183 0001 0000 0001 0000
  02 6e6f 04 74657374 00  001c 0001
  c00f 0006 0001 00000384 0020
    02 6e73 c00f 04 726f6f74 c00f
    00000001 00000e10 00000258 00015180 0000003c
`);

const TABLE = [DIG_QUERY, ANSWER, NO_SUCH_NAME];

function parsed(bytes: Uint8Array) {
  const message = parseDns(bytes);
  assert.ok(message !== undefined);
  return message;
}

Deno.test("a query's header, question and EDNS", () => {
  const { question, ...message } = parsed(DIG_QUERY);
  assert.deepEqual(message, {
    id: 0x4a12,
    response: false,
    opcode: 0,
    truncated: false,
    requestFlags: 0x0120,
    responseCode: 0,
    name: "host.test",
    type: RecordType.A,
    class: 1,
    edns: { udpLimit: 1232, dnssec: true },
    cacheSeconds: -1,
    ttlOffsets: [],
  });
  assert.deepEqual(question, DIG_QUERY.slice(12, 27));
});

Deno.test("an answer's TTLs, but not the OPT record's", () => {
  const message = parsed(ANSWER);
  assert.equal(message.response, true);
  assert.equal(message.cacheSeconds, 100);
  assert.deepEqual(message.ttlOffsets, [33, 49]);
  assert.deepEqual(message.edns, { udpLimit: 1232, dnssec: false });
});

Deno.test("a negative answer is kept by its SOA", () => {
  const message = parsed(NO_SUCH_NAME);
  assert.equal(message.responseCode, ResponseCode.NameError);
  assert.equal(message.cacheSeconds, 60);
  assert.equal(message.type, RecordType.AAAA);
});

Deno.test("every truncation is refused", () => {
  for (const bytes of TABLE) {
    for (let length = 0; length < bytes.length; length++) {
      const part = bytes.slice(0, length);
      assert.equal(parseDns(part), undefined, `${length} bytes`);
      isAnswerTo(part, DIG_QUERY);
    }
    assert.ok(parseDns(bytes));
  }
});

Deno.test("a message has exactly one question", () => {
  for (const count of [0, 2, 256]) {
    const bytes = DIG_QUERY.slice();
    bytes.set([count >> 8, count & 255], 4);
    assert.equal(parseDns(bytes), undefined);
  }
});

/** A query for a name given by its bytes. */
function queryFor(name: readonly number[]): Uint8Array {
  const header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  return Uint8Array.from([...header, ...name, 0, 1, 0, 1]);
}

const label = (size: number): number[] => [size, ...Array(size).fill(97)];

Deno.test("names at their limits", () => {
  const longest = [...[63, 63, 63, 61].flatMap(label), 0];
  assert.equal(longest.length, 255);
  assert.equal(parsed(queryFor(longest)).name.length, 253);
  const refused = [
    [...[63, 63, 63, 62].flatMap(label), 0],
    [...label(64), 0],
    [0xc0, 12],
    [...label(3), 0xc0, 12],
    [0x80, 0],
    label(3),
  ];
  for (const name of refused) {
    assert.equal(parseDns(queryFor(name)), undefined, name.join(" "));
  }
  assert.equal(parsed(queryFor([0])).name, "");
});

Deno.test("a name's text is lower case, and tells every two names apart", () => {
  const texts = [
    [[3, 65, 98, 90, 0], "abz"],
    [[3, 97, 46, 98, 0], "a\\046b"],
    [[1, 97, 1, 98, 0], "a.b"],
    [[4, 92, 48, 52, 54, 0], "\\092046"],
    [[1, 46, 0], "\\046"],
    [[4, 0, 255, 32, 0x61, 0], "\\000\\255\\032a"],
  ] as const;
  for (const [name, text] of texts) {
    assert.equal(parsed(queryFor([...name])).name, text);
  }
});

const CNAME = { name: "a.test", type: "CNAME", ttl: 300, data: "b.test" };
const SOA = soaRecord("test", { ttl: 500, minimum: 40 });
const CACHE_CASES: readonly [
  string,
  number,
  Parameters<typeof buildAnswer>[1],
][] = [
  ["the least TTL counts", 20, {
    answers: [aRecord("a.test", 90, "192.0.2.1"), CNAME],
    additionals: [aRecord("ns.test", 20, "192.0.2.2")],
  }],
  ["TTL 0", 0, { answers: [aRecord("a.test", 0, "192.0.2.1")] }],
  ["a TTL with the top bit set is 0", 0, {
    answers: [aRecord("a.test", 0x80000001, "192.0.2.1")],
  }],
  ["no data with an SOA", 40, { authorities: [SOA] }],
  ["no data without an SOA", -1, {}],
  ["no such name without an SOA", -1, { code: 3 }],
  ["the SOA's own TTL may be less", 7, {
    code: 3,
    authorities: [soaRecord("test", { ttl: 7, minimum: 600 })],
  }],
  ["an SOA's MINIMUM with the top bit set is 0", 0, {
    code: 3,
    authorities: [soaRecord("test", { ttl: 7, minimum: 0xffffffff })],
  }],
  ["a CNAME to nothing", 40, { code: 3, answers: [CNAME], authorities: [SOA] }],
  ["a CNAME to nothing, its TTL less", 5, {
    answers: [{ ...CNAME, ttl: 5 }],
    authorities: [SOA],
  }],
  ["a CNAME and no such name, without an SOA", -1, {
    code: 3,
    answers: [CNAME],
  }],
  ["an SOA in the answer makes no «no»", 500, { answers: [SOA] }],
  ["an SOA among the additional records neither", -1, {
    additionals: [SOA],
  }],
  ["a server failure", -1, { code: 2, authorities: [SOA] }],
  ["a refusal", -1, { code: 5, authorities: [SOA] }],
  ["truncated", -1, {
    flags: 0x8380,
    answers: [aRecord("a.test", 90, "192.0.2.1")],
  }],
];

for (const [what, seconds, shape] of CACHE_CASES) {
  Deno.test(`kept for ${seconds} s: ${what}`, () => {
    const query = buildQuery({ name: "a.test" });
    assert.equal(parsed(buildAnswer(query, shape)).cacheSeconds, seconds);
  });
}

Deno.test("an OPT record counts only among the additional ones", () => {
  const query = buildQuery({ name: "a.test" });
  const bytes = buildAnswer(query, { edns: { udpLimit: 4096, dnssec: true } });
  assert.deepEqual(parsed(bytes).edns, { udpLimit: 4096, dnssec: true });
  bytes.set([0, 1, 0, 0, 0, 0], 6); // the same record as an answer
  const message = parsed(bytes);
  assert.equal(message.edns, undefined);
  assert.equal(message.ttlOffsets.length, 1);
});

Deno.test("TTLs are aged, all else stays", () => {
  const query = buildQuery({ name: "a.test" });
  const bytes = buildAnswer(query, {
    answers: [CNAME, aRecord("b.test", 70, "192.0.2.1")],
    authorities: [soaRecord("test", { ttl: 3600, minimum: 1 })],
    edns: { udpLimit: 1232, dnssec: true },
  });
  const before = readMessage(bytes);
  ageDns(bytes, parsed(bytes).ttlOffsets, 71);
  const after = readMessage(bytes);
  const ttls = [...after.answers, ...after.authorities].map(({ ttl }) => ttl);
  assert.deepEqual(ttls, [229, 0, 3529]);
  assert.deepEqual(after.additionals, before.additionals);
  assert.deepEqual(after.answers[1].data, "192.0.2.1");
});

Deno.test("an answer must have the query's id, opcode and question", () => {
  const query = buildQuery({ name: "a1.test", type: "AAAA", id: 0x1234 });
  const answer = buildAnswer(query, {
    answers: [{ name: "a1.test", type: "AAAA", ttl: 1, data: "2001:db8::1" }],
  });
  assert.ok(isAnswerTo(answer, query));
  assert.ok(!isAnswerTo(query, query), "a query is no answer");
  const questionEnd = parsed(query).question.length + DNS_HEADER_LENGTH;
  const free = new Set([3, 6, 7, 8, 9, 10, 11]); // counts, code
  for (let at = 0; at < questionEnd; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const tampered = answer.slice();
      tampered[at] ^= 1 << bit;
      const spelling = bit === 5 && at >= 12 && /[a-z]/i.test(
        String.fromCharCode(answer[at]),
      );
      const flag = at === 2 && (bit < 3); // AA, TC, RD
      assert.equal(
        isAnswerTo(tampered, query),
        free.has(at) || spelling || flag,
        `byte ${at}, bit ${bit}`,
      );
    }
  }
});

Deno.test("a query to an upstream: the client's question and flags, EDNS of our own", () => {
  const client = parsed(DIG_QUERY);
  const message = readMessage(emitDnsQuery(client, 0xbeef));
  assert.equal(message.id, 0xbeef);
  assert.equal(message.type, "query");
  assert.ok(message.flag_rd && message.flag_ad && !message.flag_cd);
  assert.deepEqual(message.questions, [
    { name: "Host.test", type: "A", class: "IN" },
  ]);
  assert.equal(message.additionals.length, 1);
  const [opt] = message.additionals;
  assert.equal(opt.udpPayloadSize, EDNS_UDP_LIMIT);
  assert.equal(opt.flag_do, true);
  assert.deepEqual((opt as unknown as { options: unknown[] }).options, []);

  const plain = parsed(buildQuery({ name: "a.test", flags: 0x0010 }));
  const without = readMessage(emitDnsQuery(plain, 1));
  assert.equal(without.additionals.length, 0);
  assert.ok(!without.flag_rd && without.flag_cd);
});

Deno.test("an answer of our own: records, flags, OPT where the query has one", () => {
  const client = parsed(DIG_QUERY);
  const bytes = emitDnsAnswer(client, {
    responseCode: ResponseCode.NoError,
    authoritative: true,
    answers: [{
      nameAt: 12,
      type: RecordType.A,
      ttl: 60,
      data: Uint8Array.of(10, 8, 0, 2),
    }],
    authority: [{
      nameAt: 17,
      type: RecordType.A,
      ttl: 0xffffffff,
      data: Uint8Array.of(1, 2, 3, 4),
    }],
  });
  const message = readMessage(bytes);
  assert.equal(message.id, client.id);
  assert.ok(message.flag_aa && message.flag_ra && message.flag_rd);
  assert.ok(!message.flag_tc && !message.flag_ad);
  const strip = ({ name, type, ttl, data }: typeof message.answers[number]) => [
    name,
    type,
    ttl,
    data,
  ];
  assert.deepEqual(message.answers.map(strip), [
    ["Host.test", "A", 60, "10.8.0.2"],
  ]);
  assert.deepEqual(message.authorities.map(strip), [
    ["test", "A", 0xffffffff, "1.2.3.4"],
  ]);
  assert.equal(message.additionals[0].type, "OPT");
  assert.ok(isAnswerTo(bytes, DIG_QUERY));
});

Deno.test("errors and «truncated» have no records", () => {
  const query = buildQuery({ name: "a.test", flags: 0x0010 });
  const client = parsed(query);
  for (const responseCode of Object.values(ResponseCode)) {
    const bytes = emitDnsAnswer(client, { responseCode, truncated: true });
    assert.equal(bytes.length, query.length);
    const answer = parsed(bytes);
    assert.equal(answer.responseCode, responseCode);
    assert.ok(answer.truncated && answer.response);
    assert.equal(answer.requestFlags, 0x0010);
    assert.equal(answer.cacheSeconds, -1);
  }
});

Deno.test("an answer for one client becomes another's", () => {
  const first = parsed(buildQuery({ name: "host.TEST", id: 1 }));
  const second = parsed(buildQuery({ name: "HOST.test", id: 2 }));
  const answer = emitDnsAnswer(first, { responseCode: ResponseCode.NoError });
  readdressDns(answer, second);
  const message = readMessage(answer);
  assert.equal(message.id, 2);
  assert.equal(message.questions[0].name, "HOST.test");
});

const dnsName = fc.array(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
  { minLength: 1, maxLength: 6 },
).map((labels) => labels.join("."));

Deno.test("messages of another library are read as they were written", () => {
  fc.assert(
    fc.property(
      fc.record({
        name: dnsName,
        id: fc.nat(0xffff),
        type: fc.constantFrom("A", "AAAA", "TXT", "MX", "SRV"),
        udpLimit: fc.option(fc.integer({ min: 1, max: 0xffff })),
        dnssec: fc.boolean(),
        ttls: fc.array(fc.nat(1_000_000), { maxLength: 8 }),
        minimum: fc.option(fc.nat(1_000_000)),
      }),
      ({ name, id, type, udpLimit, dnssec, ttls, minimum }) => {
        const edns = udpLimit === null ? undefined : { udpLimit, dnssec };
        const query = buildQuery({ name, id, type, edns });
        const asked = parsed(query);
        assert.equal(asked.name, name.toLowerCase());
        assert.equal(asked.id, id);
        assert.deepEqual(asked.edns, edns);
        const answer = buildAnswer(query, {
          answers: ttls.map((ttl) => aRecord(name, ttl, "192.0.2.1")),
          authorities: minimum === null
            ? []
            : [soaRecord("test", { ttl: minimum, minimum })],
          edns,
        });
        assert.ok(isAnswerTo(answer, query));
        const got = parsed(answer);
        const all = minimum === null ? ttls : [...ttls, minimum];
        assert.equal(got.ttlOffsets.length, all.length);
        assert.equal(got.cacheSeconds, all.length > 0 ? Math.min(...all) : -1);
        assert.deepEqual(got.edns, edns);
      },
    ),
    { numRuns: 300 },
  );
});
