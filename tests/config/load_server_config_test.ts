import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import {
  loadServerConfig,
  parseServerConfig,
} from "../../src/config/load_server_config.ts";
import { formatKey } from "../../src/config/keys.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const GATEWAY_KEY = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
const KEY_A = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const KEY_B = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

function parse(text: string, keyFile?: string) {
  return parseServerConfig(text, {
    file: "server.yaml",
    readKeyFile: () => {
      if (keyFile === undefined) throw new Deno.errors.NotFound("no file");
      return keyFile;
    },
  });
}

/** The problems of a text that must not load, one a line. */
function problems(text: string, keyFile?: string): string[] {
  try {
    parse(text, keyFile);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
  assert.fail("it loaded");
}

const HEAD = `interface:\n  privateKey: ${PRIVATE_KEY}\n`;

/** A document with a good interface in lines 1 and 2, and more from line 3. */
function withHead(...lines: string[]): string {
  return HEAD + lines.join("\n") + "\n";
}

/** A document whose interface has further keys from line 3. */
function inInterface(...lines: string[]): string {
  return HEAD + lines.map((line) => `  ${line}\n`).join("");
}

function peers(...entries: string[][]): string {
  const items = entries.map((lines) =>
    lines.map((line, i) => (i === 0 ? "  - " : "    ") + line).join("\n")
  );
  return withHead("peers:", ...items);
}

Deno.test("a key is enough; everything else has a default", () => {
  const { config, warnings } = parse(HEAD);
  assert.deepEqual(warnings, []);
  assert.equal(config.interface.name, "sluice0");
  assert.equal(config.interface.tun, "auto");
  assert.deepEqual(config.interface.addresses.map(formatPrefix), [
    "10.66.0.1/24",
  ]);
  assert.equal(config.interface.mtu, 1420);
  assert.equal(config.interface.listenPort, 51820);
  assert.equal(formatKey(config.interface.privateKey), PRIVATE_KEY);
  assert.equal(formatKey(config.interface.publicKey), GATEWAY_KEY);
  assert.equal(config.interface.amnezia, undefined);
  assert.deepEqual(config.forward, {
    tcp: "proxy",
    tcpProxy: {
      prefixes: config.forward.tcpProxy.prefixes,
      maxConnections: 16_384,
      maxConnectionsPerPeer: 4096,
      maxDialingPerPeer: 256,
      connectTimeoutMs: 30_000,
      idleTimeoutMs: 7_440_000,
    },
    udp: {
      policy: "allow",
      firstPort: 1024,
      lastPort: 65535,
      mappingTimeoutMs: 300_000,
      filtering: "endpoint-independent",
      maxMappings: 16_384,
      maxMappingsPerPeer: 4096,
    },
    icmp: { policy: "allow", timeoutMs: 60_000 },
    ipv6: "nat",
    host: "allow",
  });
  assert.deepEqual(config.forward.tcpProxy.prefixes.map(formatPrefix), [
    "198.18.254.0/24",
    "fd73:6c75:6963:6500::/120",
  ]);
  assert.equal(config.dns.listen, true);
  assert.deepEqual(config.dns.upstreams.map(({ port }) => port), [53, 53]);
  assert.equal(config.dns.timeoutMs, 2000);
  assert.equal(config.dns.domain, "sluice");
  assert.deepEqual(config.peers, []);
  assert.deepEqual(config.log, { level: "info" });
  assert.deepEqual(config.datapath, { crypto: "auto", workers: "auto" });
});

Deno.test("every value arrives", () => {
  const { config } = parse(`
interface:
  name: wg7
  tun: none
  addresses: [10.9.0.1/16, "fd00:9::1/64"]
  mtu: 1380
  listenPort: 4500
  publicEndpoint: vpn.example.org
  privateKey: ${PRIVATE_KEY}
  amnezia: { jc: 4, jmin: 10, jmax: 50, s1: 15, s2: 16, h1: 5-9, h2: 10, h3: 11, h4: "12", i1: <b 0xff><t> }
forward:
  tcp: drop
  tcpProxy: { prefixes: [100.64.9.0/25], maxConnections: 20, maxConnectionsPerPeer: 7, maxDialingPerPeer: 2, connectTimeout: 5s, idleTimeout: 3h }
  udp: { policy: drop, ports: 2000-3000, mappingTimeout: 2m, filtering: address-dependent, maxMappings: 9, maxMappingsPerPeer: 3 }
  icmp: { policy: drop, timeout: 90 }
  ipv6: refuse
  host: deny
dns:
  listen: false
  upstreams: [9.9.9.9:5353, "[2620:fe::fe]:54", "2620:fe::9"]
  timeout: 500ms
  cache: { entries: 0, minTtl: 5s, maxTtl: 1h }
  domain: Home.Example
peers:
  - name: box
    publicKey: ${KEY_A}
    presharedKey: ${KEY_B}
    addresses: [10.9.0.2, "fd00:9::2/128"]
    allowedIps: [192.168.7.0/24]
    endpoint: box.example.org:51820
    persistentKeepalive: 25
log: { level: trace }
datapath: { crypto: wasm }
`);
  assert.equal(config.interface.tun, "none");
  assert.deepEqual(config.interface.publicEndpoint, {
    host: "vpn.example.org",
    port: 4500,
  });
  assert.deepEqual(config.interface.amnezia?.H1, { first: 5, last: 9 });
  assert.deepEqual(config.interface.amnezia?.H4, { first: 12, last: 12 });
  assert.equal(config.interface.amnezia?.I1, "<b 0xff><t>");
  assert.equal(config.interface.amnezia?.S3, 0);
  assert.equal(config.forward.tcp, "drop");
  const { prefixes, ...proxy } = config.forward.tcpProxy;
  assert.deepEqual(prefixes.map(formatPrefix), ["100.64.9.0/25"]);
  assert.deepEqual(proxy, {
    maxConnections: 20,
    maxConnectionsPerPeer: 7,
    maxDialingPerPeer: 2,
    connectTimeoutMs: 5000,
    idleTimeoutMs: 10_800_000,
  });
  assert.deepEqual(config.forward.udp.firstPort, 2000);
  assert.equal(config.forward.icmp.timeoutMs, 90_000);
  assert.deepEqual(config.dns.upstreams.map(({ port }) => port), [
    5353,
    54,
    53,
  ]);
  assert.deepEqual(config.dns.cache, {
    entries: 0,
    minTtlMs: 5000,
    maxTtlMs: 3_600_000,
  });
  assert.equal(config.dns.domain, "home.example");
  const [peer] = config.peers;
  assert.deepEqual(peer.addresses.map(formatPrefix), [
    "10.9.0.2/32",
    "fd00:9::2/128",
  ]);
  assert.deepEqual(peer.endpoint, { host: "box.example.org", port: 51820 });
  assert.equal(peer.persistentKeepaliveMs, 25_000);
  assert.equal(formatKey(peer.presharedKey!), KEY_B);
});

Deno.test("the key may stand in a file of its own", () => {
  const text = "interface:\n  privateKeyFile: server.key\n";
  assert.equal(
    formatKey(parse(text, `${PRIVATE_KEY}\n`).config.interface.publicKey),
    GATEWAY_KEY,
  );
  assert.deepEqual(problems(text), [
    "server.yaml:2:19: interface.privateKeyFile: server.key does not exist",
  ]);
  assert.deepEqual(problems(text, "not a key"), [
    "server.yaml:2:19: interface.privateKeyFile: server.key holds no WireGuard key: " +
    "one line of base64, as sluice genkey prints it",
  ]);
});

Deno.test("sections that hold nothing count as not written", () => {
  assert.deepEqual(
    parse(withHead("forward:", "  udp:", "peers:", "dns:")).config.peers,
    [],
  );
});

/** One bad text, and all that is said of it. */
const BAD: [name: string, text: string, ...problems: string[]][] = [
  [
    "an empty file",
    "",
    "1:1: interface: needs privateKey or privateKeyFile; sluice genkey makes a key",
  ],
  [
    "no map at the top",
    "- a\n",
    "1:1: must be a section with keys of its own, not a list",
  ],
  [
    "broken YAML",
    "interface:\n  name: [a\nforward: {}\n",
    "3:1: YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ],
  [
    "a key twice",
    withHead("log: {}", "log: {}"),
    "4:1: YAML: Map keys must be unique",
  ],
  [
    "tabs",
    "interface:\n\tname: a\n",
    "2:1: YAML: Tabs are not allowed as indentation",
  ],
  [
    "two documents",
    `${HEAD}---\n${HEAD}`,
    "3:1: YAML: Source contains multiple documents; please use YAML.parseAllDocuments()",
  ],
  [
    "a misspelt key",
    inInterface("listenport: 1"),
    "3:3: interface.listenport: unknown key; did you mean listenPort?",
  ],
  [
    "a misspelt section",
    withHead("foward: {}"),
    "3:1: foward: unknown key; did you mean forward?",
  ],
  [
    "a key in the wrong place",
    withHead("mtu: 1400"),
    "3:1: mtu: unknown key here; it belongs at interface.mtu",
  ],
  [
    "a key that nothing resembles",
    withHead("log:", "  zzzzzzzz: 1"),
    "4:3: log.zzzzzzzz: unknown key; known here are level",
  ],
  [
    "text for a number",
    inInterface("mtu: big"),
    '3:8: interface.mtu: must be a whole number, not "big"',
  ],
  [
    "a fraction",
    inInterface("mtu: 1400.5"),
    "3:8: interface.mtu: must be a whole number, not 1400.5",
  ],
  [
    "a small MTU",
    inInterface("mtu: 100"),
    "3:8: interface.mtu: must be at least 576, not 100",
  ],
  [
    "a port too high",
    inInterface("listenPort: 65536"),
    "3:15: interface.listenPort: must be at most 65535, not 65536",
  ],
  [
    "a number for text",
    inInterface("name: 5"),
    "3:9: interface.name: must be text, not 5",
  ],
  [
    "a name too long",
    inInterface("name: abcdefghijklmnop"),
    '3:9: interface.name: "abcdefghijklmnop" is not an interface name: 1 to 15 letters, digits or any of _ = + . -',
  ],
  [
    "text for a list",
    inInterface("addresses: 10.0.0.1/24"),
    '3:14: interface.addresses: must be a list, not "10.0.0.1/24"',
  ],
  [
    "an empty list",
    inInterface("addresses: []"),
    "3:3: interface.addresses: needs at least one address, such as 10.66.0.1/24",
  ],
  [
    "an unknown word",
    withHead("forward:", "  ipv6: natt"),
    '4:9: forward.ipv6: must be nat or refuse, not "natt"; did you mean nat?',
  ],
  [
    "no policy",
    withHead("forward:", "  tcp: nat"),
    '4:8: forward.tcp: must be proxy or reject or drop, not "nat"',
  ],
  [
    "a proxy prefix that is too small",
    withHead("forward:", "  tcpProxy: { prefixes: [198.18.254.0/26] }"),
    "4:26: forward.tcpProxy.prefixes[0]: the prefix /26 is too small; /25 or shorter will do",
  ],
  [
    "two proxy prefixes of a family",
    withHead(
      "forward:",
      "  tcpProxy: { prefixes: [198.18.1.0/24, 198.18.2.0/24] }",
    ),
    "4:41: forward.tcpProxy.prefixes[1]: is a second IPv4 prefix; one will do",
  ],
  [
    "a proxy prefix in the tunnel",
    withHead("forward:", "  tcpProxy: { prefixes: [10.66.0.0/16] }"),
    "4:26: forward.tcpProxy.prefixes[0]: overlaps 10.66.0.0/24 of the tunnel",
  ],
  [
    "more connections for one than for all",
    withHead(
      "forward:",
      "  tcpProxy: { maxConnections: 10, maxConnectionsPerPeer: 11 }",
    ),
    "4:58: forward.tcpProxy.maxConnectionsPerPeer: can't be more than maxConnections (10)",
  ],
  [
    "no boolean",
    withHead("dns:", "  listen: yes please"),
    '4:11: dns.listen: must be true or false, not "yes please"',
  ],
  [
    "a duration in words",
    withHead("dns:", "  timeout: 2 seconds"),
    '4:12: dns.timeout: "2 seconds" is not a duration: write 90s, 5m, 1h30m, 500ms, or a number of seconds',
  ],
  [
    "a negative duration",
    withHead("dns:", "  timeout: -1"),
    "4:12: dns.timeout: not a duration: write 90s, 5m, 1h30m, 500ms, or a number of seconds",
  ],
  [
    "a timeout of nothing",
    withHead("dns:", "  timeout: 0s"),
    "4:12: dns.timeout: must be longer than 0",
  ],
  [
    "TTLs crossed",
    withHead("dns:", "  cache:", "    minTtl: 2h", "    maxTtl: 1h"),
    "5:13: dns.cache.minTtl: can't be longer than maxTtl",
  ],
  [
    "a name for an upstream",
    withHead("dns:", "  upstreams: [1.1.1.1, dns.google]"),
    '4:24: dns.upstreams[1]: "dns.google" is not a DNS server\'s address: write 1.1.1.1, 9.9.9.9:53 or [2620:fe::fe]:53',
  ],
  [
    "ports from high to low",
    withHead("forward:", "  udp:", "    ports: 3000-2000"),
    "5:12: forward.udp.ports: must go from a lower to a higher port, both 1 to 65535",
  ],
  [
    "ports beyond",
    withHead("forward:", "  udp: { ports: 0-70000 }"),
    "4:17: forward.udp.ports: must go from a lower to a higher port, both 1 to 65535",
  ],
  [
    "more for one than for all",
    withHead(
      "forward:",
      "  udp:",
      "    maxMappings: 10",
      "    maxMappingsPerPeer: 11",
    ),
    "6:25: forward.udp.maxMappingsPerPeer: can't be more than maxMappings (10)",
  ],
  [
    "an address without prefix",
    inInterface("addresses: [10.0.0.1]"),
    '3:15: interface.addresses[0]: "10.0.0.1" is not an address with its prefix: write 10.66.0.1/24 or fd00::1/64',
  ],
  [
    "a prefix too small",
    inInterface("addresses: [10.0.0.1/31]"),
    "3:15: interface.addresses[0]: the prefix /31 is too small: it must hold the gateway and at least one peer; /30 or shorter will do",
  ],
  [
    "an IPv6 prefix too small",
    inInterface("addresses: ['fd00::1/127']"),
    "3:15: interface.addresses[0]: the prefix /127 is too small: it must hold the gateway and at least one peer; /126 or shorter will do",
  ],
  [
    "the network's address",
    inInterface("addresses: [10.0.0.0/24]"),
    "3:15: interface.addresses[0]: 10.0.0.0 is the network address of its prefix; take another",
  ],
  [
    "the broadcast address",
    inInterface("addresses: [10.0.0.255/24]"),
    "3:15: interface.addresses[0]: 10.0.0.255 is the broadcast address of its prefix; take another",
  ],
  [
    "a multicast address",
    inInterface("addresses: [224.0.0.1/24]"),
    "3:15: interface.addresses[0]: not an address for an interface: take a private one, such as 10.66.0.1/24",
  ],
  [
    "two of a family",
    inInterface("addresses: [10.0.0.1/24, 10.1.0.1/24]"),
    "3:28: interface.addresses[1]: is a second IPv4 address; the gateway has one of each family",
  ],
  [
    "an MTU too small for IPv6",
    inInterface("mtu: 1000", "addresses: ['fd00::1/64']"),
    "3:8: interface.mtu: must be at least 1280 where the interface has an IPv6 address",
  ],
  [
    "an endpoint without port where none is fixed",
    inInterface("listenPort: 0", "publicEndpoint: vpn.example.org"),
    "4:19: interface.publicEndpoint: needs its port, because listenPort is 0: write HOST:PORT",
  ],
  [
    "no key",
    "interface:\n  mtu: 1400\n",
    "1:1: interface: needs privateKey or privateKeyFile; sluice genkey makes a key",
  ],
  [
    "two keys",
    inInterface("privateKeyFile: a"),
    "3:19: interface.privateKeyFile: can't stand beside privateKey; keep one of them",
  ],
  [
    "a bad key",
    "interface:\n  privateKey: c2hvcnQ=\n",
    "2:15: interface.privateKey: not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =); sluice genkey makes one",
  ],
  [
    "a key that is a number",
    "interface:\n  privateKey: 12345\n",
    "2:15: interface.privateKey: must be text, not what is there",
  ],
  [
    "a peer without anything",
    withHead("peers:", "  - name: a"),
    "4:5: peers[0].publicKey: is missing",
    "4:5: peers[0].addresses: is missing",
  ],
  [
    "a bad peer key",
    peers(["name: a", "publicKey: abc", "addresses: [10.66.0.2/32]"]),
    '5:16: peers[0].publicKey: "abc" is not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =); sluice pubkey makes it from a private key',
  ],
  [
    "a bad preshared key",
    peers([
      "name: a",
      `publicKey: ${KEY_A}`,
      "presharedKey: abc",
      "addresses: [10.66.0.2/32]",
    ]),
    "6:19: peers[0].presharedKey: not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =); sluice genpsk makes one",
  ],
  [
    "the gateway's key for a peer",
    peers([
      "name: a",
      `publicKey: ${GATEWAY_KEY}`,
      "addresses: [10.66.0.2/32]",
    ]),
    "5:16: peers[0].publicKey: is the gateway's own key; each end needs its own",
  ],
  [
    "a name for two, whatever its case",
    peers(
      ["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.2/32]"],
      ["name: A", `publicKey: ${KEY_B}`, "addresses: [10.66.0.3/32]"],
    ),
    '7:11: peers[1].name: "A" is the name of peers[0] already',
  ],
  [
    "a key for two",
    peers(
      ["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.2/32]"],
      ["name: b", `publicKey: ${KEY_A}`, "addresses: [10.66.0.3/32]"],
    ),
    '8:16: peers[1].publicKey: is the key of peer "a" already',
  ],
  [
    "an address for two",
    peers(
      ["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.2/32]"],
      ["name: b", `publicKey: ${KEY_B}`, "addresses: [10.66.0.2]"],
    ),
    '9:17: peers[1].addresses[0]: 10.66.0.2/32 overlaps 10.66.0.2/32 of peer "a"',
  ],
  [
    "an address inside another's prefix",
    peers(
      ["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.5/32]"],
      ["name: b", `publicKey: ${KEY_B}`, "addresses: [10.66.0.4/30]"],
    ),
    '9:17: peers[1].addresses[0]: 10.66.0.4/30 overlaps 10.66.0.5/32 of peer "a"',
  ],
  [
    "an address twice in one",
    peers([
      "name: a",
      `publicKey: ${KEY_A}`,
      "addresses: [10.66.0.2, 10.66.0.2]",
    ]),
    "6:28: peers[0].addresses[1]: 10.66.0.2/32 overlaps 10.66.0.2/32 of the same peer",
  ],
  [
    "an address outside",
    peers(["name: a", `publicKey: ${KEY_A}`, "addresses: [10.67.0.2/32]"]),
    "6:17: peers[0].addresses[0]: 10.67.0.2/32 is outside of the interface's prefix 10.66.0.0/24; networks behind a peer go into allowedIps",
  ],
  [
    "the gateway's address for a peer",
    peers(["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.1/32]"]),
    "6:17: peers[0].addresses[0]: 10.66.0.1/32 holds the gateway's own address 10.66.0.1",
  ],
  [
    "the broadcast address for a peer",
    peers(["name: a", `publicKey: ${KEY_A}`, "addresses: [10.66.0.255/32]"]),
    "6:17: peers[0].addresses[0]: 10.66.0.255/32 is the network or broadcast address of its prefix",
  ],
  [
    "a network behind two",
    peers(
      [
        "name: a",
        `publicKey: ${KEY_A}`,
        "addresses: [10.66.0.2]",
        "allowedIps: [192.168.0.0/24]",
      ],
      [
        "name: b",
        `publicKey: ${KEY_B}`,
        "addresses: [10.66.0.3]",
        "allowedIps: [192.168.0.9/24]",
      ],
    ),
    '11:18: peers[1].allowedIps[0]: 192.168.0.0/24 goes to peer "a" already',
  ],
  [
    "a peer's name with a dot",
    peers(["name: a.b", `publicKey: ${KEY_A}`, "addresses: [10.66.0.2]"]),
    '4:11: peers[0].name: "a.b" is not a peer name: 1 to 63 letters, digits and hyphens, no hyphen at either end',
  ],
  [
    "an endpoint without port",
    peers([
      "name: a",
      `publicKey: ${KEY_A}`,
      "addresses: [10.66.0.2]",
      "endpoint: example.org",
    ]),
    '7:15: peers[0].endpoint: "example.org" is not an endpoint: write HOST:PORT, such as 203.0.113.9:51820 or [2001:db8::9]:51820',
  ],
  [
    "too much junk, and headers that overlap",
    inInterface(
      "amnezia:",
      "  jc: 200",
      "  jmin: 90",
      "  jmax: 50",
      "  h1: 5-10",
      "  h2: 10",
    ),
    "4:9: interface.amnezia.jc: Jc = 200: must be a whole number from 1 to 128, or 0 for no junk",
    "5:11: interface.amnezia.jmin: Jmin = 90: must not be greater than Jmax = 50",
    "8:9: interface.amnezia.h2: H2 = 10: must not overlap H1 = 5-10",
  ],
  [
    "prefixes that make lengths equal",
    inInterface("amnezia: { s1: 10, s2: 66 }"),
    "3:26: interface.amnezia.s2: S2 = 66: must not be S1 + 56 = 66, else initiations and responses have the same length",
  ],
  [
    "a header in words",
    inInterface("amnezia: { h1: many }"),
    '3:18: interface.amnezia.h1: "many" is not valid: it must be a whole number (0 to 4294967295) or a range such as 100000-200000',
  ],
  [
    "a tag that does not exist",
    inInterface("amnezia: { i1: '<z 5>' }"),
    "3:18: interface.amnezia.i1: I1 = <z 5>: <z>: unknown tag; there are b, r, rd, rc, t and c",
  ],
];

for (const [name, text, ...expected] of BAD) {
  Deno.test(`refused: ${name}`, () => {
    assert.deepEqual(
      problems(text),
      expected.map((line) => `server.yaml:${line}`),
    );
  });
}

Deno.test("everything wrong is named at once, in file order", () => {
  const found = problems(
    `interface:
  privateKey: abc
  mtu: 1
forward:
  tcp: maybe
peers:
  - name: a
    publicKey: ${KEY_A}
    addresses: [10.66.0.2, 10.66.0.2]
    colour: red
`,
  );
  assert.equal(found.length, 5, found.join("\n"));
  assert.deepEqual(
    found.map((line) => line.split(":").slice(1, 3).join(":")),
    ["2:15", "3:8", "5:8", "9:28", "10:5"],
  );
});

Deno.test("no message shows a secret", () => {
  const secret = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm"; // one character short
  const text =
    `interface:\n  privateKey: ${secret}\npeers:\n  - presharedKey: ${secret}\n`;
  for (const line of problems(text)) {
    assert.ok(!line.includes(secret.slice(0, 8)), line);
  }
});

Deno.test("times shorter than the RFCs allow are warnings", () => {
  const { warnings, config } = parse(withHead(
    "forward:",
    "  udp: { mappingTimeout: 30s }",
    "  icmp: { timeout: 5s }",
  ));
  assert.equal(config.forward.udp.mappingTimeoutMs, 30_000);
  assert.deepEqual(warnings.map(formatProblem), [
    "server.yaml:4:26: forward.udp.mappingTimeout: 30s is shorter than the 2m that RFC 4787 asks for",
    "server.yaml:5:20: forward.icmp.timeout: 5s is shorter than the 1m that RFC 5508 asks for",
  ]);
});

Deno.test("an alias bomb does not eat the memory", () => {
  const bomb = Array.from(
    { length: 12 },
    (_, i) =>
      `x${i}: &a${i} [${
        Array(10).fill(i === 0 ? "1" : `*a${i - 1}`).join(", ")
      }]`,
  );
  const [first] = problems(bomb.join("\n"));
  assert.match(first, /^server\.yaml:1:1: YAML: .*alias/i);
});

Deno.test("key and folder of a file on disk, and who may read it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "server.yaml");
    await Deno.writeTextFile(
      path,
      "interface:\n  privateKeyFile: sub/server.key\n",
    );
    await Deno.mkdir(join(folder, "sub"));
    const keyPath = join(dirname(path), "sub", "server.key");
    await Deno.writeTextFile(keyPath, PRIVATE_KEY, { mode: 0o600 });
    await Deno.chmod(path, 0o644);
    assert.deepEqual((await loadServerConfig(path)).warnings, []);
    await Deno.chmod(keyPath, 0o644);
    assert.deepEqual(
      (await loadServerConfig(path)).warnings.map(formatProblem),
      [
        `${keyPath}: every user of this machine may read this key file and the keys in it; run: chmod 600 ${keyPath}`,
      ],
    );
    await Deno.writeTextFile(path, HEAD);
    await Deno.chmod(path, 0o604);
    const { warnings } = await loadServerConfig(path);
    assert.match(
      formatProblem(warnings[0]),
      /every user of this machine may read this config/,
    );
    await Deno.chmod(path, 0o600);
    assert.deepEqual((await loadServerConfig(path)).warnings, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("files that can't be read", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const missing = join(folder, "server.yaml");
    await assert.rejects(loadServerConfig(missing), {
      name: "ConfigError",
      message: `${missing}: does not exist`,
    });
    await assert.rejects(loadServerConfig(folder), {
      name: "ConfigError",
      message: `${folder}: is a directory, not a config file`,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
