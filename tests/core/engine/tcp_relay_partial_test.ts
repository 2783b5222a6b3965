/**
 * Super-packets with partial checksums through the relay's engine, as a TUN
 * device with offload gives and takes them: no whole checksum is asked for.
 */
import assert from "node:assert/strict";
import { Batch } from "../../../src/core/columns/batch.ts";
import { sharedBuffer } from "../../../src/core/columns/columns.ts";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { TcpRelay } from "../../../src/core/engine/tcp_relay.ts";
import {
  RedirectState,
  RedirectTable,
} from "../../../src/core/flow/redirect_table.ts";
import { ChecksumForm } from "../../../src/core/wire/checksum.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { pattern } from "../flow/packets.ts";
import {
  ACK,
  FIN,
  partialSegment,
  PSH,
  RST,
  segment,
  type SegmentOptions,
  SYN,
} from "../flow/segments.ts";
import { FAMILIES, type Family, MSS_OPTION } from "./tcp_talk.ts";
import { FakeRelay, RELAY } from "./world.ts";

const SIZE = { capacity: 8, peers: 1, generations: 64 };
const MTU = 1500;
const AT = 512;

/** The engine's part that TCP meets, for programs of the host. */
class HostWorld {
  readonly table = new RedirectTable(
    sharedBuffer(RedirectTable.byteLength(SIZE)),
    SIZE,
  );
  readonly tcp = new TcpRelay({
    config: RELAY,
    mtu: MTU,
    table: this.table,
    commands: new FakeRelay(),
    clients: "host",
  });
  readonly batch = new Batch({
    bytes: new Uint8Array(200_000),
    capacity: 4,
    spareStart: 100_000,
    spareEnd: 200_000,
    headroom: 64,
    tailroom: 32,
  });
  readonly #view = new PacketView();

  fromClient(packet: Uint8Array): number[] {
    const { batch } = this;
    this.#load(packet);
    assert.equal(parsePacket(batch.bytes, AT, packet.length, this.#view), 0);
    this.tcp.fromClient(batch, 0, this.#view, 1, ChecksumForm.Partial);
    return this.#bytes(0);
  }

  fromRelay(packet: Uint8Array): number[] {
    this.#load(packet);
    const row = this.tcp.fromRelay(this.batch, 0, 1, ChecksumForm.Partial);
    assert.ok(row >= 0);
    return this.#bytes(0);
  }

  #load(packet: Uint8Array): void {
    const { batch } = this;
    batch.clear();
    batch.bytes.set(packet, AT);
    batch.push(AT, packet.length, -1);
  }

  #bytes(row: number): number[] {
    const { batch } = this;
    const at = batch.offset[row];
    return [...batch.bytes.subarray(at, at + batch.length[row])];
  }
}

function ends(family: Family) {
  const { client: from, remote: to } = family;
  return { from, to, fromPort: 40_000, toPort: 443 };
}

for (const family of FAMILIES) {
  const { name, relay, port, beside } = family;
  const mss = MTU - (name === "IPv4" ? 40 : 60);
  const clamped = [2, 4, mss >> 8, mss & 255];

  Deno.test(`${name}: a SYN with a partial checksum is handed over with a whole one`, () => {
    const world = new HostWorld();
    const syn = { ...ends(family), flags: SYN, seq: 5 };
    const bytes = world.fromClient(
      partialSegment({ ...syn, tcpOptions: MSS_OPTION }),
    );
    assert.equal(world.batch.verdict[0], Verdict.ToRelay);
    assert.deepEqual(bytes, [...segment({ ...syn, tcpOptions: clamped })]);
  });

  Deno.test(`${name}: super-packets both ways, partial as they came`, () => {
    const world = new HostWorld();
    world.fromClient(partialSegment({ ...ends(family), flags: SYN, seq: 5 }));
    const row = world.batch.target[0];
    const generation = world.table.generationOf(row);
    world.table.settle(row, generation, RedirectState.Open);
    const kernel = { from: beside(generation), to: relay };
    const kernelPorts = { fromPort: 1024 + row, toPort: port };
    const data = pattern(60_000);
    const rests: Omit<SegmentOptions, "from" | "to" | "fromPort" | "toPort">[] =
      [
        { flags: ACK | PSH, seq: 6, ack: 7, data },
        { flags: FIN | ACK, seq: 60_006, ack: 7 },
        { flags: SYN, seq: 5, tcpOptions: MSS_OPTION },
        { flags: RST, seq: 6 },
      ];
    for (const rest of rests) {
      const expected = rest.tcpOptions === undefined
        ? rest
        : { ...rest, tcpOptions: clamped };
      const out = world.fromClient(
        partialSegment({ ...ends(family), ...rest }),
      );
      assert.equal(world.batch.verdict[0], Verdict.ToHost);
      assert.deepEqual(out, [
        ...partialSegment({ ...kernel, ...kernelPorts, ...expected }),
      ]);
      const { from, to } = kernel;
      const back = world.fromRelay(partialSegment({
        ...{ from: to, to: from },
        ...{ fromPort: port, toPort: 1024 + row },
        ...rest,
      }));
      assert.deepEqual(back, [...partialSegment({
        ...{ from: family.remote, to: family.client },
        ...{ fromPort: 443, toPort: 40_000 },
        ...expected,
      })]);
    }
  });

  Deno.test(`${name}: what belongs to no connection is refused into the device`, () => {
    const world = new HostWorld();
    world.fromClient(
      partialSegment({ ...ends(family), flags: ACK, seq: 1, ack: 2 }),
    );
    const { batch } = world;
    assert.deepEqual([...batch.verdict.subarray(0, batch.count)], [
      Verdict.Drop,
      Verdict.ToHost,
    ]);
  });
}
