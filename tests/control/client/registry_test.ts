import assert from "node:assert/strict";
import { resolveFailure } from "../../../src/control/client/resolve_failure.ts";
import { OutboundNumbers } from "../../../src/control/client/outbound_numbers.ts";
import { ClientWorld } from "./client_world.ts";
import {
  into,
  ownedBy,
  plan,
  proxy,
  ruleSet,
  wireguard,
  words,
} from "./plans.ts";

const CURL = ownedBy("/usr/bin/curl");
const WEB = { remote: "198.51.100.7", port: 443, protocol: 17 };

function world(...tunnels: Parameters<typeof plan>[0]): ClientWorld {
  return new ClientWorld(plan(tunnels, ruleSet([], into(tunnels[0].name))));
}

/** States that a tunnel went through, by what was told. */
function told({ events }: ClientWorld, tunnel: string): string[] {
  return events.flatMap((event) =>
    event.kind === "tunnel" && event.tunnel === tunnel
      ? [`${event.to}: ${event.reason}`]
      : []
  );
}

Deno.test("tunnels: WireGuard is up when a handshake came about", async () => {
  const client = world(wireguard("work"));
  client.runtime.start();
  await client.clock.advance(50);
  assert.deepEqual(client.engine.take().slice(1), [
    "attach 1 packet 192.0.2.10:51820",
    "handshake 1",
  ]);
  assert.equal(client.state("work"), "connecting");
  client.engine.setStatus(1, { lastHandshakeAt: client.clock.now() });
  await client.clock.advance(200);
  assert.equal(client.state("work"), "up");
  assert.deepEqual(told(client, "work"), ["connecting: connecting", "up: "]);
  await client.runtime.stop();
  assert.equal(client.engine.attached.size, 0);
});

Deno.test("tunnels: WireGuard without an answer is told with what to look at, and tried again later and later", async () => {
  const client = world(wireguard("work"));
  client.runtime.start();
  await client.clock.advance(2_200);
  assert.match(
    client.reason("work")!,
    /does not answer: are its address, port and keys right\?; tried again in 1 s/,
  );
  await client.clock.advance(60_000);
  const tries = client.engine.take().filter((call) => call === "handshake 1");
  assert.ok(tries.length >= 6 && tries.length <= 9, `${tries.length} tries`);
  await client.runtime.stop();
});

Deno.test("tunnels: a session is enough while what is sent is answered", async () => {
  const client = world(wireguard("work"));
  await client.start(1);
  const answer = () =>
    client.engine.setStatus(1, {
      lastSentAt: client.clock.now(),
      lastReceivedAt: client.clock.now(),
    });
  for (let i = 0; i < 15; i++) {
    answer();
    await client.clock.advance(10_000);
  }
  assert.deepEqual(client.engine.take(), []);
  await client.clock.advance(40_000);
  assert.ok(
    client.engine.take().includes("handshake 1"),
    "it idles: a session that is used up says nothing",
  );
  assert.equal(client.state("work"), "up");

  answer();
  client.engine.answering.delete(1);
  await client.clock.advance(1_000);
  client.engine.setStatus(1, { lastSentAt: client.clock.now() });
  await client.clock.advance(40_000);
  assert.notEqual(client.state("work"), "up", "nobody answers what is sent");
  await client.runtime.stop();
});

Deno.test("tunnels: one that idles for hours is never told to fail", async () => {
  const client = world(wireguard("work"));
  await client.start(1);
  await client.clock.advance(3 * 3_600_000);
  assert.deepEqual(told(client, "work"), ["connecting: connecting", "up: "]);
  await client.runtime.stop();
});

Deno.test("tunnels: where something is to be asked behind it, that decides", async () => {
  const probe = { kind: "ping", words: words("10.66.0.1") } as const;
  const client = world(wireguard("work", { probe }));
  client.outcomes.set("work", {
    kind: "failed",
    cause: "beyond",
    text: "10.66.0.1 does not answer pings",
  });
  await client.start(1);
  assert.equal(client.state("work"), "down");
  assert.match(client.reason("work")!, /does not answer pings/);
  client.outcomes.delete("work");
  await client.clock.advance(5_000);
  assert.equal(client.state("work"), "up");
  assert.deepEqual(client.probes.at(-1), {
    kind: "ping",
    words: words("10.66.0.1"),
    tunnel: "work",
    timeoutMs: 2_000,
  });
  await client.runtime.stop();
});

Deno.test("tunnels: a proxy that asks for credentials is told, and up once it has what it wants", async () => {
  const client = world(proxy("web"));
  client.outcomes.set("web", {
    kind: "failed",
    cause: "credentials",
    text: "the proxy asks for a user and password",
  });
  client.runtime.start();
  await client.clock.advance(100);
  assert.match(
    client.reason("web")!,
    /asks for a user and password; tried again in 4[45] s/,
  );
  const { setup, ask } = client.probes[0] as Extract<
    typeof client.probes[0],
    { kind: "proxy" }
  >;
  assert.equal(setup.kind, "socks5");
  assert.deepEqual(ask, { kind: "greet" });
  client.outcomes.delete("web");
  await client.clock.advance(50_000);
  assert.equal(client.state("web"), "up");
  await client.runtime.stop();
});

Deno.test("tunnels: a name is looked up, and again when its address has changed", async () => {
  const client = world(wireguard("work", { host: "vpn.example.org" }));
  client.hosts.set("vpn.example.org", ["192.0.2.1"]);
  await client.start(1);
  assert.equal(client.state("work"), "up");
  client.hosts.set("vpn.example.org", ["192.0.2.99"]);
  await client.silence(1);
  const calls = client.engine.take();
  assert.ok(calls.includes("peers 1 192.0.2.99:51820"), String(calls));
  assert.ok(
    !calls.some((call) => call.startsWith("attach")),
    "sessions are kept",
  );
  await client.revive(1);
  assert.equal(client.state("work"), "up");
  await client.runtime.stop();
});

Deno.test("tunnels: a proxy whose address has changed is attached anew", async () => {
  const client = world(proxy("web", "http", { host: "proxy.example.org" }));
  client.hosts.set("proxy.example.org", ["192.0.2.1"]);
  await client.start();
  client.hosts.set("proxy.example.org", ["192.0.2.2"]);
  client.outcomes.set("web", {
    kind: "failed",
    cause: "no-answer",
    text: "silent",
  });
  await client.clock.advance(11_000);
  const calls = client.engine.take();
  assert.deepEqual(calls.filter((call) => !call.startsWith("settle")), [
    "detach 1",
    "attach 1 http 192.0.2.2:3128",
  ]);
  await client.runtime.stop();
});

Deno.test("tunnels: a name that is wrong and a resolver that is silent are told apart", async () => {
  const client = world(wireguard("work", { host: "vpn.example.org" }));
  client.runtime.start();
  await client.clock.advance(100);
  assert.match(
    client.reason("work")!,
    /vpn.example.org has no address: is the name right/,
  );
  client.hosts.set("vpn.example.org", new Error("EAI_AGAIN"));
  await client.clock.advance(2_000);
  assert.match(client.reason("work")!, /no resolver answers/);
  client.hosts.set("vpn.example.org", ["192.0.2.1"]);
  client.engine.answering.add(1);
  await client.clock.advance(10_000);
  assert.equal(client.state("work"), "up");
  await client.runtime.stop();
});

Deno.test("tunnels: what the packet side refuses is told", async () => {
  const client = world(proxy("web"));
  client.engine.attachError = new Error("no descriptors are left");
  client.runtime.start();
  await client.clock.advance(100);
  assert.equal(client.state("web"), "down");
  assert.match(client.reason("web")!, /no descriptors are left/);
  client.engine.attachError = undefined;
  await client.clock.advance(5_000);
  assert.equal(client.state("web"), "up");
  await client.runtime.stop();
});

Deno.test("tunnels: a handshake that comes by itself ends the wait", async () => {
  const client = world(wireguard("work"));
  client.runtime.start();
  await client.clock.advance(30_000);
  assert.equal(client.state("work"), "down");
  client.engine.answering.add(1);
  client.runtime.onHandshake(1, "established");
  await client.clock.advance(200);
  assert.equal(client.state("work"), "up");
  client.runtime.setTunnel("work", "down");
  client.runtime.onHandshake(1, "established");
  await client.clock.advance(200);
  assert.equal(client.state("work"), "down", "it is not wanted");
  await client.runtime.stop();
});

Deno.test("tunnels: another network: probed at once, flows stay where they are", async () => {
  const client = world(wireguard("work"), proxy("web"));
  await client.start(1);
  const row = client.flow(CURL, WEB);
  client.engine.take();
  client.egress = {
    ...client.egress,
    ipv4: {
      interfaceIndex: 3,
      interfaceName: "wlan0",
      source: words("10.1.1.5"),
    },
  };
  client.runtime.onNetworkChange([{
    kind: "defaultRoute",
    family: 4,
    interface: "wlan0",
    index: 3,
    gateway: words("10.1.1.1"),
  }]);
  await client.clock.advance(100);
  assert.deepEqual(client.engine.take(), ["egress 3", "reset", "handshake 1"]);
  assert.equal(client.state("work"), "up");
  assert.equal(client.engine.state(row), "packet 1");
  assert.equal(client.runtime.status().egress4, "wlan0");
  assert.equal(client.runtime.status().counters.egressChanges, 1);
  await client.runtime.stop();
});

Deno.test("outbound numbers: kept, not given to another while flows have them, then the longest free first", () => {
  const used = new Set<number>();
  const numbers = new OutboundNumbers({
    count: 4,
    isUsed: (outbound) => used.has(outbound),
  });
  assert.deepEqual(["a", "b", "a"].map((name) => numbers.take(name)), [
    1,
    2,
    1,
  ]);
  used.add(1);
  numbers.release("a");
  assert.equal(numbers.nameOf(1), undefined);
  assert.equal(numbers.take("c"), 3);
  assert.equal(numbers.take("d"), undefined, "flows have 1 still");
  used.clear();
  assert.equal(numbers.take("d"), 1);
  assert.equal(numbers.take("e"), undefined);
  numbers.release("c");
  numbers.release("b");
  numbers.release("nobody");
  assert.deepEqual([numbers.take("e"), numbers.take("f")], [3, 2]);
});

Deno.test("resolve failure: tells names from resolvers, with every cause's text", () => {
  const cause = (error: unknown) => resolveFailure("host", error).cause;
  const coded = Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" });
  assert.equal(cause(coded), "no-such-name");
  assert.equal(cause(new Error("lookup", { cause: coded })), "no-such-name");
  assert.equal(cause(new Error("EAI_AGAIN host")), "resolver-unreachable");
  assert.equal(
    cause(new Error("ENOTFOUND: Temporary failure in name resolution")),
    "resolver-unreachable",
  );
  assert.equal(cause("odd"), "resolver-unreachable");
  assert.match(
    resolveFailure("vpn", new Error("outer", { cause: coded })).text,
    /^vpn has no address.*outer: getaddrinfo \(ENOTFOUND\)/,
  );
});
