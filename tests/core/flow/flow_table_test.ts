import assert from "node:assert/strict";
import fc from "fast-check";
import {
  FlowTable,
  type FlowVerdict,
  FREE,
  Way,
} from "../../../src/core/flow/flow_table.ts";
import { Reader } from "../../../src/core/flow/outside_ends.ts";
import { addressWords } from "./packets.ts";

const CAPACITY = 12;
const LOCALS = ["10.0.0.1", "fd00:0:0:0:0:0:0:1"].map(addressWords);
const REMOTES = ["192.0.2.7", "192.0.2.8", "2001:db8:0:0:0:0:0:7"]
  .map(addressWords);
const NEAR = ["10.7.0.2", "10.8.0.2"].map(addressWords);

function table(capacity = CAPACITY, seed = 5): FlowTable {
  const options = { capacity, seed };
  return new FlowTable(
    new SharedArrayBuffer(FlowTable.byteLength(options)),
    options,
  );
}

Deno.test("the table fits the bytes that it asks for, whatever its size", () => {
  for (const capacity of [1, 2, 3, 63, 1000]) table(capacity);
});

Deno.test("a flow's life, seen by another thread's table over the same buffer", () => {
  const options = { capacity: 4, seed: 1 };
  const buffer = new SharedArrayBuffer(FlowTable.byteLength(options));
  const flows = new FlowTable(buffer, options);
  const other = new FlowTable(buffer, options);
  const row = flows.begin(17, LOCALS[0], 4000, REMOTES[0], 53, 100);
  assert.deepEqual([other.size, other.waiting, other.wayOf(row)], [
    ...[1, 1],
    Way.Waiting,
  ]);
  const generation = other.generationOf(row);
  flows.settle(row, Way.Packet, 3, 7, REMOTES[1], 0, 5353);
  assert.ok(flows.outside.link(row, NEAR[0], 0, 4000));
  flows.traffic.noteSent(row, 60, 110);
  flows.traffic.noteReceived(row, 500, 120);
  assert.deepEqual(other.snapshot(row), {
    row,
    generation,
    protocol: 17,
    local: { words: LOCALS[0], port: 4000 },
    remote: { words: REMOTES[0], port: 53 },
    way: Way.Packet,
    outbound: 3,
    rule: 7,
    to: { words: REMOTES[1], port: 5353 },
    createdAt: 100,
    lastAt: 120,
    sentPackets: 1,
    sentBytes: 60,
    receivedPackets: 1,
    receivedBytes: 500,
  });
  assert.deepEqual([...other.rows()], [row]);
  flows.release(row);
  assert.equal(other.snapshot(row), undefined);
  assert.equal(other.has(row, generation), false);
  assert.deepEqual([other.size, other.waiting], [0, 0]);
  const again = flows.begin(6, LOCALS[0], 1, REMOTES[0], 2, 130);
  assert.equal(again, row);
  assert.equal(other.generationOf(row), generation + 1);
  assert.deepEqual(flows.snapshot(row)!.sentBytes, 0);
});

Deno.test("rows that can't be are nobody's", () => {
  const flows = table();
  for (const row of [-1, CAPACITY, 1e9, 0.5]) {
    assert.equal(flows.has(row, 0), false);
  }
  assert.equal(flows.wayOf(-1), FREE);
});

/** What the table should hold. */
interface Twin {
  readonly key: string;
  readonly row: number;
  readonly generation: number;
  way: number;
  outbound: number;
  to: string;
  near: string | undefined;
}

interface Step {
  readonly kind: number;
  readonly protocol: number;
  readonly local: number;
  readonly port: number;
  readonly remote: number;
  readonly way: number;
  readonly outbound: number;
  readonly near: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(5),
  protocol: fc.constantFrom(6, 17, 1),
  local: fc.nat(LOCALS.length - 1),
  port: fc.constantFrom(0, 1, 53, 65535),
  remote: fc.nat(REMOTES.length - 1),
  way: fc.constantFrom(Way.Drop, Way.Direct, Way.Proxy, Way.Packet),
  outbound: fc.nat(3),
  near: fc.nat(NEAR.length - 1),
});

Deno.test("whatever happens, the table holds what a Map would", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
    const flows = table();
    const twins = new Map<string, Twin>();
    let now = 0;
    for (const at of steps) {
      now++;
      const { protocol, local, port, remote, near } = at;
      const key = `${protocol} ${local} ${port} ${remote}`;
      const twin = twins.get(key);
      const found = flows.lookup(
        protocol,
        LOCALS[local],
        port,
        REMOTES[remote],
        443,
      );
      assert.equal(found, twin?.row ?? -1);
      if (twin === undefined) {
        const row = flows.begin(
          protocol,
          LOCALS[local],
          port,
          REMOTES[remote],
          443,
          now,
        );
        assert.equal(row >= 0, twins.size < CAPACITY);
        if (row < 0) continue;
        const generation = flows.generationOf(row);
        const to = `${remote}`;
        twins.set(key, {
          ...{ key, row, generation, way: Way.Waiting, outbound: 0, to },
          near: undefined,
        });
        continue;
      }
      switch (at.kind) {
        case 0:
          flows.release(twin.row);
          twins.delete(key);
          break;
        case 1:
        case 2: {
          const { way, outbound } = at as Pick<
            FlowVerdict,
            "way" | "outbound"
          >;
          const to = REMOTES[near];
          flows.settle(twin.row, way, outbound, 0, to, 0, 443);
          Object.assign(twin, {
            way,
            outbound,
            to: `${near}`,
            near: undefined,
          });
          break;
        }
        case 3: {
          if (flows.outside.has(twin.row)) break;
          const name = inbound(twin, near, port);
          const isTaken = [...twins.values()].some((one) => one.near === name);
          assert.equal(
            flows.outside.link(twin.row, NEAR[near], 0, port),
            !isTaken,
          );
          if (!isTaken) twin.near = name;
          break;
        }
        case 4:
          flows.outside.unlink(twin.row);
          twin.near = undefined;
      }
    }
    check(flows, [...twins.values()]);
  }));
});

function inbound({ key, outbound, to }: Twin, near: number, port: number) {
  return `${key.split(" ")[0]} ${outbound} ${near} ${port} ${to}`;
}

function check(flows: FlowTable, twins: readonly Twin[]): void {
  assert.equal(flows.size, twins.length);
  const waiting = twins.filter(({ way }) => way === Way.Waiting).length;
  assert.equal(flows.waiting, waiting);
  assert.deepEqual(
    [...flows.rows()].sort(),
    twins.map(({ row }) => row).sort(),
  );
  for (const { row, generation, way, outbound, near } of twins) {
    assert.ok(flows.has(row, generation));
    assert.equal(flows.wayOf(row), way);
    assert.equal(flows.outbound[row], outbound);
    assert.equal(flows.outside.has(row), near !== undefined);
  }
  for (const protocol of [6, 17, 1]) {
    for (let outbound = 0; outbound < 4; outbound++) {
      for (let near = 0; near < NEAR.length; near++) {
        for (const port of [0, 1, 53, 65535]) {
          for (let to = 0; to < REMOTES.length; to++) {
            const name = `${protocol} ${outbound} ${near} ${port} ${to}`;
            const expected = twins.find((one) => one.near === name)?.row ?? -1;
            const found = flows.outside.lookup(
              outbound,
              protocol,
              NEAR[near],
              0,
              port,
              REMOTES[to],
              0,
              443,
            );
            assert.equal(found, expected);
            const decided = expected >= 0 &&
              flows.wayOf(expected) !== Way.Waiting;
            const seen = flows.outside.lookup(
              outbound,
              protocol,
              NEAR[near],
              0,
              port,
              REMOTES[to],
              0,
              443,
              Reader.Other,
            );
            assert.equal(seen, decided ? expected : -1);
          }
        }
      }
    }
  }
}
