/**
 * The true `wg` against our socket: show, showconf, set, setconf, syncconf.
 * Needs root (the socket's place is fixed) and the package wireguard-tools.
 */
import assert from "node:assert/strict";
import {
  formatHexKey,
  formatKey,
  isZeroKey,
  parseKey,
  publicKeyOf,
} from "../../src/config/keys.ts";
import type {
  UapiChanges,
  UapiPeer,
  UapiPort,
  UapiState,
} from "../../src/control/uapi_port.ts";
import { UapiServer } from "../../src/control/uapi_server.ts";
import { linuxLocalSockets } from "../../src/io/os/linux/local_sockets.ts";
import {
  formatPrefix,
  parseEndpoint,
  parsePrefix,
  type Prefix,
} from "../../src/core/wire/address.ts";

const NAME = `slt${Deno.pid}`;
const KEY_A = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const KEY_B = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
const PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type FakePeer = Mutable<UapiPeer>;

/** A device that does what it is told, without a tunnel. */
class FakeDevice implements UapiPort {
  readonly state: Omit<Mutable<UapiState>, "peers"> & { peers: FakePeer[] } = {
    privateKey: parseKey(PRIVATE_KEY),
    listenPort: 51820,
    fwmark: 0,
    amnezia: undefined,
    peers: [],
  };

  get(): UapiState {
    return this.state;
  }

  set(changes: UapiChanges): void {
    const { state } = this;
    if (changes.privateKey !== undefined) {
      state.privateKey = changes.privateKey === "none"
        ? undefined
        : changes.privateKey;
    }
    state.listenPort = changes.listenPort ?? state.listenPort;
    state.fwmark = changes.fwmark ?? state.fwmark;
    if (changes.peers === "replace") state.peers = [];
    for (const change of changes.peerChanges) {
      const id = formatHexKey(change.publicKey);
      const known = state.peers.find((peer) =>
        formatHexKey(peer.publicKey) === id
      );
      if (change.kind === "remove") {
        state.peers = state.peers.filter((peer) => peer !== known);
        continue;
      }
      if (known === undefined && change.kind === "update") continue;
      const peer = known ?? newPeer(change.publicKey);
      if (known === undefined) state.peers.push(peer);
      if (change.presharedKey !== undefined) {
        peer.presharedKey = change.presharedKey === "none"
          ? undefined
          : change.presharedKey;
      }
      peer.endpoint = change.endpoint ?? peer.endpoint;
      peer.persistentKeepalive = change.persistentKeepalive ??
        peer.persistentKeepalive;
      if (change.allowedIps === "replace") peer.allowedIps = [];
      for (const { kind, prefix } of change.allowedIpChanges) {
        for (const other of state.peers) {
          other.allowedIps = other.allowedIps.filter((own) =>
            formatPrefix(own) !== formatPrefix(prefix)
          );
        }
        if (kind === "add") peer.allowedIps = [...peer.allowedIps, prefix];
      }
    }
  }
}

function newPeer(publicKey: Uint8Array): FakePeer {
  return {
    publicKey,
    presharedKey: undefined,
    endpoint: undefined,
    lastHandshakeMs: 0,
    txBytes: 0,
    rxBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
  };
}

async function wg(...args: string[]): Promise<string> {
  const command = new Deno.Command("wg", {
    args,
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  assert.equal(
    code,
    0,
    `wg ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`,
  );
  return new TextDecoder().decode(stdout);
}

/** Why these tests can't run here; undefined where they can. */
function missing(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  try {
    new Deno.Command("wg", { args: ["--version"], stdout: "null" })
      .outputSync();
    return undefined;
  } catch {
    return "wg is missing: apt-get install wireguard-tools";
  }
}

const MISSING = missing();
const SKIP = MISSING !== undefined && Deno.env.get("CI") !== "true";

/** Runs against a fresh device, with a folder for files. */
function withWg(
  name: string,
  work: (device: FakeDevice, folder: string) => Promise<void>,
): void {
  Deno.test({
    name: SKIP ? `${name} (skipped: ${MISSING})` : name,
    ignore: SKIP,
    async fn() {
      const device = new FakeDevice();
      const folder = await Deno.makeTempDir();
      await using _server = await UapiServer.listen(
        linuxLocalSockets.uapi(NAME),
        device,
      );
      try {
        await work(device, folder);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

const prefixes = (list: readonly Prefix[]) => list.map(formatPrefix);

withWg("wg show: keys, endpoints, handshakes, traffic", async (device) => {
  device.state.peers = [{
    publicKey: parseKey(KEY_A)!,
    presharedKey: parseKey(KEY_B)!,
    endpoint: parseEndpoint("[2001:db8::5]:1234"),
    lastHandshakeMs: 1_700_000_000_500,
    txBytes: 5_000_000_000_123,
    rxBytes: 2224,
    persistentKeepalive: 25,
    allowedIps: [parsePrefix("10.66.0.2/32")!, parsePrefix("fd00::2/128")!],
  }, { ...newPeer(parseKey(KEY_B)!), endpoint: parseEndpoint("192.0.2.9:5") }];
  assert.ok((await wg("show", "interfaces")).split(/\s+/).includes(NAME));
  const gatewayKey = formatKey(publicKeyOf(parseKey(PRIVATE_KEY)!));
  assert.equal(await wg("show", NAME, "public-key"), `${gatewayKey}\n`);
  assert.equal(await wg("show", NAME, "listen-port"), "51820\n");
  assert.equal(
    await wg("show", NAME, "dump"),
    [
      [PRIVATE_KEY, gatewayKey, "51820", "off"],
      [
        KEY_A,
        KEY_B,
        "[2001:db8::5]:1234",
        "10.66.0.2/32,fd00::2/128",
        "1700000000",
        "2224",
        "5000000000123",
        "25",
      ],
      [KEY_B, "(none)", "192.0.2.9:5", "(none)", "0", "0", "0", "off"],
    ].map((fields) => fields.join("\t") + "\n").join(""),
  );
  assert.match(
    await wg("show", NAME),
    /transfer: 2\.17 KiB received, 4\.55 TiB sent/,
  );
});

withWg(
  "wg set: a peer comes, changes, loses its address to another, goes",
  async (device, folder) => {
    const psk = `${folder}/psk`;
    await Deno.writeTextFile(psk, KEY_B);
    await wg(
      ...[
        "set",
        NAME,
        "peer",
        KEY_A,
        "preshared-key",
        psk,
        "endpoint",
        "192.0.2.1:99",
      ],
      ...["persistent-keepalive", "25", "allowed-ips", "10.0.0.2/32,fd00::/64"],
    );
    const [peer] = device.state.peers;
    assert.equal(formatKey(peer.publicKey), KEY_A);
    assert.equal(formatKey(peer.presharedKey!), KEY_B);
    assert.deepEqual(peer.endpoint, parseEndpoint("192.0.2.1:99"));
    assert.equal(peer.persistentKeepalive, 25);
    assert.deepEqual(prefixes(peer.allowedIps), ["10.0.0.2/32", "fd00::/64"]);

    await wg(
      "set",
      NAME,
      "peer",
      KEY_A,
      "persistent-keepalive",
      "off",
      "preshared-key",
      "/dev/null",
    );
    assert.equal(peer.persistentKeepalive, 0);
    assert.ok(peer.presharedKey === undefined || isZeroKey(peer.presharedKey));
    assert.deepEqual(
      prefixes(peer.allowedIps),
      ["10.0.0.2/32", "fd00::/64"],
      "untouched",
    );

    await wg("set", NAME, "peer", KEY_B, "allowed-ips", "10.0.0.2/32");
    assert.deepEqual(prefixes(peer.allowedIps), ["fd00::/64"]);
    await wg("set", NAME, "peer", KEY_A, "remove");
    assert.deepEqual(
      device.state.peers.map(({ publicKey }) => formatKey(publicKey)),
      [KEY_B],
    );
  },
);

withWg("wg set: port, mark and private key", async (device, folder) => {
  await Deno.writeTextFile(`${folder}/key`, `${KEY_A}\n`);
  await wg(
    "set",
    NAME,
    "listen-port",
    "4500",
    "fwmark",
    "0x2a",
    "private-key",
    `${folder}/key`,
  );
  assert.equal(device.state.listenPort, 4500);
  assert.equal(device.state.fwmark, 42);
  assert.notEqual(formatKey(device.state.privateKey!), PRIVATE_KEY);
  await wg("set", NAME, "private-key", "/dev/null");
  assert.equal(device.state.privateKey, undefined);
});

withWg(
  "wg showconf gives what wg setconf takes, and syncconf finds nothing to do",
  async (device, folder) => {
    await wg(
      "set",
      NAME,
      "peer",
      KEY_A,
      "endpoint",
      "192.0.2.1:99",
      "allowed-ips",
      "10.0.0.2/32",
    );
    await wg(
      "set",
      NAME,
      "peer",
      KEY_B,
      "allowed-ips",
      "::/0",
      "persistent-keepalive",
      "5",
    );
    const conf = await wg("showconf", NAME);
    assert.match(conf, /^\[Interface\]\nListenPort = 51820\nPrivateKey = /);
    const path = `${folder}/${NAME}.conf`;
    await Deno.writeTextFile(path, conf);
    device.state.peers = [newPeer(new Uint8Array(32).fill(3))];
    await wg("setconf", NAME, path);
    assert.equal(await wg("showconf", NAME), conf);
    await wg("syncconf", NAME, path);
    assert.equal(await wg("showconf", NAME), conf);
  },
);
