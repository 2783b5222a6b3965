import assert from "node:assert/strict";
import { DeviceUapi } from "../../src/control/device_uapi.ts";
import {
  type UapiChanges,
  UapiErrno,
  UapiError,
  type UapiPeerChange,
} from "../../src/control/uapi_port.ts";
import {
  formatPrefix,
  parseEndpoint,
  parsePrefix,
} from "../../src/core/wire/address.ts";
import {
  PeerEvent,
  TrafficWriter,
} from "../../src/core/wireguard/peer_table.ts";
import { PLAIN_WIREGUARD } from "../../src/core/wireguard/amnezia.ts";
import {
  DeviceTables,
  type DeviceTablesOptions,
} from "../support/device_tables.ts";

const PORT = 51820;

const key = (n: number) => new Uint8Array(32).fill(n);

const NOTHING: UapiChanges = {
  privateKey: undefined,
  listenPort: undefined,
  fwmark: undefined,
  peers: "keep",
  amnezia: undefined,
  peerChanges: [],
};

type Put = UapiPeerChange & { kind: "put" | "update" };

function put(n: number, changes: Partial<Put> = {}): Put {
  return {
    kind: "put",
    publicKey: key(n),
    presharedKey: undefined,
    endpoint: undefined,
    persistentKeepalive: undefined,
    allowedIps: "keep",
    allowedIpChanges: [],
    ...changes,
  };
}

const allow = (...texts: string[]) =>
  texts.map((text) => ({ kind: "add" as const, prefix: parsePrefix(text)! }));

class World {
  readonly tables: DeviceTables;
  readonly uapi: DeviceUapi;
  readonly removed: number[] = [];
  drains = 0;

  constructor(options: DeviceTablesOptions = {}) {
    this.tables = new DeviceTables(2, options);
    const { device } = this.tables;
    this.uapi = new DeviceUapi({
      device,
      listenPort: PORT,
      amnezia: undefined,
      now: () => this.tables.now,
      removePeer: (row) => {
        this.removed.push(row);
        device.peers.remove(row);
      },
      drain: () => {
        this.drains++;
        this.tables.outputs();
      },
    });
  }

  set(...peerChanges: UapiPeerChange[]): void {
    this.uapi.set({ ...NOTHING, peerChanges });
  }

  /** The peers of a get, by the number in their key. */
  get peers() {
    const peers = [...this.uapi.get().peers];
    return new Map(peers.map((peer) => [peer.publicKey[0], peer]));
  }

  prefixes(n: number): string[] {
    return this.peers.get(n)!.allowedIps.map(formatPrefix).sort();
  }
}

function refusedWith(errno: UapiErrno, change: () => void): void {
  assert.throws(change, (error) => {
    return error instanceof UapiError && error.errno === errno;
  });
}

Deno.test("a get shows the device and its peers", () => {
  const world = new World();
  const { device, peers } = world.tables;
  const row = device.peers.add(key(1), {
    presharedKey: key(9),
    endpoint: parseEndpoint("192.0.2.1:1000")!,
    persistentKeepaliveMs: 25_000,
    now: 0,
  });
  device.peers.allow(row, parsePrefix("10.8.0.2/32")!);
  device.peers.allow(row, parsePrefix("fd00::/64")!);
  peers.addSent(TrafficWriter.SealPump, row, 1, 100);
  peers.addSent(TrafficWriter.Control, row, 1, 20);
  peers.addReceived(TrafficWriter.OpenPump, row, 1, 3);
  device.peers.add(key(2), { now: 0 });
  const state = world.uapi.get();
  assert.deepEqual(state.privateKey, device.privateKey);
  assert.equal(state.listenPort, PORT);
  assert.equal(state.fwmark, 0);
  const { endpoint, allowedIps: _, ...first } = world.peers.get(1)!;
  assert.equal(endpoint?.port, 1000);
  assert.deepEqual(world.prefixes(1), ["10.8.0.2/32", "fd00::/64"]);
  assert.deepEqual(first, {
    publicKey: key(1),
    presharedKey: key(9),
    lastHandshakeMs: 0,
    txBytes: 120,
    rxBytes: 3,
    persistentKeepalive: 25,
  });
  const second = world.peers.get(2)!;
  assert.equal(second.presharedKey, undefined);
  assert.equal(second.endpoint, undefined);
  assert.deepEqual(second.allowedIps, []);
});

Deno.test("a put makes a peer, an update only changes one that is there", () => {
  const world = new World();
  world.set(
    put(1, {
      presharedKey: key(7),
      endpoint: parseEndpoint("192.0.2.1:1000")!,
      persistentKeepalive: 15,
      allowedIpChanges: allow("10.8.0.2/32"),
    }),
    put(2, { kind: "update", persistentKeepalive: 5 }),
  );
  assert.deepEqual([...world.peers.keys()], [1]);
  assert.equal(world.peers.get(1)!.persistentKeepalive, 15);
  world.set(put(1, { kind: "update", persistentKeepalive: 0 }));
  const peer = world.peers.get(1)!;
  assert.equal(peer.persistentKeepalive, 0);
  assert.deepEqual(peer.presharedKey, key(7), "what isn't named stays");
  assert.equal(peer.endpoint?.port, 1000);
  assert.deepEqual(world.prefixes(1), ["10.8.0.2/32"]);
  world.set(put(1, { presharedKey: "none" }));
  assert.equal(world.peers.get(1)!.presharedKey, undefined);
  assert.equal(world.drains, 3);
});

Deno.test("allowed IPs are added, removed, replaced, and taken from others", () => {
  const world = new World();
  world.set(
    put(1, { allowedIpChanges: allow("10.1.0.0/16", "10.2.0.0/16") }),
    put(2, { allowedIpChanges: allow("10.2.0.0/16", "fd00::/64") }),
  );
  assert.deepEqual(world.prefixes(1), ["10.1.0.0/16"]);
  assert.deepEqual(world.prefixes(2), ["10.2.0.0/16", "fd00::/64"]);
  const remove = (text: string) => ({
    kind: "remove" as const,
    prefix: parsePrefix(text)!,
  });
  world.set(put(2, {
    allowedIpChanges: [...allow("10.3.0.0/16"), remove("10.2.0.0/16")],
  }));
  assert.deepEqual(world.prefixes(2), ["10.3.0.0/16", "fd00::/64"]);
  world.set(put(2, { allowedIpChanges: [remove("10.1.0.0/16")] }));
  assert.deepEqual(world.prefixes(1), ["10.1.0.0/16"], "it is another's");
  world.set(put(2, {
    allowedIps: "replace",
    allowedIpChanges: allow("10.9.0.0/16"),
  }));
  assert.deepEqual(world.prefixes(2), ["10.9.0.0/16"]);
});

Deno.test("peers are removed one by one or all together", () => {
  const world = new World();
  world.set(put(1), put(2), put(3));
  world.set(
    { kind: "remove", publicKey: key(2) },
    { kind: "remove", publicKey: key(77) },
  );
  assert.deepEqual([...world.peers.keys()].sort(), [1, 3]);
  assert.equal(world.removed.length, 1);
  world.uapi.set({ ...NOTHING, peers: "replace", peerChanges: [put(4)] });
  assert.deepEqual([...world.peers.keys()], [4]);
  assert.equal(world.removed.length, 3);
});

Deno.test("a new private key is taken; none, another port or mark are refused", () => {
  const world = new World();
  const before = world.tables.device.publicKey;
  world.uapi.set({ ...NOTHING, privateKey: key(5) });
  assert.deepEqual(world.uapi.get().privateKey, key(5));
  assert.notDeepEqual(world.tables.device.publicKey, before);
  const refused: Partial<UapiChanges>[] = [
    { privateKey: "none" },
    { listenPort: PORT + 1 },
    { fwmark: 1 },
    { amnezia: PLAIN_WIREGUARD },
  ];
  for (const change of refused) {
    refusedWith(UapiErrno.NotSupported, () => {
      world.uapi.set({ ...NOTHING, ...change, peerChanges: [put(1)] });
    });
  }
  assert.equal(world.peers.size, 0, "a refused set changes nothing");
  world.uapi.set({ ...NOTHING, listenPort: PORT, fwmark: 0 });
});

Deno.test("what can't be done is an error by number; what came before it is carried out", () => {
  const world = new World({ peers: 2 });
  const endpoint = parseEndpoint("192.0.2.1:1000")!;
  refusedWith(UapiErrno.Io, () => {
    world.set(put(1, { endpoint, persistentKeepalive: 1 }), put(2), put(3));
  });
  assert.deepEqual([...world.peers.keys()], [1, 2]);
  assert.equal(world.drains, 1);
  const full = new World({ prefixNodes: 4 });
  const many = Array.from({ length: 40 }, (_, n) => `10.${n}.0.0/16`);
  refusedWith(UapiErrno.Io, () => {
    full.set(put(1, { allowedIpChanges: allow(...many) }));
  });
});

Deno.test("an endpoint for a peer that waits for one starts a handshake", () => {
  const world = new World();
  const { device, now } = world.tables;
  world.set(put(1));
  device.handlePeerEvents(0, PeerEvent.NeedSession, now);
  world.tables.outputs();
  let kinds: string[] = [];
  const uapi = new DeviceUapi({
    device,
    listenPort: PORT,
    amnezia: undefined,
    now: () => now,
    removePeer: () => {},
    drain: () => kinds = world.tables.outputs(),
  });
  const endpoint = parseEndpoint("192.0.2.1:1000")!;
  uapi.set({ ...NOTHING, peerChanges: [put(1, { endpoint })] });
  assert.deepEqual(kinds, ["datagram"]);
});
