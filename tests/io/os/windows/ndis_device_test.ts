/** The device over a pretended driver: what it reads, sends on, makes, and loses. */
import assert from "node:assert/strict";
import { intermediateBuffer } from "../../../../ffi/windows/layouts/ndisapi.ts";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { Verdict } from "../../../../src/core/columns/verdict.ts";
import {
  countersOf,
  snapshotOf,
} from "../../../../src/io/os/windows/ndis_block.ts";
import { NdisDevice } from "../../../../src/io/os/windows/ndis_device.ts";
import {
  FrameLinks,
  LINKS_LENGTH,
} from "../../../../src/io/os/windows/ndis_links.ts";
import { echoPacket, udpPacket } from "../../../core/flow/packets.ts";
import {
  bufferOf,
  type BufferOptions,
  type ReadBuffer,
  readBuffer,
} from "./ndis_frames.ts";

const SIZE = intermediateBuffer.size;
const READ_END = SIZE * 8;
const WRITE_END = READ_END + SIZE * 3;
const SPARE_END = WRITE_END + 65_536;
const ADDRESS = 0x7f00_0000_1000;
const HOST = 0;
const OUT = { from: "10.0.0.1", to: "192.0.2.7", fromPort: 4000, toPort: 9 };
const BACK = { from: OUT.to, to: OUT.from, fromPort: 9, toPort: 4000 };
const OUT6 = {
  from: "fd00:0:0:0:0:0:0:1",
  to: "2001:db8:0:0:0:0:0:7",
  fromPort: 4000,
  toPort: 9,
};

class Bench {
  readonly bytes = new Uint8Array(SPARE_END);
  readonly counters = countersOf(new ArrayBuffer(1024));
  readonly batch = new Batch({
    bytes: this.bytes,
    capacity: 600,
    spareStart: WRITE_END,
    spareEnd: SPARE_END,
    headroom: 64,
    tailroom: 0,
  });
  readonly toHost: ReadBuffer[] = [];
  readonly toNetwork: ReadBuffer[] = [];
  readonly calls: string[] = [];
  waiting: Uint8Array[] = [];
  resets = 0;
  /** How many frames of a call the driver takes. */
  takes = Infinity;
  readonly device = new NdisDevice({
    name: "ndis",
    descriptor: 0,
    mtu: 1500,
    bytes: this.bytes,
    address: ADDRESS,
    readArea: { start: 0, end: READ_END },
    writeArea: { start: READ_END, end: WRITE_END },
    links: new FrameLinks(new ArrayBuffer(LINKS_LENGTH), 0),
    counters: this.counters,
    source: {
      sections: [],
      readQueue: () => {
        const count = Math.min(this.waiting.length, 8);
        this.waiting.splice(0, count).forEach((buffer, n) =>
          this.bytes.set(buffer, n * SIZE)
        );
        return count;
      },
      resetEvent: () => void this.resets++,
      toHost: (pointers, count) => this.#send("host", pointers, count),
      toNetwork: (pointers, count) => this.#send("network", pointers, count),
    },
  });

  /** Reads all that waits; each row is decided as told. */
  turn(decide: (row: number) => void = () => {}): number {
    this.batch.clear();
    const count = this.device.read(this.batch);
    for (let row = 0; row < count; row++) decide(row);
    return this.device.write(this.batch);
  }

  pass(row: number): void {
    this.batch.decide(row, Verdict.Pass, 0);
  }

  /** Lets the device learn how the host sends. */
  learn(): void {
    this.waiting.push(bufferOf({ way: "send", payload: udpPacket(OUT) }));
    this.turn();
  }

  append(packet: Uint8Array, peer: number): number {
    const row = this.batch.append(packet.length, peer);
    this.bytes.set(packet, this.batch.offset[row]);
    return row;
  }

  #send(where: string, pointers: Uint8Array, count: number): number {
    const view = new DataView(pointers.buffer);
    const sent = Math.min(count, this.takes);
    this.calls.push(`${where} ${count}`);
    const list = where === "host" ? this.toHost : this.toNetwork;
    for (let n = 0; n < sent; n++) {
      const at = Number(view.getBigUint64(n * 8, true)) - ADDRESS;
      list.push(readBuffer(this.bytes, at));
    }
    return sent;
  }
}

Deno.test("frames of both ways are rows; what passes goes on untouched, in one call for each way", () => {
  const at = new Bench();
  const out = bufferOf({ way: "send", payload: udpPacket(OUT) });
  const back = bufferOf({
    way: "receive",
    macs: [1, 2],
    payload: udpPacket(BACK),
  });
  at.waiting = [out, back, out, back];
  const peers: number[] = [];
  at.turn((row) => {
    peers.push(at.batch.peer[row]);
    at.pass(row);
  });
  assert.deepEqual(peers, [HOST, -1, HOST, -1]);
  assert.deepEqual(at.toNetwork, [readBuffer(out, 0), readBuffer(out, 0)]);
  assert.deepEqual(at.toHost, [readBuffer(back, 0), readBuffer(back, 0)]);
  assert.deepEqual(at.calls, ["host 2", "network 2"]);
});

Deno.test("a short frame keeps its padding", () => {
  const at = new Bench();
  const packet = udpPacket(OUT, [1]);
  const payload = [...packet, ...new Array(46 - packet.length).fill(0)];
  const padded = bufferOf({ way: "send", payload });
  at.waiting = [padded];
  at.turn((row) => {
    at.batch.length[row] = packet.length;
    at.pass(row);
  });
  assert.deepEqual(at.toNetwork, [readBuffer(padded, 0)]);
});

Deno.test("what has another verdict, or none, goes nowhere", () => {
  const at = new Bench();
  for (
    const verdict of [
      Verdict.Undecided,
      Verdict.Drop,
      Verdict.Held,
      Verdict.ToTunnel,
    ]
  ) {
    at.waiting.push(bufferOf({ way: "send", payload: udpPacket(OUT) }));
    at.turn((row) => at.batch.decide(row, verdict, 0));
  }
  assert.deepEqual(at.calls, []);
});

Deno.test("a row of the host's that is for the host is turned round", () => {
  const at = new Bench();
  at.waiting = [
    bufferOf({ way: "send", macs: [2, 1], payload: udpPacket(OUT) }),
  ];
  const answer = udpPacket(BACK, [9]);
  at.turn((row) => {
    // Its header has become shorter, too.
    at.batch.offset[row] += 4;
    at.batch.length[row] = answer.length;
    at.bytes.set(answer, at.batch.offset[row]);
    at.batch.decide(row, Verdict.ToHost, 0);
  });
  assert.deepEqual(at.toHost, [{
    adapter: 1,
    way: "receive",
    macs: [1, 2],
    type: 0x0800,
    payload: [...answer],
  }]);
});

Deno.test("what is appended for the host comes from where the host has sent to", () => {
  const at = new Bench();
  at.learn();
  at.batch.clear();
  at.batch.decide(at.append(udpPacket(BACK), HOST), Verdict.ToHost, 0);
  assert.equal(at.device.write(at.batch), 0);
  const [{ macs, way, adapter, payload }] = at.toHost;
  assert.deepEqual([macs, way, adapter], [[1, 2], "receive", 1]);
  assert.deepEqual(payload, [...udpPacket(BACK)]);
});

Deno.test("what is appended for the network goes to the neighbour that its destination has", () => {
  const at = new Bench();
  const near = { ...OUT, to: "10.0.0.77" };
  at.waiting = [
    bufferOf({ way: "send", macs: [2, 1], payload: udpPacket(OUT) }),
    bufferOf({ way: "send", macs: [77, 1], payload: udpPacket(near) }),
    bufferOf({
      way: "send",
      macs: [6, 1],
      payload: udpPacket(OUT6),
      adapter: 3,
    }),
  ];
  at.turn();
  at.batch.clear();
  const unheard = { ...OUT, to: "192.0.2.99" };
  for (const ends of [OUT, near, OUT6, unheard]) {
    at.batch.decide(at.append(udpPacket(ends), HOST), Verdict.Pass, 0);
  }
  at.device.write(at.batch);
  assert.deepEqual(
    at.toNetwork.map(({ macs, adapter, type }) => [macs[0], adapter, type]),
    [[2, 1, 0x0800], [77, 1, 0x0800], [6, 3, 0x86dd], [77, 1, 0x0800]],
  );
  assert.ok(at.toNetwork.every(({ way }) => way === "send"));
});

Deno.test("more than there is room for goes in several calls, in order", () => {
  const at = new Bench();
  at.learn();
  at.batch.clear();
  for (let n = 0; n < 7; n++) {
    at.batch.decide(at.append(udpPacket(BACK, [n]), HOST), Verdict.ToHost, 0);
  }
  at.device.write(at.batch);
  assert.deepEqual(at.toHost.map(({ payload }) => payload[28]), [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
  ]);
});

Deno.test("for an address that the host never sent from nothing is made; it is counted", () => {
  const at = new Bench();
  at.learn();
  at.batch.clear();
  const other = { ...BACK, to: "10.0.0.2" };
  at.batch.decide(at.append(udpPacket(other), HOST), Verdict.ToHost, 0);
  at.device.write(at.batch);
  assert.deepEqual(at.calls, []);
  assert.equal(snapshotOf(at.counters).unknownLink, 1);
});

Deno.test("frames without packets go on by themselves; wrapped and oversize ones go nowhere", () => {
  const at = new Bench();
  const arp: BufferOptions = { way: "receive", type: 0x0806, payload: [1, 2] };
  const pppoe: BufferOptions = { way: "send", type: 0x8864, payload: [1, 2] };
  const large: BufferOptions = {
    way: "send",
    payload: udpPacket(OUT),
    length: 4000,
  };
  at.waiting = [arp, { ...arp, way: "send" as const }, pppoe, large].map(
    bufferOf,
  );
  assert.equal(at.turn(), 0);
  assert.equal(at.batch.count, 0);
  assert.deepEqual(at.calls, ["host 1", "network 1"]);
  const { oversize, wrapped } = snapshotOf(at.counters);
  assert.deepEqual([oversize, wrapped], [1, 1]);
});

Deno.test("neighbours find each other; a ping is no such talk", () => {
  const at = new Bench();
  const ends = { from: "fd00:0:0:0:0:0:0:1", to: "ff02:0:0:0:0:0:0:1" };
  const solicitation = echoPacket({ ...ends, id16: 1, type: 135 });
  const forwarded = solicitation.slice();
  solicitation[7] = 255;
  const ping = echoPacket({ ...ends, id16: 1 });
  ping[7] = 255;
  at.waiting = [solicitation, forwarded, ping].map((payload) =>
    bufferOf({ way: "send", payload })
  );
  at.turn();
  assert.equal(at.batch.count, 2);
  assert.deepEqual(at.calls, ["network 1"]);
});

Deno.test("a driver whose buffers lie otherwise ends the capture with words", () => {
  const at = new Bench();
  at.waiting = [bufferOf({ way: 0x4500, payload: [] })];
  assert.throws(() => at.turn(), /jumbo/);
});

Deno.test("the event is reset only by who found nothing, and looked again", () => {
  const at = new Bench();
  at.waiting = Array.from(
    { length: 20 },
    () => bufferOf({ way: "send", payload: udpPacket(OUT) }),
  );
  const counts = [0, 0, 0].map(() => {
    at.turn();
    return at.batch.count;
  });
  assert.deepEqual(counts, [8, 8, 4]);
  assert.equal(at.resets, 0);
  at.turn();
  assert.equal(at.resets, 1);
});

Deno.test("what the driver does not take is told", () => {
  const at = new Bench();
  at.takes = 1;
  at.waiting = [1, 2, 3].map(() =>
    bufferOf({ way: "send", payload: udpPacket(OUT) })
  );
  assert.equal(at.turn((row) => at.pass(row)), 2);
  assert.equal(at.turn(), 0);
});
