import assert from "node:assert/strict";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import { DnsRouter } from "../../../src/control/client/dns_router.ts";
import { ResolverWatch } from "../../../src/control/client/resolver_watch.ts";
import { formatEndpoint } from "../../../src/core/wire/address.ts";
import { dnsAnswer, dnsQuestion } from "./dns_bytes.ts";
import { ClientWorld, NAMESERVER } from "./client_world.ts";
import {
  into,
  ownedBy,
  plan,
  proxy,
  resolver,
  rule,
  ruleSet,
  wireguard,
  words,
} from "./plans.ts";

const CURL = ownedBy("/usr/bin/curl");
const GAME = ownedBy("/usr/bin/game");
const BEHIND = "10.66.0.1";
const CAPTURED6 = "fd00::1";

/** A question to an address, `NAMESERVER` for that of resolv.conf. */
function question(name: string, to: string = NAMESERVER) {
  return {
    protocol: Protocol.Udp,
    remote: to,
    port: 53,
    query: dnsQuestion(name),
  };
}

// Who is asked: the flow's own remote, the way with its resolvers, the policy.
const ROUTES: {
  remote: string;
  port?: number;
  protocol?: number;
  tunnel?: string[];
  direct?: string[];
  policy?: "follow" | "leave";
  to: string;
}[] = [
  { remote: NAMESERVER, to: "192.168.1.1:53" },
  { remote: NAMESERVER, direct: ["9.9.9.9"], to: "9.9.9.9:53" },
  { remote: NAMESERVER, protocol: Protocol.Tcp, to: "192.168.1.1:53" },
  { remote: "8.8.8.8", to: "as-is" },
  { remote: "8.8.8.8", tunnel: [BEHIND], to: "10.66.0.1:53" },
  { remote: NAMESERVER, tunnel: [BEHIND], to: "10.66.0.1:53" },
  { remote: NAMESERVER, tunnel: ["fd66::1", BEHIND], to: "10.66.0.1:53" },
  { remote: CAPTURED6, tunnel: ["fd66::1", BEHIND], to: "[fd66::1]:53" },
  { remote: CAPTURED6, tunnel: [BEHIND], to: "none" },
  { remote: CAPTURED6, to: "none" },
  { remote: "8.8.8.8", tunnel: ["fd66::1"], to: "none" },
  // The router's own resolver is nobody's behind a tunnel.
  { remote: NAMESERVER, tunnel: [], to: "none" },
  { remote: "8.8.8.8", tunnel: [], to: "as-is" },
  {
    remote: NAMESERVER,
    tunnel: [],
    direct: ["192.168.1.1", "9.9.9.9"],
    to: "9.9.9.9:53",
  },
  { remote: "8.8.8.8", port: 853, tunnel: [BEHIND], to: "as-is" },
  { remote: "8.8.8.8", protocol: Protocol.Icmp, tunnel: [BEHIND], to: "as-is" },
  { remote: "8.8.8.8", tunnel: [BEHIND], policy: "leave", to: "as-is" },
  { remote: NAMESERVER, tunnel: [BEHIND], policy: "leave", to: "10.66.0.1:53" },
];

Deno.test("dns router: where a question is sent, by the way that it goes", () => {
  for (const item of ROUTES) {
    const watch = new ResolverWatch(1000, { onChange: () => {} });
    const { dns } = plan([], ruleSet([]), {
      policy: item.policy ?? "follow",
      direct: (item.direct ?? []).map(resolver),
    });
    const router = new DnsRouter({
      plan: dns,
      captured: [words(NAMESERVER), words(CAPTURED6)],
      watch,
    });
    router.system = [resolver("192.168.1.1")];
    const route = router.route(
      {
        protocol: item.protocol ?? Protocol.Udp,
        remote: { words: words(item.remote), port: item.port ?? 53 },
      },
      item.tunnel && { name: "t", resolvers: item.tunnel.map(resolver) },
      0,
    );
    const to = route.kind === "to"
      ? formatEndpoint(
        route.reached.resolver.words,
        0,
        route.reached.resolver.port,
      )
      : route.kind;
    assert.equal(to, item.to, JSON.stringify(item));
  }
});

Deno.test("resolver watch: two questions without an answer within the time, then the next resolver", () => {
  const told: string[] = [];
  const watch = new ResolverWatch(2000, {
    onChange: (reached, now) =>
      told.push(`${reached.tunnel} ${reached.resolver.words[3]} ${now}`),
  });
  const first = { words: Int32Array.of(0, 0, 0xffff, 1), port: 53 };
  const second = { words: Int32Array.of(0, 0, 0xffff, 2), port: 53 };
  const list = [first, second];
  const ask = (at: number) =>
    watch.noteQuestion({ resolver: first, tunnel: "t" }, at);
  ask(0);
  assert.equal(watch.nextTimeout(), Infinity, "one question may be lost");
  ask(500);
  assert.equal(watch.nextTimeout(), 2000);
  watch.handleTimeout(1999);
  assert.equal(watch.choose(list, "t", 1999), first);
  watch.handleTimeout(2000);
  assert.deepEqual(told, ["t 1 unreachable"]);
  assert.equal(watch.choose(list, "t", 2000), second);
  assert.equal(
    watch.choose(list, undefined, 2000),
    first,
    "direct is another way",
  );
  assert.equal(watch.choose([first], "t", 2000), first, "nobody else is left");
  assert.equal(watch.choose(list, "t", 32_001), first, "perhaps it is back");
  ask(32_001);
  watch.handleTimeout(watch.nextTimeout());
  assert.equal(watch.choose(list, "t", 34_100), second);
  assert.deepEqual(told, ["t 1 unreachable"], "that is no news");
  watch.noteAnswer({ resolver: first, tunnel: "t" });
  assert.deepEqual(told, ["t 1 unreachable", "t 1 answers"]);
  assert.equal(watch.choose(list, "t", 34_100), first);
});

Deno.test("resolver watch: an answer in time leaves nothing to tell", () => {
  const watch = new ResolverWatch(2000, {
    onChange: () => assert.fail("told"),
  });
  const reached = { resolver: resolver("9.9.9.9"), tunnel: undefined };
  for (let at = 0; at < 10_000; at += 500) {
    watch.noteQuestion(reached, at);
    watch.noteQuestion(reached, at + 1);
    watch.noteAnswer(reached);
    assert.equal(watch.nextTimeout(), Infinity);
    watch.handleTimeout(at + 2);
  }
});

Deno.test("client dns: each program's questions go to the resolver of its own way", async () => {
  const world = new ClientWorld(plan(
    [
      wireguard("work", { dns: [BEHIND] }),
      proxy("web", "http", { dns: ["1.1.1.1"] }),
    ],
    ruleSet([rule("curl", into("work")), rule("mail", into("web"))]),
  ));
  await world.start(1);
  const asks = [
    world.flow(CURL, question("example.com")),
    world.flow(CURL, question("example.com", "8.8.8.8")),
    world.flow(GAME, question("example.com")),
    world.flow(GAME, question("example.com", "8.8.8.8")),
    world.flow(ownedBy("/usr/bin/mail"), question("example.com")),
  ];
  assert.deepEqual(asks.map((row) => world.engine.state(row)), [
    "packet 1 to 10.66.0.1:53",
    "packet 1 to 10.66.0.1:53",
    "direct to 192.168.1.1:53",
    "direct",
    // An HTTP proxy carries no datagrams, but questions it does.
    "proxy 2 to 1.1.1.1:53",
  ]);
  world.runtime.setTunnel("work", "down");
  assert.equal(world.engine.state(asks[0]), "drop", "not to the system's");
  await world.runtime.stop();
});

Deno.test("client dns: with the tunnel down a program that may go direct asks there", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work", { dns: [BEHIND] })],
    ruleSet([rule("curl", into("work", "allowDirect"))]),
  ));
  await world.start(1);
  const row = world.flow(CURL, question("example.com"));
  assert.equal(world.engine.state(row), "packet 1 to 10.66.0.1:53");
  world.runtime.setTunnel("work", "down");
  assert.equal(world.engine.state(row), "direct to 192.168.1.1:53");
  await world.runtime.stop();
});

/** Rules by name: whatever lies below example.com, for every program. */
function byName() {
  return plan(
    [wireguard("work", { dns: [BEHIND] })],
    ruleSet([{
      destinations: [{ kind: "below", name: "example.com" }],
      action: into("work"),
    }]),
  );
}

Deno.test("client dns: rules about names judge questions by their name, and what follows by the answer", async () => {
  const world = new ClientWorld(byName());
  await world.start(1);
  const ask = world.engine.ask(question("www.Example.com"));
  world.owners.set(ask.local.port, [CURL]);
  world.runtime.onAsk(ask);
  assert.equal(world.engine.state(ask.row), "packet 1 to 10.66.0.1:53");
  assert.equal(
    world.engine.state(world.flow(CURL, question("other.org"))),
    "direct to 192.168.1.1:53",
  );
  const web = { remote: "203.0.113.5", port: 443 };
  assert.equal(
    world.engine.state(world.flow(CURL, web)),
    "direct",
    "nothing is known",
  );
  world.runtime.onDnsAnswer({
    row: ask.row,
    generation: ask.generation,
    payload: dnsAnswer("www.example.com", "203.0.113.5", 120),
  });
  const row = world.flow(CURL, web);
  assert.equal(world.engine.state(row), "packet 1");
  const shown = world.runtime.flows().find(({ id }) =>
    id.startsWith(`${row}.`)
  );
  assert.equal(shown?.name, "www.example.com");
  assert.equal(
    world.engine.state(world.flow(GAME, web)),
    "direct",
    "another program has not asked",
  );
  await world.clock.advance(121_000);
  assert.equal(
    world.engine.state(world.flow(CURL, web)),
    "direct",
    "the TTL is over",
  );
  assert.equal(world.engine.state(row), "packet 1", "it lives on");
  world.runtime.setTunnel("work", "down");
  assert.equal(
    world.engine.state(row),
    "drop",
    "judged by the name that it began with",
  );
  await world.runtime.stop();
});

Deno.test("client dns: an answer for a flow that is over teaches nothing", async () => {
  const world = new ClientWorld(byName());
  await world.start(1);
  const ask = world.engine.ask(question("www.example.com"));
  world.owners.set(ask.local.port, [CURL]);
  world.runtime.onAsk(ask);
  const payload = dnsAnswer("www.example.com", "203.0.113.5", 120);
  world.runtime.onFlowEnded(ask.row, ask.generation);
  world.runtime.onDnsAnswer({ ...ask, payload });
  world.runtime.onDnsAnswer({ row: 99, generation: 1, payload });
  world.runtime.onDnsAnswer({ ...ask, payload: payload.subarray(0, 20) });
  const web = { remote: "203.0.113.5", port: 443 };
  assert.equal(world.engine.state(world.flow(CURL, web)), "direct");
  await world.runtime.stop();
});

Deno.test("client dns: what a resolver for all asks follows its own process's rule, or is held back", async () => {
  const shared = ownedBy("/usr/lib/systemd/systemd-resolved");
  const upstream = question("example.com", "192.168.1.1");
  const rules = ruleSet([rule("curl", into("work"))]);
  const tunnels = [wireguard("work", { dns: [BEHIND] })];
  const world = new ClientWorld(plan(tunnels, rules));
  await world.start(1);
  const row = world.flow(shared, upstream);
  assert.equal(world.engine.state(row), "direct", "the default");
  world.runtime.reload(plan(
    tunnels,
    ruleSet([rule("systemd-resolved", into("work"))]),
  ));
  assert.equal(world.engine.state(row), "packet 1 to 10.66.0.1:53");
  world.runtime.reload(plan(tunnels, rules, {
    shared: { programs: ["systemd-resolved"], queries: "drop" },
  }));
  assert.equal(world.engine.state(row), "drop");
  const other = world.flow(shared, { remote: "192.168.1.1", port: 80 });
  assert.equal(world.engine.state(other), "direct", "that is no question");
  await world.runtime.stop();
});

Deno.test("client dns: a resolver that does not answer is told, and the next one is asked", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work", { dns: [BEHIND, "10.66.0.2"] })],
    ruleSet([rule("curl", into("work"))]),
  ));
  await world.start(1);
  for (let i = 0; i < 2; i++) world.flow(CURL, question("example.com"));
  await world.clock.advance(2_000);
  assert.deepEqual(world.events.findLast(({ kind }) => kind === "resolver"), {
    kind: "resolver",
    resolver: "10.66.0.1:53",
    tunnel: "work",
    now: "unreachable",
  });
  assert.deepEqual(world.runtime.status().problems, [
    "resolver 10.66.0.1:53 (tunnel work) does not answer",
  ]);
  const row = world.flow(CURL, question("example.com"));
  assert.equal(world.engine.state(row), "packet 1 to 10.66.0.2:53");
  await world.runtime.stop();
});
