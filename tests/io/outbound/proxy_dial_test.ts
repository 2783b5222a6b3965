/** Dials through proxies that die, hang, drip, refuse and talk nonsense. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/wait.ts";
import type {
  DialerSetup,
  ProxyCredentials,
} from "../../../src/io/ports/dialer.ts";
import { Connection, DialWorld, target } from "./dial_world.ts";
import { closedPort } from "./echo_server.ts";
import { bytes, ScriptedProxy, type Step } from "./scripted_proxy.ts";

const TARGET = target("192.0.2.1", 80);
const WORDS = target("127.0.0.1", 0).words;
const ME: ProxyCredentials = { user: "me", password: "pw" };

const GREETING = 3;
const REQUEST = 10;
const NONE = "\x05\x00";
const OPEN = "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38";
const HTTP_REQUEST =
  "CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n";
const HTTP_OPEN = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";

function setup(
  kind: "socks5" | "http",
  port: number,
  credentials?: ProxyCredentials,
): DialerSetup {
  const proxy = { words: WORDS, port, host: "127.0.0.1" };
  return { kind, proxy, credentials };
}

/** A proxy that says no when it has read so many bytes. */
function refusalAfter(read: number, line: string): Step[] {
  return [{ await: read }, { say: `${line}\r\n\r\n` }, "close"];
}

async function failureOf(
  kind: "socks5" | "http",
  script: readonly Step[],
  credentials?: ProxyCredentials,
) {
  using world = new DialWorld();
  using proxy = new ScriptedProxy(script);
  const dialer = world.open(setup(kind, proxy.port, credentials));
  const failure = await world.failure(dialer, TARGET);
  // What the proxy itself holds goes with it.
  await waitFor("sockets to be closed", () => world.openSockets === 0, {
    intervalMs: 2,
  });
  assert.match(failure.text, /^[\x20-\x7e]+$/);
  return failure;
}

Deno.test("dial: a SOCKS5 proxy that dies or resets at each step", async () => {
  const table: [Step[], RegExp][] = [
    [["close"], /at the greeting$/],
    [[{ await: GREETING }, "close"], /at the greeting$/],
    [[{ await: GREETING }, { say: "\x05" }, "close"], /at the greeting$/],
    [[{ await: GREETING }, { say: NONE }, "close"], /without an answer$/],
    [
      [{ await: GREETING }, { say: NONE }, { await: REQUEST }, "close"],
      /without an answer$/,
    ],
    [
      [
        { await: GREETING },
        { say: NONE + OPEN.slice(0, 0) },
        {
          await: REQUEST,
        },
        { say: OPEN.slice(0, 9) },
        "close",
      ],
      /without an answer$/,
    ],
  ];
  for (const [script, text] of table) {
    const failure = await failureOf("socks5", script);
    assert.equal(failure.kind, "proxy-closed", JSON.stringify(script));
    assert.match(failure.text, text);
  }
  const auth = await failureOf("socks5", [
    { await: 4 },
    { say: "\x05\x02" },
    { await: 7 },
    "close",
  ], ME);
  assert.equal(auth.kind, "proxy-closed");
  assert.match(auth.text, /at user and password$/);
});

Deno.test("dial: a SOCKS5 proxy that refuses, each reply by its kind", async () => {
  const kinds = [
    "proxy-refused",
    "not-permitted",
    "network-unreachable",
    "host-unreachable",
    "refused",
    "timed-out",
    "unsupported",
    "unsupported",
  ];
  const texts = new Set<string>();
  for (const [i, kind] of kinds.entries()) {
    const reply = `\x05${String.fromCharCode(i + 1)}${OPEN.slice(2)}`;
    const failure = await failureOf("socks5", [
      { await: GREETING },
      { say: NONE },
      { await: REQUEST },
      { say: reply },
      "close",
    ]);
    assert.equal(failure.kind, kind);
    texts.add(failure.text);
  }
  assert.equal(texts.size, 8);
});

Deno.test("dial: an HTTP proxy that dies, refuses, or talks nonsense", async () => {
  const table: [Step[], string, RegExp][] = [
    [["close"], "proxy-closed", /without an answer$/],
    [
      [{ await: HTTP_REQUEST.length }, { say: "HTTP/1.1 2" }, "close"],
      "proxy-closed",
      /within its answer$/,
    ],
    [
      refusalAfter(HTTP_REQUEST.length, "HTTP/1.1 407 No"),
      "proxy-auth",
      /HTTP\/1\.1 407 No$/,
    ],
    [
      refusalAfter(HTTP_REQUEST.length, "HTTP/1.1 503 Busy"),
      "proxy-refused",
      /HTTP\/1\.1 503 Busy$/,
    ],
    [[{ say: "SSH-2.0-x\r\n" }, "hang"], "proxy-garbage", /no HTTP proxy$/],
    [
      [{ say: `HTTP/1.1 200 ${"x".repeat(20_000)}` }, "hang"],
      "proxy-garbage",
      /do not end within 16384 bytes$/,
    ],
  ];
  for (const [script, kind, text] of table) {
    const failure = await failureOf("http", script);
    assert.equal(failure.kind, kind, JSON.stringify(script).slice(0, 100));
    assert.match(failure.text, text);
  }
});

Deno.test({
  name: "dial: what an HTTP proxy says before it resets is the reason",
  // Windows throws away what a RST follows at once.
  ignore: Deno.build.os === "windows",
  async fn() {
    const failure = await failureOf("http", refusalAfter(1, "HTTP/1.1 407 No"));
    assert.equal(failure.kind, "proxy-auth");
    assert.match(failure.text, /HTTP\/1\.1 407 No$/);
  },
});

Deno.test("dial: garbage from what is no SOCKS5 proxy", async () => {
  for (const say of ["HTTP/1.1 400 Bad\r\n\r\n", "SSH-2.0-x\r\n", "\0\0\0"]) {
    const failure = await failureOf("socks5", [
      { await: GREETING },
      { say },
      "hang",
    ]);
    assert.equal(failure.kind, "proxy-garbage");
  }
});

Deno.test("dial: no proxy there", async () => {
  using world = new DialWorld();
  for (const kind of ["socks5", "http"] as const) {
    const dialer = world.open(setup(kind, closedPort()));
    const failure = await world.failure(dialer, TARGET);
    assert.deepEqual(failure, {
      kind: "proxy-unreachable",
      text: "cannot reach the proxy: Connection refused",
    });
    assert.equal(world.openSockets, 0);
  }
});

Deno.test("dial: what hangs is pending until it is given up, and then gone", async () => {
  const scripts: [("socks5" | "http"), Step[], number][] = [
    ["socks5", ["hang"], GREETING],
    ["socks5", [{ await: GREETING }, { say: NONE }, "hang"], 13],
    ["http", ["hang"], HTTP_REQUEST.length],
  ];
  for (const [kind, script, length] of scripts) {
    using world = new DialWorld();
    using proxy = new ScriptedProxy(script);
    const dialer = world.open(setup(kind, proxy.port));
    {
      using dial = dialer.dial(TARGET);
      const waits = () => proxy.heard[0]?.length !== length;
      assert.equal(await world.run(dial, waits), "pending");
      assert.equal(dial.advance(), "pending");
      assert.throws(() => dial.take(), /no connection/);
      dial[Symbol.dispose]();
      assert.equal(dial.advance(), "failed");
      assert.equal(dial.descriptor, -1);
    }
    await waitFor("the proxy to see the end", () => proxy.ended === 1);
    await waitFor("sockets to be closed", () => world.openSockets === 0);
  }
});

Deno.test("dial: replies in single bytes are taken without spinning", async () => {
  const cases: [("socks5" | "http"), Step[], number][] = [
    ["socks5", [
      { await: GREETING },
      { drip: NONE },
      { await: REQUEST },
      { drip: `${OPEN}tunnel` },
    ], 13],
    ["http", [
      { await: HTTP_REQUEST.length },
      { drip: `${HTTP_OPEN}tunnel` },
    ], HTTP_OPEN.length],
  ];
  for (const [kind, script, answerLength] of cases) {
    using world = new DialWorld();
    using proxy = new ScriptedProxy(script);
    const dialer = world.open(setup(kind, proxy.port));
    using connection = await world.connect(dialer, TARGET);
    // One step a byte, and a few for connecting: level-triggered, never idle.
    assert.ok(world.steps <= answerLength + 4, `${world.steps} steps`);
    const tunnel = await connection.receiveExactly(6);
    assert.equal(new TextDecoder().decode(tunnel), "tunnel");
  }
});

Deno.test("dial: the tunnel's bytes behind the reply stay in the socket", async () => {
  const tunnel = "\x05\x00\r\n\r\nfirst bytes of the tunnel";
  const cases: [("socks5" | "http"), Step[], string][] = [
    ["socks5", [
      { await: GREETING },
      { say: NONE },
      { await: REQUEST },
      { say: OPEN + tunnel },
    ], "\x05\x01\0\x05\x01\0\x01\xc0\x00\x02\x01\0\x50"],
    ["http", [
      { await: HTTP_REQUEST.length },
      { say: HTTP_OPEN + tunnel },
    ], HTTP_REQUEST],
  ];
  for (const [kind, script, request] of cases) {
    using world = new DialWorld();
    using proxy = new ScriptedProxy(script);
    const dialer = world.open(setup(kind, proxy.port));
    using connection = await world.connect(dialer, TARGET);
    const received = await connection.receiveExactly(tunnel.length);
    assert.deepEqual(received, bytes(tunnel));
    assert.deepEqual(proxy.heard[0], bytes(request));
    await connection.send(new TextEncoder().encode("hello"));
    connection.finish();
    await waitFor("the finish to arrive", () => proxy.ended === 1);
    assert.deepEqual(proxy.heard[0], bytes(`${request}hello`));
  }
});

Deno.test("dial: a taken descriptor is the caller's", async () => {
  using world = new DialWorld();
  using proxy = new ScriptedProxy([
    { await: GREETING },
    { say: NONE },
    { await: REQUEST },
    { say: OPEN },
  ]);
  const dial = world.open(setup("socks5", proxy.port)).dial(TARGET);
  assert.equal(await world.run(dial), "connected");
  const descriptor = dial.take();
  assert.throws(() => dial.take(), /no connection/);
  dial[Symbol.dispose]();
  using connection = new Connection(world.sockets, descriptor);
  await connection.send(Uint8Array.of(1));
  await waitFor("the byte", () => proxy.heard[0].length === 14);
});

Deno.test("dial: targets that nobody can be asked for open no socket", async () => {
  using world = new DialWorld();
  using proxy = new ScriptedProxy(["hang"]);
  const setups = [
    setup("socks5", proxy.port),
    setup("http", proxy.port),
    { kind: "direct" } as const,
  ];
  for (const one of setups) {
    const dialer = world.open(one);
    using dial = dialer.dial(target("0.0.0.0", 80));
    assert.equal(dial.descriptor, -1);
    assert.equal(await world.run(dial), "failed");
    assert.equal(dial.failure?.kind, "unsupported");
    const name = target("::", 80, "a\r\nX-Evil: b");
    assert.equal((await world.failure(dialer, name)).kind, "unsupported");
  }
  assert.equal(world.openSockets, 0);
  assert.equal(proxy.heard.length, 0);
});

Deno.test("dial: names of dialers show no password", () => {
  using world = new DialWorld();
  const proxy = { words: WORDS, port: 1080, host: "p.example" };
  const tls = { serverName: "p.example" };
  const names = [
    world.open({ kind: "direct" }),
    world.open({ kind: "socks5", proxy, credentials: ME }),
    world.open({ kind: "http", proxy, credentials: ME }),
    world.open({ kind: "http", proxy, credentials: ME, tls }),
  ].map((dialer) => dialer.name);
  assert.deepEqual(names, [
    "direct",
    "socks5 127.0.0.1:1080",
    "http 127.0.0.1:1080",
    "https 127.0.0.1:1080",
  ]);
});
