import assert from "node:assert/strict";
import { formatKey } from "../../src/config/keys.ts";
import { formatWireguardConf } from "../../src/config/format_wg_conf.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";
import { parseWireguardConf } from "../../src/config/wg_conf.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const KEY_A = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const KEY_B = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

const FULL = `[Interface]
PrivateKey = ${PRIVATE_KEY}
Address = 10.66.0.2/32, fd00::2/128
DNS = 10.66.0.1, home.example
MTU = 1380
ListenPort = 4500
Jc = 4
Jmin = 10
Jmax = 50
S1 = 15
S2 = 16
S3 = 17
S4 = 18
H1 = 100-200
H2 = 300
H3 = 400
H4 = 500
I1 = <b 0xff><t>

[Peer]
PublicKey = ${KEY_A}
PresharedKey = ${KEY_B}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25

[Peer]
PublicKey = ${KEY_B}
AllowedIPs = 10.66.0.9/32
`;

function problems(text: string): string[] {
  try {
    parseWireguardConf(text, "a.conf");
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
  assert.fail("it was read");
}

Deno.test("a whole file, AmneziaWG included", () => {
  const conf = parseWireguardConf(FULL, "a.conf");
  assert.equal(formatKey(conf.interface.privateKey), PRIVATE_KEY);
  assert.deepEqual(conf.interface.addresses.map(formatPrefix), [
    "10.66.0.2/32",
    "fd00::2/128",
  ]);
  assert.deepEqual(conf.interface.dns, ["10.66.0.1"]);
  assert.deepEqual(conf.interface.dnsSearch, ["home.example"]);
  assert.equal(conf.interface.mtu, 1380);
  assert.equal(conf.interface.listenPort, 4500);
  assert.equal(conf.interface.amnezia?.S4, 18);
  assert.deepEqual(conf.interface.amnezia?.H1, { first: 100, last: 200 });
  assert.equal(conf.peers.length, 2);
  const [peer, second] = conf.peers;
  assert.equal(formatKey(peer.publicKey), KEY_A);
  assert.equal(formatKey(peer.presharedKey!), KEY_B);
  assert.deepEqual(peer.allowedIps.map(formatPrefix), ["0.0.0.0/0", "::/0"]);
  assert.deepEqual(peer.endpoint, { host: "vpn.example.org", port: 51820 });
  assert.equal(peer.persistentKeepalive, 25);
  assert.equal(second.presharedKey, undefined);
  assert.equal(second.endpoint, undefined);
  assert.equal(second.persistentKeepalive, 0);
  assert.deepEqual(conf.warnings, []);
});

Deno.test("what is written is what was read", () => {
  const conf = parseWireguardConf(FULL, "a.conf");
  const { dns, dnsSearch, mtu, listenPort, amnezia, addresses, privateKey } =
    conf.interface;
  const text = formatWireguardConf({
    interface: {
      privateKey,
      addresses,
      dns: [...dns, ...dnsSearch],
      mtu: mtu!,
      listenPort: listenPort!,
      amnezia: amnezia!,
    },
    peers: conf.peers,
  });
  assert.equal(text, FULL);
});

Deno.test("plain WireGuard has no AmneziaWG keys", () => {
  const text = formatWireguardConf({
    interface: { privateKey: undefined },
    peers: [],
  });
  assert.equal(
    text,
    "[Interface]\n# PrivateKey = the one that belongs to the public key you gave\n",
  );
  const conf = parseWireguardConf(
    `[Interface]\nPrivateKey=${PRIVATE_KEY}\n`,
    "a.conf",
  );
  assert.equal(conf.interface.amnezia, undefined);
});

Deno.test("letter case, blanks, comments, line ends and repeated lists do not matter", () => {
  const text =
    `\ufeff# a comment\r\n[INTERFACE]\r\n  privatekey=${PRIVATE_KEY} # mine\r\naddress = 10.0.0.2\r\nADDRESS = fd00::2/64\r\n` +
    `[peer]\r\npublickey = ${KEY_A}\r\nallowedips=10.0.0.0/8,\r\nAllowedIPs = ::/0\r\npersistentkeepalive = off\r\n`;
  const conf = parseWireguardConf(text, "a.conf");
  assert.deepEqual(conf.interface.addresses.map(formatPrefix), [
    "10.0.0.2/32",
    "fd00::2/64",
  ]);
  assert.deepEqual(conf.peers[0].allowedIps.map(formatPrefix), [
    "10.0.0.0/8",
    "::/0",
  ]);
  assert.equal(conf.peers[0].persistentKeepalive, 0);
});

Deno.test("wg-quick's commands are not run, and that is said", () => {
  const { warnings } = parseWireguardConf(
    `[Interface]\nPrivateKey = ${PRIVATE_KEY}\nPostUp = rm -rf /\nTable = off\n`,
    "a.conf",
  );
  assert.deepEqual(warnings.map(formatProblem), [
    "a.conf:3:10: PostUp: is not used by sluice",
    "a.conf:4:9: Table: is not used by sluice",
  ]);
});

const HEAD = `[Interface]\nPrivateKey = ${PRIVATE_KEY}\n`;
const BAD: [name: string, text: string, ...problems: string[]][] = [
  [
    "an empty file",
    "",
    "a.conf: has no [Interface] section; is it a WireGuard .conf file?",
  ],
  [
    "no key",
    "[Interface]\n",
    "a.conf:1:1: PrivateKey: is missing in [Interface]",
  ],
  [
    "a bad key",
    "[Interface]\nPrivateKey = abc\n",
    "a.conf:2:14: PrivateKey: not a WireGuard key: it must be 32 bytes in base64 (44 characters that end in =)",
  ],
  [
    "a peer without key",
    `${HEAD}[Peer]\n`,
    "a.conf:3:1: PublicKey: is missing in [Peer]",
  ],
  [
    "a misspelt key",
    `${HEAD}Adress = 10.0.0.2\n`,
    "a.conf:3:10: Adress: unknown key; did you mean Address?",
  ],
  [
    "a misplaced key",
    `${HEAD}Endpoint = a:1\n`,
    "a.conf:3:12: Endpoint: belongs into [Peer]",
  ],
  [
    "a key twice",
    `${HEAD}MTU = 1400\nMTU = 1401\n`,
    "a.conf:4:7: MTU: is given twice (first in line 3)",
  ],
  [
    "an unknown section",
    `${HEAD}[Peers]\nPublicKey = x\n`,
    "a.conf:3:1: unknown section [Peers]; known are [Interface] and [Peer]",
  ],
  [
    "two interfaces",
    `${HEAD}${HEAD}`,
    "a.conf:3:1: a second [Interface]; a file has one",
  ],
  [
    "no assignment",
    `${HEAD}hello\n`,
    "a.conf:3:1: not a line of a .conf file: write Key = value",
  ],
  [
    "a line before all sections",
    `MTU = 1400\n${HEAD}`,
    "a.conf:1:1: MTU: stands before the first section; begin with [Interface]",
  ],
  [
    "a small MTU",
    `${HEAD}MTU = 12\n`,
    'a.conf:3:7: MTU: must be a whole number from 576 to 65535, not "12"',
  ],
  [
    "a bad prefix among good ones",
    `${HEAD}[Peer]\nPublicKey = ${KEY_A}\nAllowedIPs = 10.0.0.0/8, 10.0.0.0/99\n`,
    'a.conf:5:26: AllowedIPs: "10.0.0.0/99" is not an address or prefix, such as 0.0.0.0/0',
  ],
  [
    "a bad endpoint",
    `${HEAD}[Peer]\nPublicKey = ${KEY_A}\nEndpoint = example.org\n`,
    'a.conf:5:12: Endpoint: "example.org" is not an endpoint: write HOST:PORT or [IPV6]:PORT',
  ],
  [
    "a bad header",
    `${HEAD}H1 = many\n`,
    "a.conf:3:6: H1: must be a whole number or a range such as 100000-200000",
  ],
  [
    "limits of AmneziaWG",
    `${HEAD}Jc = 129\nJmin = 9\nJmax = 8\n`,
    "a.conf:3:6: Jc: Jc = 129: must be a whole number from 1 to 128, or 0 for no junk",
    "a.conf:4:8: Jmin: Jmin = 9: must not be greater than Jmax = 8",
  ],
];

for (const [name, text, ...expected] of BAD) {
  Deno.test(`refused: ${name}`, () =>
    assert.deepEqual(problems(text), expected));
}

Deno.test("any text is read or refused with a place, never more", () => {
  // Cut a good file at every length: each is either read or refused.
  for (let length = 0; length < FULL.length; length++) {
    try {
      parseWireguardConf(FULL.slice(0, length), "a.conf");
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error));
    }
  }
});
