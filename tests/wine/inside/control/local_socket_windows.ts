/** Named pipes as local sockets: a server, its clients, who is refused. */
import assert from "node:assert/strict";
import { askControl } from "../../../../src/control/control_client.ts";
import { serveControl } from "../../../../src/control/control_server.ts";
import {
  connectLocal,
  isSocketFile,
  SocketInUseError,
} from "../../../../src/control/local_socket.ts";
import { localSocketPaths } from "../../../../src/io/platform.ts";
import { FakeClientPort, STATUS } from "../../../support/fake_client_port.ts";

const [PATH] = localSocketPaths().client();
const ASK = { verb: "status" } as const;
const ANSWER = { kind: "result", result: STATUS } as const;

Deno.test("the usual places are pipes, not files", () => {
  assert.equal(isSocketFile(PATH), false);
  assert.equal(isSocketFile(localSocketPaths().uapi("wg0")), false);
  assert.equal(isSocketFile("C:\\pipe\\file.sock"), true);
});

Deno.test("a client is answered, one after the other and two at once", async () => {
  await using _server = await serveControl(PATH, new FakeClientPort());
  assert.deepEqual(await askControl(PATH, ASK), ANSWER);
  const many = await Promise.all(
    Array.from({ length: 2 }, () => askControl(PATH, ASK)),
  );
  assert.deepEqual(many, Array.from({ length: 2 }, () => ANSWER));
});

Deno.test("a second server is refused, the first still answers", async () => {
  await using _server = await serveControl(PATH, new FakeClientPort());
  await assert.rejects(
    serveControl(PATH, new FakeClientPort()),
    SocketInUseError,
  );
  assert.deepEqual(await askControl(PATH, ASK), ANSWER);
});

Deno.test("gone with its server, connections too", async () => {
  const server = await serveControl(PATH, new FakeClientPort());
  const open = await connectLocal(PATH);
  const end = open.read(new Uint8Array(1));
  await server[Symbol.asyncDispose]();
  assert.equal(await end.catch(() => null), null);
  open.close();
  assert.deepEqual(await askControl(PATH, ASK), { kind: "absent" });
});

Deno.test("who sends too much or too slowly is hung up on", async () => {
  await using _server = await serveControl(PATH, new FakeClientPort(), {
    requestLimit: 100,
    requestTimeoutMs: 200,
  });
  for (const text of ["x".repeat(200), "half of a requ"]) {
    const connection = await connectLocal(PATH);
    await connection.write(new TextEncoder().encode(text));
    const length = await connection.read(new Uint8Array(1)).catch(() => null);
    assert.equal(length, null);
    connection.close();
  }
  assert.deepEqual(await askControl(PATH, ASK), ANSWER);
});
