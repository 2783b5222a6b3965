/** Rules and a table of our own: bytes by hand, and what the kernel makes of them. */
import assert from "node:assert/strict";
import { parsePrefix } from "../../../../src/core/wire/address.ts";
import type { RoutingRule } from "../../../../src/io/ports.ts";
import {
  Flag,
  parseMessages,
} from "../../../../src/io/os/linux/netlink_message.ts";
import {
  parseRule,
  parseTableRoute,
  PolicyMessage,
  ruleRequest,
  sameRule,
  tableRouteRequest,
} from "../../../../src/io/os/linux/policy_entities.ts";
import { e2eTest } from "../../../support/e2e.ts";
import type { Lab, Namespace } from "../../../support/lab.ts";
import { hex } from "./hex.ts";
import { SplitTunnelEnd } from "./split_tunnel_end.ts";
import { MARK } from "./split_tunnel_program.ts";

const TABLE = 5183;
const ADD = Flag.Request | Flag.Acknowledge | Flag.Create | Flag.Exclusive;

Deno.test("RTM_NEWRULE as ip(8) sends it, with our protocol", () => {
  const rule = {
    family: 6,
    priority: 5300,
    mark: { value: 0x51, mask: 0xff, except: true },
    table: TABLE,
  } as const;
  assert.deepEqual(
    ruleRequest(PolicyMessage.NewRule, rule, ADD).finish(7),
    hex(`
      44000000 2000 0506 07000000 00000000
      0a 00 00 00 00 00 00 01 02000000      # AF_INET6, to a table, inverted
      0800 0600 b4140000                    # FRA_PRIORITY
      0800 0f00 3f140000                    # FRA_TABLE
      0500 1500 53 000000                   # FRA_PROTOCOL
      0800 0a00 51000000                    # FRA_FWMARK
      0800 1000 ff000000                    # FRA_FWMASK`),
  );
});

Deno.test("RTM_NEWROUTE of a refusal in a table of a large number", () => {
  const { words, length } = parsePrefix("0.0.0.0/0")!;
  const route = {
    family: 4,
    words,
    prefixLength: length,
    table: TABLE,
    way: { kind: "unreachable" },
    metric: 9,
  } as const;
  assert.deepEqual(
    tableRouteRequest(PolicyMessage.NewRoute, route, ADD).finish(1),
    hex(`
      2c000000 1800 0506 01000000 00000000
      02 00 00 00 00 53 00 07 00000000      # AF_INET, /0, unspecified table, unreachable
      0800 0f00 3f140000                    # RTA_TABLE
      0800 0600 09000000                    # RTA_PRIORITY`),
  );
});

Deno.test("what is written reads the same; cut messages are none or less", () => {
  const rules: RoutingRule[] = [
    { family: 4, priority: 1, table: "main", suppressPrefixLength: 0 },
    { family: 6, priority: 2, table: 77, mark: { value: 1 } },
    { family: 4, priority: 3, table: 77, mark: { value: 1, except: true } },
  ];
  for (const rule of rules) {
    const bytes = ruleRequest(PolicyMessage.NewRule, rule, 0).finish(1);
    const [message] = parseMessages(bytes).messages;
    const read = parseRule(message)!;
    assert.ok(sameRule(read, rule));
    assert.equal(read.protocol, 83);
    for (const other of rules) {
      assert.equal(sameRule(read, other), other === rule);
    }
    for (let length = 0; length < message.body.length; length++) {
      const body = message.body.subarray(0, length);
      const cut = parseRule({ ...message, body });
      if (length < 12) assert.equal(cut, undefined);
      parseTableRoute({ ...message, type: 24, body });
    }
  }
});

/** What `ip` says of our part, a line each. */
async function ours(namespace: Namespace): Promise<string[]> {
  const lines: string[] = [];
  for (const family of ["-4", "-6"]) {
    for (const what of ["rule show", `route show table ${TABLE}`]) {
      const { stdout } = await namespace.run(
        ["ip", family, ...what.split(" ")],
        { exit: "any" },
      );
      lines.push(...stdout.split("\n").map((line) => line.trim()));
    }
  }
  return lines.filter((line) => /proto (83|0x53)|\b5[0-9]{3}:/.test(line));
}

/** Everything that routing is made of, as text. */
async function everything(namespace: Namespace): Promise<string> {
  const texts: string[] = [];
  for (const family of ["-4", "-6"]) {
    for (const what of ["rule show", "route show table all"]) {
      const { stdout } = await namespace.run([
        "ip",
        family,
        ...what.split(" "),
      ]);
      texts.push(stdout);
    }
  }
  return texts.join("\n").replaceAll(/ (expires|pref) \S+/g, "");
}

const RULES: RoutingRule[] = ([4, 6] as const).flatMap((family) => [
  { family, priority: 5100, table: "main", suppressPrefixLength: 0 },
  {
    family,
    priority: 5200,
    table: TABLE,
    mark: { value: MARK, except: true },
  },
]);

/** A host with a link outside, and one that takes what is captured. */
async function host(lab: Lab) {
  const namespace = await lab.namespace("host");
  const outside = await lab.namespace("outside");
  await lab.link(
    {
      namespace,
      name: "eth0",
      addresses: ["192.0.2.1/24", "2001:db8::1/64"],
    },
    {
      namespace: outside,
      name: "peer0",
      addresses: ["192.0.2.2/24", "2001:db8::2/64", "198.51.100.1/32"],
    },
  );
  await namespace.ip(
    "link add cap0 type veth peer name cap1",
    "link set cap1 up",
    "link set cap0 up",
    "address add 10.77.0.1/32 dev cap0",
    "address add fd77::1/128 dev cap0 nodad",
    "route add default via 192.0.2.2 dev eth0",
    "route add default via 2001:db8::2 dev eth0",
  );
  const end = await SplitTunnelEnd.start(namespace, `${lab.directory}/journal`);
  return { namespace, outside, end };
}

async function wayTo(
  namespace: Namespace,
  to: string,
  mark = 0,
): Promise<string> {
  const { stdout } = await namespace.run([
    "ip",
    "route",
    "get",
    to,
    "mark",
    String(mark),
  ], { exit: "any" });
  return stdout.match(/ dev (\S+)/)?.[1] ?? "none";
}

const THROUGH_CAPTURE = [
  { prefix: "0.0.0.0/0", through: "cap0" },
  { prefix: "::/0", through: "cap0" },
];

await e2eTest({
  name:
    "unmarked packets ask our table, marked ones and the local network the main one",
  needs: [],
  async run(lab) {
    const { namespace, end } = await host(lab);
    const before = await everything(namespace);
    const apply = (routes = THROUGH_CAPTURE) =>
      end.call("route", { table: TABLE, routes, rules: RULES });
    assert.deepEqual(await apply(), []);
    const applied = await ours(namespace);
    assert.equal(applied.length, 6, applied.join("\n"));
    assert.deepEqual(
      [
        await wayTo(namespace, "198.51.100.1"),
        await wayTo(namespace, "198.51.100.1", MARK),
        await wayTo(namespace, "192.0.2.2"),
        await wayTo(namespace, "2001:db8:9::1"),
        await wayTo(namespace, "2001:db8:9::1", MARK),
        await wayTo(namespace, "2001:db8::2"),
      ],
      ["cap0", "eth0", "eth0", "cap0", "eth0", "eth0"],
    );
    // Twice is once.
    await apply();
    assert.deepEqual(await ours(namespace), applied);
    // One family refused: it takes the other's place, nothing falls through.
    await apply([
      { prefix: "0.0.0.0/0", through: "cap0" },
      {
        prefix: "::/0",
      } as typeof THROUGH_CAPTURE[0],
    ]);
    assert.equal(await wayTo(namespace, "2001:db8:9::1"), "none");
    assert.equal(await wayTo(namespace, "198.51.100.1"), "cap0");
    // What is no longer wanted goes.
    await end.call("route", {
      table: TABLE,
      routes: [THROUGH_CAPTURE[0]],
      rules: RULES.filter(({ family }) => family === 4),
    });
    assert.equal(await wayTo(namespace, "2001:db8:9::1"), "eth0");
    assert.equal((await ours(namespace)).length, 3);
    await end.call("resetRoutes");
    assert.equal(await everything(namespace), before);
  },
});

await e2eTest({
  name:
    "after a kill the next start takes our rules and routes away, and no others",
  needs: [],
  async run(lab) {
    const { namespace, end } = await host(lab);
    await namespace.ip(`rule add priority 5200 fwmark 0x99 table ${TABLE}`);
    await namespace.run(
      "ip -6 rule add priority 5100 table main suppress_prefixlength 1"
        .split(" "),
    );
    const before = await everything(namespace);
    await end.call("route", {
      table: TABLE,
      routes: THROUGH_CAPTURE,
      rules: RULES,
    });
    await end.kill();
    assert.equal((await ours(namespace)).length, 8);
    const next = await SplitTunnelEnd.start(
      namespace,
      `${lab.directory}/journal`,
    );
    const lines = await next.call("recover");
    assert.deepEqual(lines.map((line) => line.replace(/, left.*/, "")), [
      "removed routing rule 5200 (IPv6)",
      "removed routing rule 5100 (IPv6)",
      "removed routing rule 5200 (IPv4)",
      "removed routing rule 5100 (IPv4)",
      `removed the routes of table ${TABLE}`,
    ]);
    assert.equal(await everything(namespace), before);
    assert.deepEqual(await next.call("recover"), []);
  },
});

await e2eTest({
  name: "a table that another program uses is refused, the system's too",
  needs: [],
  async run(lab) {
    const { namespace, end } = await host(lab);
    await namespace.ip(`route add 10.5.0.0/16 dev cap0 table ${TABLE}`);
    const before = await everything(namespace);
    const apply = (table: number) =>
      end.call("route", { table, routes: THROUGH_CAPTURE, rules: RULES });
    await assert.rejects(
      apply(TABLE),
      /routing table 5183 has a route of another program \(10\.5\.0\.0\/16\)/,
    );
    await assert.rejects(apply(254), /table 254 is the system's own/);
    assert.equal(await everything(namespace), before);
  },
});

await e2eTest({
  name:
    "a strict reverse path filter drops answers to our marked packets until it is loosened",
  needs: [],
  async run(lab) {
    const { namespace, outside, end } = await host(lab);
    const far = await SplitTunnelEnd.start(outside, `${lab.directory}/far`);
    await far.call("echo", { at: "198.51.100.1:7" });
    await namespace.sysctl("net.ipv4.conf.all.rp_filter", 1);
    await namespace.sysctl("net.ipv4.conf.eth0.rp_filter", 1);
    const asks = async (waitMs = 3000) =>
      (await end.call("send", {
        to: "198.51.100.1:7",
        text: "hello",
        mark: MARK,
        waitMs,
      })).answer;
    const filter = async () =>
      (await namespace.run(
        ["cat", "/proc/sys/net/ipv4/conf/eth0/rp_filter"],
      )).stdout.trim();
    assert.equal(await asks(), "hello", "without rules all is well");
    await end.call("route", {
      table: TABLE,
      routes: THROUGH_CAPTURE,
      rules: RULES,
    });
    assert.equal(await asks(300), undefined);
    // No mark comes back: this one changes nothing.
    await namespace.sysctl("net.ipv4.conf.all.src_valid_mark", 1);
    assert.equal(await asks(300), undefined);
    const loosened = await end.call("loosen", { interface: "eth0" });
    assert.deepEqual(loosened, { kind: "loosened", interface: "eth0" });
    assert.equal(await asks(), "hello");
    await end.kill();
    assert.equal(await filter(), "2");
    const next = await SplitTunnelEnd.start(
      namespace,
      `${lab.directory}/journal`,
    );
    const lines = await next.call("recover");
    assert.equal(lines.length, 6, lines.join("\n"));
    assert.equal(await filter(), "1");
  },
});
