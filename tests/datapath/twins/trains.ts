/** Seeded trains of packets: a few flows interleaved, with everything that ends a train. */
import {
  buildPacket,
  type PacketShape,
  setU16,
  transportAt,
} from "./packets.ts";
import type { Random } from "./random.ts";

/** What one flow has sent so far. */
interface Flow {
  shape: Omit<PacketShape, "payload">;
  size: number;
  sequence: number;
  identification: number;
  identificationStep: number;
}

function newFlow(random: Random): Flow {
  const protocol = random.pick(["tcp", "tcp", "udp"] as const);
  return {
    shape: {
      family: random.pick([4, 6]),
      protocol,
      host: 2 + random.below(2),
      sourcePort: 1000 + random.below(3),
      destinationPort: random.pick([53, 443]),
      dontFragment: random.oneIn(2),
      trafficClass: random.pick([0, 0, 2]),
      hopLimit: random.pick([64, 64, 63]),
      acknowledgment: random.uint32(),
      window: random.below(0x10000),
      options: protocol === "tcp"
        ? random.bytes(4 * random.pick([0, 3, 3, 10]))
        : undefined,
    },
    size: random.pick([1, 2, 7, 33, 100, 536, 1200, 1400]),
    sequence: random.pick([random.uint32(), 0xffff_ff00]),
    identification: random.pick([random.below(0x10000), 0xffff]),
    identificationStep: random.pick([0, 1, 1, 7]),
  };
}

/** One packet of a flow: mostly what follows the last one. */
function nextPacket(flow: Flow, random: Random): Uint8Array {
  let shape = flow.shape;
  let length = flow.size;
  const oddity = random.below(40);
  if (oddity === 0) length = 0;
  if (oddity === 1) length = 1 + random.below(flow.size);
  if (oddity === 2) length += 1 + random.below(20);
  if (oddity === 3) flow.sequence -= flow.size;
  if (oddity === 4) flow.sequence += 1 + random.below(3);
  if (oddity === 5) {
    shape = {
      ...shape,
      flags: random.pick([0x11, 0x12, 0x14, 0x02, 0x90, 0x30, 0x50]),
    };
  }
  if (oddity === 6) {
    flow.shape = shape = { ...shape, acknowledgment: random.uint32() };
  }
  if (oddity === 7) {
    flow.shape = shape = { ...shape, window: random.below(0x10000) };
  }
  if (oddity === 8) shape = { ...shape, trafficClass: 3 };
  if (oddity === 9) shape = { ...shape, hopLimit: 1 };
  if (oddity === 10) shape = { ...shape, dontFragment: !shape.dontFragment };
  if (oddity === 11) flow.identification += 5;
  if (oddity === 12) shape = { ...shape, noChecksum: shape.protocol === "udp" };
  if (oddity === 13 && shape.family === 4) {
    shape = { ...shape, ipOptions: new Uint8Array(4).fill(1) };
  }
  if (oddity === 14 && shape.protocol === "tcp") {
    shape = { ...shape, options: random.bytes(12) };
  }
  if (oddity === 15) flow.identificationStep = random.pick([0, 1]);
  const push = random.oneIn(12) ? 8 : 0;
  const packet = buildPacket({
    ...shape,
    flags: (shape.flags ?? 0x10) | push,
    sequence: flow.sequence,
    identification: flow.identification & 0xffff,
    payload: random.bytes(length),
  });
  flow.sequence = (flow.sequence + length) >>> 0;
  flow.identification = (flow.identification + flow.identificationStep) &
    0xffff;
  return damaged(packet, random);
}

/** The packet, or one that something went wrong with. */
function damaged(packet: Uint8Array<ArrayBuffer>, random: Random): Uint8Array {
  switch (random.below(60)) {
    case 0: // a bit anywhere
      packet[random.below(packet.length)]! ^= 1 << random.below(8);
      return packet;
    case 1: // in the payload, so that only the checksum tells
      packet[packet.length - 1]! ^= 1;
      return packet;
    case 2: // cut
      return packet.slice(0, random.below(packet.length));
    case 3: // a wrong UDP length or TCP window
      setU16(packet, transportAt(packet) + 4, random.below(2000));
      return packet;
    case 4: // a fragment, by IPv4's fields
      setU16(packet, 6, random.pick([0x2000, 1, 0x4000]));
      return packet;
    case 5:
      return random.bytes(random.below(100));
    default:
      return packet;
  }
}

/** A batch of packets of interleaved flows; some carry WireGuard's padding. */
export function randomTrain(random: Random): Uint8Array[] {
  const flows = Array.from(
    { length: 1 + random.below(6) },
    () => newFlow(random),
  );
  const packets: Uint8Array[] = [];
  const count = random.pick([1, 2, 10, 40, 100]);
  let flow = flows[0]!;
  for (let i = 0; i < count; i++) {
    if (random.oneIn(3)) flow = random.pick(flows);
    const packet = nextPacket(flow, random);
    const padding = (16 - (packet.length % 16)) % 16;
    const padded = new Uint8Array(
      packet.length + (random.oneIn(2) ? padding : 0),
    );
    padded.set(packet);
    packets.push(padded);
  }
  return packets;
}
