import assert from "node:assert/strict";
import { join } from "node:path";
import { RuleEngine } from "../../src/core/route/rules/rule_engine.ts";
import { SAFE_POLICIES } from "../../src/core/route/rules/rule.ts";
import { formatAddress, formatPrefix } from "../../src/core/wire/address.ts";
import { formatKey } from "../../src/config/keys.ts";
import { loadClientConfig } from "../../src/config/load_client_config.ts";
import { formatProblem } from "../../src/config/problems.ts";
import {
  confText,
  type Files,
  inlineTunnel,
  parse,
  PRIVATE_KEY,
  problems,
  PROXY,
  PUBLIC_KEY,
  warnings,
} from "./client_text.ts";

Deno.test("a default is enough; everything else has a safe one", () => {
  const { config, warnings } = parse("default: direct\n");
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.tunnels, []);
  assert.deepEqual(config.rules, {
    rules: [],
    default: { kind: "direct" },
    policies: { ...SAFE_POLICIES, fragments: "follow" },
  });
  assert.deepEqual(config.killSwitch, {
    enabled: true,
    persist: false,
    allowLan: false,
    allowDhcp: true,
    allowInbound: [22],
  });
  assert.deepEqual(config.dns, {
    policy: "follow",
    direct: [],
    timeoutMs: 2000,
    shared: { programs: undefined, queries: "rules" },
    learned: {
      entries: 65_536,
      entriesPerProgram: 4096,
      minTtlMs: 300_000,
      maxTtlMs: 86_400_000,
    },
  });
  assert.deepEqual(config.capture, {
    mode: "auto",
    interfaceName: "sluice1",
    mtu: 1500,
    maxFlows: 65_536,
    maxHeldPackets: 4096,
    holdMs: 5000,
    tcpTimeoutMs: 7_440_000,
    udpTimeoutMs: 300_000,
  });
  assert.deepEqual(config.reconnect, { minDelayMs: 1000, maxDelayMs: 60_000 });
  assert.equal(config.controlSocket, undefined);
  assert.deepEqual(config.log, { level: "info" });
  assert.deepEqual(config.datapath, { crypto: "auto" });
});

Deno.test("tunnels of every kind", () => {
  const { config, files } = parse(
    `tunnels:
  - { name: home, type: wireguard, file: home.conf }
  - name: office
    type: amneziawg
    privateKey: ${PRIVATE_KEY}
    addresses: [10.9.0.2/32, "fd00:9::2/128"]
    mtu: 1380
    listenPort: 4000
    amnezia: { jc: 4, jmin: 10, jmax: 50 }
    dns: [9.9.9.9, "[2620:fe::fe]:54"]
    health: { interval: 5s, timeout: 500ms, degradedAfter: 2, downAfter: 4, target: "example.org:443" }
    peers:
      - publicKey: ${PUBLIC_KEY}
        endpoint: vpn.example.org:51820
        allowedIps: [10.0.0.0/8]
        persistentKeepalive: 25s
  - { name: a, type: socks5, url: "socks5://u:p%40@192.0.2.1:1080" }
  - { name: b, type: http, url: "https://proxy.example.org:443" }
default: office
`,
    { "home.conf": confText() },
  );
  assert.deepEqual(files, ["home.conf"]);
  const [home, office, a, b] = config.tunnels;
  assert.ok(home.kind === "wireguard" && office.kind === "wireguard");
  assert.deepEqual(home.interface.addresses.map(formatPrefix), ["10.8.0.2/24"]);
  assert.deepEqual(
    home.dns.map(({ words, port }) => [formatAddress(words), port]),
    [["10.8.0.1", 53]],
  );
  assert.deepEqual(home.health, {
    probe: { kind: "dns", server: home.dns[0], name: "example.com" },
    intervalMs: 30_000,
    timeoutMs: 5000,
    degradedAfter: 1,
    downAfter: 3,
  });
  assert.equal(office.type, "amneziawg");
  assert.equal(formatKey(office.interface.privateKey), PRIVATE_KEY);
  assert.equal(office.interface.amnezia?.Jc, 4);
  assert.equal(office.interface.mtu, 1380);
  assert.equal(office.interface.listenPort, 4000);
  const [peer] = office.peers;
  assert.equal(formatKey(peer.publicKey), PUBLIC_KEY);
  assert.deepEqual(peer.endpoint, { host: "vpn.example.org", port: 51820 });
  assert.deepEqual(peer.allowedIps.map(formatPrefix), ["10.0.0.0/8"]);
  assert.equal(peer.persistentKeepalive, 25);
  assert.deepEqual(
    office.dns.map(({ words, port }) => [formatAddress(words), port]),
    [["9.9.9.9", 53], ["2620:fe::fe", 54]],
  );
  assert.deepEqual(office.health.probe, {
    kind: "connect",
    target: { host: "example.org", port: 443 },
  });
  assert.ok(a.kind === "proxy" && b.kind === "proxy");
  assert.deepEqual(a.health.probe, { kind: "own" });
  assert.deepEqual(a.proxy, {
    kind: "socks5",
    host: "192.0.2.1",
    port: 1080,
    credentials: { user: "u", password: "p@" },
  });
  assert.equal(b.proxy.kind === "http" && b.proxy.transport, "tls");
});

Deno.test("rules arrive as the engine takes them", () => {
  const { config } = parse(`
tunnels: [${PROXY}]
rules:
  - process: firefox
    tunnel: proxy
  - process: [a, "b*"]
    directory: /opt/x
    path: ["/srv/**", '**/bin/*']
    user: [anna, 1000]
    children: true
    destination: [10.0.0.0/8, "2001:db8::1", Example.ORG., "*.Example.com"]
    ports: [443, 8000-8080, "53"]
    protocol: [tcp, udp]
    tunnel: proxy
    fallback: nextRule
  - { protocol: icmp, ports: 1, tunnel: drop }
default: proxy
unknownOwner: nextRule
fragments: follow
ipv6: direct
unsupported: fallback
`);
  const { rules, policies } = config.rules;
  assert.deepEqual(rules[0].processes, ["firefox"]);
  assert.deepEqual(rules[0].action, {
    kind: "tunnel",
    tunnel: "proxy",
    fallback: "block",
  });
  const { destinations, ...rest } = rules[1];
  assert.deepEqual(rest, {
    processes: ["a", "b*"],
    directories: ["/opt/x"],
    paths: ["/srv/**", "**/bin/*"],
    users: ["anna", "1000"],
    children: true,
    ports: [
      { first: 443, last: 443 },
      { first: 8000, last: 8080 },
      { first: 53, last: 53 },
    ],
    protocols: ["tcp", "udp"],
    action: { kind: "tunnel", tunnel: "proxy", fallback: "nextRule" },
  });
  assert.deepEqual(
    destinations?.map((item) =>
      item.kind === "prefix" ? formatPrefix(item.prefix) : item
    ),
    [
      "10.0.0.0/8",
      "2001:db8::1/128",
      { kind: "name", name: "example.org" },
      { kind: "below", name: "example.com" },
    ],
  );
  assert.deepEqual(config.rules.default, {
    kind: "tunnel",
    tunnel: "proxy",
    fallback: "block",
  });
  assert.deepEqual(policies, {
    unknownOwner: { kind: "nextRule" },
    fragments: "follow",
    ipv6: "direct",
    unsupported: "fallback",
  });
  // Compiles.
  new RuleEngine(config.rules, { style: "posix" });
});

/** What is wrong, the lines, and what is said, `client.yaml:` left out. */
const TABLE: [what: string, text: string, said: string[], files?: Files][] = [
  ["no default", "rules: []\n", ["1:1: default: is missing"]],
  ["no document", "", ["1:1: default: is missing"]],
  [
    "a list",
    "- a\n",
    ["1:1: must be a section with keys of its own, not a list"],
  ],
  ["YAML", "default: [\n", [
    "2:1: YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ]],
  ["a second default", "default: direct\ndefault: drop\n", [
    "2:1: YAML: Map keys must be unique",
  ]],
  ["a misspelt key", "defualt: direct\n", [
    "1:1: default: is missing",
    "1:1: defualt: unknown key; did you mean default?",
  ]],
  [
    "a misspelt key of a rule",
    "default: direct\nrules:\n  - proces: x\n    tunnel: drop\n",
    ["3:5: rules[0].proces: unknown key; did you mean process?"],
  ],
  [
    "a misspelt key of a section",
    "default: direct\nkillSwitch:\n  allowlan: true\n",
    ["3:3: killSwitch.allowlan: unknown key; did you mean allowLan?"],
  ],
  [
    "a misspelt value",
    "default: direct\nipv6: dorp\n",
    [
      '2:7: ipv6: must be drop or direct or nextRule or fallback, not "dorp"; did you mean drop?',
    ],
  ],
  [
    "a misspelt fallback",
    `tunnels: [${PROXY}]\ndefault: direct\nrules:\n  - tunnel: proxy\n    fallback: allow_direct\n`,
    [
      '5:15: rules[0].fallback: must be allowDirect or block or drop or nextRule, not "allow_direct"; did you mean allowDirect?',
    ],
  ],
  [
    "an unknown tunnel in a rule",
    `tunnels: [${PROXY}]\ndefault: direct\nrules:\n  - process: x\n    tunnel: porxy\n`,
    ['5:13: rules[0].tunnel: unknown tunnel "porxy"; did you mean proxy?'],
  ],
  ["an unknown default", "default: vpn\n", [
    '1:10: default: unknown tunnel "vpn"; known are direct, drop',
  ]],
  ["an unknown unknownOwner", "default: drop\nunknownOwner: nextrule\n", [
    '2:15: unknownOwner: unknown tunnel "nextrule"; did you mean nextRule?',
  ]],
  [
    "a conflicting default",
    `tunnels: [${PROXY}]\nrules:\n  - process: a\n    tunnel: direct\n  - tunnel: proxy\ndefault: direct\n`,
    [
      "6:10: default: conflicts with rules[1], which has no condition and sends everything to proxy: the default would never be asked; remove one of them",
    ],
  ],
  [
    "a name twice, a name with a meaning",
    `default: direct\ntunnels:\n  - ${PROXY}\n  - ${PROXY}\n  - { name: drop, type: http, url: "http://127.0.0.1:3128" }\n`,
    [
      '4:13: tunnels[1].name: "proxy" is the name of tunnels[0] already',
      '5:13: tunnels[2].name: "drop" has a meaning of its own in rules',
    ],
  ],
  [
    "two tunnels with one address",
    `default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n  - ${
      inlineTunnel("b", { address: "10.8.0.2/32" })
    }\n  - { name: c, type: wireguard, file: c.conf }\n`,
    [
      '4:103: tunnels[1].addresses[0]: 10.8.0.2 is the address of tunnel "a" as well; each needs its own',
      '5:39: tunnels[2].file: 10.8.0.2 is the address of tunnel "a" as well; each needs its own',
    ],
    { "a.conf": confText(), "c.conf": confText() },
  ],
  [
    "a .conf file that is not there",
    "default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n",
    ["3:39: tunnels[0].file: a.conf does not exist"],
  ],
  [
    "an unreadable .conf file, at its own places, and the rest besides",
    "tunnels:\n  - { name: a, type: wireguard, file: a.conf }\ndefault: b\n",
    [
      '3:10: default: unknown tunnel "b"; did you mean a?',
      "a.conf:5:1: PublicKey: is missing in [Peer]",
      "a.conf:6:12: PublicKy: unknown key; did you mean PublicKey?",
    ],
    { "a.conf": confText().replace("PublicKey", "PublicKy") },
  ],
  [
    "a .conf file of AmneziaWG as WireGuard",
    "default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n",
    [
      "3:22: tunnels[0].type: must be amneziawg: the tunnel has AmneziaWG's parameters",
    ],
    { "a.conf": confText({ more: "Jc = 4\nJmin = 10\nJmax = 50\n" }) },
  ],
  [
    "a .conf file of a server",
    "default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n",
    [
      "3:39: tunnels[0].file: has no endpoint: a client must know where to connect to",
    ],
    { "a.conf": confText().replace(/Endpoint.*\n/, "") },
  ],
  [
    "keys of another type",
    `default: direct\ntunnels:\n  - { name: a, type: socks5, url: "127.0.0.1:1", mtu: 1400 }\n  - { name: b, type: wireguard, file: b.conf, url: "x", mtu: 1400 }\n`,
    [
      "3:55: tunnels[0].mtu: is for wireguard and amneziawg, this tunnel is socks5",
      "4:52: tunnels[1].url: is for socks5 and http, this tunnel is wireguard",
      "4:62: tunnels[1].mtu: can't stand beside file; it is said there",
    ],
    { "b.conf": confText() },
  ],
  [
    "what a tunnel needs",
    `default: direct\ntunnels:\n  - { name: a, type: http }\n  - { name: b, type: wireguard }\n  - { name: c, type: amneziawg, addresses: [10.0.0.1/32] }\n`,
    [
      "3:5: tunnels[0]: needs url, such as http://127.0.0.1:1080",
      "4:5: tunnels[1]: needs file, or privateKey, addresses and peers",
      "5:5: tunnels[2]: needs privateKey and peers",
    ],
  ],
  [
    "a proxy of another type, or none",
    `default: direct\ntunnels:\n  - { name: a, type: http, url: "socks5://u:secret@127.0.0.1:1080" }\n  - { name: b, type: socks5, url: "direct://" }\n  - { name: c, type: socks5, url: "socks5://x:secret@host:99999" }\n`,
    [
      "3:33: tunnels[0].url: is a proxy of type socks5, not http",
      "4:35: tunnels[1].url: names no proxy; rules know direct by itself",
      "5:35: tunnels[2].url: port 99999 is out of range: write one from 1 to 65535",
    ],
  ],
  [
    "values of rules, each in its place",
    `default: direct
rules:
  - process: [ok, /usr/bin/x]
    directory: opt
    path: [bin/x, /opt/x/]
    destination: [10.0.0.0/33, "1.2.3.4:443", "*.*.org", ok.org]
    ports: [0, 80-70, 443, x]
    tunnel: drop
  - { directory: /opt/*, process: "", tunnel: drop }
`,
    [
      '3:19: rules[0].process[1]: "/usr/bin/x" is a path: write it under path or directory',
      '4:16: rules[0].directory: "opt" is no whole path: write it from / or the drive on',
      '5:12: rules[0].path[0]: "bin/x" is no whole path: write it from / or the drive on, or begin with **/',
      '5:19: rules[0].path[1]: "/opt/x/" is a folder: write it under directory',
      '6:19: rules[0].destination[0]: "10.0.0.0/33" is not a destination: write 10.0.0.0/8, 2001:db8::1, example.org or *.example.org',
      '6:32: rules[0].destination[1]: "1.2.3.4:443" has a port: write that under ports',
      '6:47: rules[0].destination[2]: "*.*.org" is not a destination: write 10.0.0.0/8, 2001:db8::1, example.org or *.example.org',
      "7:13: rules[0].ports[0]: 0 is no port or range of ports: write 443 or 8000-8080, from 1 to 65535",
      '7:16: rules[0].ports[1]: "80-70" is no port or range of ports: write 443 or 8000-8080, from 1 to 65535',
      '7:28: rules[0].ports[3]: "x" is no port or range of ports: write 443 or 8000-8080, from 1 to 65535',
      '9:18: rules[1].directory: "/opt/*" is a pattern: write it under path, with /** at its end',
      '9:35: rules[1].process: "" is empty: write a file name',
    ],
  ],
  [
    "conditions of another form",
    "default: direct\nrules:\n  - process: { a: 1 }\n    user: []\n    protocol: tpc\n    tunnel: drop\n",
    [
      "3:5: rules[0].process: must be a text or a list of texts",
      "4:5: rules[0].user: needs at least one value",
      '5:15: rules[0].protocol: "tpc" is not valid: it must be tcp, udp or icmp, or a list of them',
    ],
  ],
  [
    "children of nobody, a fallback of nothing, no tunnel",
    "default: direct\nrules:\n  - user: a\n    children: true\n    tunnel: drop\n    fallback: block\n  - process: x\n",
    [
      "4:15: rules[0].children: needs process, path or directory: whose children?",
      "6:15: rules[0].fallback: is for tunnels: drop never falls",
      "7:5: rules[1].tunnel: is missing",
    ],
  ],
  [
    "a loop: the endpoint in the tunnel's own network",
    "default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n",
    [
      '3:39: tunnels[0].file: the endpoint 10.8.0.1 lies in the network of tunnel "a": a loop, a -> a',
    ],
    { "a.conf": confText({ endpoint: "10.8.0.1:51820" }) },
  ],
  [
    "a loop: a rule sends the endpoint into the tunnel",
    `default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\nrules:\n  - destination: [192.0.2.1, 203.0.113.7]\n    tunnel: a\n`,
    [
      '5:30: rules[0].destination[1]: sends 203.0.113.7, the endpoint of tunnel "a", into tunnel "a": a loop, a -> a',
    ],
    { "a.conf": confText() },
  ],
  [
    "a loop over two tunnels",
    `default: direct\ntunnels:\n  - ${
      inlineTunnel("a", { address: "10.1.0.2/24", endpoint: "10.2.0.1:1" })
    }\n  - ${
      inlineTunnel("b", { address: "10.2.0.2/24", endpoint: "vpn.test:2" })
    }\nrules:\n  - { destination: VPN.test, tunnel: a }\n`,
    [
      '3:194: tunnels[0].peers[0].endpoint: the endpoint 10.2.0.1 lies in the network of tunnel "b": a loop, a -> b -> a',
      '6:20: rules[0].destination: sends vpn.test, the endpoint of tunnel "b", into tunnel "a": a loop, b -> a -> b',
    ],
  ],
  [
    "probes that can't be",
    `default: direct
tunnels:
  - { name: a, type: socks5, url: "127.0.0.1:1", health: { probe: ping, target: 10.0.0.1 } }
  - { name: b, type: socks5, url: "127.0.0.1:2", health: { probe: dns } }
  - { name: c, type: socks5, url: "127.0.0.1:3", health: { target: host } }
  - { name: d, type: socks5, url: "127.0.0.1:4", health: { probe: own, target: x } }
  - { name: e, type: socks5, url: "127.0.0.1:5", dns: [1.1.1.1], health: { probe: dns, target: "a b" } }
  - { name: f, type: socks5, url: "127.0.0.1:6", health: { degradedAfter: 4 } }
  - { name: g, type: wireguard, file: a.conf, health: { probe: ping } }
`,
    [
      "3:67: tunnels[0].health.probe: a proxy carries no pings",
      "4:67: tunnels[1].health.probe: needs a resolver: write one under dns",
      "5:68: tunnels[2].health.target: must be HOST:PORT to connect to, such as 1.1.1.1:443",
      "6:80: tunnels[3].health.target: is not used by own",
      "7:96: tunnels[4].health.target: must be a name to ask for, such as example.com",
      "8:75: tunnels[5].health.degradedAfter: can't be more than downAfter (3)",
      "9:47: tunnels[6].health.target: must be an address to ping, such as 10.66.0.1",
    ],
    { "a.conf": confText() },
  ],
  [
    "times the wrong way round",
    "default: direct\nreconnect: { minDelay: 2m }\ndns: { timeout: 0, learned: { minTtl: 2d } }\n",
    [
      "2:24: reconnect.minDelay: can't be longer than maxDelay",
      "3:17: dns.timeout: must be longer than 0",
      "3:39: dns.learned.minTtl: can't be longer than maxTtl",
    ],
  ],
];

/** Lines of client.yaml, but those that name another file. */
function named(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line.startsWith("a.conf:") ? line : `client.yaml:${line}`
  );
}

for (const [what, text, said, files] of TABLE) {
  Deno.test(`refused: ${what}`, () => {
    const found = problems(text, files);
    assert.deepEqual(found, named(said));
    assert.ok(!found.join().includes("secret"));
  });
}

/** Like TABLE, of what loads. */
const WARNED: [what: string, text: string, said: string[], files?: Files][] = [
  [
    "rules that can never match",
    `tunnels: [${PROXY}]
default: direct
rules:
  - { process: [a, "b*"], tunnel: proxy }
  - { process: a, destination: 10.0.0.0/8, tunnel: drop }
  - { process: bcd, tunnel: drop }
  - { process: [a, c], tunnel: drop }
  - { destination: [10.0.0.0/8, "*.example.org"], tunnel: direct }
  - { destination: 10.1.0.0/16, ports: 80, tunnel: drop }
  - { destination: [a.example.org, "*.b.example.org"], tunnel: drop }
  - { destination: example.org, tunnel: drop }
  - { ports: 80, protocol: icmp, tunnel: drop }
`,
    [
      "5:5: rules[1]: this rule can never match: rules[0] decides all that it is about",
      "6:5: rules[2]: this rule can never match: rules[0] decides all that it is about",
      "9:5: rules[5]: this rule can never match: rules[4] decides all that it is about",
      "10:5: rules[6]: this rule can never match: rules[4] decides all that it is about",
      "12:14: rules[8].ports: this rule can never match: icmp has no ports",
    ],
  ],
  [
    "what is behind a rule without conditions; not behind one that passes on",
    `tunnels: [${PROXY}]
default: direct
rules:
  - { tunnel: proxy, fallback: nextRule }
  - { process: a, tunnel: drop }
  - { tunnel: direct }
  - { process: b, tunnel: drop }
`,
    [
      "7:5: rules[3]: this rule can never match: rules[2] decides all that it is about",
    ],
  ],
  [
    "a kill switch that persists and is off",
    "default: direct\nkillSwitch: { enabled: false, persist: true }\n",
    [
      "2:40: killSwitch.persist: does nothing while killSwitch.enabled is false",
    ],
  ],
  [
    "lines of a .conf file that do nothing",
    "default: direct\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n",
    ["a.conf:5:10: PostUp: is not used by sluice"],
    { "a.conf": confText({ more: "PostUp = true\n" }) },
  ],
];

for (const [what, text, said, files] of WARNED) {
  Deno.test(`warned of: ${what}`, () => {
    assert.deepEqual(warnings(text, files), named(said));
  });
}

Deno.test("an endpoint in a wider range, or of some programs, is no loop", () => {
  const files = { "a.conf": confText() };
  const tunnel = "tunnels: [{ name: a, type: wireguard, file: a.conf }]\n";
  for (
    const rule of [
      "{ destination: 203.0.113.0/24, tunnel: a }",
      "{ destination: 0.0.0.0/0, tunnel: a }",
      "{ destination: 203.0.113.7, process: ssh, tunnel: a }",
      "{ destination: 203.0.113.7, protocol: tcp, tunnel: a }",
      "{ destination: 203.0.113.7, ports: 443, tunnel: a }",
      "{ destination: 203.0.113.7, tunnel: direct }",
    ]
  ) {
    const text = `${tunnel}default: direct\nrules: [${rule}]\n`;
    assert.deepEqual(warnings(text, files), [], rule);
  }
});

Deno.test("a secret that others may read is told of, and files are read beside the config", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "client.yaml");
    await Deno.writeTextFile(join(folder, "a.conf"), confText(), {
      mode: 0o644,
    });
    const text =
      `default: a\ntunnels:\n  - { name: a, type: wireguard, file: a.conf }\n`;
    await Deno.writeTextFile(path, text, { mode: 0o644 });
    const loaded = await loadClientConfig(path);
    assert.deepEqual(loaded.warnings.map(formatProblem), [
      `${
        join(folder, "a.conf")
      }: every user of this machine may read this file and the keys in it; run: chmod 600 ${
        join(folder, "a.conf")
      }`,
    ]);
    await Deno.chmod(join(folder, "a.conf"), 0o600);
    await Deno.writeTextFile(
      path,
      `${text}  - { name: b, type: socks5, url: "socks5://u:p@127.0.0.1:1080" }\n`,
    );
    const [warning] = (await loadClientConfig(path)).warnings;
    assert.match(warning.message, /this config and the keys/);
    await assert.rejects(loadClientConfig(join(folder, "none.yaml")), {
      message: `${join(folder, "none.yaml")}: does not exist`,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
