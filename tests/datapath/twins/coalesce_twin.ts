/** Coalescing, slow and plain: trains as arrays, headers compared as text. */
import {
  completeHeaderChecksum,
  concat,
  fold,
  getU16,
  getU32,
  protocolOf,
  pseudoSum,
  setU16,
  sum,
  transportAt,
  transportSum,
  writeVnet,
} from "./packets.ts";

interface Member {
  readonly packet: Uint8Array;
  /** Text of addresses, ports and protocol; undefined for what is of no flow. */
  readonly flow: string | undefined;
  /** What must be the same in a train; undefined for what can't be in one. */
  readonly sameness: string | undefined;
  readonly headerLength: number;
}

type Train = Member[];

/** Which super-packets the device takes. */
export interface TwinOptions {
  readonly tcp: boolean;
  readonly udp: boolean;
}

/** The writes (vnet header and packet) for a batch of packets. */
export function coalesceTwin(
  packets: readonly Uint8Array[],
  options: TwinOptions,
): Uint8Array[] {
  const trains: Train[] = [];
  const growing = new Map<string, Train>();
  for (const packet of packets) {
    const member = describe(packet, options);
    const train = member.flow === undefined
      ? undefined
      : growing.get(member.flow);
    if (train !== undefined && continues(train, member)) {
      train.push(member);
      if (ends(train)) growing.delete(member.flow!);
      continue;
    }
    const begun = [member];
    trains.push(begun);
    if (member.flow === undefined) continue;
    growing.delete(member.flow);
    if (member.sameness !== undefined && !pushes(member)) {
      growing.set(member.flow, begun);
    }
  }
  return trains.flatMap(write);
}

function describe(bytes: Uint8Array, options: TwinOptions): Member {
  const none = {
    packet: bytes,
    flow: undefined,
    sameness: undefined,
    headerLength: 0,
  };
  const version = (bytes[0] ?? 0) >> 4;
  let packet = bytes, addresses: Uint8Array, header: string;
  if (version === 4 && bytes.length >= 20) {
    const total = getU16(bytes, 2);
    if (
      transportAt(bytes) < 20 || total < transportAt(bytes) ||
      total > bytes.length
    ) return none;
    packet = bytes.slice(0, total);
    const intact = fold(sum(packet, 0, transportAt(packet))) === 0xffff;
    if (!intact || (getU16(packet, 6) & 0x3fff) !== 0) {
      return { ...none, packet };
    }
    addresses = packet.slice(12, 20);
    header = `${packet.slice(0, 2)} ${packet[6]} ${packet[8]}`;
  } else if (version === 6 && bytes.length >= 40) {
    if (40 + getU16(bytes, 4) > bytes.length) return none;
    packet = bytes.slice(0, 40 + getU16(bytes, 4));
    addresses = packet.slice(8, 40);
    header = `${packet.slice(0, 4)} ${packet[7]}`;
  } else {
    return none;
  }
  const protocol = protocolOf(packet), at = transportAt(packet);
  if (
    protocol !== 6 && protocol !== 17 ||
    packet.length < at + (protocol === 6 ? 20 : 8)
  ) {
    return { ...none, packet };
  }
  if (!(protocol === 6 ? options.tcp : options.udp)) return { ...none, packet };
  const flow = `${version} ${protocol} ${addresses} ${
    packet.slice(at, at + 4)
  }`;
  const headerLength = at + (protocol === 6 ? (packet[at + 12]! >> 4) * 4 : 8);
  const fits = protocol === 6
    ? tcpFits(packet, at, headerLength)
    : udpFits(packet, at);
  if (!fits || version === 4 && at !== 20) {
    return { packet, flow, sameness: undefined, headerLength };
  }
  const rest = protocol === 6
    ? `${packet.slice(at + 8, at + 13)} ${packet[at + 13]! & ~8} ${
      packet.slice(at + 14, at + 16)
    } ${packet.slice(at + 20, headerLength)}`
    : "";
  return { packet, flow, sameness: `${header} ${rest}`, headerLength };
}

function tcpFits(
  packet: Uint8Array,
  at: number,
  headerLength: number,
): boolean {
  const flags = packet[at + 13]! & ~8;
  return (packet[at + 12]! & 15) === 0 && headerLength - at >= 20 &&
    packet.length > headerLength && (flags === 0x10 || flags === 0x50);
}

function udpFits(packet: Uint8Array, at: number): boolean {
  return getU16(packet, at + 4) === packet.length - at &&
    packet.length > at + 8 &&
    getU16(packet, at + 6) !== 0;
}

function payload(member: Member): Uint8Array {
  return member.packet.slice(member.headerLength);
}

function pushes(member: Member): boolean {
  return protocolOf(member.packet) === 6 &&
    (member.packet[transportAt(member.packet) + 13]! & 8) !== 0;
}

/** Whether nothing can come after the train's last packet. */
function ends(train: Train): boolean {
  const last = train.at(-1)!;
  return pushes(last) || payload(last).length < payload(train[0]!).length ||
    protocolOf(last.packet) === 17 && train.length === 64;
}

function continues(train: Train, member: Member): boolean {
  const first = train[0]!;
  if (member.sameness === undefined || member.sameness !== first.sameness) {
    return false;
  }
  if (payload(member).length > payload(first).length) return false;
  const bytes = train.reduce(
    (total, { packet, headerLength }) => total + packet.length - headerLength,
    0,
  );
  if (first.headerLength + bytes + payload(member).length > 0xffff) {
    return false;
  }
  if (first.packet[0]! >> 4 === 4 && !identificationContinues(train, member)) {
    return false;
  }
  const at = transportAt(first.packet);
  return protocolOf(first.packet) === 17 ||
    getU32(member.packet, at + 4) ===
      (getU32(first.packet, at + 4) + bytes) % 0x1_0000_0000;
}

function identificationContinues(train: Train, member: Member): boolean {
  const all = [...train, member].map(({ packet }) => getU16(packet, 4));
  const step = (all[1]! - all[0]! + 0x10000) % 0x10000;
  const dontFragment = (member.packet[6]! & 0x40) !== 0;
  if (step !== 1 && !(step === 0 && dontFragment)) return false;
  return all.every((identification, i) =>
    identification === (all[0]! + i * step) % 0x10000
  );
}

/** A train as writes: cut wherever a checksum is wrong. */
function write(train: Train): Uint8Array[] {
  if (train.length === 1) return [alone(train[0]!)];
  const writes: Uint8Array[] = [];
  let part: Train = [];
  const finish = () => {
    if (part.length > 0) {
      writes.push(part.length === 1 ? alone(part[0]!) : together(part));
    }
    part = [];
  };
  for (const member of train) {
    if (transportSum(member.packet) === 0xffff) {
      part.push(member);
    } else {
      finish();
      writes.push(alone(member));
    }
  }
  finish();
  return writes;
}

function alone(member: Member): Uint8Array {
  return concat(new Uint8Array(10), member.packet);
}

function together(part: Train): Uint8Array {
  const first = part[0]!,
    at = transportAt(first.packet),
    tcp = protocolOf(first.packet) === 6;
  const packet = concat(
    first.packet.slice(0, first.headerLength),
    ...part.map(payload),
  );
  const ipv4 = packet[0]! >> 4 === 4;
  setU16(packet, ipv4 ? 2 : 4, ipv4 ? packet.length : packet.length - 40);
  completeHeaderChecksum(packet);
  if (tcp && pushes(part.at(-1)!)) packet[at + 13]! |= 8;
  if (!tcp) setU16(packet, at + 4, packet.length - at);
  setU16(
    packet,
    at + (tcp ? 16 : 6),
    fold(pseudoSum(packet, packet.length - at)),
  );
  const vnet = writeVnet({
    flags: 1,
    gsoType: tcp ? (ipv4 ? 1 : 4) : 5,
    headerLength: first.headerLength,
    gsoSize: payload(first).length,
    checksumStart: at,
    checksumOffset: tcp ? 16 : 6,
  });
  return concat(vnet, packet);
}
