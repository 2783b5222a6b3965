import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigError } from "../../src/config/problems.ts";
import { askControl } from "../../src/control/control_client.ts";
import {
  CONTROL_VERSION,
  type ControlRequest,
  formatRequest,
  handleControl,
  parseAnswer,
  parseRequest,
} from "../../src/control/control_protocol.ts";
import { serveControl } from "../../src/control/control_server.ts";
import { linuxLocalSockets } from "../../src/io/os/linux/local_sockets.ts";
import type { LocalServerLimits } from "../../src/control/local_server.ts";
import { FakeClientPort, FLOW, STATUS } from "../support/fake_client_port.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";

const EXPLAIN: ControlRequest = {
  verb: "explain",
  question: {
    program: {
      kind: "program",
      path: "/usr/bin/curl",
      user: "anna",
      ancestors: ["/usr/bin/bash"],
    },
    protocol: "tcp",
    address: "198.51.100.7",
    port: 443,
    name: "example.org",
  },
};
const REQUESTS: readonly ControlRequest[] = [
  { verb: "status" },
  { verb: "flows" },
  { verb: "reload" },
  { verb: "tunnel", name: "work", wanted: "down" },
  { verb: "mode", wanted: "paused" },
  EXPLAIN,
  {
    verb: "explain",
    question: {
      program: { kind: "process", processId: 7 },
      protocol: "icmp",
      address: "2001:db8::7",
      port: 0,
    },
  },
];

const socketAt = linuxLocalSockets.at;

async function withServer(
  work: (path: string, port: FakeClientPort) => Promise<void>,
  limits?: Partial<LocalServerLimits>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "run", "client.sock");
    const port = new FakeClientPort();
    await using _server = await serveControl(socketAt(path), port, limits);
    await work(path, port);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Sends text and reads until the other end hangs up. */
async function talk(path: string, text: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(text));
  await connection.closeWrite();
  return await new Response(connection.readable).text().catch(() => "");
}

Deno.test("a request is read as it was written", () => {
  for (const request of REQUESTS) {
    assert.deepEqual(parseRequest(formatRequest(request)), request);
  }
});

Deno.test("what is no request is answered with what is wrong", () => {
  const lines = [
    "",
    "x",
    "null",
    "[]",
    "7",
    '"status"',
    "{}",
    '{"version":1}',
    '{"version":1,"verb":"exec"}',
    '{"version":1,"verb":"tunnel","name":7,"wanted":"up"}',
    '{"version":1,"verb":"tunnel","name":"work","wanted":"sideways"}',
    '{"version":1,"verb":"mode"}',
    '{"version":1,"verb":"explain"}',
    '{"version":1,"verb":"explain","question":{"program":{"kind":"process","processId":-1},"protocol":"tcp","address":"192.0.2.1","port":1}}',
    '{"version":1,"verb":"explain","question":{"program":{"kind":"process","processId":1},"protocol":"tcp","address":"here","port":1}}',
    '{"version":1,"verb":"explain","question":{"program":{"kind":"process","processId":1},"protocol":"gre","address":"192.0.2.1","port":1}}',
    '{"version":1,"verb":"explain","question":{"program":{"kind":"process","processId":1},"protocol":"tcp","address":"192.0.2.1","port":65536}}',
    `{"version":1,"verb":"tunnel","name":"${"x".repeat(5000)}","wanted":"up"}`,
  ];
  for (const line of lines) {
    assert.ok(!("verb" in parseRequest(line)), line.slice(0, 80));
  }
  const other = parseRequest('{"version":2,"verb":"status"}');
  assert.match(JSON.stringify(other), /restart the client/);
});

Deno.test("mutated requests never throw, and the answer is one line", async () => {
  const port = new FakeClientPort();
  const seeded = new SeededRandom(7);
  for (let round = 0; round < 500; round++) {
    const text = [...formatRequest(REQUESTS[round % REQUESTS.length])];
    for (let change = 0; change < 3; change++) {
      text[seeded.below(text.length)] = String.fromCharCode(seeded.below(256));
    }
    const answer = await handleControl(text.join(""), port);
    assert.match(answer, /^\{"version":1,.*\}\n$/);
    assert.equal(answer.indexOf("\n"), answer.length - 1);
  }
});

Deno.test("every verb over the socket", async () => {
  await withServer(async (path, port) => {
    assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
    assert.deepEqual(await askControl(socketAt(path), { verb: "status" }), {
      kind: "result",
      result: STATUS,
    });
    assert.deepEqual(await askControl(socketAt(path), { verb: "flows" }), {
      kind: "result",
      result: [FLOW],
    });
    assert.deepEqual(await askControl(socketAt(path), { verb: "reload" }), {
      kind: "result",
      result: { result: "taken", lines: ["rule 2 is new"] },
    });
    const explained = await askControl(socketAt(path), EXPLAIN);
    assert.equal(explained.kind, "result");
    for (const wanted of ["up", "down"] as const) {
      const reply = await askControl(socketAt(path), {
        verb: "tunnel",
        name: "work",
        wanted,
      });
      assert.deepEqual(reply, { kind: "result", result: null });
    }
    await askControl(socketAt(path), { verb: "mode", wanted: "paused" });
    assert.deepEqual(port.asked.slice(1), ["work up", "work down", "paused"]);
    assert.deepEqual(JSON.parse(port.asked[0]).name, "example.org");
  });
});

Deno.test("faults come with what to do", async () => {
  await withServer(async (path, port) => {
    const unknown = await askControl(socketAt(path), {
      verb: "tunnel",
      name: "wrok",
      wanted: "up",
    });
    assert.deepEqual(unknown, {
      kind: "fault",
      fault: {
        message: 'there is no tunnel "wrok"',
        hint: "sluice status lists them",
      },
    });
    port.reloadError = new ConfigError([{
      file: "client.yaml",
      line: 3,
      column: 7,
      path: "rules[0].tunnel",
      message: "there is no tunnel wrok",
    }]);
    const refused = await askControl(socketAt(path), { verb: "reload" });
    assert.equal(refused.kind, "fault");
    assert.match(JSON.stringify(refused), /client\.yaml:3:7: rules\[0\]/);
    port.reloadError = new Error("disk gone");
    assert.match(
      JSON.stringify(await askControl(socketAt(path), { verb: "reload" })),
      /disk gone/,
    );
  });
});

Deno.test("many flows in one answer", async () => {
  await withServer(async (path, port) => {
    port.living = Array.from(
      { length: 20_000 },
      (_, n) => ({ ...FLOW, id: String(n), name: "прим.example" }),
    );
    const reply = await askControl(socketAt(path), { verb: "flows" });
    assert.ok(reply.kind === "result");
    assert.deepEqual(reply.result, port.living);
  });
});

Deno.test("garbage, endless requests, slow and many clients: the rest is served", async () => {
  await withServer(async (path) => {
    assert.match(await talk(path, "\u0000\u0001garbage\n"), /"error"/);
    assert.equal(await talk(path, "x".repeat(200_000)), "");
    assert.equal(await talk(path, "no end"), "");
    const idle = await Deno.connect({ transport: "unix", path });
    assert.equal(
      (await askControl(socketAt(path), { verb: "status" })).kind,
      "result",
    );
    assert.equal(await idle.read(new Uint8Array(1)), null, "hung up on");
    idle.close();
  }, { requestTimeoutMs: 100, requestLimit: 10_000 });
});

Deno.test("nobody there, somebody mute, another version", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "client.sock");
    assert.equal(
      (await askControl(socketAt(path), { verb: "status" })).kind,
      "absent",
    );
    {
      using listener = Deno.listen({ transport: "unix", path });
      const mute = listener.accept().then((connection) => connection.close());
      assert.equal(
        (await askControl(socketAt(path), { verb: "status" })).kind,
        "silent",
      );
      await mute;
    }
    const odd = parseAnswer(`{"version":${CONTROL_VERSION + 1},"result":1}`);
    assert.equal(odd.kind, "fault");
    assert.equal(parseAnswer("nonsense").kind, "fault");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
