/** Steady state allocates nothing per packet: the heap stands still while packets pass. */
import assert from "node:assert/strict";
import { RedirectState } from "../../../src/core/flow/redirect_table.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import {
  addressWords,
  echoPacket,
  pattern,
  udpPacket,
} from "../flow/packets.ts";
import { ACK, segment, SYN } from "../flow/segments.ts";
import { BATCH, bytesPerPacket } from "./heap.ts";
import { StackWorld } from "./stack_world.ts";
import { World } from "./world.ts";

Deno.test("the measure sees an allocation of 16 bytes per packet", () => {
  const kept: unknown[] = [];
  const found = bytesPerPacket(() => {
    kept.length = 0;
    for (let n = 0; n < BATCH; n++) kept.push({ n });
  });
  assert.ok(found > 8, `${found}`);
});

for (
  const filtering of [
    "endpoint-independent",
    "address-and-port-dependent",
  ] as const
) {
  for (const from of ["10.8.0.2", "fd00:8:0:0:0:0:0:2"]) {
    Deno.test(`UDP out and in allocates nothing: ${from}, ${filtering}`, () => {
      const world = new World({ config: { filtering } });
      const to = from.includes(":") ? "2001:db8:0:0:0:0:0:7" : "192.0.2.7";
      const packet = udpPacket(
        { from, to, fromPort: 4000, toPort: 53 },
        pattern(200),
      );
      const remote = addressWords(to);
      const { batch, open, seal } = world;
      world.load(0, new Array(BATCH).fill(packet));
      const start = [...batch.offset.subarray(0, BATCH)];
      const header = packet.length - 200;
      let now = world.now + 0.5;

      const found = bytesPerPacket(() => {
        now += 0.25;
        batch.clear();
        for (let n = 0; n < BATCH; n++) {
          batch.bytes.set(packet, start[n]);
          batch.push(start[n], packet.length, 0);
        }
        open.fromTunnel(batch, now);
        const mapping = batch.target[0];
        batch.clear();
        for (let n = 0; n < BATCH; n++) {
          const row = batch.push(start[n] + header, 200, -1);
          batch.target[row] = mapping;
          batch.remote.set(remote, row * 4);
          batch.remotePort[row] = 53;
        }
        seal.fromOutside(batch, now);
      });
      assert.equal(batch.verdict[BATCH - 1], Verdict.ToPeer);
      assert.ok(found < 1, `${found} bytes per packet`);
    });
  }
}

Deno.test("peer to peer, echo and host packets allocate nothing", () => {
  const world = new World();
  const packets = [
    udpPacket(
      { from: "10.8.0.2", to: "10.8.0.3", fromPort: 1, toPort: 2 },
      pattern(200),
    ),
    echoPacket({ from: "10.8.0.2", to: "10.8.0.1", id16: 7 }),
    echoPacket({ from: "10.8.0.2", to: "192.0.2.7", id16: 7 }),
    udpPacket(
      { from: "10.8.0.2", to: "10.8.0.1", fromPort: 1, toPort: 99 },
      pattern(200),
    ),
  ];
  const { batch, open, seal } = world;
  world.load(0, packets);
  const start = [...batch.offset.subarray(0, 4)];
  let now = world.now + 0.5;
  const found = bytesPerPacket(() => {
    now += 0.25;
    for (let host = 0; host < 2; host++) {
      batch.clear();
      for (let n = 0; n < BATCH; n++) {
        const packet = packets[n & 3];
        batch.bytes.set(packet, start[n & 3]);
        batch.push(start[n & 3], packet.length, 0);
        if (host === 0) open.fromTunnel(batch, now);
        else seal.fromHost(batch, now);
        batch.clear();
      }
    }
  });
  assert.ok(found < 1, `${found} bytes per packet`);
});

for (const family of [4, 6] as const) {
  Deno.test(`TCP to the relay and back allocates nothing: IPv${family}`, () => {
    const world = new World({ config: { tcp: "proxy" } });
    const { batch, open, seal, redirects } = world;
    const isIpv4 = family === 4;
    const ends = {
      from: isIpv4 ? "10.8.0.2" : "fd00:8:0:0:0:0:0:2",
      to: isIpv4 ? "192.0.2.7" : "2001:db8:0:0:0:0:0:7",
      fromPort: 40_000,
      toPort: 443,
    };
    const [syn] = world.fromTunnel(
      0,
      segment({ ...ends, flags: SYN, seq: 0xf0000000 }),
    );
    const row = syn.target as number;
    const generation = redirects.generationOf(row);
    redirects.settle(row, generation, RedirectState.Open);
    const relay = isIpv4
      ? { from: "198.18.254.1", to: `198.18.254.${2 + generation}` }
      : {
        from: "fd73:6c75:6963:6500:0:0:0:1",
        to: `fd73:6c75:6963:6500:0:0:0:${2 + generation}`,
      };
    const numbers = { flags: ACK, seq: 0xf0000001, ack: 0xe0000001 };
    const data = pattern(200);
    const out = segment({ ...ends, ...numbers, data });
    const back = segment({
      ...relay,
      ...numbers,
      fromPort: isIpv4 ? 4433 : 4434,
      toPort: 1024 + row,
      data,
    });
    world.load(0, new Array(BATCH).fill(out));
    const start = [...batch.offset.subarray(0, BATCH)];
    let now = world.now + 0.5;
    const load = (packet: Uint8Array, peer: number) => {
      batch.clear();
      for (let n = 0; n < BATCH; n++) {
        batch.bytes.set(packet, start[n]);
        batch.push(start[n], packet.length, peer);
      }
    };
    const went = [0, 0];
    let bursts = 0;
    const found = bytesPerPacket(() => {
      now += 0.25;
      bursts++;
      load(out, 0);
      open.fromTunnel(batch, now);
      went[0] += batch.verdict[BATCH - 1] === Verdict.ToHost ? 1 : 0;
      load(back, -1);
      seal.fromHost(batch, now);
      went[1] += batch.verdict[BATCH - 1] === Verdict.ToPeer ? 1 : 0;
    });
    assert.deepEqual(went, [bursts, bursts]);
    assert.ok(found < 1, `${found} bytes per packet`);
  });
}

for (const from of ["10.0.0.1", "fd00:0:0:0:0:0:0:1"]) {
  Deno.test(`TCP, UDP and echo through a TUN stack allocate nothing: ${from}`, () => {
    const world = new StackWorld();
    const to = from.includes(":") ? "2001:db8:0:0:0:0:0:7" : "192.0.2.7";
    const ends = { from, to, fromPort: 4000, toPort: 443 };
    const [dial] = world.fromHost([segment({ ...ends, flags: SYN, seq: 1 })]);
    world.settle(dial.target as number);
    const packets = [
      segment({ ...ends, flags: ACK, seq: 2, data: pattern(200) }),
      udpPacket(ends, pattern(200)),
      echoPacket({ from, to, id16: 7 }, pattern(200)),
    ];
    const { batch, stack } = world;
    let now = world.now + 0.5;
    const found = bytesPerPacket(() => {
      now += 0.25;
      batch.clear();
      for (let n = 0; n < BATCH; n++) {
        const packet = packets[n % packets.length];
        batch.bytes.set(packet, n * 1024);
        batch.push(n * 1024, packet.length, -1);
      }
      stack.fromHost(batch, now);
    });
    for (let n = 0; n < packets.length; n++) {
      const expected = [Verdict.ToHost, Verdict.ToRelayUdp, Verdict.ToHost];
      assert.equal(batch.verdict[n], expected[n]);
    }
    assert.ok(found < 1, `${found} bytes per packet`);
  });
}
