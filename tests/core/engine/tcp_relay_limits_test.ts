/** What the gateway's relay lets in, what it keeps out, and what is left when it is over. */
import assert from "node:assert/strict";
import { RedirectState } from "../../../src/core/flow/redirect_table.ts";
import { addressWords } from "../flow/packets.ts";
import {
  ACK,
  FIN,
  RST,
  segment,
  type SegmentOptions,
  SYN,
} from "../flow/segments.ts";
import { FAMILIES, proxy, Talk, verdicts } from "./tcp_talk.ts";
import { RELAY } from "./world.ts";

Deno.test("IPv4 options and IPv6 extension headers do not reach the kernel", () => {
  const world = proxy();
  for (
    const [family, options, firstHeader] of [
      [FAMILIES[0], [7, 7, 4, 0, 0, 0, 0, 0], undefined],
      [FAMILIES[1], [6, 0, 1, 4, 0, 0, 0, 0], 60],
    ] as const
  ) {
    const talk = new Talk(world, family, { fromPort: 9 });
    const [syn] = talk.send({ flags: SYN, seq: 1000, options, firstHeader });
    assert.deepEqual(syn.bytes, [...talk.packet({ flags: SYN, seq: 1000 })]);
    talk.row = syn.target as number;
    talk.generation = world.redirects.generationOf(talk.row);
    talk.settle();
    const [seen] = talk.send({ flags: ACK, options, firstHeader, data: [5] });
    assert.deepEqual(talk.toKernel(seen).data, [5]);
  }
});

Deno.test("what changes the table must have a good checksum", () => {
  const world = proxy();
  const talk = new Talk(world, FAMILIES[0]);
  const bad = (options: Partial<SegmentOptions> & { flags: number }) => {
    const packet = talk.packet(options);
    packet[36] ^= 1;
    return verdicts(world.fromTunnel(0, packet));
  };
  const dropped = [["Drop", "bad checksum"]];
  assert.deepEqual(bad({ flags: SYN }), dropped);
  talk.open();
  assert.deepEqual(bad({ flags: RST }), dropped);
  assert.deepEqual(bad({ flags: FIN | ACK }), dropped);
  assert.deepEqual(bad({ flags: SYN }), dropped);
  assert.equal(talk.state, RedirectState.Open);
  // What only passes through is the kernel's to check.
  assert.deepEqual(bad({ flags: ACK }), [["ToHost"]]);
});

Deno.test("limits: a peer's connections, and those that it dials", () => {
  const limits = { maxConnectionsPerPeer: 4, maxDialingPerPeer: 2 };
  const world = proxy({ config: { relay: { ...RELAY, ...limits } } });
  const [family] = FAMILIES;
  const talk = (fromPort: number) => new Talk(world, family, { fromPort });
  const refused = ["Drop", "TCP limit of the peer"];
  const one = talk(1);
  const two = talk(2);
  one.syn();
  two.syn();
  assert.deepEqual(verdicts([talk(3).syn()]), [refused]);
  // A flood of SYNs of one peer does not keep another from connecting.
  for (let n = 0; n < 500; n++) talk(100 + n).syn();
  new Talk(world, family, { peer: 1, from: family.other }).open();
  assert.ok(one.settle());
  const three = talk(3);
  assert.equal(three.syn().verdict, "ToRelay");
  assert.ok(two.settle());
  assert.ok(three.settle());
  assert.equal(talk(4).syn().verdict, "ToRelay");
  assert.deepEqual(verdicts([talk(5).syn()]), [refused]);
  // One that ends makes room at once.
  three.send({ flags: RST });
  assert.equal(talk(5).syn().verdict, "ToRelay");
});

Deno.test("a full table: the SYN is dropped; the row that rests longest is used early", () => {
  const world = proxy({ redirects: { capacity: 2 } });
  const [family] = FAMILIES;
  const talk = (fromPort: number) => new Talk(world, family, { fromPort });
  const one = talk(1).open();
  const two = talk(2).open();
  assert.deepEqual(verdicts([talk(3).syn()]), [["Drop", "TCP table full"]]);
  // A row that has just ended is not used again in the same batch.
  one.send({ flags: RST });
  assert.deepEqual(verdicts([talk(3).syn()]), [["Drop", "TCP table full"]]);
  world.now += 1;
  two.send({ flags: RST });
  const three = talk(3);
  assert.equal(three.syn().verdict, "ToRelay");
  assert.equal(three.row, one.row);
  assert.equal(three.generation, one.generation + 1);
  assert.deepEqual(world.relay.abandoned, [
    { row: one.row, generation: one.generation },
  ]);
  assert.equal(one.kernel({ flags: ACK }).target, "relay stray");
});

Deno.test("an abandon that finds no room is said later, and no row used before", () => {
  const world = proxy({ redirects: { capacity: 2 } });
  const [family] = FAMILIES;
  const old = new Talk(world, family).open();
  world.relay.isFull = true;
  const next = new Talk(world, family, { isn: 5 });
  assert.equal(next.syn().verdict, "ToRelay");
  world.pass(10_000);
  assert.deepEqual([world.relay.abandoned.length, world.redirects.resting], [
    0,
    1,
  ]);
  const third = new Talk(world, family, { fromPort: 3 });
  assert.deepEqual(verdicts([third.syn()]), [["Drop", "TCP table full"]]);
  world.relay.isFull = false;
  world.pass(1000);
  assert.deepEqual(world.relay.abandoned, [
    { row: old.row, generation: old.generation },
  ]);
  assert.equal(third.syn().verdict, "ToRelay");
});

Deno.test("a row rests two seconds, so that its port comes back after the kernel's TIME_WAIT", () => {
  const world = proxy();
  const [family] = FAMILIES;
  const seen = new Map<string, number>();
  const rows = new Set<number>();
  let shortest = Infinity;
  for (let isn = 0; isn < 400; isn++) {
    const talk = new Talk(world, family, { isn }).open();
    const ends = `${talk.row} ${talk.generation % 64}`;
    shortest = Math.min(shortest, world.now - (seen.get(ends) ?? -Infinity));
    rows.add(talk.row);
    talk.send({ flags: FIN | ACK });
    talk.kernel({ flags: FIN | ACK, ack: isn + 2 });
    talk.send({ flags: ACK, seq: isn + 2, ack: 5002 });
    seen.set(ends, world.now);
    world.pass(1000);
  }
  assert.ok(shortest >= 2 * 64_000, `${shortest} ms`);
  assert.ok(rows.size <= 4, "no more rows than it takes");
});

Deno.test("a dial that could not be handed over is forgotten", () => {
  const world = proxy();
  const talk = new Talk(world, FAMILIES[0]);
  talk.syn();
  world.open.dialFailed(world.batch, 0);
  assert.deepEqual(verdicts(world.seen()), [["Drop", "relay queue full"]]);
  assert.deepEqual([world.redirects.size, world.redirects.dialingOf(0)], [
    0,
    0,
  ]);
  assert.deepEqual(world.relay.abandoned, []);
  assert.equal(talk.syn().verdict, "ToRelay");
});

for (const how of ["ended", "another's"] as const) {
  Deno.test(`a row that is ${how} while its packet is rewritten lets it not pass`, () => {
    const world = proxy();
    const talk = new Talk(world, FAMILIES[0]).open();
    const { redirects } = world;
    const { remotePort } = redirects;
    // In the middle: the seal worker reads, the open worker goes on.
    Object.defineProperty(redirects, "remotePort", {
      configurable: true,
      get: () => {
        Object.defineProperty(redirects, "remotePort", { value: remotePort });
        redirects.forget(talk.row, world.now);
        if (how === "ended") return remotePort;
        redirects.rested(Infinity);
        redirects.release();
        const words = addressWords("10.8.0.3");
        const row = redirects.take();
        redirects.begin(row, words, 1, words, 2, 1, 0, world.now);
        redirects.settle(row, redirects.generationOf(row), RedirectState.Open);
        return remotePort;
      },
    });
    const seen = talk.kernel({ flags: ACK, data: [1] });
    assert.deepEqual(verdicts([seen]), [["Drop", "relay stray"]]);
  });
}

Deno.test("gateways that take turns share every connection", () => {
  const world = proxy();
  const [family] = FAMILIES;
  const talk = new Talk(world, family).open();
  const packet = talk.packet({ flags: ACK, data: [1] });
  talk.toKernel(world.fromTunnelBy(world.twin, 0, packet)[0]);
  talk.send({ flags: FIN | ACK });
  talk.kernel({ flags: FIN | ACK, ack: 1002 });
  const last = talk.packet({ flags: ACK, seq: 1002, ack: 5002 });
  talk.toKernel(world.fromTunnelBy(world.twin, 0, last)[0]);
  assert.equal(world.redirects.size, 0);
});

Deno.test("16,384 connections at once, ended in every way: nothing is left", () => {
  const capacity = 16_384;
  const limits = {
    maxConnectionsPerPeer: capacity + 1,
    maxDialingPerPeer: capacity + 1,
  };
  const world = proxy({
    redirects: { capacity, seed: 12_345 },
    config: { relay: { ...RELAY, ...limits } },
  });
  const talks = Array.from(
    { length: capacity },
    (_, n) =>
      new Talk(world, FAMILIES[n & 1], { fromPort: 1024 + n, isn: n * 7919 }),
  );
  talks.forEach((talk, n) => n % 5 === 4 ? talk.syn() : talk.open());
  assert.equal(world.redirects.size, capacity);
  assert.equal(new Set(talks.map(({ row }) => row)).size, capacity);
  const more = new Talk(world, FAMILIES[0], { fromPort: 99 });
  assert.deepEqual(verdicts([more.syn()]), [["Drop", "TCP table full"]]);
  // Each still reaches its own, both ways.
  for (const talk of talks) {
    if (talk.state !== RedirectState.Open) continue;
    talk.toKernel(talk.send({ flags: ACK, data: [1] })[0]);
    talk.toClient(talk.kernel({ flags: ACK, data: [2] }));
  }
  talks.forEach((talk, n) => {
    if (n % 5 === 0) {
      talk.send({ flags: FIN | ACK });
      talk.kernel({ flags: FIN | ACK, ack: talk.isn + 2 });
      talk.send({ flags: ACK, seq: talk.isn + 2, ack: 5002 });
    } else if (n % 5 === 1) talk.send({ flags: RST });
    else if (n % 5 === 2) talk.kernel({ flags: RST | ACK });
    else if (n % 5 === 4) talk.settle(RedirectState.Refused);
  });
  // The rest, n % 5 === 3, is idle for too long.
  world.pass(3000);
  assert.equal(
    world.redirects.size,
    talks.filter((_, n) => n % 5 === 3).length,
  );
  world.now += 7_440_000;
  world.pass(4000);
  const { redirects } = world;
  assert.deepEqual([redirects.size, redirects.resting], [0, 0]);
  assert.equal(redirects.dialingOf(0), 0);
  for (const talk of talks) {
    assert.equal(talk.state, RedirectState.Free);
    assert.equal(talk.kernel({ flags: ACK }).target, "relay stray");
    assert.equal(talk.send({ flags: ACK })[0].target, "no TCP connection");
  }
  const told = world.relay.abandoned.length;
  assert.equal(told, talks.filter((_, n) => n % 5 === 1 || n % 5 === 3).length);
});

Deno.test("TCP to the gateway itself, to peers and to nobody goes its own way", () => {
  const world = proxy();
  const [family] = FAMILIES;
  const to = (address: string) =>
    world.fromTunnel(
      0,
      segment({
        from: family.client,
        to: address,
        fromPort: 1,
        toPort: 443,
        flags: SYN,
      }),
    )[0];
  assert.equal(to("10.8.0.1").verdict, "ToHost");
  assert.equal(to("10.8.0.3").verdict, "ToPeer");
  assert.equal(to("10.8.0.99").target, "no peer for destination");
  assert.equal(to("224.0.0.1").target, "multicast or broadcast");
  assert.equal(world.redirects.size, 0);
});

Deno.test("a gateway without what the policy needs is not made", () => {
  assert.throws(
    () => proxy({ config: { relay: undefined } }),
    /needs a relay/,
  );
});
