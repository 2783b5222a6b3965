/**
 * Random packets, verdicts, and ways out that come and go. Whatever happens,
 * nothing leaves that was not decided to, and nothing by another way than was
 * decided last: each packet carries a number, by which a model knows its flow.
 */
import assert from "node:assert/strict";
import {
  DROP_REASON_COUNT,
  DropReason,
} from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { type FlowVerdict, Way } from "../../src/core/flow/flow_table.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import {
  type Asked,
  HOST4,
  HOST6,
  NEAR,
  SplitWorld,
} from "../core/engine/split_world.ts";
import {
  echoPacket,
  fragmentsOf,
  icmpBytes,
  ipPacket,
  udpBytes,
  udpPacket,
} from "../core/flow/packets.ts";
import { ACK, FIN, PSH, RST, segment, SYN } from "../core/flow/segments.ts";

const STEPS = 12_000;
const RELAY_PORTS = { 4: 7004, 6: 7006 } as const;
const FIRST_RELAY_PORT = 1024;

const PLACES = [
  { from: HOST4, to: ["192.0.2.7", "192.0.2.8"] },
  { from: HOST6, to: ["2001:db8:0:0:0:0:0:7", "2001:db8:0:0:0:0:0:8"] },
] as const;

const VERDICTS: readonly FlowVerdict[] = [
  { way: Way.Drop, outbound: 0, rule: 0 },
  { way: Way.Direct, outbound: 0, rule: 0 },
  { way: Way.Proxy, outbound: 1, rule: 0 },
  { way: Way.Proxy, outbound: 4, rule: 0 },
  { way: Way.Packet, outbound: 2, rule: 0 },
  { way: Way.Packet, outbound: 3, rule: 0 },
];

/** A packet's way out, as the batch says it. */
interface Passed {
  readonly way: number;
  readonly outbound: number;
}

/** Plays a seed. */
class Game {
  readonly #random: SeededRandom;
  readonly world = new SplitWorld({ capacity: 24, maxWaiting: 12 });
  /** The flow that each mark's packet belongs to, by the program's ends. */
  readonly #flowOfMark = new Map<number, string>();
  /** What was decided last about the flow of a program's ends. */
  readonly #decided = new Map<string, FlowVerdict>();
  readonly #attached = new Set<number>();
  #mark = 0;
  passed = 0;
  readonly verdicts = new Map<number, number>();

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.world.onEnded = (flow) =>
      void this.#decided.delete(this.#keyOfFlow(flow));
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)];
  }

  step(): void {
    const { world } = this;
    switch (this.#random.below(12)) {
      case 0: {
        const asked = world.asked.at(-1 - this.#random.below(8));
        if (asked !== undefined) this.#settle(asked, this.#pick(VERDICTS));
        break;
      }
      case 1: {
        const asked = world.asked.at(-1);
        if (asked !== undefined) this.#settle(asked, this.#pick(VERDICTS));
        break;
      }
      case 2:
        this.#attachOrDetach(this.#pick([2, 3]));
        break;
      case 3:
        world.fromHeld();
        this.#check();
        break;
      case 4:
        this.#answer();
        break;
      case 5:
        this.#other();
        break;
      default:
        this.#send();
    }
    const { redirects } = world;
    for (let row = 0; row < redirects.capacity; row++) {
      if (
        redirects.stateOf(row) === RedirectState.Dialing &&
        this.#random.below(3) === 0
      ) world.open(row);
    }
  }

  #settle(asked: Asked, verdict: FlowVerdict): void {
    const { flows } = this.world;
    const isThere = flows.has(asked.flow, asked.generation);
    const key = this.#keyOfFlow(asked.flow);
    const isTcp = flows.protocol[asked.flow] === 6;
    const before = this.#decided.get(key);
    this.world.settle(asked, verdict);
    if (!isThere) return;
    // A connection that is to go elsewhere is over; its next SYN is asked about.
    const isOver = isTcp && before !== undefined && before.way !== Way.Drop &&
      (before.way !== verdict.way || before.outbound !== verdict.outbound);
    if (isOver) {
      assert.equal(flows.has(asked.flow, asked.generation), false);
      this.#decided.delete(key);
    } else this.#decided.set(key, verdict);
    this.#checkAnswers();
  }

  #attachOrDetach(outbound: 2 | 3): void {
    if (this.#attached.delete(outbound)) {
      this.world.detach(outbound);
      return this.#checkAnswers();
    }
    this.#attached.add(outbound);
    this.world.attach(outbound);
  }

  /** Time, networks, ends. */
  #other(): void {
    const { world } = this;
    const { batch, engine } = world;
    batch.clear();
    switch (this.#random.below(5)) {
      case 0:
        engine.reset(batch, world.now);
        break;
      case 1:
        engine.resetDirect(batch, world.now);
        break;
      case 2: {
        const asked = world.asked.at(-1 - this.#random.below(5));
        if (asked === undefined) break;
        engine.endFlow(batch, asked.flow, asked.generation, world.now);
        break;
      }
      default:
        world.now += this.#random.below(9000);
        engine.tick(batch, world.now);
    }
    world.sockets.closeRetired(world.nat);
    this.#checkAnswers();
  }

  #send(): void {
    // Each flow once: what ends one in the middle would let the model know less.
    const packets = new Map<string, Uint8Array[]>();
    for (let left = 1 + this.#random.below(4); left > 0; left--) {
      const made = this.#packet();
      const key = this.#flowOfMark.get(this.#mark)!;
      if (!packets.has(key)) packets.set(key, made);
    }
    this.world.fromHost([...packets.values()].flat());
    this.#check();
  }

  #packet(): Uint8Array[] {
    const { from, to: places } = this.#pick(PLACES);
    const to = this.#pick(places);
    const fromPort = 4000 + this.#random.below(3);
    const toPort = this.#pick([53, 443]);
    const mark = ++this.#mark;
    const data = [
      mark >>> 24,
      (mark >>> 16) & 255,
      (mark >>> 8) & 255,
      mark & 255,
    ];
    const ends = { from, to, fromPort, toPort };
    const kind = this.#random.below(6);
    if (kind === 0) {
      this.#flowOfMark.set(mark, keyOf(1, from, fromPort, to, 0));
      return [echoPacket({ from, to, id16: fromPort }, data)];
    }
    if (kind < 3) {
      this.#flowOfMark.set(mark, keyOf(17, from, fromPort, to, toPort));
      if (this.#random.below(8) > 0) return [udpPacket(ends, data)];
      const long = [...data, ...new Array(28).fill(0)];
      const options = { ...ends, id: mark & 0xffff };
      return fragmentsOf(17, udpBytes(ends, long), [16], options);
    }
    this.#flowOfMark.set(mark, keyOf(6, from, fromPort, to, toPort));
    const flags = this.#pick([SYN, SYN, ACK, PSH | ACK, FIN | ACK, RST]);
    return [
      segment({
        ...ends,
        flags,
        seq: mark,
        ack: 1,
        data: flags === SYN ? [] : data,
      }),
    ];
  }

  /** Something out of a tunnel or for a socket. */
  #answer(): void {
    const { world } = this;
    const { from, to: places } = this.#pick(PLACES);
    const remote = this.#pick(places);
    const isIpv4 = from === HOST4;
    const near = NEAR[this.#pick([2, 3] as const)][isIpv4 ? 0 : 1];
    const outbound = this.#pick([2, 3]);
    if (near === undefined) return;
    const ends = {
      ...{ from: remote, to: near, fromPort: this.#pick([53, 443]) },
      toPort: 4000 + this.#random.below(3),
    };
    const type = isIpv4 ? 0 : 129;
    const seen = world.fromTunnel(outbound, [
      udpPacket(ends),
      segment({ ...ends, flags: SYN | ACK, seq: 5, ack: 6 }),
      echoPacket({ ...ends, id16: ends.toPort, type }),
    ]);
    seen.forEach(({ verdict, bytes }, n) => {
      if (verdict !== "ToHost") return;
      // It is for a flow that goes by this tunnel.
      const protocol = [17, 6, 1][n];
      const [localPort, remotePort] = protocol === 1
        ? [ends.toPort, 0]
        : [ends.toPort, ends.fromPort];
      const key = keyOf(protocol, from, localPort, remote, remotePort);
      const decided = this.#decided.get(key);
      assert.deepEqual(
        [decided?.way, decided?.outbound],
        [Way.Packet, outbound],
        `${key} ${bytes}`,
      );
    });
  }

  /** Rows that were made for programs alone. */
  #checkAnswers(): void {
    const { batch } = this.world;
    for (let row = 0; row < batch.count; row++) {
      const verdict = batch.verdict[row];
      assert.ok(verdict === Verdict.ToHost || verdict === Verdict.Drop);
    }
  }

  /** Each row that leaves leaves as was decided last. */
  #check(): void {
    const { batch } = this.world;
    for (let row = 0; row < batch.count; row++) {
      const verdict = batch.verdict[row];
      this.verdicts.set(verdict, (this.verdicts.get(verdict) ?? 0) + 1);
      assert.notEqual(verdict, Verdict.Undecided);
      assert.notEqual(verdict, Verdict.ToPeer);
      if (verdict === Verdict.Drop) {
        assert.ok(batch.target[row] > DropReason.None);
        assert.ok(batch.target[row] < DROP_REASON_COUNT);
      }
      const passed = this.#passed(row, verdict);
      if (passed === undefined) continue;
      this.passed++;
      const key = this.#flowOfMark.get(this.#markOf(row, verdict))!;
      const decided = this.#decided.get(key);
      assert.deepEqual(
        [decided?.way, decided?.outbound],
        [passed.way, passed.outbound],
        `${key} by verdict ${verdict}`,
      );
    }
  }

  #passed(row: number, verdict: number): Passed | undefined {
    const { batch, redirects, flows } = this.world;
    const target = batch.target[row];
    switch (verdict) {
      case Verdict.ToUdp:
      case Verdict.ToEcho:
        return { way: Way.Direct, outbound: 0 };
      case Verdict.ToTunnel:
        assert.ok(this.#attached.has(target));
        return { way: Way.Packet, outbound: target };
      case Verdict.ToRelayUdp:
        return { way: Way.Proxy, outbound: flows.outbound[target] };
      case Verdict.ToRelay:
        return byRelay(redirects.outbound[target]);
      case Verdict.ToHost: {
        const redirect = this.#redirectOf(row);
        return redirect < 0 ? undefined : byRelay(redirects.outbound[redirect]);
      }
    }
    return undefined;
  }

  /** The redirect row of a segment that goes to the relay; -1 of what goes to a program. */
  #redirectOf(row: number): number {
    const { batch } = this.world;
    const { bytes } = batch;
    const at = batch.offset[row];
    const version = bytes[at] >>> 4;
    const payload = at + (version === 4 ? 20 : 40);
    const to = (bytes[payload + 2] << 8) | bytes[payload + 3];
    if (bytes[at + (version === 4 ? 9 : 6)] !== 6) return -1;
    if (to !== RELAY_PORTS[version as 4 | 6]) return -1;
    return ((bytes[payload] << 8) | bytes[payload + 1]) - FIRST_RELAY_PORT;
  }

  /** The number that a packet carries: its sequence number, or its data. */
  #markOf(row: number, verdict: number): number {
    const { batch } = this.world;
    const { bytes } = batch;
    let at = batch.offset[row];
    if (verdict === Verdict.ToEcho) at += 8;
    else if (verdict !== Verdict.ToUdp) {
      const isIpv4 = bytes[at] >>> 4 === 4;
      const protocol = bytes[at + (isIpv4 ? 9 : 6)];
      at += (isIpv4 ? 20 : 40) + (protocol === 6 ? 4 : 8);
    }
    return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) |
      bytes[at + 3]) >>> 0;
  }

  #keyOfFlow(flow: number): string {
    const { protocol, local, localPort, remote, remotePort } = this.world.flows;
    const isIpv4 = local[flow * 4 + 2] === 0xffff && local[flow * 4] === 0;
    const place = PLACES[isIpv4 ? 0 : 1];
    const to = place.to[(remote[flow * 4 + 3] & 255) - 7];
    const kind = protocol[flow] === 58 ? 1 : protocol[flow];
    return keyOf(kind, place.from, localPort[flow], to, remotePort[flow]);
  }
}

function byRelay(outbound: number): Passed {
  return { way: outbound === 0 ? Way.Direct : Way.Proxy, outbound };
}

function keyOf(
  protocol: number,
  from: string,
  fromPort: number,
  to: string,
  toPort: number,
): string {
  return `${protocol} ${from} ${fromPort} ${to} ${toPort}`;
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  Deno.test(`nothing passes but as it was decided, seed ${seed}`, () => {
    const game = new Game(seed);
    for (let n = 0; n < STEPS; n++) game.step();
    assert.ok(game.passed > STEPS / 20, `${game.passed} passed`);
    for (
      const verdict of [
        ...[Verdict.ToUdp, Verdict.ToEcho, Verdict.ToTunnel],
        ...[Verdict.ToRelay, Verdict.ToRelayUdp, Verdict.ToHost, Verdict.Held],
      ]
    ) assert.ok((game.verdicts.get(verdict) ?? 0) > 10, `verdict ${verdict}`);
  });
}

/** A packet with some of its bytes changed, maybe cut off. */
function mutated(packet: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = packet.slice();
  for (let left = random.below(4); left > 0; left--) {
    const range = random.below(3) === 0 ? copy.length : 64;
    const at = random.below(Math.min(range, copy.length));
    copy[at] = random.below(256);
  }
  return random.below(6) === 0
    ? copy.subarray(0, random.below(copy.length + 1))
    : copy;
}

for (const seed of [11, 12]) {
  Deno.test(`hostile packets out of a tunnel and into it, seed ${seed}`, () => {
    const random = new SeededRandom(seed);
    const world = new SplitWorld({ capacity: 24, maxWaiting: 12 });
    world.attach(2);
    const far = { from: HOST4, to: "192.0.2.7", fromPort: 4000, toPort: 443 };
    const near = NEAR[2][0];
    const out = [
      udpPacket(far),
      echoPacket({ ...far, id16: 4000 }),
      segment({ ...far, flags: SYN, seq: 1, tcpOptions: [2, 4, 5, 0xb4] }),
      segment({ ...far, flags: ACK, seq: 2, ack: 9 }),
    ];
    const quoted = [...udpPacket({ ...far, from: near })];
    const back = { from: far.to, to: near, fromPort: 443, toPort: 4000 };
    const error = icmpBytes(back, 3, 4, [0, 0, 2, 0, ...quoted]);
    const inside = [
      udpPacket(back),
      echoPacket({ ...back, id16: 4000, type: 0 }),
      segment({ ...back, flags: SYN | ACK, seq: 8, ack: 2 }),
      ipPacket(1, error, back),
      ...fragmentsOf(17, udpBytes(back, new Array(60).fill(3)), [24], {
        ...back,
        id: 5,
      }),
    ];
    let delivered = 0;
    for (let n = 0; n < 20_000; n++) {
      const isOut = random.below(3) === 0;
      const packets = isOut ? out : inside;
      const packet = mutated(packets[random.below(packets.length)], random);
      if (isOut) world.fromHost([packet], random.below(8) === 0 ? 1 : 0);
      else world.fromTunnel(2, [packet]);
      const { batch } = world;
      for (let row = 0; row < batch.count; row++) {
        const { offset, length, verdict, target } = batch;
        assert.notEqual(verdict[row], Verdict.Undecided);
        assert.ok(offset[row] >= 0 && length[row] >= 0);
        assert.ok(offset[row] + length[row] <= batch.bytes.length);
        if (verdict[row] === Verdict.Drop) {
          assert.ok(target[row] > 0 && target[row] < DROP_REASON_COUNT);
        } else if (!isOut && verdict[row] === Verdict.ToHost) delivered++;
      }
      const asked = world.asked.at(-1);
      if (asked !== undefined) world.settle(asked, VERDICTS[4]);
      world.fromHeld();
      if (random.below(200) === 0) {
        world.now += random.below(100_000);
        world.tick();
      }
    }
    assert.ok(delivered > 500, `${delivered} delivered`);
  });
}
