/** TLS to an HTTP proxy through the bridge: ends, resets, certificates, descriptors. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeTlsFailure,
  encodeTlsStands,
  TlsPrelude,
} from "../../../src/io/outbound/tls_prelude.ts";
import { TlsBridges } from "../../../src/io/outbound/tls_bridge.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import type { DialerSetup, ProxyTls } from "../../../src/io/ports/dialer.ts";
import { waitFor } from "../../support/wait.ts";
import { Connection, DialWorld, target } from "./dial_world.ts";
import { BANNER, closedPort, EchoServer } from "./echo_server.ts";
import { ResettingLine } from "./resetting_line.ts";
import { ScriptedProxy } from "./scripted_proxy.ts";
import {
  CERTIFICATE,
  type Certificate,
  OTHER_CERTIFICATE,
} from "../../vectors/certificates.ts";
import { TlsProxy } from "./tls_proxy.ts";
import type { WorkerTask } from "./tls_worker_program.ts";

const WORDS = target("127.0.0.1", 0).words;

function setup(
  port: number,
  certificate: Certificate,
  serverName = "proxy.test",
): Extract<DialerSetup, { kind: "http" }> {
  const tls: ProxyTls = { serverName, authorities: certificate.certificate };
  const proxy = { words: WORDS, port, host: serverName };
  return { kind: "http", proxy, tls };
}

/** Registers a test that needs a certificate; checks that nothing stays open. */
function tlsTest(
  name: string,
  run: (certificate: Certificate, world: DialWorld) => Promise<void>,
): void {
  Deno.test(name, async () => {
    using world = new DialWorld();
    await run(CERTIFICATE, world);
    await waitFor("sockets to be closed", () => world.openSockets === 0);
  });
}

tlsTest(
  "tls bridge: a tunnel with its greeting, a megabyte and both ends",
  async (certificate, world) => {
    using proxy = new TlsProxy(certificate);
    using echo = new EchoServer("127.0.0.1");
    const dialer = world.open(setup(proxy.port, certificate));
    using connection = await world.connect(
      dialer,
      target("127.0.0.1", echo.port),
    );
    assert.equal(world.bridges.count, 1);
    const greeting = await connection.receiveExactly(BANNER.length);
    assert.equal(new TextDecoder().decode(greeting), BANNER);
    const data = Uint8Array.from(
      { length: 1 << 20 },
      (_, i) => i * 7 + (i >> 8),
    );
    const sending = connection.send(data).then(() => connection.finish());
    const back = await connection.receiveExactly(data.length);
    await sending;
    assert.deepEqual(back, data);
    assert.equal((await connection.receive()).length, 0);
    await waitFor("the bridge to end", () => world.bridges.count === 0);
  },
);

tlsTest(
  "tls bridge: certificates are verified by authority and name",
  async (certificate, world) => {
    using proxy = new TlsProxy(certificate);
    const to = target("127.0.0.1", 9);
    const table: [DialerSetup, RegExp][] = [
      [
        setup(proxy.port, OTHER_CERTIFICATE),
        /^TLS to the proxy failed: .*certificate/,
      ],
      [
        setup(proxy.port, certificate, "else.test"),
        /^TLS to the proxy failed: .*else\.test/,
      ],
    ];
    for (const [wrong, text] of table) {
      const failure = await world.failure(world.open(wrong), to);
      assert.equal(failure.kind, "proxy-unreachable");
      assert.match(failure.text, text);
    }
    await waitFor("the bridges to end", () => world.bridges.count === 0);
    const byAddress = world.open(setup(proxy.port, certificate, "127.0.0.1"));
    const failure = await world.failure(
      byAddress,
      target("127.0.0.1", closedPort()),
    );
    assert.deepEqual(failure, {
      kind: "proxy-refused",
      text: "the proxy says: HTTP/1.1 502 Bad Gateway",
    });
  },
);

tlsTest(
  "tls bridge: a proxy without TLS, one that closes, one that hangs",
  async (certificate, world) => {
    const to = target("127.0.0.1", 9);
    for (const script of [[{ say: "HTTP/1.1 400 Bad\r\n\r\n" }], []] as const) {
      using proxy = new ScriptedProxy([{ await: 5 }, ...script, "close"]);
      const dialer = world.open(setup(proxy.port, certificate));
      const failure = await world.failure(dialer, to);
      assert.equal(failure.kind, "proxy-unreachable");
      assert.match(failure.text, /^TLS to the proxy failed: [\x20-\x7e]+$/);
      await waitFor("the bridge to end", () => world.bridges.count === 0);
    }
    using hanging = new ScriptedProxy(["hang"]);
    {
      using dial = world.open(setup(hanging.port, certificate)).dial(to);
      const waits = () => (hanging.heard[0]?.length ?? 0) < 50;
      assert.equal(await world.run(dial, waits), "pending");
      assert.equal(world.bridges.count, 1);
    }
    await waitFor("the bridge to end", () => world.bridges.count === 0);
    await waitFor("the proxy to see the end", () => hanging.ended === 1);
  },
);

tlsTest(
  "tls bridge: a tunnel that breaks is a reset, not an end",
  async (certificate, world) => {
    using proxy = new TlsProxy(certificate);
    await using line = await ResettingLine.start(proxy.port);
    using echo = new EchoServer("127.0.0.1");
    const dialer = world.open(setup(line.port, certificate));
    using connection = await world.connect(
      dialer,
      target("127.0.0.1", echo.port),
    );
    await connection.receiveExactly(BANNER.length);
    line.resetAll();
    await assert.rejects(connection.receive(), /Connection reset by peer/);
    await waitFor("the bridge to end", () => world.bridges.count === 0);
  },
);

tlsTest(
  "tls bridge: our reset ends the tunnel at the proxy",
  async (certificate, world) => {
    using proxy = new TlsProxy(certificate);
    using echo = new EchoServer("127.0.0.1");
    const dialer = world.open(setup(proxy.port, certificate));
    using dial = dialer.dial(target("127.0.0.1", echo.port));
    assert.equal(await world.run(dial), "connected");
    new Connection(world.sockets, dial.take()).reset();
    await waitFor("the bridge to end", () => world.bridges.count === 0);
    await waitFor("the tunnel to end", () => proxy.count === 0);
  },
);

tlsTest(
  "tls bridge: dials given up at each step leave nothing",
  async (certificate, world) => {
    using proxy = new TlsProxy(certificate);
    using echo = new EchoServer("127.0.0.1");
    const dialer = world.open(setup(proxy.port, certificate));
    for (let steps = 0; steps < 6; steps++) {
      using dial = dialer.dial(target("127.0.0.1", echo.port));
      let left = steps;
      await world.run(dial, () => left-- > 0);
    }
    await waitFor("the bridges to end", () => world.bridges.count === 0);
    await waitFor("the tunnels to end", () => proxy.count === 0);
  },
);

tlsTest("tls bridge: a worker that blocks in calls", async (certificate) => {
  using proxy = new TlsProxy(certificate);
  using echo = new EchoServer("127.0.0.1");
  using platform = openPlatform();
  using streams = platform.openSocketStreams();
  using bridges = new TlsBridges(streams);
  const worker = new Worker(
    new URL("./tls_worker_program.ts", import.meta.url),
    { type: "module" },
  );
  const answer = Promise.withResolvers<unknown>();
  worker.onmessage = ({ data }) => {
    if (data.bridge === undefined) answer.resolve(data);
    else bridges.open(data.bridge);
  };
  worker.onerror = (event) => answer.reject(new Error(event.message));
  const task: WorkerTask = {
    setup: setup(proxy.port, certificate),
    words: WORDS,
    port: echo.port,
  };
  worker.postMessage(task);
  try {
    assert.deepEqual(await answer.promise, {
      text: `${BANNER}hello from a blocked worker`,
    });
  } finally {
    worker.terminate();
  }
  await waitFor("the bridge to end", () => bridges.count === 0);
});

tlsTest(
  "tls bridge: without one, TLS is the caller's mistake",
  (certificate, world) => {
    const open = () => world.openWithoutBridge(setup(1, certificate));
    assert.throws(open, /TLS to a proxy needs a bridge/);
    return Promise.resolve();
  },
);

Deno.test("tls prelude: what is encoded arrives, in pieces of any size", () => {
  const stands = new TlsPrelude();
  assert.equal(stands.receive(encodeTlsStands(), 0, 1), 1);
  assert.equal(stands.state, "established");
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      const prelude = new TlsPrelude();
      for (const byte of encodeTlsFailure(text)) {
        assert.equal(prelude.state, "talking");
        assert.equal(prelude.receive(Uint8Array.of(byte), 0, 1), 1);
      }
      assert.equal(prelude.failure?.kind, "proxy-unreachable");
      assert.match(prelude.failure!.text, /^TLS .*: ?[\x20-\x7e]{0,310}$/);
    }),
  );
  const closed = new TlsPrelude();
  closed.receive(encodeTlsFailure("why"), 0, 4);
  closed.closed();
  assert.match(closed.failure!.text, /it was closed$/);
});
