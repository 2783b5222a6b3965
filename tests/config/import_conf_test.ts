import assert from "node:assert/strict";
import { parse as parseYaml } from "yaml";
import { importConf, tunnelNameOf } from "../../src/config/import_conf.ts";
import { formatKey } from "../../src/config/keys.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";
import { formatPrefix, prefixContains } from "../../src/core/wire/address.ts";
import { RuleEngine } from "../../src/core/route/rules/rule_engine.ts";
import { parseWireguardConf } from "../../src/config/wg_conf.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import {
  destination,
  flow,
  owner,
  tunnel,
} from "../core/route/rules/samples.ts";
import { confText, parse, PRIVATE_KEY, PUBLIC_KEY } from "./client_text.ts";

const FILE = "My VPN.conf";

function read(text: string) {
  const imported = importConf(text, { file: FILE, name: "vpn" });
  const { config } = parse(imported.text);
  return {
    ...imported,
    config,
    said: imported.warnings.map(formatProblem),
  };
}

/** A WireSock file: lines for [Interface] and for [Peer], 3 and 7 lines above. */
function wiresock(
  peer: string[],
  {
    own = [],
    allowed = "0.0.0.0/0, ::/0",
    address = "10.8.0.2/32, fd00::2/128",
  }: {
    own?: string[];
    allowed?: string;
    address?: string;
  } = {},
): string {
  return [
    "[Interface]",
    `PrivateKey = ${PRIVATE_KEY}`,
    `Address = ${address}`,
    ...own,
    "[Peer]",
    `PublicKey = ${PUBLIC_KEY}`,
    "Endpoint = vpn.example.org:51820",
    `AllowedIPs = ${allowed}`,
    ...peer,
    "",
  ].join("\n");
}

Deno.test("a WireGuard file: its tunnel by default, nothing lost", () => {
  const text = `[Interface]
PrivateKey = ${PRIVATE_KEY}
Address = 10.8.0.2/24, fd00::2/64
DNS = 10.8.0.1, home.test
MTU = 1380
ListenPort = 4000
PostUp = true
[Peer]
PublicKey = ${PUBLIC_KEY}
PresharedKey = ${PRIVATE_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = 25
`;
  const { config, rules, default: way, said } = read(text);
  assert.deepEqual(rules, []);
  assert.equal(way, "vpn");
  assert.deepEqual(said, [`${FILE}:7:10: PostUp: is not used by sluice`]);
  const [made] = config.tunnels;
  assert.equal(made.type, "wireguard");
  assert.ok(made.kind === "wireguard");
  const wanted = parseWireguardConf(text, FILE);
  assert.deepEqual(made.peers, wanted.peers);
  assert.deepEqual(made.interface, {
    ...wanted.interface,
    // Resolvers are the tunnel's here; search domains are nobody's.
    dns: [],
    dnsSearch: [],
  });
  assert.equal(made.dns.length, 1);
});

Deno.test("an AmneziaWG file", () => {
  const more =
    "Jc = 4\nJmin = 10\nJmax = 50\nS1 = 15\nH1 = 5-9\nH2 = 10\nH3 = 11\nH4 = 12\nI1 = <b 0xc0ff><r 16>\n";
  const text = confText({ more });
  const { config, text: yaml } = read(text);
  const [made] = config.tunnels;
  assert.equal(made.type, "amneziawg");
  assert.ok(made.kind === "wireguard");
  assert.deepEqual(
    made.interface.amnezia,
    parseWireguardConf(text, FILE).interface.amnezia,
  );
  assert.equal(parseYaml(yaml).tunnels[0].amnezia.jc, 4);
});

Deno.test("networks behind the tunnel alone go through it", () => {
  const { rules, default: way } = read(
    wiresock([], { allowed: "10.0.0.0/8, fd00::/16" }),
  );
  assert.deepEqual(rules, [
    { destination: ["10.0.0.0/8", "fd00::/16"], tunnel: "vpn" },
  ]);
  assert.equal(way, "direct");
});

Deno.test("WireSock's programs and networks, in the order of what excepts", () => {
  const { rules, default: way, said } = read(wiresock([
    "#@ws:AllowedApps = chrome, C:\\Program Files\\Steam\\, D:\\x\\game.exe, slack.exe, Discord\\app",
    "#@ws:DisallowedApps=putty",
    "#@ws:DisallowedIPs = 192.168.0.0/16, 10.1.0.0/16",
  ], { own: ["#@ws:BypassLanTraffic = false"] }));
  assert.deepEqual(said, []);
  assert.equal(way, "direct");
  assert.deepEqual(rules, [
    { destination: ["192.168.0.0/16", "10.1.0.0/16"], tunnel: "direct" },
    { process: ["putty", "putty.exe"], tunnel: "direct" },
    { process: ["chrome", "chrome.exe", "slack.exe"], tunnel: "vpn" },
    { directory: ["C:\\Program Files\\Steam\\"], tunnel: "vpn" },
    { path: ["**/Discord\\app/**", "D:\\x\\game.exe"], tunnel: "vpn" },
  ]);
});

Deno.test("bare keys of older files, Windows line ends", () => {
  const text = wiresock(["AllowedApps = chrome", "disallowedips = 10.0.0.0/8"])
    .replaceAll("\n", "\r\n");
  const { rules, said } = read(text);
  assert.deepEqual(said, []);
  assert.deepEqual(rules, [
    { destination: ["10.0.0.0/8"], tunnel: "direct" },
    { process: ["chrome", "chrome.exe"], tunnel: "vpn" },
  ]);
});

Deno.test("the network at home", () => {
  const { rules } = read(
    wiresock([], { own: ["#@ws:BypassLanTraffic = True"] }),
  );
  const [rule] = rules as { destination: string[]; tunnel: string }[];
  assert.equal(rule.tunnel, "direct");
  for (const prefix of ["192.168.0.0/16", "fe80::/10"]) {
    assert.ok(rule.destination.includes(prefix));
  }
});

Deno.test("AllowedIPs of WireSock stand in place of the peer's", () => {
  const { rules, config } = read(wiresock(["#@ws:AllowedIPs = 10.0.0.0/8"]));
  assert.deepEqual(rules, [{ destination: ["10.0.0.0/8"], tunnel: "vpn" }]);
  const [made] = config.tunnels;
  assert.ok(made.kind === "wireguard");
  assert.deepEqual(made.peers[0].allowedIps.map(formatPrefix), [
    "0.0.0.0/0",
    "::/0",
  ]);
});

Deno.test("what is not known or not used is said, with its line", () => {
  const { said } = read(wiresock([
    "#@ws:AlowedApps = chrome",
    "#@ws:Teleport = true",
    "#@ws: nothing",
    "#@ws:Socks5Proxy = user:secret@host:1080",
    "# @ws:AllowedApps = a comment",
  ], { own: ["#@ws:VirtualAdapterMode = false", "Id = example.org"] }));
  assert.deepEqual(said, [
    `${FILE}:4:1: VirtualAdapterMode: is WireSock's own and not used by sluice`,
    `${FILE}:5:1: Id: is WireSock's own and not used by sluice`,
    `${FILE}:10:1: AlowedApps: unknown key of WireSock, left out; did you mean AllowedApps?`,
    `${FILE}:11:1: Teleport: unknown key of WireSock, left out`,
    `${FILE}:12:1: not a line of WireSock's: write #@ws:Key = value`,
    `${FILE}:13:1: Socks5Proxy: is WireSock's own and not used by sluice`,
  ]);
});

Deno.test("errors have their places, WireSock's lines above or not", () => {
  const text = wiresock(
    ["#@ws:DisallowedIPs = 10.0.0.0/8, 10.0.0/8", "Enpoint = x"],
    { own: ["#@ws:VirtualAdapterMode = true", "MTU = many"] },
  );
  assert.throws(() => read(text), (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.problems.map(formatProblem), [
      `${FILE}:5:7: MTU: must be a whole number from 576 to 65535, not "many"`,
      `${FILE}:10:34: "10.0.0/8" is not an address or prefix, such as 192.168.0.0/16`,
      `${FILE}:11:11: Enpoint: unknown key; did you mean Endpoint?`,
    ]);
    return true;
  });
  const server = confText().replace(/Endpoint.*\n/, "");
  assert.throws(() => read(server), {
    message: `${FILE}: has no Endpoint: a client must know where to connect to`,
  });
});

Deno.test("a tunnel without IPv6: what would pass it by is dropped, and said", () => {
  const { default: way, config, said } = read(
    wiresock([], { address: "10.8.0.2/32" }),
  );
  assert.equal(way, "vpn");
  assert.deepEqual(said, [
    `${FILE}: has no IPv6 address: IPv6 of programs that use the tunnel is dropped; ipv6: direct lets it out`,
  ]);
  const engine = new RuleEngine(config.rules, { style: "posix" });
  const tunnels = new Map([["vpn", tunnel("up", { ipv6: false })]]);
  assert.equal(engine.decide(flow("2001:db8::1"), tunnels).way, "drop");
});

Deno.test("any file: through the tunnel goes what WireSock would send there", () => {
  const random = new SeededRandom(11);
  const apps = ["chrome", "putty.exe", "C:\\Games\\", "D:\\x\\a.exe"];
  const paths = [
    "C:\\Chrome\\chrome.exe",
    "C:\\Games\\deep\\game.exe",
    "D:\\x\\a.exe",
    "C:\\putty.exe",
  ];
  const networks = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "192.168.0.0/16"];
  const some = (items: string[]) => items.filter(() => random.below(3) === 0);
  const runs = (list: string[], path: string) =>
    list.some((app) =>
      app.endsWith("\\")
        ? path.startsWith(app)
        : app.includes("\\")
        ? app === path
        : path.toLowerCase().split("\\").at(-1) ===
          `${app.replace(/\.exe$/, "")}.exe`
    );
  const within = (list: string[], address: string) =>
    list.some((text) => {
      const item = destination(text);
      return item.kind === "prefix" &&
        prefixContains(item.prefix, flow(address).words);
    });
  const seen = { tunnel: 0, direct: 0, drop: 0 };
  for (let round = 0; round < 300; round++) {
    const [yes, no, except] = [some(apps), some(apps), some(networks)];
    const allowed = some(networks);
    const { config } = read(wiresock([
      ...(yes.length > 0 ? [`#@ws:AllowedApps = ${yes.join(", ")}`] : []),
      ...(no.length > 0 ? [`#@ws:DisallowedApps = ${no.join(",")}`] : []),
      ...(except.length > 0 ? [`#@ws:DisallowedIPs = ${except}`] : []),
    ], { allowed: allowed.join(", "), address: "10.8.0.2/32" }));
    const engine = new RuleEngine(config.rules, { style: "windows" });
    for (const path of paths) {
      for (const address of ["10.1.2.3", "10.2.0.1", "203.0.113.5"]) {
        const wanted = (yes.length === 0 || runs(yes, path)) &&
            !runs(no, path) && within(allowed, address) &&
            !within(except, address)
          ? "tunnel"
          : "direct";
        const facts = flow(address, { owner: owner(path) });
        const { way } = engine.decide(facts, new Map([["vpn", tunnel("up")]]));
        assert.equal(
          way,
          wanted,
          JSON.stringify({ yes, no, allowed, except, path, address }),
        );
        seen[way]++;
      }
    }
  }
  assert.ok(seen.tunnel > 100 && seen.direct > 100);
});

Deno.test("keys survive, and the name comes from the file's", () => {
  const { config } = read(confText());
  const [made] = config.tunnels;
  assert.ok(made.kind === "wireguard");
  assert.equal(formatKey(made.interface.privateKey), PRIVATE_KEY);
  const names: [string, string][] = [
    ["/etc/wireguard/wg0.conf", "wg0"],
    ["C:\\Users\\a\\My VPN (2).conf", "My-VPN-2"],
    ["direct.conf", "vpn"],
    ["...conf", "vpn"],
    ["дом.conf", "vpn"],
    [`${"x".repeat(50)}.conf`, "x".repeat(32)],
  ];
  for (const [path, name] of names) assert.equal(tunnelNameOf(path), name);
});
