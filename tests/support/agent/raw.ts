/**
 * Probes that need more than Deno's sockets: ICMP echo with a chosen identifier
 * and sequence, and the ICMP error that a UDP datagram provokes. They block the
 * agent for as long as they wait. IPv4 (RFC 792) only.
 */
import { type Libc, openLibc } from "../../../ffi/libc.ts";
import { countedBytes } from "./udp.ts";

const AF_INET = 2, SOCK_DGRAM = 2, SOCK_RAW = 3, IPPROTO_ICMP = 1;
const SOL_IP = 0, IP_TTL = 2, IP_MTU_DISCOVER = 10, IP_RECVERR = 11;
const IP_PMTUDISC_DONT = 0, IP_PMTUDISC_PROBE = 3;
const MSG_DONTWAIT = 0x40, MSG_ERRQUEUE = 0x2000;
const POLLIN = 1, POLLERR = 8;

/** struct sockaddr_in of an address and port. */
export function socketAddress4(
  address: string,
  port: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, AF_INET, true);
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

/** Sets an integer socket option. */
export function setOption(
  libc: Libc,
  socket: number,
  level: number,
  name: number,
  value: number,
): void {
  if (
    libc.call.setsockopt(socket, level, name, new Int32Array([value]), 4) < 0
  ) {
    throw libc.error(`setsockopt ${level} ${name}`);
  }
}

/** Waits until one of `events` (or an error) is there; false when time is up. */
export function poll(
  libc: Libc,
  socket: number,
  events: number,
  timeoutMs: number,
): boolean {
  const descriptor = new DataView(new ArrayBuffer(8));
  descriptor.setInt32(0, socket, true);
  descriptor.setInt16(4, events, true);
  return libc.call.poll(
    new Uint8Array(descriptor.buffer),
    1,
    Math.max(0, timeoutMs),
  ) > 0;
}

function openSocket(libc: Libc, type: number, protocol: number): number {
  const socket = libc.call.socket(AF_INET, type, protocol);
  if (socket < 0) throw libc.error("socket");
  return socket;
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) {
    sum += i % 2 === 0 ? bytes[i] << 8 : bytes[i];
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function echoRequest(
  identifier: number,
  sequence: number,
  size: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + size);
  const view = new DataView(bytes.buffer);
  bytes[0] = 8;
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(countedBytes(size), 8);
  view.setUint16(2, checksum(bytes));
  return bytes;
}

/** The answer to one echo request, or what came in its place. */
export interface EchoAnswer {
  readonly sequence: number;
  readonly timeMs: number;
  /** TTL of the reply as it arrived. */
  readonly ttl: number;
}

/**
 * Sends `count` echo requests, each after the answer to the one before.
 * Answers from another address, with another identifier, sequence or payload do
 * not count; `strangers` tells how many echo replies were not ours.
 */
export function icmpEcho(
  argument: {
    readonly address: string;
    readonly identifier: number;
    readonly sequence?: number;
    readonly size?: number;
    readonly count?: number;
    readonly timeoutMs?: number;
    readonly ttl?: number;
  },
): {
  readonly sent: number;
  readonly answers: EchoAnswer[];
  readonly strangers: number;
} {
  const {
    address,
    identifier,
    sequence = 1,
    size = 56,
    count = 1,
    timeoutMs = 1000,
  } = argument;
  using libc = openLibc();
  const socket = openSocket(libc, SOCK_RAW, IPPROTO_ICMP);
  if (argument.ttl) setOption(libc, socket, SOL_IP, IP_TTL, argument.ttl);
  const destination = socketAddress4(address, 0);
  const buffer = new Uint8Array(65536), from = new Uint8Array(16);
  const fromLength = new Uint32Array(1);
  const answers: EchoAnswer[] = [];
  let strangers = 0;
  for (let i = 0; i < count; i++) {
    const current = (sequence + i) & 0xffff;
    const request = echoRequest(identifier, current, size);
    const start = performance.now();
    libc.call.sendto(socket, request, request.length, 0, destination, 16);
    while (true) {
      const left = Math.ceil(start + timeoutMs - performance.now());
      if (left <= 0 || !poll(libc, socket, POLLIN, left)) break;
      fromLength[0] = 16;
      const length = libc.call.recvfrom(
        socket,
        buffer,
        buffer.length,
        MSG_DONTWAIT,
        from,
        fromLength,
      );
      if (length < 28) continue;
      const at = (buffer[0] & 15) * 4;
      if (buffer[at] !== 0) continue; // not an echo reply
      if (
        isReply(buffer, at, length, request) &&
        from.subarray(4, 8).join(".") === address
      ) {
        answers.push({
          sequence: current,
          timeMs: performance.now() - start,
          ttl: buffer[8],
        });
        break;
      }
      strangers++;
    }
  }
  libc.call.close(socket);
  return { sent: count, answers, strangers };
}

function isReply(
  buffer: Uint8Array,
  at: number,
  length: number,
  request: Uint8Array,
): boolean {
  if (length - at !== request.length) return false;
  for (let i = 4; i < request.length; i++) {
    if (buffer[at + i] !== request[i]) return false;
  }
  return true;
}

/** An ICMP error as the kernel reported it to a socket. */
export interface ReportedError {
  readonly errno: number;
  /** 2 where an ICMP message brought it, 1 where the local system did. */
  readonly origin: number;
  readonly type: number;
  readonly code: number;
  /** The MTU with «fragmentation needed». */
  readonly info: number;
  /** Who sent the ICMP message. */
  readonly offender: string;
}

/** Sends one UDP datagram and gives the error that it provokes; null where none comes. */
export function udpError(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly size?: number;
    readonly ttl?: number;
    readonly dontFragment?: boolean;
    readonly timeoutMs?: number;
  },
): ReportedError | null {
  using libc = openLibc();
  const socket = openSocket(libc, SOCK_DGRAM, 0);
  try {
    setOption(libc, socket, SOL_IP, IP_RECVERR, 1);
    const discover = argument.dontFragment
      ? IP_PMTUDISC_PROBE
      : IP_PMTUDISC_DONT;
    setOption(libc, socket, SOL_IP, IP_MTU_DISCOVER, discover);
    if (argument.ttl) setOption(libc, socket, SOL_IP, IP_TTL, argument.ttl);
    const payload = countedBytes(argument.size ?? 32);
    const destination = socketAddress4(argument.address, argument.port);
    libc.call.sendto(socket, payload, payload.length, 0, destination, 16);
    if (!poll(libc, socket, POLLERR, argument.timeoutMs ?? 2000)) return null;
    return readErrorQueue(libc, socket);
  } finally {
    libc.call.close(socket);
  }
}

/** struct cmsghdr (16 bytes), struct sock_extended_err (16), struct sockaddr_in. */
function readErrorQueue(libc: Libc, socket: number): ReportedError | null {
  const control = new Uint8Array(512), payload = new Uint8Array(2048);
  const vector = new BigUint64Array([
    addressOf(payload),
    BigInt(payload.length),
  ]);
  const message = new BigUint64Array(7);
  message[2] = addressOf(vector);
  message[3] = 1n;
  message[4] = addressOf(control);
  message[5] = BigInt(control.length);
  if (
    libc.call.recvmsg(socket, new Uint8Array(message.buffer), MSG_ERRQUEUE) < 0
  ) return null;
  const view = new DataView(control.buffer);
  if (
    view.getInt32(8, true) !== SOL_IP || view.getInt32(12, true) !== IP_RECVERR
  ) return null;
  return {
    errno: view.getUint32(16, true),
    origin: view.getUint8(20),
    type: view.getUint8(21),
    code: view.getUint8(22),
    info: view.getUint32(24, true),
    offender: control.subarray(36, 40).join("."),
  };
}

function addressOf(bytes: BufferSource): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
