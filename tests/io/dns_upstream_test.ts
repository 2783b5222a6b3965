import assert from "node:assert/strict";
import {
  type DnsServerAddress,
  DnsUpstreamSockets,
} from "../../src/io/outbound/dns_upstream.ts";
import { aRecord, buildAnswer, buildQuery } from "../support/dns_messages.ts";
import { DnsTestServer } from "../support/dns_server.ts";

const QUERY = buildQuery({ name: "host.test", id: 0x1234 });
const ANSWER = buildAnswer(QUERY, {
  answers: [aRecord("host.test", 60, "192.0.2.7")],
});
/** Long enough never to be the reason, where an answer comes. */
const PATIENCE = 10_000;

function ask(
  server: DnsServerAddress,
  transport: "udp" | "tcp",
  timeoutMs = PATIENCE,
): Promise<Uint8Array | undefined> {
  const { hostname, port } = server;
  const sockets = new DnsUpstreamSockets([{ hostname, port }]);
  return sockets.ask(0, transport, QUERY, timeoutMs);
}

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`${hostname} is asked by UDP and by TCP`, async () => {
    using server = new DnsTestServer({
      hostname,
      udp: () => [ANSWER],
      tcp: () => [ANSWER],
    });
    assert.deepEqual(await ask(server, "udp"), ANSWER);
    assert.deepEqual(await ask(server, "tcp"), ANSWER);
    assert.deepEqual(server.seen, [
      { transport: "udp", query: QUERY },
      { transport: "tcp", query: QUERY },
    ]);
  });
}

Deno.test("the server of the list is asked that was named", async () => {
  const answerTo = (last: number) =>
    buildAnswer(QUERY, {
      answers: [aRecord("host.test", 60, `192.0.2.${last}`)],
    });
  using first = new DnsTestServer({ udp: () => [answerTo(1)] });
  using second = new DnsTestServer({ udp: () => [answerTo(2)] });
  const sockets = new DnsUpstreamSockets([first, second]);
  assert.equal(sockets.count, 2);
  const answer = await sockets.ask(1, "udp", QUERY, PATIENCE);
  assert.deepEqual(answer, answerTo(2));
  assert.equal(first.seen.length, 0);
});

/** Messages that are not the answer. */
function wrongAnswers(): Uint8Array[] {
  const wrongId = ANSWER.slice();
  wrongId[1] ^= 1;
  const other = buildQuery({ name: "hast.test", id: 0x1234 });
  return [wrongId, buildAnswer(other), QUERY, new Uint8Array(3), ANSWER];
}

Deno.test("wrong answers by UDP are passed over until the right one", async () => {
  using server = new DnsTestServer({ udp: wrongAnswers });
  assert.deepEqual(await ask(server, "udp"), ANSWER);
});

Deno.test("wrong answers by TCP are passed over until the right one", async () => {
  using server = new DnsTestServer({ tcp: wrongAnswers });
  assert.deepEqual(await ask(server, "tcp"), ANSWER);
});

Deno.test("answers from another address or port are not looked at", async () => {
  const spoofed = buildAnswer(QUERY, {
    answers: [aRecord("host.test", 60, "6.6.6.6")],
  });
  using server = new DnsTestServer({});
  // What knows port and id, but is not the server.
  const liars = ["127.0.0.1", "127.0.0.2"].map((hostname) =>
    Deno.listenDatagram({ transport: "udp", hostname, port: 0 })
  );
  const sockets = new DnsUpstreamSockets([server]);
  const asked = sockets.ask(0, "udp", QUERY, PATIENCE);
  const client = { ...await server.firstQueryFrom, hostname: "127.0.0.1" };
  for (const liar of liars) {
    await liar.send(spoofed, client);
    liar.close();
  }
  await server.send(ANSWER, client);
  assert.deepEqual(await asked, ANSWER);
});

Deno.test("an answer of 4 KB comes whole", async () => {
  const answer = buildAnswer(QUERY, {
    answers: [{
      name: "host.test",
      type: "NULL",
      ttl: 1,
      data: new Uint8Array(4000).fill(7),
    }],
  });
  using server = new DnsTestServer({ udp: () => [answer] });
  assert.deepEqual(await ask(server, "udp"), answer);
});

Deno.test("by TCP an answer may have 65,535 bytes", async () => {
  const empty = buildAnswer(QUERY, { answers: [nullRecord(0)] }).length;
  const answer = buildAnswer(QUERY, { answers: [nullRecord(65_535 - empty)] });
  assert.equal(answer.length, 65_535);
  using server = new DnsTestServer({ tcp: () => [answer] });
  assert.deepEqual(await ask(server, "tcp"), answer);
});

function nullRecord(length: number) {
  const data = new Uint8Array(length).fill(9);
  return { name: "host.test", type: "NULL", ttl: 1, data };
}

Deno.test("silence ends with the time", async () => {
  using server = new DnsTestServer({});
  assert.equal(await ask(server, "udp", 30), undefined);
  assert.equal(await ask(server, "tcp", 30), undefined);
  assert.equal(server.seen.length, 2);
});

Deno.test("a server that closes, or that isn't there, gives no answer", async () => {
  using closing = new DnsTestServer({ tcp: () => "close" });
  assert.equal(await ask(closing, "tcp"), undefined);
  const gone = new DnsTestServer({});
  gone[Symbol.dispose]();
  assert.equal(await ask(gone, "tcp"), undefined);
  assert.equal(await ask(gone, "udp", 30), undefined);
});

Deno.test("an answer that stops in the middle is none", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using connection = await listener.accept();
    await connection.write(Uint8Array.of(0, ANSWER.length, ...ANSWER.slice(9)));
  })();
  const { port } = listener.addr;
  assert.equal(await ask({ hostname: "127.0.0.1", port }, "tcp"), undefined);
  await served;
  listener.close();
});

Deno.test("where the system can't send there is no answer, and no exception", async () => {
  const nowhere = { hostname: "255.255.255.255", port: 53 };
  assert.equal(await ask(nowhere, "udp", 30), undefined);
  assert.equal(await ask(nowhere, "tcp", 30), undefined);
});

Deno.test("each question has another port", async () => {
  using server = new DnsTestServer({ udp: () => [ANSWER] });
  const sockets = new DnsUpstreamSockets([server]);
  const asks = Array.from(
    { length: 20 },
    () => sockets.ask(0, "udp", QUERY, PATIENCE),
  );
  for (const answer of await Promise.all(asks)) {
    assert.deepEqual(answer, ANSWER);
  }
  const ports = new Set(server.from.map(({ port }) => port));
  assert.equal(ports.size, 20);
});
