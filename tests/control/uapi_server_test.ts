import { linuxLocalSockets } from "../../src/io/os/linux/local_sockets.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { queryUapi } from "../../src/control/uapi_client.ts";
import type { UapiPort } from "../../src/control/uapi_port.ts";
import {
  UapiServer,
  type UapiServerOptions,
  UapiSocketInUseError,
} from "../../src/control/uapi_server.ts";

const socketAt = linuxLocalSockets.at;
const PORT: UapiPort = {
  get: () => ({
    privateKey: undefined,
    listenPort: 7,
    fwmark: 0,
    amnezia: undefined,
    peers: [],
  }),
  set: () => {},
};
const ANSWER = "listen_port=7\nerrno=0\n\n";

/** Runs with a server on a socket in a folder of its own. */
async function withServer(
  work: (path: string, server: UapiServer) => Promise<void>,
  options?: UapiServerOptions,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "run", "test0.sock");
    await using server = await UapiServer.listen(socketAt(path), PORT, options);
    await work(path, server);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Sends pieces one after the other and reads until `length` characters came or the end. */
async function talk(
  path: string,
  pieces: string[],
  length = Infinity,
): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  for (const piece of pieces) {
    await connection.write(new TextEncoder().encode(piece));
  }
  if (length === Infinity) await connection.closeWrite();
  const chunk = new Uint8Array(4096);
  let text = "";
  while (text.length < length) {
    const count = await connection.read(chunk);
    if (count === null) break;
    text += new TextDecoder().decode(chunk.subarray(0, count));
  }
  return text;
}

Deno.test("the socket is its owner's alone, in a folder of its owner alone", async () => {
  await withServer(async (path) => {
    assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(join(path, ".."))).mode! & 0o777, 0o700);
  });
});

Deno.test("requests in one piece, in many, several on a connection", async () => {
  await withServer(async (path) => {
    assert.equal(await talk(path, ["get=1\n\n"]), ANSWER);
    assert.equal(await talk(path, [..."get=1\n\n"]), ANSWER);
    assert.equal(
      await talk(path, ["get=1\n\nset=1\n", "\nget=1\n\n"]),
      `${ANSWER}errno=0\n\n${ANSWER}`,
    );
    assert.equal(await talk(path, ["get=1\n"]), "");
    assert.equal(await talk(path, ["nonsense\n\n"]), "errno=71\n\n");
  });
});

Deno.test("a client that hangs up early disturbs nobody", async () => {
  await withServer(async (path) => {
    for (let i = 0; i < 5; i++) {
      using connection = await Deno.connect({ transport: "unix", path });
      await connection.write(new TextEncoder().encode("get=1\n\n".repeat(200)));
    }
    assert.equal(await talk(path, ["get=1\n\n"]), ANSWER);
  });
});

Deno.test("a request too long, a client too slow, clients too many: hung up on", async () => {
  const limits = {
    requestLimit: 1000,
    requestTimeoutMs: 50,
    maxConnections: 2,
  };
  await withServer(async (path) => {
    assert.equal(
      await talk(path, [`set=1\n${"x".repeat(200_000)}`], 1).catch(() => ""),
      "",
    );
    assert.equal(await talk(path, ["get=1\n"], 1), "", "after the time-out");
    using _first = await Deno.connect({ transport: "unix", path });
    using _second = await Deno.connect({ transport: "unix", path });
    assert.equal(await talk(path, [], 1).catch(() => ""), "");
  }, limits);
});

Deno.test("gone with its server, connections too", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "test0.sock");
    const server = await UapiServer.listen(socketAt(path), PORT);
    const open = talk(path, [], 1);
    await talk(path, ["get=1\n\n"]);
    await server[Symbol.asyncDispose]();
    assert.equal(await open.catch(() => ""), "");
    await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a dead socket is replaced, a live one and a file are not", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "test0.sock");
    // What a killed process leaves: the name without a listener.
    const dead = Deno.listen({
      transport: "unix",
      path: join(folder, "dead.sock"),
    });
    await Deno.rename(join(folder, "dead.sock"), path);
    dead.close();
    assert.ok((await Deno.lstat(path)).isSocket);
    {
      await using _server = await UapiServer.listen(socketAt(path), PORT);
      await assert.rejects(
        UapiServer.listen(socketAt(path), PORT),
        UapiSocketInUseError,
      );
      assert.equal(
        await talk(path, ["get=1\n\n"]),
        ANSWER,
        "the first one still answers",
      );
    }
    await Deno.writeTextFile(path, "not a socket");
    await assert.rejects(
      UapiServer.listen(socketAt(path), PORT),
      UapiSocketInUseError,
    );
    assert.equal(await Deno.readTextFile(path), "not a socket");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("closing twice is closing once, and a missing socket is no error", async () => {
  await withServer(async (path, server) => {
    await Deno.remove(path);
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
});

Deno.test("our client: peers, or nothing where nobody answers", async () => {
  await withServer(async (path) => {
    assert.deepEqual(await queryUapi(socketAt(path)), new Map());
    assert.equal(await queryUapi(socketAt(`${path}x`)), undefined);
  });
});
