/** Named pipes as local sockets: a server, its clients, who is refused. */
import assert from "node:assert/strict";
import { FILE, openKernel32, PIPE } from "../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { askControl } from "../../../../src/control/control_client.ts";
import { serveControl } from "../../../../src/control/control_server.ts";
import { SocketInUseError } from "../../../../src/control/local_server.ts";
import { PipeListener } from "../../../../src/io/os/windows/local_sockets.ts";
import { localSockets } from "../../../../src/io/platform.ts";
import { FakeClientPort, STATUS } from "../../../support/fake_client_port.ts";

const [SOCKET] = localSockets().client();
const ASK = { verb: "status" } as const;
const ANSWER = { kind: "result", result: STATUS } as const;

Deno.test("no file is left by a program that was killed", () => {
  assert.equal(SOCKET.isFile, false);
  assert.equal(localSockets().uapi("wg0").isFile, false);
});

Deno.test("a client is answered, one after the other and many at once", async () => {
  await using _server = await serveControl(SOCKET, new FakeClientPort());
  assert.deepEqual(await askControl(SOCKET, ASK), ANSWER);
  const many = await Promise.all(
    Array.from({ length: 12 }, () => askControl(SOCKET, ASK)),
  );
  assert.deepEqual(many, Array.from({ length: 12 }, () => ANSWER));
});

Deno.test("a second server is refused, the first still answers", async () => {
  await using _server = await serveControl(SOCKET, new FakeClientPort());
  await assert.rejects(
    serveControl(SOCKET, new FakeClientPort()),
    SocketInUseError,
  );
  assert.deepEqual(await askControl(SOCKET, ASK), ANSWER);
});

Deno.test("gone with its server, connections too", async () => {
  const server = await serveControl(SOCKET, new FakeClientPort());
  const open = await SOCKET.connect();
  const end = open.read(new Uint8Array(1));
  await server[Symbol.asyncDispose]();
  assert.equal(await end.catch(() => null), null);
  open.close();
  assert.deepEqual(await askControl(SOCKET, ASK), { kind: "absent" });
});

Deno.test("who sends too much or too slowly is hung up on", async () => {
  await using _server = await serveControl(SOCKET, new FakeClientPort(), {
    requestLimit: 100,
    requestTimeoutMs: 200,
  });
  for (const text of ["x".repeat(200), "half of a requ"]) {
    const connection = await SOCKET.connect();
    await connection.write(new TextEncoder().encode(text));
    const length = await connection.read(new Uint8Array(1)).catch(() => null);
    assert.equal(length, null);
    connection.close();
  }
  assert.deepEqual(await askControl(SOCKET, ASK), ANSWER);
});

Deno.test("an end that is closed neither reads nor writes any more", async () => {
  const listening = await SOCKET.listen();
  assert.ok(listening.kind === "listening");
  const { listener } = listening;
  const connections = listener[Symbol.asyncIterator]();
  const accepting = connections.next();
  const near = await SOCKET.connect();
  const { value: far } = await accepting;
  assert.ok(far);
  const reading = near.read(new Uint8Array(100));
  const writing = far.write(new Uint8Array(100));
  // What is read is there, but nobody was told yet.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  near.close();
  assert.equal(await reading, null);
  await writing;
  assert.equal(await near.read(new Uint8Array(1)), null);
  await assert.rejects(
    near.write(new Uint8Array(1)),
    Deno.errors.BrokenPipe,
  );
  far.close();
  const end = connections.next();
  await listener.close();
  assert.equal((await end).done, true);
});

Deno.test("who listens gets over moments in which the system makes no pipe", async () => {
  const kernel32 = openKernel32();
  const path = `\\\\.\\pipe\\sluice-${crypto.randomUUID()}`;
  const make = () => {
    const handle = kernel32.call.CreateNamedPipeW(
      wideText(path),
      PIPE.ACCESS_DUPLEX | FILE.FLAG_OVERLAPPED,
      0,
      PIPE.UNLIMITED_INSTANCES,
      4096,
      4096,
      0,
      null,
    );
    assert.notEqual(handle, 0xffff_ffff);
    return handle;
  };
  const failures: unknown[] = [];
  let left = 2;
  const listener = new PipeListener(kernel32, make(), {
    further: () => {
      if (left-- > 0) throw new Error("no memory");
      return make();
    },
    onFailure: (error) => failures.push(error),
  });
  const connections = listener[Symbol.asyncIterator]();
  const socket = localSockets().at(path);
  for (let n = 0; n < 2; n++) {
    const taking = connections.next();
    const near = await socket.connect();
    const { value: far } = await taking;
    await near.write(Uint8Array.of(n));
    const byte = new Uint8Array(1);
    assert.equal(await far.read(byte), 1);
    assert.equal(byte[0], n);
    near.close();
    far.close();
  }
  assert.deepEqual(failures, [new Error("no memory")]);
  // Closed while it waits to try again.
  left = Infinity;
  const ending = connections.next();
  const last = await socket.connect();
  while (failures.length < 2) await new Promise((next) => setTimeout(next, 10));
  await listener.close();
  assert.equal((await ending).done, true);
  last.close();
});

Deno.test("requests and answers of any length", async () => {
  const listening = await SOCKET.listen();
  assert.equal(listening.kind, "listening");
  if (listening.kind !== "listening") return;
  const { listener } = listening;
  const echoing = (async () => {
    for await (const connection of listener) {
      const bytes = new Uint8Array(70_000);
      for (;;) {
        const length = await connection.read(bytes);
        if (length === null) break;
        for (let at = 0; at < length;) {
          at += await connection.write(bytes.subarray(at, length));
        }
      }
      connection.close();
    }
  })();
  const connection = await SOCKET.connect();
  const sent = crypto.getRandomValues(new Uint8Array(60_000));
  const sending = (async () => {
    for (let at = 0; at < sent.length;) {
      at += await connection.write(sent.subarray(at));
    }
  })();
  const received: number[] = [];
  const chunk = new Uint8Array(1000);
  while (received.length < sent.length) {
    const length = await connection.read(chunk);
    assert.ok(length !== null);
    received.push(...chunk.subarray(0, length));
  }
  await sending;
  assert.deepEqual(Uint8Array.from(received), sent);
  connection.close();
  await listener.close();
  await echoing;
});
