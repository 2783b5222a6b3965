/** What the open worker tells the relay: in order, once, woken once a batch. */
import assert from "node:assert/strict";
import { RelayMessage } from "../../src/core/columns/relay_message.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { sharedBuffer } from "../../src/core/columns/columns.ts";
import { Ring } from "../../src/core/columns/ring.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { Dispatcher } from "../../src/datapath/dispatcher.ts";
import { RelayLink } from "../../src/datapath/relay_link.ts";
import { segment, SYN } from "../core/flow/segments.ts";
import { World } from "../core/engine/world.ts";
import { TestEnd } from "./end.ts";

interface Told {
  readonly kind: number;
  readonly row: number;
  readonly generation: number;
  readonly bytes: Uint8Array;
}

/** A gateway with a link to a relay, and a worker that carries out verdicts. */
function setUp(ringBytes = 1 << 16) {
  const world = new World({ config: { tcp: "proxy" } });
  const ring = new Ring(sharedBuffer(Ring.byteLength(ringBytes)), ringBytes);
  const wakes = { count: 0 };
  const wake = {
    descriptor: -1,
    signal: () => wakes.count++,
    drain: () => {},
    [Symbol.dispose]: () => {},
  };
  const link = new RelayLink(ring, wake, world.redirects);
  const { open } = new TestEnd(1);
  const dispatcher = new Dispatcher({
    sealer: open.sealer,
    socket: open.socket,
    link: open.link,
    counters: open.counters,
    tun: undefined,
    outside: undefined,
    relay: { link, failed: (batch, row) => world.open.dialFailed(batch, row) },
    rows: "packed",
  });
  const told = (): Told[] => {
    const all: Told[] = [];
    ring.read((kind, row, generation, bytes, at, length) => {
      all.push({ kind, row, generation, bytes: bytes.slice(at, at + length) });
    });
    return all;
  };
  const dispatch = (...packets: Uint8Array[]) => {
    world.fromTunnel(0, ...packets);
    dispatcher.dispatch(world.batch, world.now);
  };
  return { world, link, wakes, counters: open.counters, told, dispatch };
}

function syn(fromPort: number, seq = 9, data: number[] = []): Uint8Array {
  const ends = { from: "10.8.0.2", to: "192.0.2.7", fromPort, toPort: 443 };
  return segment({ ...ends, flags: SYN, seq, data });
}

Deno.test("the SYNs of a batch are handed over as they are, and the relay woken once", () => {
  const { world, wakes, told, dispatch } = setUp();
  dispatch(syn(1), syn(2), syn(3));
  const messages = told();
  assert.deepEqual(messages.map(({ bytes }) => bytes), [
    syn(1),
    syn(2),
    syn(3),
  ]);
  for (const { kind, row, generation } of messages) {
    assert.equal(kind, RelayMessage.Dial);
    assert.ok(world.redirects.settle(row, generation, RedirectState.Open));
  }
  assert.equal(wakes.count, 1);
  dispatch(new Uint8Array(3));
  assert.equal(wakes.count, 1, "nothing said, nobody woken");
});

Deno.test("a SYN that another one follows in its batch is not handed over", () => {
  const { told, dispatch } = setUp();
  dispatch(syn(1, 100), syn(1, 200), syn(2));
  assert.deepEqual(told().map(({ bytes }) => bytes), [syn(1, 200), syn(2)]);
});

Deno.test("where the ring is full the rest is dropped, counted and forgotten", () => {
  const { world, counters, told, dispatch } = setUp(512);
  dispatch(...[1, 2, 3, 4, 5, 6, 7, 8].map((port) => syn(port)));
  const messages = told();
  assert.ok(messages.length > 0 && messages.length < 8);
  const full = counters.drops(DropReason.RelayQueueFull);
  assert.equal(full, 8 - messages.length);
  assert.equal(world.redirects.size, messages.length);
  assert.equal(world.redirects.dialingOf(0), messages.length);
  // What was dropped comes again.
  dispatch(syn(8));
  assert.equal(told().length, 1);
});

Deno.test("a SYN with more data than a message holds is dropped", () => {
  const { world, counters, told, dispatch } = setUp(1024);
  dispatch(syn(1, 9, new Array(600).fill(1)));
  assert.deepEqual(told(), []);
  assert.equal(counters.drops(DropReason.RelayQueueFull), 1);
  assert.equal(world.redirects.size, 0);
});

Deno.test("abandons wake at the flush, and say when there is no room", () => {
  const { link, wakes, told } = setUp(64);
  assert.ok(link.abandon(5, 77));
  assert.equal(wakes.count, 0);
  link.flush();
  link.flush();
  assert.equal(wakes.count, 1);
  assert.ok(link.abandon(6, 78));
  assert.equal(link.abandon(7, 79), false);
  assert.deepEqual(
    told().map(({ kind, row, generation }) => [kind, row, generation]),
    [[RelayMessage.Abandon, 5, 77], [RelayMessage.Abandon, 6, 78]],
  );
});

Deno.test("without a relay what is for it is dropped", () => {
  const { world } = setUp();
  const { open } = new TestEnd(2);
  world.fromTunnel(0, syn(1));
  assert.equal(world.batch.verdict[0], Verdict.ToRelay);
  open.dispatcher().dispatch(world.batch, world.now);
  assert.equal(open.counters.drops(DropReason.TcpNoConnection), 1);
});
