/** A stream of UDP datagrams as fast as asked, and the sink that counts it. */
import { openLibc } from "../../../ffi/libc.ts";
import { poll, setOption, socketAddress4 } from "./raw.ts";

const AF_INET = 2, SOCK_DGRAM = 2;
const SOL_SOCKET = 1, SO_RCVBUF = 8, SO_SNDBUF = 7;
const POLLIN = 1, MSG_DONTWAIT = 0x40;
const BUFFER_BYTES = 4 << 20;

/** What a sink received. */
export interface StreamCount {
  readonly datagrams: number;
  readonly bytes: number;
  /** From the first datagram to the last, in ms. */
  readonly durationMs: number;
}

/**
 * Sends `count` datagrams at `perSecond`, in steps of a millisecond. Blocks the
 * agent until all are sent.
 */
export function udpFlood(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly size: number;
    readonly count: number;
    readonly perSecond: number;
  },
): StreamCount {
  using libc = openLibc();
  const socket = libc.call.socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) throw libc.error("socket");
  setOption(libc, socket, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
  const payload = new Uint8Array(argument.size);
  const destination = socketAddress4(argument.address, argument.port);
  const start = performance.now();
  let sent = 0;
  for (let due = 0; sent < argument.count;) {
    due = Math.min(
      argument.count,
      Math.floor((performance.now() - start) * argument.perSecond / 1000),
    );
    for (; sent < due; sent++) {
      new DataView(payload.buffer).setUint32(0, sent);
      libc.call.sendto(socket, payload, payload.length, 0, destination, 16);
    }
    poll(libc, socket, 0, 1);
  }
  const durationMs = performance.now() - start;
  libc.call.close(socket);
  return { datagrams: sent, bytes: sent * argument.size, durationMs };
}

/**
 * Counts what arrives at a port. Yields to other operations until the first
 * datagram, then blocks the agent until `idleMs` pass without one.
 */
export async function udpSink(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly idleMs: number;
    /** Time to wait for the first datagram. */
    readonly timeoutMs: number;
  },
): Promise<StreamCount> {
  using libc = openLibc();
  const socket = libc.call.socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) throw libc.error("socket");
  setOption(libc, socket, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
  const here = socketAddress4(argument.address, argument.port);
  if (libc.call.bind(socket, here, 16) < 0) throw libc.error("bind");
  const deadline = performance.now() + argument.timeoutMs;
  while (!poll(libc, socket, POLLIN, 0) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const buffer = new Uint8Array(65536);
  const first = performance.now();
  let datagrams = 0, bytes = 0, last = first;
  while (poll(libc, socket, POLLIN, argument.idleMs)) {
    while (true) {
      const length = libc.call.recvfrom(
        socket,
        buffer,
        buffer.length,
        MSG_DONTWAIT,
        null,
        null,
      );
      if (length < 0) break;
      datagrams++;
      bytes += length;
    }
    last = performance.now();
  }
  libc.call.close(socket);
  return { datagrams, bytes, durationMs: last - first };
}
