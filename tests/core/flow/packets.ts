/** Packets for tests, built slowly and plainly: own checksum, own layout. */

/** A 16-bit one's complement checksum, by the book (RFC 1071). */
export function slowChecksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i] * 256 + (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum % 65536) + Math.floor(sum / 65536);
  return 0xffff - sum;
}

/** An address as bytes: 4 from «1.2.3.4», 16 from eight groups «2001:db8:0:0:0:0:0:1». */
export function addressBytes(text: string): number[] {
  if (!text.includes(":")) return text.split(".").map(Number);
  return text.split(":").flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}

/** Address words of an address in the same text forms. */
export function addressWords(text: string): Int32Array {
  const bytes = addressBytes(text);
  const all = bytes.length === 4
    ? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes]
    : bytes;
  return Int32Array.from(
    [0, 4, 8, 12],
    (at) =>
      (all[at] << 24) | (all[at + 1] << 16) | (all[at + 2] << 8) | all[at + 3],
  );
}

/** Where a packet goes, and the fields that tests vary. */
export interface IpOptions {
  readonly from: string;
  readonly to: string;
  readonly hopLimit?: number;
  readonly id?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In bytes. */
  readonly fragmentOffset?: number;
  /** IPv4 options or IPv6 extension headers (the last names the protocol). */
  readonly options?: readonly number[];
  /** IPv6: the first next header, where `options` are given. */
  readonly firstHeader?: number;
}

/** An IPv4 or IPv6 packet, as the addresses' family says. */
export function ipPacket(
  protocol: number,
  payload: readonly number[],
  options: IpOptions,
): Uint8Array {
  const extra = options.options ?? [];
  const from = addressBytes(options.from);
  const to = addressBytes(options.to);
  const hopLimit = options.hopLimit ?? 64;
  if (from.length === 16) {
    const length = extra.length + payload.length;
    const first = options.firstHeader ?? protocol;
    const head = [0x60, 0, 0, 0, length >> 8, length & 255, first, hopLimit];
    return Uint8Array.from([...head, ...from, ...to, ...extra, ...payload]);
  }
  const total = 20 + extra.length + payload.length;
  const id = options.id ?? 0;
  const fragment = (options.dontFragment ? 0x4000 : 0) |
    (options.moreFragments ? 0x2000 : 0) |
    ((options.fragmentOffset ?? 0) / 8);
  const header = [
    0x40 | (5 + extra.length / 4),
    0,
    ...[total >> 8, total & 255],
    ...[id >> 8, id & 255],
    ...[fragment >> 8, fragment & 255],
    hopLimit,
    protocol,
    ...[0, 0],
    ...from,
    ...to,
    ...extra,
  ];
  const checksum = slowChecksum(header);
  header[10] = checksum >> 8;
  header[11] = checksum & 255;
  return Uint8Array.from([...header, ...payload]);
}

function pseudo(
  from: string,
  to: string,
  protocol: number,
  length: number,
): number[] {
  return [
    ...addressBytes(from),
    ...addressBytes(to),
    0,
    protocol,
    length >> 8,
    length & 255,
  ];
}

/** A UDP datagram's bytes, with its checksum. */
export function udpBytes(
  options: IpOptions & { fromPort: number; toPort: number },
  data: readonly number[],
): number[] {
  const length = 8 + data.length;
  const { fromPort, toPort, from, to } = options;
  const segment = [
    ...[fromPort >> 8, fromPort & 255, toPort >> 8, toPort & 255],
    ...[length >> 8, length & 255, 0, 0],
    ...data,
  ];
  const checksum =
    slowChecksum([...pseudo(from, to, 17, length), ...segment]) || 0xffff;
  segment[6] = checksum >> 8;
  segment[7] = checksum & 255;
  return segment;
}

/** A whole UDP packet. */
export function udpPacket(
  options: IpOptions & { fromPort: number; toPort: number },
  data: readonly number[] = [1, 2, 3],
): Uint8Array {
  return ipPacket(17, udpBytes(options, data), options);
}

/** An ICMP or ICMPv6 message's bytes; `rest` is the 4 bytes after the checksum and the body. */
export function icmpBytes(
  options: IpOptions,
  type: number,
  code: number,
  rest: readonly number[],
): number[] {
  const message = [type, code, 0, 0, ...rest];
  const isIpv6 = options.from.includes(":");
  const before = isIpv6
    ? pseudo(options.from, options.to, 58, message.length)
    : [];
  const checksum = slowChecksum([...before, ...message]);
  message[2] = checksum >> 8;
  message[3] = checksum & 255;
  return message;
}

/** An echo request (or another type) as a whole packet. */
export function echoPacket(
  options: IpOptions & { id16: number; sequence?: number; type?: number },
  data: readonly number[] = [97, 98, 99],
): Uint8Array {
  const isIpv6 = options.from.includes(":");
  const sequence = options.sequence ?? 1;
  const type = options.type ?? (isIpv6 ? 128 : 8);
  const rest = [
    options.id16 >> 8,
    options.id16 & 255,
    sequence >> 8,
    sequence & 255,
    ...data,
  ];
  return ipPacket(isIpv6 ? 58 : 1, icmpBytes(options, type, 0, rest), options);
}

/** A TCP SYN (or other flags) without options. */
export function tcpPacket(
  options: IpOptions & { fromPort: number; toPort: number; flags?: number },
): Uint8Array {
  const { fromPort, toPort, from, to } = options;
  const segment = [
    ...[fromPort >> 8, fromPort & 255, toPort >> 8, toPort & 255],
    ...[0, 0, 1, 0],
    ...[0, 0, 0, 0],
    ...[0x50, options.flags ?? 2, 0xff, 0xff],
    ...[0, 0, 0, 0],
  ];
  const checksum = slowChecksum([...pseudo(from, to, 6, 20), ...segment]);
  segment[16] = checksum >> 8;
  segment[17] = checksum & 255;
  return ipPacket(6, segment, options);
}

/** Fragments of a packet's IP payload, cut at the given offsets (multiples of 8). */
export function fragmentsOf(
  protocol: number,
  payload: readonly number[],
  cuts: readonly number[],
  options: IpOptions & { id: number },
): Uint8Array[] {
  const edges = [0, ...cuts, payload.length];
  return edges.slice(0, -1).map((start, n) => {
    const part = payload.slice(start, edges[n + 1]);
    const more = n < edges.length - 2;
    return fragment(protocol, part, start, more, options);
  });
}

/** One fragment. */
export function fragment(
  protocol: number,
  part: readonly number[],
  start: number,
  more: boolean,
  options: IpOptions & { id: number },
): Uint8Array {
  if (!options.from.includes(":")) {
    return ipPacket(protocol, part, {
      ...options,
      fragmentOffset: start,
      moreFragments: more,
    });
  }
  const { id } = options;
  const field = start | (more ? 1 : 0);
  const header = [
    ...[protocol, 0, field >> 8, field & 255],
    ...[(id >>> 24) & 255, (id >>> 16) & 255, (id >>> 8) & 255, id & 255],
  ];
  return ipPacket(protocol, part, {
    ...options,
    options: header,
    firstHeader: 44,
  });
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): number[] {
  return Array.from(
    { length },
    (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255,
  );
}
