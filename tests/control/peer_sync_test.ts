import assert from "node:assert/strict";
import {
  type DesiredPeer,
  type PeerChanges,
  PeerSync,
} from "../../src/control/peer_sync.ts";
import {
  formatPrefix,
  parseEndpoint,
  parsePrefix,
} from "../../src/core/wire/address.ts";
import type { PeerMemory } from "../../src/core/wireguard/peer.ts";
import {
  DeviceTables,
  type DeviceTablesOptions,
} from "../support/device_tables.ts";

/** A public key that nobody has the other half of. */
function key(n: number): Uint8Array {
  return new Uint8Array(32).fill(n);
}

function peer(n: number, changes: Partial<DesiredPeer> = {}): DesiredPeer {
  return {
    name: `peer${n}`,
    publicKey: key(n),
    presharedKey: undefined,
    prefixes: [parsePrefix(`10.8.0.${n}/32`)!],
    endpoint: undefined,
    persistentKeepaliveMs: 0,
    ...changes,
  };
}

class World {
  readonly tables: DeviceTables;
  readonly sync: PeerSync;
  readonly removed: number[] = [];
  readonly memories = new Map<number, PeerMemory>();

  constructor(options: DeviceTablesOptions = {}) {
    this.tables = new DeviceTables(1, options);
    const { device } = this.tables;
    this.sync = new PeerSync({
      device,
      now: () => this.tables.now,
      removePeer: (row) => {
        this.removed.push(row);
        device.peers.remove(row);
      },
      memory: (publicKey) => this.memories.get(publicKey[0]),
    });
  }

  apply(...peers: DesiredPeer[]): PeerChanges {
    return this.sync.apply(peers);
  }

  info(n: number) {
    const { device } = this.tables;
    return device.peers.info(device.peers.rowOf(key(n)));
  }

  prefixes(n: number): string[] {
    return this.info(n).allowedIps.map(formatPrefix).sort();
  }

  /** Numbers of the peers that there are. */
  get there(): number[] {
    const { device } = this.tables;
    return device.peers.rows().map((row) => device.peers.info(row).publicKey[0])
      .sort();
  }
}

const changes = (
  { added, removed, changed }: Partial<PeerChanges>,
): PeerChanges => ({
  added: added ?? [],
  removed: removed ?? [],
  changed: changed ?? [],
});

Deno.test("peers of the list are there with all that it says", () => {
  const world = new World();
  const presharedKey = key(99);
  const endpoint = parseEndpoint("192.0.2.1:51820")!;
  const done = world.apply(
    peer(1, { presharedKey, endpoint, persistentKeepaliveMs: 25_000 }),
    peer(2),
  );
  assert.deepEqual(done, changes({ added: ["peer1", "peer2"] }));
  const info = world.info(1);
  assert.deepEqual(info.presharedKey, presharedKey);
  assert.equal(info.endpoint?.port, 51820);
  assert.equal(info.persistentKeepaliveMs, 25_000);
  assert.deepEqual(world.prefixes(1), ["10.8.0.1/32"]);
  assert.deepEqual(world.info(2).presharedKey, new Uint8Array(32));
  assert.equal(world.info(2).endpoint, undefined);
});

Deno.test("the same list again changes nothing", () => {
  const world = new World();
  world.apply(peer(1), peer(2));
  const done = world.apply(peer(2), peer(1));
  assert.deepEqual(done, changes({}));
  assert.deepEqual(world.removed, []);
});

Deno.test("what is gone is removed, what is new added, others left alone", () => {
  const world = new World();
  world.apply(peer(1), peer(2));
  const row = world.tables.device.peers.rowOf(key(1));
  const gone = world.tables.device.peers.rowOf(key(2));
  const done = world.apply(peer(1), peer(3));
  assert.deepEqual(done, changes({ added: ["peer3"], removed: ["peer2"] }));
  assert.deepEqual(world.removed, [gone]);
  assert.equal(world.tables.device.peers.rowOf(key(1)), row);
  assert.deepEqual(world.there, [1, 3]);
});

Deno.test("each setting can change by itself", () => {
  const world = new World();
  world.apply(peer(1));
  const cases: [Partial<DesiredPeer>, () => void][] = [
    [
      { presharedKey: key(7) },
      () => assert.deepEqual(world.info(1).presharedKey, key(7)),
    ],
    [
      { persistentKeepaliveMs: 5000 },
      () => assert.equal(world.info(1).persistentKeepaliveMs, 5000),
    ],
    [
      { endpoint: parseEndpoint("192.0.2.9:9")! },
      () => assert.equal(world.info(1).endpoint?.port, 9),
    ],
    [
      { prefixes: [parsePrefix("10.8.0.77/32")!, parsePrefix("fd00::/64")!] },
      () => assert.deepEqual(world.prefixes(1), ["10.8.0.77/32", "fd00::/64"]),
    ],
    [{ name: "renamed" }, () => assert.equal(world.sync.nameOf(0), "renamed")],
  ];
  for (const [change, check] of cases) {
    const { name = "peer1" } = change;
    const done = world.apply(peer(1, change));
    assert.deepEqual(done, changes({ changed: [name] }));
    check();
    world.apply(peer(1));
  }
  assert.deepEqual(world.info(1).presharedKey, new Uint8Array(32));
  assert.equal(world.info(1).persistentKeepaliveMs, 0);
  assert.deepEqual(world.prefixes(1), ["10.8.0.1/32"]);
});

Deno.test("a peer that has roamed stays where it is, until the list moves it", () => {
  const world = new World();
  const first = parseEndpoint("192.0.2.1:1000")!;
  world.apply(peer(1, { endpoint: first }));
  const roamed = parseEndpoint("198.51.100.1:2000")!;
  world.tables.peers.setEndpoint(0, roamed.words, 0, roamed.port);
  world.apply(peer(1, { endpoint: first, persistentKeepaliveMs: 1000 }));
  assert.equal(world.info(1).endpoint?.port, 2000);
  const moved = parseEndpoint("192.0.2.1:3000")!;
  world.apply(peer(1, { endpoint: moved, persistentKeepaliveMs: 1000 }));
  assert.equal(world.info(1).endpoint?.port, 3000);
});

Deno.test("prefixes may move between peers in one step, whatever the order", () => {
  for (const reversed of [false, true]) {
    const world = new World();
    const list = (a: number, b: number) => {
      const peers = [
        peer(1, { prefixes: [parsePrefix(`10.9.${a}.0/24`)!] }),
        peer(2, { prefixes: [parsePrefix(`10.9.${b}.0/24`)!] }),
      ];
      return reversed ? peers.reverse() : peers;
    };
    world.apply(...list(1, 2));
    world.apply(...list(2, 1));
    assert.deepEqual(world.prefixes(1), ["10.9.2.0/24"]);
    assert.deepEqual(world.prefixes(2), ["10.9.1.0/24"]);
  }
});

Deno.test("a prefix that the device was given another way stays", () => {
  const world = new World();
  world.apply(peer(1));
  world.tables.device.peers.allow(0, parsePrefix("172.16.0.0/12")!);
  world.apply(peer(1, { prefixes: [parsePrefix("10.8.0.9/32")!] }));
  assert.deepEqual(world.prefixes(1), ["10.8.0.9/32", "172.16.0.0/12"]);
});

Deno.test("peers that came another way stay, and get what the list says once it names them", () => {
  const world = new World();
  const { device } = world.tables;
  device.peers.add(key(5), { now: 0 });
  world.apply(peer(1));
  assert.deepEqual(world.there, [1, 5]);
  const presharedKey = key(50);
  const endpoint = parseEndpoint("192.0.2.5:5")!;
  const five = peer(5, { presharedKey, endpoint, persistentKeepaliveMs: 9000 });
  const done = world.apply(peer(1), five);
  assert.deepEqual(done, changes({ added: ["peer5"] }));
  const info = world.info(5);
  assert.deepEqual(info.presharedKey, presharedKey);
  assert.equal(info.endpoint?.port, 5);
  assert.equal(info.persistentKeepaliveMs, 9000);
  assert.deepEqual(world.prefixes(5), ["10.8.0.5/32"]);
});

Deno.test("a peer that was removed another way is not brought back, until it changes", () => {
  const world = new World();
  const { device } = world.tables;
  world.apply(peer(1), peer(2));
  device.peers.remove(device.peers.rowOf(key(1)));
  assert.deepEqual(world.apply(peer(1), peer(2)), changes({}));
  assert.deepEqual(world.there, [2]);
  world.apply(peer(1, { persistentKeepaliveMs: 1000 }), peer(2));
  assert.deepEqual(world.there, [1, 2]);
  device.peers.remove(device.peers.rowOf(key(1)));
  const done = world.apply(peer(2));
  assert.deepEqual(done, changes({ removed: ["peer1"] }));
});

Deno.test("what is remembered of a peer is given to the device", () => {
  const world = new World();
  const receivedTimestamp = new Uint8Array(12).fill(3);
  world.memories.set(2, { receivedTimestamp, sentTicks: 77 });
  world.apply(peer(1), peer(2));
  const { device } = world.tables;
  const memory = device.peers.memory(device.peers.rowOf(key(2)));
  assert.deepEqual(memory, { receivedTimestamp, sentTicks: 77 });
  assert.equal(device.peers.memory(device.peers.rowOf(key(1))).sentTicks, 0);
});

Deno.test("where there is no room for one peer the others are there, and it is tried again", () => {
  const world = new World({ peers: 2 });
  assert.throws(() => world.apply(peer(1), peer(2), peer(3)), RangeError);
  assert.deepEqual(world.there, [1, 2]);
  const done = world.apply(peer(2), peer(3));
  assert.deepEqual(done.removed, ["peer1"]);
  assert.deepEqual(world.there, [2, 3]);
  assert.deepEqual(world.prefixes(3), ["10.8.0.3/32"]);
});

Deno.test("where there is no room for a prefix the other peers are there, and it is tried again", () => {
  const world = new World({ prefixNodes: 12 });
  const many = Array.from(
    { length: 60 },
    (_, n) => parsePrefix(`10.${n}.${n * 3}.0/24`)!,
  );
  assert.throws(
    () => world.apply(peer(1, { prefixes: many }), peer(2)),
    /no room for more prefixes, at peer peer1/,
  );
  assert.deepEqual(world.there, [1, 2]);
  // As many as before: it still does not fit, and is not forgotten.
  assert.throws(() => world.apply(peer(1, { prefixes: many })), RangeError);
  const done = world.apply(peer(1), peer(2));
  assert.equal(done.changed.includes("peer1"), true);
  assert.deepEqual(world.prefixes(1), ["10.8.0.1/32"]);
  assert.deepEqual(world.prefixes(2), ["10.8.0.2/32"]);
});

Deno.test("names are found by row", () => {
  const world = new World();
  world.apply(peer(1), peer(2, { name: "phone" }));
  const row = world.tables.device.peers.rowOf(key(2));
  assert.equal(world.sync.nameOf(row), "phone");
  assert.equal(world.sync.nameOf(7), undefined);
  world.apply(peer(1));
  assert.equal(world.sync.nameOf(row), undefined);
});
