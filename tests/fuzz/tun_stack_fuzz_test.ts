/**
 * Hostile packets against a TUN stack: valid ones of every kind, mutated by a
 * seeded generator, whole and partial, from programs and from the relay's own
 * addresses. Nothing throws, every row is decided, rows stay in their place, and
 * the same seed ends the same way.
 */
import assert from "node:assert/strict";
import {
  DROP_REASON_COUNT,
  DropReason,
} from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { StackWorld } from "../core/engine/stack_world.ts";
import {
  echoPacket,
  fragmentsOf,
  ipPacket,
  pattern,
  udpBytes,
  udpPacket,
} from "../core/flow/packets.ts";
import {
  ACK,
  FIN,
  partialSegment,
  PSH,
  RST,
  segment,
  SYN,
} from "../core/flow/segments.ts";

const CASES = 60_000;

type Pick = (below: number) => number;

function generator(seed: number): Pick {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const PLACES = [
  { from: "10.0.0.1", to: "203.0.113.7", relay: "198.18.254.1", port: 7004 },
  {
    from: "fd00:0:0:0:0:0:0:1",
    to: "2001:db8:0:0:0:0:0:7",
    relay: "fd73:6c75:6963:6500:0:0:0:1",
    port: 7006,
  },
] as const;

interface Packet {
  readonly bytes: Uint8Array;
  readonly partial: number;
}

/** Valid packets of every kind. */
function corpus(): Packet[] {
  return PLACES.flatMap(({ from, to, relay, port }) => {
    const flags = [SYN, ACK, PSH | ACK, FIN | ACK, RST, SYN | ACK, 0];
    const segments = flags.flatMap((flags) =>
      [1, 2, 3].flatMap((fromPort) =>
        [segment, partialSegment].map((build, partial) => ({
          bytes: build({
            ...{ from, to, fromPort, toPort: 443, flags, seq: 9, ack: 77 },
            tcpOptions: flags === SYN ? [2, 4, 0x23, 0x28] : [],
            data: flags === (PSH | ACK) ? pattern(700) : [],
          }),
          partial,
        }))
      )
    );
    const beside = relay.replace(/1$/, "2");
    const answers = [SYN | ACK, ACK, FIN | ACK, RST].flatMap((flags) =>
      [1024, 1025, 1087].map((toPort) => ({
        bytes: segment({
          ...{ from: relay, to: beside, fromPort: port, toPort, flags },
        }),
        partial: 0,
      }))
    );
    const ends = { from, to, fromPort: 4000, toPort: 53 };
    const others = [
      udpPacket(ends, pattern(900)),
      echoPacket({ from, to, id16: 7 }, pattern(100)),
      ipPacket(47, pattern(30), { from, to }),
      ipPacket(from.includes(":") ? 58 : 1, [3, 3, 0, 0, ...pattern(40)], ends),
      ...fragmentsOf(17, udpBytes(ends, pattern(3000)), [800, 1600], {
        ...ends,
        id: 3,
      }),
    ].map((bytes) => ({ bytes, partial: 0 }));
    return [...segments, ...answers, ...others];
  });
}

function mutate({ bytes, partial }: Packet, pick: Pick): Packet {
  const copy = bytes.slice();
  for (let left = pick(4); left > 0; left--) {
    const at = pick(3) === 0
      ? pick(copy.length)
      : pick(Math.min(64, copy.length));
    copy[at] = pick(2) === 0 ? pick(256) : copy[at] ^ (1 << pick(8));
  }
  const length = pick(6) === 0 ? pick(copy.length + 1) : copy.length;
  return {
    bytes: copy.subarray(0, length),
    partial: pick(8) === 0 ? 1 - partial : partial,
  };
}

/** Runs a seed; gives a digest of all that was decided. */
function run(seed: number, cases: number): string {
  const pick = generator(seed);
  const packets = corpus();
  const world = new StackWorld({
    udp: pick(2) === 0 ? "relay" : "sockets",
    echo: pick(2) === 0 ? "answer" : "forward",
  });
  const { batch, redirects } = world;
  let digest = 0;
  const verdicts = new Map<number, number>();
  for (let n = 0; n < cases;) {
    const some = Array.from(
      { length: 1 + pick(8) },
      () => mutate(packets[pick(packets.length)], pick),
    );
    n += some.length;
    world.load(some.map(({ bytes }) => bytes));
    const read = some.map((_, row) => batch.offset[row]);
    some.forEach(({ partial }, row) => batch.partial[row] = partial);
    world.stack.fromHost(batch, world.now);
    for (let row = 0; row < batch.count; row++) {
      const verdict = batch.verdict[row];
      const { length, offset } = batch;
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
      assert.notEqual(verdict, Verdict.Undecided);
      assert.notEqual(verdict, Verdict.ToPeer);
      assert.ok(offset[row] >= 0 && length[row] >= 0);
      assert.ok(offset[row] + length[row] <= batch.bytes.length);
      if (verdict === Verdict.Drop) {
        assert.ok(batch.target[row] > DropReason.None);
        assert.ok(batch.target[row] < DROP_REASON_COUNT);
      }
      // What goes back with the device's own header lies where it was read.
      if (verdict === Verdict.ToHost && batch.partial[row] === 1) {
        assert.equal(offset[row], read[row]);
      }
      digest = Math.imul(
        digest ^ verdict ^ (batch.target[row] << 4),
        0x01000193,
      );
    }
    for (let row = 0; row < redirects.capacity; row++) {
      if (redirects.stateOf(row) === RedirectState.Dialing && pick(3) > 0) {
        world.settle(row);
      }
    }
    if (pick(50) === 0) {
      world.now += pick(400_000);
      world.stack.tick(world.now);
      world.sockets.closeRetired(world.nat);
    }
  }
  for (const verdict of [Verdict.Drop, Verdict.ToHost, Verdict.ToRelay]) {
    assert.ok(verdicts.get(verdict)! > cases / 500, `verdict ${verdict}`);
  }
  return `${digest} ${[...verdicts].join(";")} ${redirects.size}`;
}

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`hostile packets into a TUN stack, seed ${seed}`, () => {
    run(seed, CASES);
  });
}

Deno.test("the same seed ends the same way", () => {
  assert.equal(run(7, 6000), run(7, 6000));
  assert.notEqual(run(7, 6000), run(8, 6000));
});
