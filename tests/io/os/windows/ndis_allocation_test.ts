/** Steady state allocates nothing per frame: captured, decided by the engine, sent on. */
import assert from "node:assert/strict";
import { intermediateBuffer } from "../../../../ffi/windows/layouts/ndisapi.ts";
import { Batch } from "../../../../src/core/columns/batch.ts";
import { type FlowVerdict, Way } from "../../../../src/core/flow/flow_table.ts";
import {
  FastIoSection,
  SECTION_HEADER,
} from "../../../../src/io/os/windows/ndis_fast_io.ts";
import { NdisDevice } from "../../../../src/io/os/windows/ndis_device.ts";
import {
  FrameLinks,
  LINKS_LENGTH,
} from "../../../../src/io/os/windows/ndis_links.ts";
import { BATCH, bytesPerPacket } from "../../../core/engine/heap.ts";
import { SplitWorld } from "../../../core/engine/split_world.ts";
import { pattern, udpPacket } from "../../../core/flow/packets.ts";
import { bufferOf } from "./ndis_frames.ts";

const SIZE = intermediateBuffer.size;
const FRAMES = BATCH;
const READ_END = FRAMES * SIZE + 8;
const WRITE_END = READ_END + 64 * SIZE;
const SPARE_END = WRITE_END + 300_000;
const DIRECT: FlowVerdict = { way: Way.Direct, outbound: 0, rule: 0 };
const TUNNEL: FlowVerdict = { way: Way.Packet, outbound: 2, rule: 0 };
const DROP: FlowVerdict = { way: Way.Drop, outbound: 0, rule: 0 };

Deno.test("captured frames on all ways allocate nothing", () => {
  const world = new SplitWorld({ direct: "passed" });
  world.attach(2);
  const ends = (fromPort: number) => ({
    from: "10.0.0.1",
    to: "192.0.2.7",
    fromPort,
    toPort: 9,
  });
  const data = pattern(200);
  [DIRECT, TUNNEL, DROP].forEach((verdict, n) => {
    world.captured("host", [udpPacket(ends(n + 1), data)]);
    world.settle(world.asked.at(-1)!, verdict);
    world.fromHeld();
  });
  const back = { from: "192.0.2.7", to: "10.0.0.1", fromPort: 9, toPort: 1 };
  const buffers = [
    ...[1, 2, 3].map((port) =>
      bufferOf({ way: "send", payload: udpPacket(ends(port), data) })
    ),
    bufferOf({ way: "receive", payload: udpPacket(back, data) }),
  ];
  const length = (SECTION_HEADER + FRAMES * SIZE + 3) & ~3;
  const memory = new ArrayBuffer(length);
  const section = new Uint8Array(memory);
  const cells = new Int32Array(memory, 0, 2);
  for (let n = 0; n < FRAMES; n++) {
    section.set(buffers[n % buffers.length], SECTION_HEADER + n * SIZE);
  }
  const bytes = new Uint8Array(SPARE_END);
  let sent = 0;
  const take = (_pointers: Uint8Array, count: number) => {
    sent += count;
    return count;
  };
  const device = new NdisDevice({
    name: "ndis",
    descriptor: 0,
    mtu: 1500,
    bytes,
    address: 0x7fff_0000_0000,
    readArea: { start: 0, end: READ_END },
    writeArea: { start: READ_END, end: WRITE_END },
    links: new FrameLinks(new SharedArrayBuffer(LINKS_LENGTH), 0),
    counters: new Float64Array(8),
    source: {
      sections: [
        new FastIoSection(memory, (to, from, count) => {
          for (let i = 0; i < count; i++) bytes[to + i] = section[from + i];
        }),
      ],
      readQueue: () => 0,
      resetEvent: () => {},
      toHost: take,
      toNetwork: take,
    },
  });
  const batch = new Batch({
    bytes,
    capacity: 600,
    spareStart: WRITE_END,
    spareEnd: SPARE_END,
    headroom: 64,
    tailroom: 0,
  });
  let now = world.now + 0.5;
  const found = bytesPerPacket(() => {
    now += 0.25;
    batch.clear();
    cells[0] = FRAMES;
    device.read(batch);
    world.engine.fromHost(batch, now);
    device.write(batch);
  });
  assert.ok(sent > 100_000);
  assert.ok(found < 1, `${found} bytes per packet`);
});
