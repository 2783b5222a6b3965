import assert from "node:assert/strict";
import fc from "fast-check";
import { handleUapi } from "../../src/control/uapi.ts";
import {
  type UapiChanges,
  UapiErrno,
  UapiError,
  type UapiPort,
  type UapiState,
} from "../../src/control/uapi_port.ts";
import { parseUapiSet } from "../../src/control/uapi_set.ts";
import { parseLivePeers } from "../../src/control/uapi_client.ts";
import { PLAIN_WIREGUARD } from "../../src/core/wireguard/amnezia.ts";
import {
  formatPrefix,
  parseEndpoint,
  parsePrefix,
} from "../../src/core/wire/address.ts";

const KEY = (byte: number) => new Uint8Array(32).fill(byte);
const HEX = (byte: number) => byte.toString(16).padStart(2, "0").repeat(32);

const STATE: UapiState = {
  privateKey: KEY(0xe8),
  listenPort: 12912,
  fwmark: 0,
  amnezia: undefined,
  peers: [{
    publicKey: KEY(0xb8),
    presharedKey: KEY(0x18),
    endpoint: parseEndpoint("[abcd:23::33]:51820"),
    lastHandshakeMs: 1_700_000_000_123.5,
    txBytes: 38_333,
    rxBytes: 2224,
    persistentKeepalive: 111,
    allowedIps: [parsePrefix("192.168.4.4/32")!, parsePrefix("fd00::/64")!],
  }, {
    publicKey: KEY(0x58),
    presharedKey: undefined,
    endpoint: parseEndpoint("182.122.22.19:3233"),
    lastHandshakeMs: 0,
    txBytes: 0,
    rxBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
  }],
};

/** A port that remembers what was set. */
function fakePort(
  state: UapiState = STATE,
): UapiPort & { sets: UapiChanges[] } {
  const sets: UapiChanges[] = [];
  return { sets, get: () => state, set: (changes) => void sets.push(changes) };
}

Deno.test("a get lists the device, then its peers", () => {
  assert.equal(
    handleUapi("get=1", fakePort()),
    `private_key=${HEX(0xe8)}
listen_port=12912
public_key=${HEX(0xb8)}
preshared_key=${HEX(0x18)}
protocol_version=1
endpoint=[abcd:23::33]:51820
last_handshake_time_sec=1700000000
last_handshake_time_nsec=123500000
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=111
allowed_ip=192.168.4.4/32
allowed_ip=fd00::/64
public_key=${HEX(0x58)}
protocol_version=1
endpoint=182.122.22.19:3233
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=0
rx_bytes=0
persistent_keepalive_interval=0
errno=0

`,
  );
});

Deno.test("AmneziaWG's parameters are listed where they are set", () => {
  const amnezia = {
    ...PLAIN_WIREGUARD,
    Jc: 4,
    H1: { first: 5, last: 9 },
    I1: "<r 4>",
  };
  const answer = handleUapi(
    "get=1",
    fakePort({ ...STATE, amnezia, fwmark: 7, peers: [] }),
  );
  assert.equal(
    answer,
    `private_key=${
      HEX(0xe8)
    }\nlisten_port=12912\nfwmark=7\njc=4\nh1=5-9\ni1=<r 4>\nerrno=0\n\n`,
  );
});

// The example of https://www.wireguard.com/xplatform/, in its shape.
Deno.test("a set of device and peers", () => {
  const port = fakePort();
  const answer = handleUapi(
    [
      "set=1",
      `private_key=${HEX(0xe8)}`,
      "fwmark=0",
      "listen_port=12912",
      "replace_peers=true",
      `public_key=${HEX(0xb8)}`,
      "replace_allowed_ips=true",
      "allowed_ip=192.168.4.10/32",
      "allowed_ip=192.168.4.9/16",
      `preshared_key=${HEX(0)}`,
      "endpoint=[abcd:23::33]:51820",
      `public_key=${HEX(0x58)}`,
      "update_only=true",
      "persistent_keepalive_interval=111",
      "allowed_ip=-fd00::/64",
      `public_key=${HEX(0x66)}`,
      "remove=true",
    ].join("\n"),
    port,
  );
  assert.equal(answer, "errno=0\n\n");
  const [changes] = port.sets;
  assert.deepEqual(changes.privateKey, KEY(0xe8));
  assert.equal(changes.listenPort, 12912);
  assert.equal(changes.fwmark, 0);
  assert.equal(changes.peers, "replace");
  assert.equal(changes.amnezia, undefined);
  const [put, update, remove] = changes.peerChanges;
  assert.ok(put.kind === "put" && update.kind === "update");
  assert.equal(put.presharedKey, "none");
  assert.equal(put.allowedIps, "replace");
  assert.deepEqual(
    put.allowedIpChanges.map(({ kind, prefix }) =>
      `${kind} ${formatPrefix(prefix)}`
    ),
    ["add 192.168.4.10/32", "add 192.168.0.0/16"],
  );
  assert.deepEqual(put.endpoint, parseEndpoint("[abcd:23::33]:51820"));
  assert.equal(put.persistentKeepalive, undefined);
  assert.equal(update.persistentKeepalive, 111);
  assert.equal(update.allowedIps, "keep");
  assert.deepEqual(
    update.allowedIpChanges.map(({ kind, prefix }) =>
      `${kind} ${formatPrefix(prefix)}`
    ),
    ["remove fd00::/64"],
  );
  assert.deepEqual(remove, { kind: "remove", publicKey: KEY(0x66) });
});

Deno.test("a set of AmneziaWG's parameters keeps the others, within their limits", () => {
  const amnezia = {
    ...PLAIN_WIREGUARD,
    Jc: 4,
    Jmin: 5,
    Jmax: 6,
    H4: { first: 90, last: 99 },
  };
  const port = fakePort({ ...STATE, amnezia });
  assert.equal(
    handleUapi("set=1\njc=7\nh1=1000-2000\ni2=<t>", port),
    "errno=0\n\n",
  );
  assert.deepEqual(port.sets[0].amnezia, {
    ...amnezia,
    Jc: 7,
    H1: { first: 1000, last: 2000 },
    I2: "<t>",
  });
  for (const bad of ["jc=129", "h1=90", "h1=x", "i1=<", "jmin=9", "s5=1"]) {
    assert.equal(
      handleUapi(`set=1\n${bad}`, port),
      `errno=${UapiErrno.Invalid}\n\n`,
      bad,
    );
  }
  assert.equal(port.sets.length, 1);
});

Deno.test("one bad line refuses the whole set", () => {
  const bad: [string, UapiErrno][] = [
    ["private_key=abc", UapiErrno.Invalid],
    ["listen_port=65536", UapiErrno.Invalid],
    ["listen_port=-1", UapiErrno.Invalid],
    ["listen_port=", UapiErrno.Invalid],
    ["fwmark=4294967296", UapiErrno.Invalid],
    ["replace_peers=false", UapiErrno.Invalid],
    ["colour=red", UapiErrno.Invalid],
    ["endpoint=1.2.3.4:5", UapiErrno.Invalid],
    ["nonsense", UapiErrno.Protocol],
    ["=1", UapiErrno.Protocol],
    [`public_key=${HEX(1)}x`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nallowed_ip=10.0.0.0/33`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nallowed_ip=10.0.0.1`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nendpoint=example.org:5`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nendpoint=1.2.3.4:0`, UapiErrno.Invalid],
    [
      `public_key=${HEX(1)}\npersistent_keepalive_interval=65536`,
      UapiErrno.Invalid,
    ],
    [`public_key=${HEX(1)}\nremove=yes`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nprotocol_version=2`, UapiErrno.Invalid],
    [`public_key=${HEX(1)}\nlisten_port=1`, UapiErrno.Invalid],
  ];
  for (const [lines, errno] of bad) {
    const port = fakePort();
    assert.equal(
      handleUapi(`set=1\nlisten_port=1\n${lines}`, port),
      `errno=${errno}\n\n`,
      lines,
    );
    assert.deepEqual(port.sets, []);
  }
});

Deno.test("operations that do not exist", () => {
  for (const request of ["", "get=2", "set=2", "get=1\nx=1", "GET=1"]) {
    assert.equal(
      handleUapi(request, fakePort()),
      `errno=${UapiErrno.Protocol}\n\n`,
      request,
    );
  }
});

Deno.test("what the device refuses is the answer; a surprise is an I/O error", () => {
  const failing = (error: Error): UapiPort => ({
    get: () => STATE,
    set: () => {
      throw error;
    },
  });
  const refused = new UapiError(UapiErrno.AddressInUse, "taken");
  assert.equal(handleUapi("set=1", failing(refused)), "errno=98\n\n");
  assert.equal(
    handleUapi("set=1", failing(new TypeError("bug"))),
    "errno=5\n\n",
  );
});

Deno.test("no request is too odd to be answered", () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "set=1",
      "get=1",
      `public_key=${HEX(3)}`,
      "remove=true",
      "allowed_ip=::/0",
      "jc=1",
    ),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    assert.match(handleUapi(lines.join("\n"), fakePort()), /errno=\d+\n\n$/);
  }));
});

Deno.test("a key set to zeros is taken away", () => {
  assert.equal(parseUapiSet([`private_key=${HEX(0)}`]).privateKey, "none");
});

Deno.test("our own answer is read back by our own client", () => {
  const peers = parseLivePeers(handleUapi("get=1", fakePort()))!;
  assert.equal(peers.size, 2);
  const [first, second] = peers.values();
  assert.deepEqual(first, {
    endpoint: "[abcd:23::33]:51820",
    lastHandshakeMs: 1_700_000_000_123,
    txBytes: 38_333,
    rxBytes: 2224,
  });
  assert.equal(second.lastHandshakeMs, 0);
  assert.equal(parseLivePeers("errno=5\n\n"), undefined);
  assert.equal(parseLivePeers(""), undefined);
  assert.deepEqual(parseLivePeers("errno=0\n\n"), new Map());
});
