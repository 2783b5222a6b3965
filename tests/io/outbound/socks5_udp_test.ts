/** UDP by SOCKS5 associations on loopback, with proxies that behave badly. */
import assert from "node:assert/strict";
import { grant, SocksUdpProxy } from "../../support/socks_udp_proxy.ts";
import {
  proxySetup,
  UdpSocketWorld,
} from "../../datapath/relay/udp_sockets.ts";

const REMOTE = { to: "192.0.2.1", toPort: 9 };

function worldOf(proxy: SocksUdpProxy): UdpSocketWorld {
  return new UdpSocketWorld(proxySetup("socks5", `127.0.0.1:${proxy.port}`));
}

/** A relay that gives everything back as if from where it was to go. */
const echo = (datagram: Uint8Array) => [datagram.slice()];

Deno.test("datagrams are wrapped as RFC 1928 says, and unwrapped", async () => {
  using proxy = new SocksUdpProxy({ relay: echo });
  using world = worldOf(proxy);
  world.send({ ...REMOTE, data: [7, 8] });
  const answer = await world.answer();
  assert.deepEqual(answer, {
    from: "192.0.2.1:9",
    to: "10.0.0.2:4000",
    payload: Uint8Array.of(7, 8),
  });
  assert.deepEqual([...proxy.requests[0]], [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(
    [...proxy.datagrams[0]],
    [0, 0, 0, 1, 192, 0, 2, 1, 0, 9, 7, 8],
  );
  world.send({ to: "2001:db8:0:0:0:0:0:1", toPort: 258, data: [] });
  assert.deepEqual(await world.answer(), {
    from: "[2001:db8::1]:258",
    to: "[fd00::2]:4000",
    payload: new Uint8Array(0),
  });
  assert.deepEqual(
    [...proxy.datagrams[1]],
    [0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1, 1, 2],
  );
  assert.deepEqual(world.counters.drops(), {});
});

Deno.test("long datagrams pass whole", async () => {
  using proxy = new SocksUdpProxy({ relay: echo });
  using world = worldOf(proxy);
  const data = Array.from({ length: 60_000 }, (_, i) => i & 255);
  world.send({ ...REMOTE, data });
  assert.deepEqual((await world.answer()).payload, Uint8Array.from(data));
});

Deno.test("a source has one association, another source another", async () => {
  using proxy = new SocksUdpProxy({ relay: echo });
  using world = worldOf(proxy);
  for (const fromPort of [1, 2]) {
    for (const to of ["192.0.2.1", "203.0.113.5"]) {
      world.send({ to, toPort: 9, fromPort });
      await world.answer();
    }
  }
  assert.equal(proxy.requests.length, 2);
  assert.equal(new Set(proxy.from.map(({ port }) => port)).size, 2);
});

for (
  const [name, address] of [
    ["0.0.0.0", [0, 0, 0, 0]],
    ["::", new Array(16).fill(0)],
  ] as const
) {
  Deno.test(`a relay at ${name} is at the proxy's own address`, async () => {
    using proxy = new SocksUdpProxy({
      reply: (port) => grant(port, address),
      relay: echo,
    });
    using world = worldOf(proxy);
    world.send(REMOTE);
    await world.answer();
  });
}

Deno.test("datagrams from elsewhere than the relay don't reach the client", async () => {
  using proxy = new SocksUdpProxy({ relay: echo });
  using world = worldOf(proxy);
  world.send(REMOTE);
  await world.answer();
  const stranger = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  try {
    const forged = Uint8Array.of(0, 0, 0, 1, 192, 0, 2, 1, 0, 9, 66);
    // Refused by the system where it says so at all.
    await stranger.send(forged, proxy.from[0]).catch(() => {});
    world.send({ ...REMOTE, data: [5] });
    assert.deepEqual((await world.answer()).payload, Uint8Array.of(5));
    assert.equal(world.counters.get("datagramsIn"), 2);
  } finally {
    stranger.close();
  }
});

Deno.test("fragments, names and garbage are dropped by reason; what is right between them passes", async () => {
  const bad: number[][] = [
    [],
    [0],
    [0, 0, 0, 1],
    [0, 0, 0, 1, 192, 0, 2, 1, 0],
    [0, 0, 0, 4, 192, 0, 2, 1, 0, 9],
    [0, 0, 0, 2, 192, 0, 2, 1, 0, 9, 1],
    [0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 1],
    [0, 0, 0, 1, 0, 0, 0, 0, 0, 9, 1],
    [0, 0, 0, 1, 224, 0, 0, 1, 0, 9, 1],
    [0, 0, 1, 1, 192, 0, 2, 1, 0, 9, 1],
    [0, 0, 0, 3, 4, 97, 98, 99, 100, 0, 9, 1],
    [0, 0, 0, 4, ...new Array(15).fill(1), 1, 0, 9, 1],
  ];
  using proxy = new SocksUdpProxy({
    relay: (datagram) => [
      ...bad.map((bytes) => Uint8Array.from(bytes)),
      datagram.slice(),
    ],
  });
  using world = worldOf(proxy);
  world.send(REMOTE);
  await world.answer();
  assert.equal(world.counters.get("droppedProxyMalformed"), 9);
  assert.equal(world.counters.get("droppedProxyFragment"), 1);
  assert.equal(world.counters.get("droppedProxyDomain"), 1);
  assert.equal(world.counters.get("droppedForeignFamily"), 1);
});

Deno.test("the end of the control connection ends the session; a new datagram makes a new one", async () => {
  using proxy = new SocksUdpProxy({ relay: echo });
  using world = worldOf(proxy);
  world.send(REMOTE);
  await world.answer();
  proxy.hangUp();
  await world.until("its end", () => world.relay.sessions === 0);
  assert.equal(world.counters.get("sessionsEnded"), 1);
  world.send(REMOTE);
  await world.answer();
  assert.equal(proxy.requests.length, 2);
});

Deno.test("what a proxy says behind its reply is of no matter", async () => {
  using proxy = new SocksUdpProxy({
    reply: (port) => [...grant(port), ...new Array(5000).fill(65)],
    relay: echo,
  });
  using world = worldOf(proxy);
  world.send(REMOTE);
  await world.answer();
  world.send(REMOTE);
  await world.answer();
  assert.equal(world.relay.sessions, 1);
});

Deno.test({
  name:
    "a relay that is gone while the control connection stays ends the session",
  // Wine takes a UDP socket's error away when it looks for it.
  ignore: Deno.build.os === "windows",
  async fn() {
    using proxy = new SocksUdpProxy({ relay: echo });
    using world = worldOf(proxy);
    world.send(REMOTE);
    await world.answer();
    proxy.endRelay();
    let sent = 0;
    await world.until("its end", () => {
      if (world.relay.sessions > 0 && ++sent % 5 === 0) world.send(REMOTE);
      return world.counters.get("sessionsEnded") > 0;
    });
    assert.ok(world.counters.get("droppedSendFailed") > 0);
  },
});

const REFUSALS = [
  {
    name: "does not know the command",
    script: { reply: () => [5, 7, 0, 1, 0, 0, 0, 0, 0, 0] },
    told: /does not know the command \(reply 7\)/,
  },
  {
    name: "closes instead of replying",
    script: { reply: () => "close" as const },
    told: /closed the connection without an answer/,
  },
  {
    name: "closes at the greeting",
    script: { method: "close" as const },
    told: /closed the connection at the greeting/,
  },
  {
    name: "wants a password",
    script: { method: [5, 255] },
    told: /wants a user and password/,
  },
  {
    name: "is none",
    script: { method: [...new TextEncoder().encode("HTTP/1.1 400 no\r\n")] },
    told: /no SOCKS5 proxy/,
  },
  {
    name: "names port 0",
    script: { reply: () => grant(0) },
    told: /names 127.0.0.1:0 as its relay/,
  },
  {
    name: "names a multicast address",
    script: { reply: (port: number) => grant(port, [224, 0, 0, 1]) },
    told: /as its relay/,
  },
] as const;

for (const { name, script, told } of REFUSALS) {
  Deno.test(`a proxy that ${name} gives no UDP: told once, counted`, async () => {
    using proxy = new SocksUdpProxy(script);
    using world = worldOf(proxy);
    world.send(REMOTE);
    await world.until("the refusal", () => world.lines.length > 0);
    assert.match(world.lines[0], told);
    world.send(REMOTE);
    assert.equal(world.counters.get("droppedAssociationFailed"), 1);
    assert.equal(world.counters.get("droppedRefused"), 1);
    assert.equal(world.relay.sessions, 0);
  });
}

Deno.test("a proxy that is not there", async () => {
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const setup = proxySetup("socks5", `127.0.0.1:${gone.addr.port}`);
  gone.close();
  using world = new UdpSocketWorld(setup);
  world.send(REMOTE);
  await world.until("the failure", () => world.lines.length > 0);
  assert.match(world.lines[0], /cannot reach the proxy: Connection refused/);
});

Deno.test("a proxy that hangs is given up in time", async () => {
  using proxy = new SocksUdpProxy({ method: "none" });
  const setup = proxySetup("socks5", `127.0.0.1:${proxy.port}`);
  using world = new UdpSocketWorld(setup, { associateMs: 50 });
  world.send(REMOTE);
  await world.until("the failure", () => world.lines.length > 0);
  assert.match(world.lines[0], /no UDP association in time/);
});

Deno.test("an HTTP proxy is not even asked", () => {
  using world = new UdpSocketWorld(proxySetup("http", "127.0.0.1:1"));
  world.send(REMOTE);
  assert.match(world.lines[0], /an HTTP proxy carries no UDP/);
  assert.equal(world.counters.get("droppedRefused"), 1);
});

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`straight to ${hostname} and back, two remotes by one port`, async () => {
    using world = new UdpSocketWorld({ kind: "direct" });
    const options = { transport: "udp", hostname, port: 0 } as const;
    const remotes = [
      Deno.listenDatagram(options),
      Deno.listenDatagram(options),
    ];
    const to = hostname === "::1" ? "0:0:0:0:0:0:0:1" : hostname;
    try {
      const ports = new Set<number>();
      for (const remote of remotes) {
        const toPort = (remote.addr as Deno.NetAddr).port;
        world.send({ to, toPort, data: [1] });
        const [data, from] = await remote.receive();
        ports.add((from as Deno.NetAddr).port);
        await remote.send(Uint8Array.of(...data, 2), from);
        const answer = await world.answer();
        assert.deepEqual(answer.payload, Uint8Array.of(1, 2));
        assert.ok(answer.from.endsWith(`:${toPort}`));
      }
      assert.equal(ports.size, 1);
    } finally {
      for (const remote of remotes) remote.close();
    }
  });
}
