/** Probes against proxies and resolvers on loopback, as good and as bad as they come. */
import assert from "node:assert/strict";
import { clientProber } from "../../src/cli/client_prober.ts";
import { OwnFlows } from "../../src/control/client/own_flows.ts";
import type { ProbeRequest } from "../../src/control/client/probes.ts";
import { parseAddress } from "../../src/core/wire/address.ts";
import { openPlatform } from "../../src/io/platform.ts";
import type { DialerSetup } from "../../src/io/ports.ts";

const LOOPBACK = Int32Array.from(parseAddress("127.0.0.1")!);

type Proxy = Extract<ProbeRequest, { kind: "proxy" }>;

/** Runs with a listener that answers each read with the next of its replies. */
async function withProxy(
  replies: readonly (readonly number[])[],
  work: (port: number) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async () => {
    for await (const connection of listener) {
      using _open = connection;
      const bytes = new Uint8Array(512);
      for (const reply of replies) {
        if (await connection.read(bytes) === null) break;
        await connection.write(Uint8Array.from(reply));
      }
      while (await connection.read(bytes).catch(() => null) !== null);
    }
  };
  const serving = serve().catch(() => {});
  await work((listener.addr as Deno.NetAddr).port);
  listener.close();
  await serving;
}

function socks(port: number, ask: Proxy["ask"], timeoutMs = 2000): Proxy {
  const setup: DialerSetup = {
    kind: "socks5",
    proxy: { words: LOOPBACK, port, host: "127.0.0.1" },
    credentials: { user: "me", password: "secret" },
  };
  return { kind: "proxy", tunnel: "t", timeoutMs, setup, ask };
}

function http(port: number, ask: Proxy["ask"]): Proxy {
  const setup: DialerSetup = {
    kind: "http",
    proxy: { words: LOOPBACK, port, host: "127.0.0.1" },
    credentials: undefined,
    tls: undefined,
  };
  return { kind: "proxy", tunnel: "t", timeoutMs: 2000, setup, ask };
}

async function probe(request: ProbeRequest): Promise<string> {
  using platform = openPlatform();
  const outcome = await clientProber({
    sockets: platform.openStreamSockets(),
    ownFlows: new OwnFlows(),
    platform,
  })(request);
  return outcome.kind === "ok" ? "ok" : outcome.cause;
}

const NO_AUTH = [5, 0];
const reply = (code: number) => [5, code, 0, 1, 127, 0, 0, 1, 0, 80];
const GREET = { kind: "greet" } as const;
const CONNECT = {
  kind: "connect",
  target: { host: "example.org", port: 443 },
} as const;

Deno.test("a proxy that takes us, one that wants other credentials, one that refuses the target", async () => {
  const cases: [number[][], Proxy["ask"], string][] = [
    [[NO_AUTH, reply(0)], GREET, "ok"],
    // It gives no association, and serves connections all the same.
    [[NO_AUTH, reply(7)], GREET, "ok"],
    [[NO_AUTH, reply(0)], CONNECT, "ok"],
    [[NO_AUTH, reply(5)], CONNECT, "beyond"],
    [[[5, 2], [1, 1]], GREET, "credentials"],
    [[[5, 255]], GREET, "credentials"],
    [[[72, 84, 84, 80]], GREET, "refused"],
  ];
  for (const [replies, ask, expected] of cases) {
    await withProxy(replies, async (port) => {
      assert.equal(await probe(socks(port, ask)), expected);
    });
  }
});

Deno.test("an HTTP proxy that takes us, one that wants to know who asks, one of another kind", async () => {
  const answer = (line: string) => [
    [...new TextEncoder().encode(`HTTP/1.1 ${line}\r\n\r\n`)],
  ];
  const cases: [number[][], Proxy["ask"], string][] = [
    [answer("200 Connection established"), GREET, "ok"],
    // What it says of a place of its own is no matter.
    [answer("403 Forbidden"), GREET, "ok"],
    [answer("502 Bad Gateway"), GREET, "ok"],
    [answer("407 Proxy Authentication Required"), GREET, "credentials"],
    [[[5, 0]], GREET, "refused"],
    [answer("502 Bad Gateway"), CONNECT, "beyond"],
    [answer("407 Proxy Authentication Required"), CONNECT, "credentials"],
  ];
  for (const [replies, ask, expected] of cases) {
    await withProxy(replies, async (port) => {
      assert.equal(await probe(http(port, ask)), expected);
    });
  }
});

Deno.test("a proxy that says nothing, and none at all", async () => {
  await withProxy([], async (port) => {
    assert.equal(await probe(socks(port, GREET, 50)), "no-answer");
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  assert.equal(await probe(socks(port, GREET)), "refused");
});

Deno.test("a resolver that answers, one that is silent, a port that is closed", async () => {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const { port } = socket.addr as Deno.NetAddr;
  const request = (timeoutMs: number): ProbeRequest => ({
    kind: "dns",
    tunnel: "t",
    timeoutMs,
    server: { words: LOOPBACK, port },
    name: "example.com",
  });
  assert.equal(await probe(request(50)), "no-answer");
  const answering = (async () => {
    // The one of before is still there, and its answer is nobody's.
    for (let count = 0; count < 2; count++) {
      const [question, from] = await socket.receive();
      question[2] |= 0x80;
      await socket.send(question, from);
    }
  })();
  assert.equal(await probe(request(2000)), "ok");
  await answering;
  socket.close();
  const connect = (at: number): ProbeRequest => ({
    kind: "connect",
    tunnel: "t",
    timeoutMs: 1000,
    target: { host: "127.0.0.1", port: at },
  });
  assert.equal(await probe(connect(port)), "beyond");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = (listener.addr as Deno.NetAddr).port;
  assert.equal(await probe(connect(open)), "ok");
});
