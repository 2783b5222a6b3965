/**
 * The kill switch on the real kernel: `nft` reads what we wrote, and a capture
 * on the other side sees what leaves.
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { KillSwitchError } from "../../../../src/io/ports.ts";
import { openJournal } from "../../../../src/io/os/linux/journal.ts";
import { openKillSwitch } from "../../../../src/io/os/linux/kill_switch.ts";
import { Capture } from "../../../support/capture.ts";
import { e2eTest } from "../../../support/e2e.ts";
import type { Lab, Namespace } from "../../../support/lab.ts";
import { missingForLab } from "../../../support/privileges.ts";
import { runCommand } from "../../../support/process.ts";
import { SplitTunnelEnd } from "./split_tunnel_end.ts";
import { MARK, type PolicyText } from "./split_tunnel_program.ts";

const SHUT: PolicyText = {
  captureInterfaces: [],
  networks: [],
  networkDns: "drop",
  dhcp: "drop",
  answers: "drop",
  answeredPorts: [],
  forwarded: "drop",
  afterCrash: "go",
};

const needs = [
  "root",
  { program: "nft" },
  { program: "tcpdump" },
] as const;

/** A kernel without nf_tables is no fault of ours, also in CI. */
const noNftables = await missingForLab(needs) === undefined
  ? await whyNoNftables()
  : undefined;

async function whyNoNftables(): Promise<string | undefined> {
  const command = ["unshare", "--net", "nft", "add", "table", "inet", "probe"];
  const { code, stderr } = await runCommand(command, { exit: "any" });
  return code === 0
    ? undefined
    : `no nf_tables: ${stderr.trim().split("\n")[0]}`;
}

async function filterTest(
  name: string,
  run: (lab: Lab) => Promise<void>,
): Promise<void> {
  if (noNftables === undefined) return await e2eTest({ name, needs, run });
  Deno.test({
    name: `${name} (skipped: ${noNftables})`,
    ignore: true,
    fn: () => {},
  });
}

/** A host and, over one link, all that is outside. */
async function pair(lab: Lab) {
  const host = await lab.namespace("host");
  const outside = await lab.namespace("outside");
  await lab.link(
    {
      namespace: host,
      name: "eth0",
      addresses: ["192.0.2.1/24", "2001:db8::1/64"],
    },
    {
      namespace: outside,
      name: "peer0",
      addresses: ["192.0.2.2/24", "2001:db8::2/64"],
    },
  );
  await host.ip("route add default via 192.0.2.2");
  await outside.ip("route add default via 192.0.2.1");
  const end = await SplitTunnelEnd.start(host, `${lab.directory}/journal`);
  return { host, outside, end };
}

async function ruleset(namespace: Namespace): Promise<string> {
  const { stdout } = await namespace.run(["nft", "list", "ruleset"]);
  return stdout;
}

/** The lines of a chain. */
function chainOf(text: string, name: string): string[] {
  const [, body = ""] = text.match(
    new RegExp(`chain ${name} \\{\\n([^}]*)\\n\\t\\}`),
  ) ?? [];
  return body.split("\n").map((line) => line.trim()).slice(1);
}

/** Which of the texts are in the packets. */
function seen(packets: readonly { bytes: Uint8Array }[], texts: string[]) {
  const all = packets.map(({ bytes }) =>
    new TextDecoder("latin1").decode(bytes)
  );
  return texts.filter((text) => all.some((packet) => packet.includes(text)));
}

await filterTest("nft reads every rule as it was meant", async (lab) => {
  const { host, end } = await pair(lab);
  await end.call("engage", {
    policy: {
      captureInterfaces: ["sluice0", "a-name-of-15-by"],
      networks: [
        "10.0.0.0/8",
        "192.168.1.7/32",
        "172.16.0.0/12",
        "fe80::/10",
        "fd00:1::/33",
      ],
      networkDns: "drop",
      dhcp: "pass",
      answers: "pass",
      answeredPorts: [22, 2222],
      forwarded: "drop",
      afterCrash: "stay",
    },
  });
  const networks = [
    "ct state established ct direction reply accept",
    "udp dport 53 counter packets 0 bytes 0 drop",
    "tcp dport 53 counter packets 0 bytes 0 drop",
    "ip daddr 10.0.0.0/8 accept",
    "ip daddr 192.168.1.7 accept",
    "ip daddr 172.16.0.0/12 accept",
    "ip6 daddr fe80::/10 accept",
    "ip6 daddr fd00:1::/33 accept",
    "counter packets 0 bytes 0 drop",
  ];
  const text = await ruleset(host);
  const first = text.split("\n").slice(0, 4).join("\n");
  assert.match(first, /^table inet sluice \{\n\tchain output \{\n/);
  assert.match(
    text,
    /type filter hook output priority (filter|0); policy drop;/,
  );
  assert.deepEqual(chainOf(text, "output"), [
    "meta mark 0x00000051 accept",
    'oifname "lo" accept',
    'oifname "sluice0" accept',
    'oifname "a-name-of-15-by" accept',
    "icmpv6 type nd-router-solicit accept",
    "icmpv6 type nd-neighbor-solicit accept",
    "icmpv6 type nd-neighbor-advert accept",
    "icmpv6 type mld-listener-report accept",
    "icmpv6 type mld-listener-done accept",
    "icmpv6 type mld2-listener-report accept",
    "meta nfproto ipv4 udp sport 68 udp dport 67 accept",
    "meta nfproto ipv6 udp sport 546 udp dport 547 accept",
    ...networks,
  ]);
  assert.match(text, /type route hook output priority (mangle|-150); policy a/);
  assert.deepEqual(
    chainOf(text, "answers").map((line) =>
      line.replace("flags & (syn | ack) == syn", "flags syn / syn,ack")
    ),
    ["22", "2222"].flatMap((port) => [
      `tcp sport ${port} tcp flags syn / syn,ack ` +
      "ct mark set 0x00000051 accept",
      `tcp sport ${port} ct mark != 0x00000051 ` +
      "meta mark set 0x00000051 accept",
    ]),
  );
  assert.deepEqual(chainOf(text, "forward"), [
    'oifname "sluice0" accept',
    'oifname "a-name-of-15-by" accept',
    'iifname "sluice0" accept',
    'iifname "a-name-of-15-by" accept',
    ...networks,
  ]);
  await end.call("lift");
  assert.equal(await ruleset(host), "");
});

await filterTest(
  "only what the policy lets through reaches the other side",
  async (lab) => {
    const { host, outside, end } = await pair(lab);
    await host.ip(
      "link add cap0 type veth peer name cap1",
      "link set cap1 up",
      "link set cap0 up",
      "route add 198.51.100.0/24 dev cap0",
    );
    const capture = await Capture.start(outside, "peer0");
    const send = async (text: string, to: string, more = {}) =>
      (await end.call("send", { to, text, ...more })).sent;
    await end.call("engage", { policy: SHUT });
    assert.equal(await send("plain-4", "192.0.2.2:9000"), false);
    assert.equal(await send("plain-6", "[2001:db8::2]:9000"), false);
    assert.equal(
      await send("marked-4", "192.0.2.2:9000", { mark: MARK }),
      true,
    );
    assert.equal(
      await send("marked-6", "[2001:db8::2]:9000", { mark: MARK }),
      true,
    );
    assert.equal(
      await send("other-mark", "192.0.2.2:9000", { mark: 1 }),
      false,
    );
    assert.equal(await send("home", "127.0.0.1:9000"), true);
    assert.equal(
      await send("dhcp-shut", "192.0.2.2:67", { from: "0.0.0.0:68" }),
      false,
    );
    assert.equal(await send("captured-shut", "198.51.100.1:9000"), false);

    await end.call("engage", {
      policy: {
        ...SHUT,
        captureInterfaces: ["cap0"],
        networks: ["192.0.2.0/30", "2001:db8::/64"],
        dhcp: "pass",
      },
    });
    assert.equal(await send("lan-4", "192.0.2.2:9000"), true);
    assert.equal(await send("lan-6", "[2001:db8::2]:9000"), true);
    assert.equal(await send("lan-dns", "192.0.2.2:53"), false);
    assert.equal(await send("beyond", "192.0.2.4:9000"), false);
    assert.equal(await send("far", "203.0.113.1:9000"), false);
    assert.equal(
      await send("dhcp-open", "192.0.2.2:67", { from: "0.0.0.0:68" }),
      true,
    );
    assert.equal(await send("captured-open", "198.51.100.1:9000"), true);
    const state = await end.call("state") as {
      dropped: { packets: number };
    };
    assert.equal(state.dropped.packets, 3);

    await end.call("engage", {
      policy: { ...SHUT, networks: ["0.0.0.0/0"], networkDns: "pass" },
    });
    assert.equal(await send("all-dns", "192.0.2.2:53"), true);
    assert.equal(await send("all-6", "[2001:db8::2]:9000"), false);
    await end.call("lift");
    assert.equal(await send("lifted", "192.0.2.2:9000"), true);

    const left = [
      "marked-4",
      "marked-6",
      "lan-4",
      "lan-6",
      "dhcp-open",
      "all-dns",
      "lifted",
    ];
    const kept = [
      ...[
        "plain-4",
        "plain-6",
        "other-mark",
        "home",
        "dhcp-shut",
        "captured-shut",
      ],
      ...["lan-dns", "beyond", "far", "captured-open", "all-6"],
    ];
    assert.deepEqual(seen(await capture.stop(), [...left, ...kept]), left);
  },
);

await filterTest(
  "answers within connections from outside, and what is forwarded",
  async (lab) => {
    const { host, outside, end } = await pair(lab);
    const inner = await lab.namespace("inner");
    await lab.link(
      { namespace: inner, name: "c0", addresses: ["10.9.0.2/24"] },
      { namespace: host, name: "br0", addresses: ["10.9.0.1/24"] },
    );
    await inner.ip("route add default via 10.9.0.1");
    await host.sysctl("net.ipv4.ip_forward", 1);
    const far = await SplitTunnelEnd.start(outside, `${lab.directory}/far`);
    const near = await SplitTunnelEnd.start(inner, `${lab.directory}/near`);
    await end.call("echo", { at: "192.0.2.1:7" });
    await far.call("echo", { at: "192.0.2.2:7" });
    const asks = async (from: SplitTunnelEnd, to: string, waitMs = 3000) =>
      (await from.call("send", { to, text: "hello", waitMs })).answer;
    assert.equal(await asks(near, "192.0.2.2:7"), "hello");

    await end.call("engage", { policy: SHUT });
    assert.equal(await asks(far, "192.0.2.1:7", 300), undefined);
    assert.equal(await asks(near, "192.0.2.2:7", 300), undefined);
    await end.call("engage", { policy: { ...SHUT, answers: "pass" } });
    assert.equal(await asks(far, "192.0.2.1:7"), "hello");
    assert.equal(await asks(near, "192.0.2.2:7", 300), undefined);
    // Ours is the first packet of this one: it is no answer.
    assert.equal(await asks(end, "192.0.2.2:7", 300), undefined);
    await end.call("engage", { policy: { ...SHUT, forwarded: "pass" } });
    assert.equal(await asks(near, "192.0.2.2:7"), "hello");
  },
);

await filterTest(
  "after a kill: what shall go is gone, what shall stay is there",
  async (lab) => {
    const { host, end } = await pair(lab);
    await end.call("engage", { policy: SHUT });
    assert.match(await ruleset(host), /flags owner/);
    await end.kill();
    assert.equal(await ruleset(host), "");

    const journal = `${lab.directory}/journal`;
    const second = await SplitTunnelEnd.start(host, journal);
    assert.deepEqual(await second.call("recover"), []);
    await second.call("engage", { policy: { ...SHUT, afterCrash: "stay" } });
    await second.kill();
    const left = await ruleset(host);
    assert.match(left, /policy drop/);

    const third = await SplitTunnelEnd.start(host, journal);
    assert.deepEqual(await third.call("recover"), []);
    assert.equal(await ruleset(host), left, "recovering leaves it shut");
    const state = await third.call("state") as { kind: string; by: string };
    assert.deepEqual([state.kind, state.by], ["on", "other"]);
    // Taken over: at no moment is there none (one batch), then it goes with us.
    await third.call("engage", { policy: SHUT });
    assert.match(await ruleset(host), /flags owner/);
    await third.call("lift");
    await third.call("engage", { policy: { ...SHUT, afterCrash: "stay" } });
    await third.kill();
    // What «reset» does: a process that never engaged it lifts it.
    const fourth = await SplitTunnelEnd.start(host, journal);
    await fourth.call("lift");
    assert.equal(await ruleset(host), "");
  },
);

await filterTest(
  "where the kernel does not remove it, the next start does, and only that one",
  async (lab) => {
    const { host, end } = await pair(lab);
    const journal = `${lab.directory}/journal`;
    await end.call("engage", { policy: SHUT, removal: "journal" });
    await end.kill();
    assert.match(await ruleset(host), /policy drop/);
    const next = await SplitTunnelEnd.start(host, journal);
    const [line, ...more] = await next.call("recover");
    assert.match(line, /^lifted the kill switch, left by process \d+$/);
    assert.deepEqual(more, []);
    assert.equal(await ruleset(host), "");

    await next.call("engage", { policy: SHUT, removal: "journal" });
    await next.kill();
    // Another one has engaged it meanwhile: it isn't the dead one's any more.
    const other = await SplitTunnelEnd.start(
      host,
      `${lab.directory}/elsewhere`,
    );
    await other.call("engage", { policy: { ...SHUT, afterCrash: "stay" } });
    const late = await SplitTunnelEnd.start(host, journal);
    assert.deepEqual(await late.call("recover"), []);
    assert.match(await ruleset(host), /policy drop/);
    await other.call("lift");
  },
);

await filterTest(
  "two at once: the second is told, the first stays",
  async (lab) => {
    const { host, end } = await pair(lab);
    await end.call("engage", { policy: SHUT });
    const before = await ruleset(host);
    const second = await SplitTunnelEnd.start(host, `${lab.directory}/second`);
    for (
      const attempt of [
        () => second.call("engage", { policy: SHUT }),
        () => second.call("lift"),
      ]
    ) {
      await assert.rejects(attempt, /another sluice holds the kill switch/);
    }
    assert.equal(await ruleset(host), before);
  },
);

Deno.test({
  name:
    "a kernel without nf_tables, and one without privilege: what to do is said",
  ignore: Deno.build.os !== "linux",
  fn() {
    using libc = openLibc();
    const journal = openJournal({ directories: [] });
    const failing = (errno: number) => ({
      ...libc,
      errno: () => errno,
      call: { ...libc.call, socket: () => -1, sendto: () => -1 },
      error: (call: string) => libc.error(call, errno),
    });
    assert.throws(
      () => openKillSwitch({ libc: failing(93), journal, mark: MARK }),
      (error) =>
        error instanceof KillSwitchError && error.problem === "unsupported" &&
        /modprobe nf_tables/.test(error.message),
    );
    assert.throws(
      () => openKillSwitch({ libc: failing(1), journal, mark: MARK }),
      (error) =>
        error instanceof KillSwitchError && error.problem === "denied" &&
        /needs root/.test(error.message),
    );
    assert.throws(
      () => openKillSwitch({ libc, journal, mark: 0 }),
      RangeError,
    );
  },
});
