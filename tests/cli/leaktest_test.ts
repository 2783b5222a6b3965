import assert from "node:assert/strict";
import {
  dnsProbe,
  findPing,
  formatArrivals,
  formatQuestion,
  newRun,
  parseArrivals,
  parseDnsProbe,
  parseQuestion,
  pingPattern,
  QUESTION_LENGTH,
  REPORT,
} from "../../src/cli/leaktest_message.ts";
import { ArrivalBook, LeakPeer } from "../../src/cli/leaktest_peer.ts";
import { PROBE_KINDS, sendProbes } from "../../src/cli/leaktest_prober.ts";
import { formatResults } from "../../src/cli/leaktest_run.ts";
import { judgeProbes, type SentProbe } from "../../src/cli/leaktest_verdict.ts";
import type { Verdict } from "../../src/core/route/rules/verdict.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import type { EchoRequest } from "../../src/io/ports.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";

const RUN = "00112233445566ff";
const PROBE = { run: RUN, number: 7 };

Deno.test("questions and answers are read as they were written", () => {
  assert.match(newRun(), /^[0-9a-f]{16}$/);
  assert.notEqual(newRun(), newRun());
  const question = formatQuestion(PROBE);
  assert.equal(question.length, QUESTION_LENGTH);
  assert.ok(question.endsWith("\n"));
  assert.deepEqual(parseQuestion(question), PROBE);
  assert.deepEqual(parseQuestion(formatQuestion(PROBE, 0)), PROBE);
  const arrivals = [{ number: 7, source: "192.0.2.7" }];
  assert.deepEqual(parseArrivals(formatArrivals(arrivals)), arrivals);
  for (const text of ["", "x", "{}", "[7]", '[["7",1]]', "null"]) {
    assert.deepEqual(parseArrivals(text), []);
  }
  for (
    const text of [
      "",
      "GET / HTTP/1.1\n",
      `sluice-leaktest ${RUN} 256 \n`,
      `sluice-leaktest ${RUN} x \n`,
      `sluice-leaktest ${RUN.toUpperCase()} 7 \n`,
      ` sluice-leaktest ${RUN} 7 \n`,
    ]
  ) assert.equal(parseQuestion(text), undefined, text);
});

Deno.test("a ping's pattern is found where ping has put it", () => {
  const pattern = Uint8Array.from(
    pingPattern(PROBE).match(/../g)!,
    (digits) => parseInt(digits, 16),
  );
  // As iputils does: 56 bytes of the pattern, its first 16 bytes the time.
  const data = Uint8Array.from(
    { length: 56 },
    (_, i) => i < 16 ? 0xaa : pattern[i % pattern.length],
  );
  assert.deepEqual(findPing(data), PROBE);
  assert.equal(findPing(data.subarray(0, 16)), undefined);
  const seeded = new SeededRandom(5);
  const noise = new Uint8Array(56);
  for (let round = 0; round < 1000; round++) {
    seeded.fill(noise, 0, noise.length);
    findPing(noise.subarray(0, seeded.below(57)));
  }
});

Deno.test("a DNS question is a probe, and others are not", () => {
  const bytes = dnsProbe(PROBE);
  assert.deepEqual(parseDnsProbe(bytes)?.probe, PROBE);
  assert.equal(parseDnsProbe(bytes)?.message.type, 16);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(parseDnsProbe(bytes.subarray(0, length)), undefined);
  }
  const other = dnsProbe({ run: RUN.replace("0", "g"), number: 7 });
  assert.equal(parseDnsProbe(other), undefined);
});

Deno.test("the book of arrivals is bounded, the oldest run goes first", () => {
  const book = new ArrivalBook();
  const run = (n: number) => n.toString(16).padStart(16, "0");
  assert.ok(book.note({ run: run(0), number: 1 }, "192.0.2.1"));
  assert.ok(!book.note({ run: run(0), number: 1 }, "192.0.2.1"), "again");
  for (let n = 0; n < 300; n++) {
    book.note({ run: run(0), number: 1 }, `192.0.2.${n}`);
  }
  assert.equal(book.report(run(0)).length, 256);
  for (let n = 1; n <= 1000; n++) {
    book.note({ run: run(n), number: 1 }, "192.0.2.1");
  }
  assert.deepEqual(book.report(run(0)), []);
  assert.equal(book.report(run(1)).length, 1);
});

Deno.test("every kind of probe reaches the peer and is in its report", async () => {
  const pings: EchoRequest[] = [];
  const seen: string[] = [];
  // The DNS port is taken before, so that the peer is told which one.
  const place = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const dnsPort = (place.addr as Deno.NetAddr).port;
  place.close();
  using peer = new LeakPeer({
    addresses: ["127.0.0.1"],
    port: 0,
    dnsPort,
    pings: { next: () => pings.pop(), [Symbol.dispose]: () => {} },
    onArrival: (how, { number }, source) =>
      seen.push(`${how} ${number} ${source}`),
    onRefused: (what) => assert.fail(what),
  });
  const port = (kind: string) => kind === "dns" ? dnsPort : peer.port;
  pings.push({
    source: Int32Array.from(parseAddress("192.0.2.9")!),
    data: new TextEncoder().encode("x".repeat(56)),
  });
  const answers = await sendProbes({
    run: RUN,
    tasks: PROBE_KINDS.map((kind, n) => ({
      number: n + 1,
      kind,
      hostname: "127.0.0.1",
      port: port(kind),
    })),
  });
  assert.deepEqual(
    answers.map(({ number, source }) => `${number} ${source}`).sort(),
    ["1 127.0.0.1", "2 127.0.0.1", "3 127.0.0.1"],
  );
  assert.deepEqual([...new Set(seen)].sort(), [
    "dns 4 127.0.0.1",
    "tcp 1 127.0.0.1",
    "udp 2 127.0.0.1",
    "udp 3 127.0.0.1",
  ]);
  const connection = await Deno.connect({ port: peer.port });
  await connection.write(
    new TextEncoder().encode(formatQuestion({ run: RUN, number: REPORT })),
  );
  const report = parseArrivals(await new Response(connection.readable).text());
  assert.deepEqual(report.map(({ number }) => number).sort(), [0, 1, 2, 3, 4]);
});

const TUNNEL: Verdict = {
  way: "tunnel",
  tunnel: "work",
  by: "rule",
  rule: 0,
  cause: "action",
};
const DIRECT: Verdict = {
  way: "direct",
  by: "default",
  rule: -1,
  cause: "action",
};
const DROP: Verdict = { ...DIRECT, way: "drop" };
const OURS = { 4: "192.0.2.1", 6: undefined };

Deno.test("what is a leak and what is not", () => {
  const cases: [Verdict | undefined, 4 | 6, string[], string][] = [
    [TUNNEL, 4, ["203.0.113.9"], "ok"],
    [TUNNEL, 4, ["192.0.2.1"], "leak"],
    [TUNNEL, 4, ["203.0.113.9", "192.0.2.1"], "leak"],
    [TUNNEL, 4, [], "lost"],
    [TUNNEL, 6, ["2001:db8::9"], "unknown"],
    [DIRECT, 4, ["192.0.2.1"], "ok"],
    [DIRECT, 4, [], "lost"],
    [DROP, 4, [], "ok"],
    [DROP, 4, ["203.0.113.9"], "leak"],
    [DROP, 6, ["2001:db8::9"], "leak"],
    [undefined, 4, ["192.0.2.1"], "unknown"],
    [undefined, 4, [], "unknown"],
  ];
  for (const [verdict, family, sources, expected] of cases) {
    const probe: SentProbe = {
      number: 3,
      program: "firefox",
      kind: "TCP",
      family,
      verdict,
    };
    const arrivals = [
      { number: 4, source: "192.0.2.1" },
      ...sources.map((source) => ({ number: 3, source })),
    ];
    const [result] = judgeProbes([probe], arrivals, OURS);
    assert.equal(result.result, expected, `${verdict?.way} ${sources}`);
    assert.deepEqual(result.sources, sources);
  }
});

Deno.test("results say what they come to", () => {
  const probe = (number: number, verdict: Verdict): SentProbe => ({
    number,
    program: "firefox",
    kind: "TCP",
    family: 4,
    verdict,
  });
  const probes = [probe(1, TUNNEL), probe(2, DROP)];
  const good = judgeProbes(
    probes,
    [{ number: 1, source: "203.0.113.9" }],
    OURS,
  );
  assert.equal(
    formatResults(good, OURS),
    `PROGRAM  PROBE  FAMILY  SHOULD GO    RESULT
firefox  TCP    IPv4    tunnel work  arrived from 203.0.113.9
firefox  TCP    IPv4    drop         dropped, as it should be

direct traffic comes from 192.0.2.1
no leak
`,
  );
  const bad = judgeProbes(probes, [{ number: 2, source: "192.0.2.1" }], OURS);
  assert.match(formatResults(bad, OURS), /1 of 2 probes LEAKED\n$/);
});
