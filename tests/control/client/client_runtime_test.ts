import assert from "node:assert/strict";
import fc from "fast-check";
import type { TunnelState } from "../../../src/core/route/rules/facts.ts";
import type {
  Fallback,
  Rule,
  RuleAction,
  RuleSet,
} from "../../../src/core/route/rules/rule.ts";
import { explain } from "../../../src/core/route/rules/explain.ts";
import { RuleEngine } from "../../../src/core/route/rules/rule_engine.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import { ClientPortError } from "../../../src/control/client_port.ts";
import { ClientWorld, OWN_PROCESS } from "./client_world.ts";
import {
  into,
  ownedBy,
  plan,
  proxy,
  rule,
  ruleSet,
  wireguard,
  words,
} from "./plans.ts";

const CURL = ownedBy("/usr/bin/curl");
const WEB = { remote: "198.51.100.7", port: 443 };
const DATAGRAM = { ...WEB, protocol: Protocol.Udp };

/** Curl goes into `work`, what comes after it direct. */
function curlPlan(fallback: Fallback) {
  return plan(
    [wireguard("work")],
    ruleSet([rule("curl", into("work", fallback))], { kind: "drop" }),
  );
}

// Each cell of the fallback table, as flows see it: tunnel up, failing, down,
// connecting again, up again. The default drops; the rule below goes direct.
const CELLS: Record<Fallback, Record<TunnelState, string>> = {
  allowDirect: {
    up: "packet 1",
    degraded: "packet 1",
    down: "direct",
    connecting: "direct",
  },
  block: {
    up: "packet 1",
    degraded: "packet 1",
    down: "drop",
    connecting: "drop",
  },
  drop: { up: "drop", degraded: "drop", down: "drop", connecting: "drop" },
  nextRule: {
    up: "packet 1",
    degraded: "packet 1",
    down: "proxy 2",
    connecting: "proxy 2",
  },
};

for (const [fallback, cells] of Object.entries(CELLS)) {
  Deno.test(`client runtime: ${fallback} with the tunnel up, going down mid-flow, coming back`, async () => {
    const world = new ClientWorld(plan(
      [wireguard("work"), proxy("other")],
      ruleSet([
        rule("curl", into("work", fallback as Fallback)),
        rule("curl", into("other")),
      ]),
    ));
    await world.start(1, 2);
    const seen = new Set<TunnelState>();
    const udp = world.flow(CURL, DATAGRAM);
    const check = () => {
      const state = world.state("work") as TunnelState;
      seen.add(state);
      assert.equal(world.engine.state(udp), cells[state], `mid-flow, ${state}`);
      const fresh = world.flow(CURL, DATAGRAM);
      assert.equal(world.engine.state(fresh), cells[state], `new, ${state}`);
    };
    check();
    world.engine.answering.delete(1);
    world.engine.setStatus(1, { lastHandshakeAt: 1 });
    for (let seconds = 0; seconds < 40; seconds++) {
      await world.clock.advance(500);
      check();
    }
    world.engine.answering.add(1);
    for (let seconds = 0; seconds < 40; seconds++) {
      await world.clock.advance(500);
      check();
    }
    assert.equal(world.state("work"), "up");
    assert.deepEqual([...seen].sort(), [
      "connecting",
      "degraded",
      "down",
      "up",
    ]);
    await world.runtime.stop();
    assert.equal(world.clock.pending, 0, "timers are left");
  });
}

Deno.test("client runtime: a TCP connection that can't be moved is ended, one that is only blocked waits", async () => {
  const world = new ClientWorld(curlPlan("allowDirect"));
  await world.start(1);
  const tcp = world.flow(CURL, WEB);
  world.engine.take();
  await world.silence(1);
  const calls = world.engine.take().filter((call) => /settle|end/.test(call));
  assert.deepEqual(calls, [`settle ${tcp} direct`, `end ${tcp}`]);
  await world.runtime.stop();

  const blocked = new ClientWorld(curlPlan("block"));
  await blocked.start(1);
  const held = blocked.flow(CURL, WEB);
  blocked.engine.take();
  await blocked.silence(1);
  await blocked.revive(1);
  assert.deepEqual(
    blocked.engine.take().filter((call) => /settle|end/.test(call)),
    [`settle ${held} drop`, `settle ${held} packet 1`],
  );
  await blocked.runtime.stop();
});

Deno.test("client runtime: a connection that began direct ends when its tunnel is back", async () => {
  const world = new ClientWorld(curlPlan("allowDirect"));
  world.runtime.start();
  const tcp = world.flow(CURL, WEB);
  assert.equal(world.engine.state(tcp), "direct");
  await world.revive(1);
  assert.equal(world.engine.state(tcp), undefined);
  assert.ok(world.engine.take().includes(`end ${tcp}`));
  await world.runtime.stop();
});

Deno.test("client runtime: a state that changes nothing for a flow leaves it alone", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work"), wireguard("home", { host: "192.0.2.11" })],
    ruleSet([rule("curl", into("work")), rule("mail", into("home"))]),
  ));
  await world.start(1, 2);
  const web = world.flow(CURL, WEB);
  const mail = world.flow(ownedBy("/usr/bin/mail"), WEB);
  const direct = world.flow(ownedBy("/usr/bin/game"), WEB);
  world.engine.take();
  world.runtime.setTunnel("home", "down");
  assert.deepEqual(
    world.engine.take().filter((call) => call.startsWith("settle")),
    [`settle ${mail} drop`],
  );
  assert.deepEqual(
    [web, direct].map((row) => world.engine.state(row)),
    ["packet 1", "direct"],
  );
  const event = world.events.findLast(({ kind }) => kind === "resettled");
  assert.deepEqual(event, { kind: "resettled", cause: "tunnel", flows: 1 });
  await world.runtime.stop();
});

Deno.test("client runtime: flows leave a tunnel before it is taken away", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const row = world.flow(CURL, DATAGRAM);
  world.engine.take();
  world.runtime.setTunnel("work", "down");
  await world.clock.advance(0);
  assert.deepEqual(world.engine.take(), [`settle ${row} drop`, "detach 1"]);
  await world.clock.advance(120_000);
  assert.equal(world.state("work"), "down", "it stays so");
  world.runtime.setTunnel("work", "up");
  await world.clock.advance(500);
  assert.equal(world.state("work"), "up");
  assert.equal(world.engine.state(row), "packet 1");
  await world.runtime.stop();
});

Deno.test("client runtime: a tunnel that there is not is told with those that there are", () => {
  const world = new ClientWorld(curlPlan("block"));
  world.runtime.start();
  assert.throws(
    () => world.runtime.setTunnel("wrok", "up"),
    (error) =>
      error instanceof ClientPortError && error.hint === "there are: work",
  );
});

Deno.test("client runtime: nobody known, another protocol, IPv6: the safe defaults, with why", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work"), proxy("web", "http")],
    ruleSet([rule("curl", into("work")), rule("mail", into("web"))]),
  ));
  await world.start(1);
  const unknown = world.flow(undefined, WEB);
  const six = world.flow(CURL, { remote: "2001:db8::7", port: 443 });
  const ping = world.flow(undefined, {
    protocol: Protocol.Icmp,
    remote: "198.51.100.7",
    port: 0,
  });
  const quic = world.flow(ownedBy("/usr/bin/mail"), DATAGRAM);
  const rows = [unknown, six, ping, quic];
  assert.deepEqual(rows.map((row) => world.engine.state(row)), [
    "drop",
    "drop",
    "drop",
    "drop",
  ]);
  const views = world.runtime.flows();
  assert.deepEqual(
    rows.map((row) => {
      const { by, reason, program } = views.find(({ id }) =>
        id.startsWith(`${row}.`)
      )!;
      return [program?.name, by, reason];
    }),
    [
      [undefined, "unknownOwner", "no socket of this host has it"],
      ["curl", "rule 1", "its tunnel has no IPv6"],
      [undefined, "unknownOwner", "no socket of this host has it"],
      ["mail", "rule 2", "its tunnel can't carry this"],
    ],
  );
  const { counters } = world.runtime.status();
  assert.equal(counters["unknown:no-socket"], 2);
  await world.runtime.stop();
});

Deno.test("client runtime: a look-up that is not finished is asked for again, and given up", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const ask = world.engine.ask(WEB);
  const unfinished = { kind: "unknown", reason: "unfinished" } as const;
  world.owners.set(ask.local.port, [unfinished, unfinished, CURL]);
  world.runtime.onAsk(ask);
  assert.equal(world.engine.state(ask.row), "waiting");
  await world.clock.advance(100);
  assert.equal(world.engine.state(ask.row), "packet 1");

  const hopeless = world.engine.ask(WEB);
  world.owners.set(hopeless.local.port, [unfinished]);
  world.runtime.onAsk(hopeless);
  await world.clock.advance(1000);
  assert.equal(world.engine.state(hopeless.row), "drop");

  const ended = world.engine.ask(WEB);
  world.owners.set(ended.local.port, [unfinished]);
  world.runtime.onAsk(ended);
  world.runtime.onFlowEnded(ended.row, ended.generation);
  const asked = world.asked;
  await world.clock.advance(1000);
  assert.equal(world.asked, asked, "nobody waits for it");
  await world.runtime.stop();
});

Deno.test("client runtime: a program whose file is not known is nobody's namesake", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const hidden = ownedBy("/usr/bin/curl");
  assert.ok(hidden.kind === "process");
  const owner = {
    kind: "process",
    process: { ...hidden.process, path: undefined },
  } as const;
  assert.equal(world.engine.state(world.flow(owner, WEB)), "drop");
  assert.match(
    world.runtime.flows()[0].reason ?? "",
    /executable of its program/,
  );
  await world.runtime.stop();
});

Deno.test("client runtime: children follow, also of one whose parent has ended", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work")],
    ruleSet([{ ...rule("launcher", into("work")), children: true }]),
  ));
  await world.start(1);
  const child = ownedBy("/usr/bin/helper", {
    parents: ["/usr/bin/sh", "/opt/launcher"],
  });
  assert.equal(world.engine.state(world.flow(child, WEB)), "packet 1");
  await world.runtime.stop();
});

Deno.test("client runtime: our own flows go direct whatever the rules say, a probe's into its tunnel", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work")],
    ruleSet([], into("work")),
  ));
  await world.start(1);
  const own = ownedBy("/usr/bin/sluice", { id: OWN_PROCESS });
  assert.equal(world.engine.state(world.flow(own, WEB)), "direct");
  using _pin = world.runtime.ownFlows.pin(
    { protocol: Protocol.Udp, port: 5353 },
    "work",
  );
  const probe = { ...DATAGRAM, localPort: 5353 };
  assert.equal(world.engine.state(world.flow(own, probe)), "packet 1");
  assert.equal(
    world.engine.state(world.flow(ownedBy("/usr/bin/dig"), probe)),
    "packet 1",
    "by the default",
  );
  world.runtime.setTunnel("work", "down");
  assert.equal(world.engine.state(world.flow(own, WEB)), "direct");
  await world.runtime.stop();
});

Deno.test("client runtime: paused lets all go direct, and takes them back", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const row = world.flow(CURL, DATAGRAM);
  world.runtime.setMode("paused");
  await world.clock.advance(600_000);
  assert.equal(world.engine.state(row), "direct");
  assert.equal(world.engine.state(world.flow(undefined, WEB)), "direct");
  assert.equal(world.state("work"), "down");
  assert.equal(world.reason("work"), "the client is paused");
  assert.equal(world.runtime.status().mode, "paused");
  world.runtime.setMode("running");
  assert.equal(world.engine.state(row), "drop", "until the tunnel is up");
  await world.clock.advance(1000);
  assert.equal(world.engine.state(row), "packet 1");
  await world.runtime.stop();
});

Deno.test("client runtime: a reload settles anew only what has another verdict", async () => {
  const world = new ClientWorld(plan(
    [wireguard("work")],
    ruleSet([rule("curl", into("work"))]),
  ));
  await world.start(1);
  const web = world.flow(CURL, DATAGRAM);
  const game = world.flow(ownedBy("/usr/bin/game"), DATAGRAM);
  const chat = world.flow(ownedBy("/usr/bin/chat"), DATAGRAM);
  world.engine.take();
  const next = plan(
    [wireguard("work"), proxy("other")],
    ruleSet([
      rule("chat", into("other")),
      rule("curl", into("work")),
    ]),
  );
  const lines = world.runtime.reload(next);
  assert.deepEqual(world.engine.take(), [`settle ${chat} drop`]);
  assert.deepEqual(lines, [
    "tunnel other: added",
    "rules: 2 now",
    "flows with another verdict: 1",
  ]);
  await world.clock.advance(500);
  assert.deepEqual(
    [web, game, chat].map((row) => world.engine.state(row)),
    ["packet 1", "direct", "proxy 2"],
  );
  const shown = world.runtime.flows().find(({ id }) =>
    id.startsWith(`${web}.`)
  );
  assert.equal(shown?.by, "rule 2", "by its new number");
  assert.deepEqual(world.runtime.reload(next), []);
  await world.runtime.stop();
});

Deno.test("client runtime: a reload that takes a tunnel away moves its flows by the new rules", async () => {
  const world = new ClientWorld(curlPlan("allowDirect"));
  await world.start(1);
  const row = world.flow(CURL, DATAGRAM);
  world.engine.take();
  world.runtime.reload(plan(
    [wireguard("new", { host: "192.0.2.12" })],
    ruleSet([rule("curl", into("new"))]),
  ));
  await world.clock.advance(0);
  const calls = world.engine.take();
  assert.ok(
    !calls.includes(`settle ${row} direct`),
    "the old rules let it out",
  );
  assert.equal(calls.indexOf(`settle ${row} drop`), 0);
  assert.ok(calls.indexOf("detach 1") > 0);
  world.engine.answering.add(2);
  await world.clock.advance(5_000);
  assert.equal(
    world.engine.state(row),
    "packet 2",
    "its number was not given away",
  );
  await world.runtime.stop();
});

Deno.test("client runtime: a tunnel that changed connects anew under another number", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1, 2);
  const row = world.flow(CURL, DATAGRAM);
  world.engine.take();
  const changed = {
    ...curlPlan("block"),
    tunnels: [wireguard("work", { key: 9 })],
  };
  assert.deepEqual(world.runtime.reload(changed), [
    "tunnel work: changed, connects anew",
    "flows with another verdict: 1",
  ]);
  await world.clock.advance(500);
  assert.equal(world.engine.state(row), "packet 2");
  assert.ok(!world.engine.attached.has(1));
  await world.runtime.stop();
});

Deno.test("client runtime: a tunnel that is to be probed otherwise, or has other resolvers, stays connected", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const row = world.flow(CURL, DATAGRAM);
  world.engine.take();
  const target = words("10.66.0.1");
  const [before] = curlPlan("block").tunnels;
  const adjusted = {
    ...curlPlan("block"),
    tunnels: [wireguard("work", {
      dns: ["10.66.0.1"],
      probe: { kind: "ping", words: target },
    })],
  };
  assert.notDeepEqual(adjusted.tunnels[0], before);
  world.outcomes.set("work", {
    kind: "failed",
    cause: "beyond",
    text: "nobody there",
  });
  assert.deepEqual(world.runtime.reload(adjusted), [
    "tunnel work: health or dns changed, stays connected",
  ]);
  assert.equal(world.engine.state(row), "packet 1");
  assert.ok(world.engine.attached.has(1));
  await world.clock.advance(500);
  assert.equal(world.probes.at(-1)?.kind, "ping");
  assert.equal(world.state("work"), "degraded", "by the new plan");
  assert.deepEqual(world.engine.take(), []);
  await world.runtime.stop();
});

Deno.test("client runtime: explain tells what a flow would get, now and with the tunnel down", async () => {
  const world = new ClientWorld(curlPlan("allowDirect"));
  await world.start(1);
  world.flow(ownedBy("/usr/bin/curl", { id: 77 }), WEB);
  const question = {
    protocol: "tcp",
    address: "198.51.100.7",
    port: 443,
  } as const;
  const answer = world.runtime.explain({
    ...question,
    program: { kind: "process", processId: 77 },
  });
  assert.equal(answer.program, "/usr/bin/curl (ann)");
  assert.equal(answer.explanation.verdict.way, "tunnel");
  assert.equal(answer.explanation.ifDown?.way, "direct");
  const other = world.runtime.explain({
    ...question,
    program: {
      kind: "program",
      path: "/opt/game",
      user: "ann",
      ancestors: ["/usr/bin/curl"],
    },
  });
  assert.equal(other.explanation.verdict.way, "drop");
  assert.deepEqual(other.ancestors, ["/usr/bin/curl"]);
  const ended = { kind: "process", processId: 77 } as const;
  world.owners.clear();
  assert.equal(
    world.runtime.explain({ ...question, program: ended }).program,
    "/usr/bin/curl (ann)",
    "its flow is there still",
  );
  assert.throws(
    () =>
      world.runtime.explain({
        ...question,
        program: { kind: "process", processId: 78 },
      }),
    ClientPortError,
  );
  await world.runtime.stop();
});

Deno.test("client runtime: status counts flows and what tunnels carry", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  world.flow(CURL, WEB);
  world.flow(CURL, WEB);
  world.flow(undefined, WEB);
  world.engine.ask(WEB);
  const status = world.runtime.status();
  assert.deepEqual(status.flows, {
    total: 4,
    direct: 0,
    tunnelled: 2,
    dropped: 1,
    waiting: 1,
  });
  const [work] = status.tunnels;
  assert.equal(work.state, "up");
  assert.equal(work.flows, 2);
  assert.deepEqual(work.addresses, ["10.66.0.2/32"]);
  assert.equal(status.egress4, "eth0");
  assert.equal(status.egress6, undefined);
  await world.runtime.stop();
});

Deno.test("client runtime: a flow that ended is forgotten, its row's next one judged for itself", async () => {
  const world = new ClientWorld(curlPlan("block"));
  await world.start(1);
  const ask = world.engine.ask(WEB);
  world.owners.set(ask.local.port, [CURL]);
  world.runtime.onAsk(ask);
  const stale = ask.generation - 1;
  world.runtime.onFlowEnded(ask.row, stale);
  assert.equal(world.runtime.flows()[0].program?.name, "curl");
  world.runtime.onFlowEnded(ask.row, ask.generation);
  assert.equal(world.runtime.flows()[0].program, undefined);
  await world.runtime.stop();
});

/** What the packet side would have to have, by the plain way. */
function wanted(
  rules: RuleSet,
  world: ClientWorld,
  owner: string,
): string {
  const tunnels = new Map(
    world.runtime.status().tunnels.map(({ name, state }) => [name, {
      state: state as TunnelState,
      carries: {
        ipv4: true,
        ipv6: false,
        tcp: true,
        udp: true,
        icmp: true,
        other: false,
      },
    }]),
  );
  const { verdict } = explain(
    new RuleEngine(rules, { style: "posix" }),
    {
      protocol: Protocol.Udp,
      words: Int32Array.of(0, 0, 0xffff, 0xc633_6407 | 0),
      port: 443,
      names: [],
      owner: { path: `/bin/${owner}`, name: owner, user: "ann", ancestors: [] },
      fragment: "none",
    },
    tunnels,
  );
  return verdict.way === "tunnel" ? verdict.tunnel : verdict.way;
}

Deno.test("client runtime: after whatever happened each flow goes where the rules say then", async () => {
  const programs = ["a", "b", "c"];
  const names = ["one", "two"];
  const fallbacks: Fallback[] = ["allowDirect", "block", "drop", "nextRule"];
  const action: fc.Arbitrary<RuleAction> = fc.oneof(
    fc.constantFrom<RuleAction>({ kind: "direct" }, { kind: "drop" }),
    fc.tuple(fc.constantFrom(...names), fc.constantFrom(...fallbacks))
      .map(([name, fallback]) => into(name, fallback)),
  );
  const rules: fc.Arbitrary<Rule[]> = fc.array(
    fc.tuple(fc.constantFrom(...programs), action).map(([name, a]) =>
      rule(name, a)
    ),
    { maxLength: 5 },
  );
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("flow" as const),
      by: fc.constantFrom(...programs),
    }),
    fc.record({
      kind: fc.constant("switch" as const),
      name: fc.constantFrom(...names),
      to: fc.constantFrom("up" as const, "down" as const),
    }),
    fc.record({
      kind: fc.constant("answers" as const),
      outbound: fc.constantFrom(1, 2),
      does: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant("time" as const),
      ms: fc.integer({ min: 0, max: 20_000 }),
    }),
    fc.record({ kind: fc.constant("reload" as const), rules, last: action }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (steps) => {
        const tunnels = [
          wireguard("one"),
          wireguard("two", { host: "192.0.2.11" }),
        ];
        let set = ruleSet([
          rule("a", into("one", "nextRule")),
          rule("a", into("two")),
        ]);
        const world = new ClientWorld(plan(tunnels, set));
        await world.start(1, 2);
        const flows = new Map<number, string>();
        for (const item of steps) {
          switch (item.kind) {
            case "flow":
              flows.set(
                world.flow(ownedBy(`/bin/${item.by}`), DATAGRAM),
                item.by,
              );
              break;
            case "switch":
              world.runtime.setTunnel(item.name, item.to);
              break;
            case "answers":
              if (item.does) world.engine.answering.add(item.outbound);
              else {
                world.engine.answering.delete(item.outbound);
                world.engine.setStatus(item.outbound, { lastHandshakeAt: 1 });
              }
              break;
            case "time":
              await world.clock.advance(item.ms);
              break;
            case "reload":
              set = ruleSet(item.rules, item.last);
              world.runtime.reload(plan(tunnels, set));
              break;
          }
          for (const [row, owner] of flows) {
            const name = wanted(set, world, owner);
            const index = names.indexOf(name);
            assert.equal(
              world.engine.state(row),
              index < 0 ? name : `packet ${index + 1}`,
              `${owner} after ${JSON.stringify(item)}`,
            );
          }
        }
        await world.runtime.stop();
        await world.clock.advance(200); // a probe under way notices
        assert.equal(world.clock.pending, 0);
      },
    ),
    { numRuns: 60, seed: 7 },
  );
});
