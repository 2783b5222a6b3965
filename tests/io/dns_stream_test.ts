import assert from "node:assert/strict";
import {
  type DnsListener,
  type DnsListenerLimits,
  listenDnsTcp,
  readStreamMessage,
  writeStreamMessage,
} from "../../src/io/dns_stream.ts";
import { readFrame, writeAll, writeFrame } from "../support/dns_server.ts";

const HOSTNAME = "127.0.0.1";
const LIMITS: DnsListenerLimits = {
  connections: 8,
  connectionsPerClient: 8,
  idleMs: 60_000,
};

/** Answers with the query backwards; an empty query ends the connection. */
function backwards(query: Uint8Array): Promise<Uint8Array | undefined> {
  const answer = query.length > 0 ? query.slice().reverse() : undefined;
  return Promise.resolve(answer);
}

function listen(
  limits: Partial<DnsListenerLimits> = {},
  answer = backwards,
): DnsListener {
  return listenDnsTcp({
    hostname: HOSTNAME,
    port: 0,
    answer,
    limits: { ...LIMITS, ...limits },
  });
}

function connect(listener: DnsListener): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: HOSTNAME, port: listener.port });
}

/** Whether the other end has closed. */
async function isClosed(connection: Deno.Conn): Promise<boolean> {
  try {
    return await connection.read(new Uint8Array(1)) === null;
  } catch {
    return true; // reset
  }
}

const bytes = (...values: number[]) => Uint8Array.from(values);

Deno.test("several queries on one connection are answered in order", async () => {
  using listener = listen();
  using connection = await connect(listener);
  await writeFrame(connection, bytes(1, 2, 3));
  assert.deepEqual(await readFrame(connection), bytes(3, 2, 1));
  // Several in one segment, without waiting (RFC 7766 section 6.2.1.1).
  await writeAll(connection, bytes(0, 2, 4, 5, 0, 1, 6, 0, 3, 7, 8, 9));
  assert.deepEqual(await readFrame(connection), bytes(5, 4));
  assert.deepEqual(await readFrame(connection), bytes(6));
  assert.deepEqual(await readFrame(connection), bytes(9, 8, 7));
});

Deno.test("a query may come byte by byte", async () => {
  using listener = listen();
  using connection = await connect(listener);
  connection.setNoDelay(true);
  for (const byte of bytes(0, 4, 1, 2, 3, 4)) {
    await writeAll(connection, bytes(byte));
  }
  assert.deepEqual(await readFrame(connection), bytes(4, 3, 2, 1));
});

Deno.test("messages of 65,535 bytes pass both ways", async () => {
  using listener = listen();
  using connection = await connect(listener);
  const query = Uint8Array.from({ length: 65_535 }, (_, i) => i * 7);
  const written = writeFrame(connection, query);
  assert.deepEqual(await readFrame(connection), query.slice().reverse());
  await written;
});

Deno.test("a query without an answer ends the connection", async () => {
  using listener = listen();
  using connection = await connect(listener);
  await writeAll(connection, bytes(0, 0));
  assert.ok(await isClosed(connection));
});

Deno.test("an answer that fails ends its connection, and no other", async () => {
  using listener = listen({}, (query) => {
    return query[0] === 1 ? Promise.reject(new Error("no")) : backwards(query);
  });
  using first = await connect(listener);
  using second = await connect(listener);
  await writeFrame(first, bytes(1));
  assert.ok(await isClosed(first));
  await writeFrame(second, bytes(2, 3));
  assert.deepEqual(await readFrame(second), bytes(3, 2));
});

Deno.test("clients that go away in the middle harm nobody", async () => {
  using listener = listen({ connections: 2, connectionsPerClient: 2 });
  for (const part of [bytes(), bytes(0), bytes(0, 9, 1), bytes(0, 1, 7)]) {
    const connection = await connect(listener);
    await writeAll(connection, part);
    connection.close();
  }
  // Their places are free again, be it a little later.
  for (;;) {
    using connection = await connect(listener);
    await writeFrame(connection, bytes(1, 2)).catch(() => {});
    const answer = await readFrame(connection).catch(() => undefined);
    if (answer === undefined) continue;
    assert.deepEqual(answer, bytes(2, 1));
    break;
  }
});

Deno.test("an idle connection is closed", async () => {
  using listener = listen({ idleMs: 20 });
  using silent = await connect(listener);
  assert.ok(await isClosed(silent));
  using halfway = await connect(listener);
  await writeAll(halfway, bytes(0, 5, 1));
  assert.ok(await isClosed(halfway));
});

Deno.test("the time that an answer takes is not the client's", async () => {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  using listener = listen({ idleMs: 20 }, () => promise);
  using patient = await connect(listener);
  await writeFrame(patient, bytes(1));
  using silent = await connect(listener);
  assert.ok(await isClosed(silent), "longer than the idle time");
  resolve(bytes(5));
  assert.deepEqual(await readFrame(patient), bytes(5));
});

Deno.test("a client that takes no answer is closed", async () => {
  const large = new Uint8Array(65_535);
  let answers = 0;
  using listener = listen({ idleMs: 50 }, () => {
    answers++;
    return Promise.resolve(large);
  });
  using connection = await connect(listener);
  // More answers than fit in both ends' buffers, none of them read.
  const asked = 1000;
  const queries = new Uint8Array(asked * 3).fill(1);
  for (let at = 0; at < queries.length; at += 3) queries[at] = 0;
  await writeAll(connection, queries);
  // Others come, are idle and are closed, until nothing moves any more.
  for (let before = -1; before !== answers;) {
    before = answers;
    using other = await connect(listener);
    assert.ok(await isClosed(other));
  }
  let received = 0;
  const room = new Uint8Array(1 << 20);
  for (;;) {
    const count = await connection.read(room).catch(() => null);
    if (count === null) break;
    received += count;
  }
  assert.ok(received < asked * large.length, `${received} bytes`);
});

Deno.test("connections are limited, together and for each client", async () => {
  for (
    const [name, limits] of [
      ["together", { connections: 2 }],
      ["per client", { connectionsPerClient: 2 }],
    ] as const
  ) {
    using listener = listen(limits);
    using first = await connect(listener);
    using second = await connect(listener);
    for (const connection of [first, second]) {
      await writeFrame(connection, bytes(1, 2));
      assert.deepEqual(await readFrame(connection), bytes(2, 1), name);
    }
    using third = await connect(listener);
    assert.ok(await isClosed(third), name);
    await writeFrame(first, bytes(3, 4));
    assert.deepEqual(await readFrame(first), bytes(4, 3), name);
  }
});

Deno.test("disposing closes the listener and its connections", async () => {
  const listener = listen();
  using connection = await connect(listener);
  await writeFrame(connection, bytes(1, 2));
  await readFrame(connection);
  const { port } = listener;
  listener[Symbol.dispose]();
  assert.ok(await isClosed(connection));
  await assert.rejects(Deno.connect({ hostname: HOSTNAME, port }));
});

Deno.test("an address that isn't there, or is taken, throws", () => {
  using listener = listen();
  const { port } = listener;
  const again = { hostname: HOSTNAME, port, answer: backwards };
  assert.throws(() => listenDnsTcp(again), Deno.errors.AddrInUse);
  const elsewhere = { hostname: "192.0.2.1", port: 0, answer: backwards };
  assert.throws(() => listenDnsTcp(elsewhere), Deno.errors.AddrNotAvailable);
});

Deno.test("framing: what is written is read, and an end in the middle is seen", async () => {
  let stored: number[] = [];
  /** Takes and gives at most 3 bytes at a time. */
  const stream = {
    write(part: Uint8Array): Promise<number> {
      const taken = part.slice(0, 3);
      stored.push(...taken);
      return Promise.resolve(taken.length);
    },
    read(into: Uint8Array): Promise<number | null> {
      const given = stored.slice(0, Math.min(3, into.length));
      stored = stored.slice(given.length);
      into.set(given);
      return Promise.resolve(given.length > 0 ? given.length : null);
    },
  };
  for (const length of [0, 1, 2, 255, 256, 1000]) {
    const message = Uint8Array.from({ length }, (_, i) => i + 1);
    await writeStreamMessage(stream, message);
    assert.deepEqual(stored.slice(0, 2), [length >> 8, length & 255]);
    assert.deepEqual(await readStreamMessage(stream), message);
    assert.equal(await readStreamMessage(stream), undefined);
  }
  for (let cut = 0; cut < 6; cut++) {
    stored = [0, 4, 1, 2, 3, 4].slice(0, cut);
    assert.equal(await readStreamMessage(stream), undefined);
  }
});
