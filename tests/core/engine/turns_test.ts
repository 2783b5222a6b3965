/** Gateways of several threads that take turns are like one. */
import assert from "node:assert/strict";
import {
  addressWords,
  fragmentsOf,
  pattern,
  udpBytes,
  udpPacket,
} from "../flow/packets.ts";
import { World } from "./world.ts";

const OUT = {
  from: "10.8.0.2",
  to: "192.0.2.7",
  fromPort: 4000,
  toPort: 53,
};

Deno.test("turns: fragments that come to different gateways make one datagram", () => {
  const world = new World();
  const payload = pattern(700);
  const fragments = fragmentsOf(17, udpBytes(OUT, payload), [240, 480], {
    ...OUT,
    id: 7,
  });
  const [open, twin] = [world.open, world.twin];
  for (const order of [[0, 1, 2], [2, 0, 1], [1, 2, 0]]) {
    const rows = order.flatMap((n, i) =>
      world.fromTunnelBy(i % 2 === 0 ? twin : open, 0, fragments[n])
    );
    assert.deepEqual(rows.map(({ verdict }) => verdict), [
      ...["Held", "Held", "Held"],
      "ToUdp",
    ]);
    assert.deepEqual(rows[3].bytes, payload);
  }
});

Deno.test("turns: a datagram that one began is given up by the other", () => {
  const world = new World();
  const [part] = fragmentsOf(17, udpBytes(OUT, pattern(700)), [240], {
    ...OUT,
    id: 8,
  });
  world.fromTunnelBy(world.twin, 0, part);
  world.now += 29_999;
  assert.deepEqual(world.fromTunnel(0), []);
  world.now += 1;
  const [row] = world.fromTunnel(0);
  assert.deepEqual([row.verdict, row.target], ["Drop", "fragment timeout"]);
  assert.deepEqual(world.fromTunnelBy(world.twin, 0), []);
});

Deno.test("turns: the limit of ICMP errors is one for all", () => {
  const world = new World({ config: { errorsPerSecond: 10, errorBurst: 5 } });
  const nobody = udpPacket({ ...OUT, to: "10.8.0.99" }, pattern(20));
  const errors = () =>
    Array.from({ length: 20 }, (_, i) => {
      const gateway = i % 2 === 0 ? world.open : world.twin;
      return world.fromTunnelBy(gateway, 0, nobody).length - 1;
    }).reduce((sum, count) => sum + count, 0);
  assert.equal(errors(), 5);
  world.now += 300;
  assert.equal(errors(), 3);
});

Deno.test("turns: a mapping of one is the other's, and both sweep it", () => {
  const world = new World({ capacity: 4096 });
  const [first] = world.fromTunnel(0, udpPacket(OUT, pattern(20)));
  const [second] = world.fromTunnelBy(
    world.twin,
    0,
    udpPacket(OUT, pattern(20)),
  );
  assert.equal(second.target, first.target);
  assert.equal(world.sockets.opened.length, 1);

  // More rows than one tick ends: only the ticks of both get round them.
  for (let port = 5000; port < 7050; port++) {
    world.fromTunnel(0, udpPacket({ ...OUT, fromPort: port }, pattern(20)));
  }
  world.now += 300_000;
  world.open.tick(world.now);
  world.twin.tick(world.now);
  assert.equal(world.sockets.retired.length, 2048);
  world.twin.tick(world.now);
  assert.equal(world.sockets.retired.length, 2051);
});

Deno.test("turns: no two give their packets the same identification", () => {
  const world = new World();
  const [{ target }] = world.fromTunnel(0, udpPacket(OUT, pattern(20)));
  const { batch } = world;
  const seen = [world.seal, world.twin, world.twin, world.seal].map(
    (gateway) => {
      world.load(-1, [Uint8Array.from(pattern(20))]);
      batch.target[0] = target as number;
      batch.remote.set(addressWords(OUT.to));
      batch.remotePort[0] = OUT.toPort;
      gateway.fromOutside(batch, world.now);
      const [{ bytes }] = world.seen();
      return bytes[4] << 8 | bytes[5];
    },
  );
  assert.equal(new Set(seen).size, 4, seen.join());
});
