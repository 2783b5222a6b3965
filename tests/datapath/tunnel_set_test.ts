/** The packet tunnels of a pump: their turns, and that whoever waits for an end hears of it. */
import assert from "node:assert/strict";
import { Batch } from "../../src/core/columns/batch.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import {
  type AttachedTunnel,
  TunnelSet,
} from "../../src/datapath/tunnel_set.ts";
import type { TunnelsPoller } from "../../src/io/ports.ts";

const OUTBOUNDS = 8;

/** A set whose tunnels note what is done with them. */
class SetWorld {
  readonly notes: string[] = [];
  readonly told: number[] = [];
  /** Whether the ring to the control thread has room. */
  hasRoom = true;
  reported: number[] = [];
  readonly batch = new Batch({
    bytes: new Uint8Array(4096),
    capacity: 4,
    spareStart: 0,
    spareEnd: 4096,
    headroom: 0,
    tailroom: 0,
  });
  readonly set: TunnelSet;

  constructor() {
    const watched = (what: string) => (descriptor: number) => {
      this.notes.push(`${what} ${descriptor}`);
      return true;
    };
    const reported = () => this.reported;
    const poller = {
      get tunnelCount() {
        return reported().length;
      },
      tunnel: (i: number) => this.reported[i],
      watchTunnel: watched("watch"),
      forgetTunnel: watched("forget"),
    } as Partial<TunnelsPoller> as TunnelsPoller;
    this.set = new TunnelSet({
      poller,
      batch: this.batch,
      outbounds: OUTBOUNDS,
      detached: (slot) => {
        if (this.hasRoom) this.told.push(slot);
        return this.hasRoom;
      },
    });
  }

  /** Gives an outbound a tunnel with so many batches to receive. */
  attach(outbound: number, batches = 0): void {
    let left = batches;
    const tunnel = {
      socket: { descriptor: 100 + outbound, port: 0 },
      receive: () => left-- > 0 ? 1 : 0,
      send: () => DropReason.None,
      flush: () => this.notes.push(`flush ${outbound}`),
    };
    this.set.attach(
      outbound,
      { tunnel, slot: outbound + 10, way: {} } as
        & Partial<AttachedTunnel>
        & object as AttachedTunnel,
    );
  }
}

Deno.test("a detached slot is told once there is room for it, in order and once", () => {
  const world = new SetWorld();
  for (const outbound of [1, 2, 3]) world.attach(outbound);
  world.hasRoom = false;
  for (const outbound of [1, 2]) world.set.detach(outbound);
  world.set.tellDetached();
  assert.deepEqual(world.told, []);
  world.hasRoom = true;
  world.set.tellDetached();
  assert.deepEqual(world.told, [11, 12]);
  world.set.detach(3);
  world.set.detach(3);
  world.set.tellDetached();
  assert.deepEqual(world.told, [11, 12, 13]);
});

Deno.test("reported tunnels are read in turns until they are empty", () => {
  const world = new SetWorld();
  world.attach(1, 2);
  world.attach(2, 1);
  world.reported = [1, 2, 5];
  world.set.notice();
  const read: number[] = [];
  for (
    let outbound = world.set.receive(0);
    outbound >= 0;
    outbound = world.set.receive(0)
  ) read.push(outbound);
  assert.deepEqual(read, [2, 1, 1]);
});

Deno.test("what was sent is flushed once, and nothing goes to a tunnel that is gone", () => {
  const world = new SetWorld();
  const { batch, set } = world;
  world.attach(4);
  batch.target[0] = 4;
  batch.target[1] = 5;
  assert.equal(set.send(0, 0), DropReason.None);
  assert.equal(set.send(0, 0), DropReason.None);
  assert.equal(set.send(1, 0), DropReason.NoOutbound);
  set.flush(0);
  set.flush(0);
  assert.deepEqual(world.notes, ["watch 104", "flush 4"]);
  set[Symbol.dispose]();
  assert.deepEqual(world.notes.slice(2), ["forget 104"]);
});
