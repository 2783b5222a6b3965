/** UDP sockets by handle, an echo server, and round-trip times through it. */

/** One received datagram. */
export interface ReceivedDatagram {
  readonly address: string;
  readonly port: number;
  readonly length: number;
  /** The payload as text, one character per byte. */
  readonly text: string;
}

interface OpenSocket {
  readonly connection: Deno.DatagramConn;
  readonly queue: ReceivedDatagram[];
  waiting: (() => void) | undefined;
}

const sockets = new Map<number, OpenSocket>();

/** Opens a socket that keeps what arrives. */
export function udpOpen(
  argument: { readonly address?: string; readonly port?: number },
): { readonly handle: number; readonly port: number } {
  const connection = Deno.listenDatagram({
    transport: "udp",
    hostname: argument.address ?? "0.0.0.0",
    port: argument.port ?? 0,
  });
  const socket: OpenSocket = { connection, queue: [], waiting: undefined };
  const handle = sockets.size + 1;
  sockets.set(handle, socket);
  void keepReceiving(socket);
  return { handle, port: (connection.addr as Deno.NetAddr).port };
}

async function keepReceiving(socket: OpenSocket): Promise<void> {
  const buffer = new Uint8Array(65536);
  while (true) {
    let bytes: Uint8Array, from: Deno.Addr;
    try {
      [bytes, from] = await socket.connection.receive(buffer);
    } catch (error) {
      if (error instanceof Deno.errors.BadResource) return;
      if (error instanceof Deno.errors.Interrupted) return;
      continue; // an ICMP error about a datagram sent earlier
    }
    const { hostname, port } = from as Deno.NetAddr;
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join(
      "",
    );
    socket.queue.push({ address: hostname, port, length: bytes.length, text });
    socket.waiting?.();
  }
}

/** Sends a text, or `size` bytes counted up from 0, from an open socket. */
export async function udpSend(
  argument: {
    readonly handle: number;
    readonly address: string;
    readonly port: number;
    readonly text?: string;
    readonly size?: number;
  },
): Promise<number> {
  const { address: hostname, port } = argument;
  const bytes = argument.text !== undefined
    ? Uint8Array.from(argument.text, (c) => c.charCodeAt(0))
    : countedBytes(argument.size ?? 0);
  const connection = sockets.get(argument.handle)!.connection;
  return await connection.send(bytes, { transport: "udp", hostname, port });
}

/** The bytes 0, 1, 2 … modulo 251, so that a lost piece shows. */
export function countedBytes(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => i % 251);
}

/** Takes the oldest datagram of a socket; null where none comes in time. */
export async function udpReceive(
  argument: { readonly handle: number; readonly timeoutMs: number },
): Promise<ReceivedDatagram | null> {
  const socket = sockets.get(argument.handle)!;
  if (socket.queue.length === 0) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, argument.timeoutMs);
      socket.waiting = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    socket.waiting = undefined;
  }
  return socket.queue.shift() ?? null;
}

/** Closes a socket. */
export function udpClose(argument: { readonly handle: number }): void {
  sockets.get(argument.handle)?.connection.close();
}

/** Serves UDP echo until the agent ends. */
export function udpEcho(
  argument: { readonly address: string; readonly port: number },
): void {
  const { address: hostname, port } = argument;
  const connection = Deno.listenDatagram({ transport: "udp", hostname, port });
  void (async () => {
    const buffer = new Uint8Array(65536);
    while (true) {
      try {
        const [bytes, from] = await connection.receive(buffer);
        await connection.send(bytes, from);
      } catch {
        // An ICMP error about an earlier answer; the server goes on.
      }
    }
  })();
}

/** Sends `count` datagrams one after the other and times their echoes, in ms. */
export async function udpEchoTimes(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly size: number;
    readonly count: number;
    readonly timeoutMs: number;
    /** Pause after each answer, in ms. */
    readonly pauseMs?: number;
  },
): Promise<{ readonly sent: number; readonly times: readonly number[] }> {
  const { address, port, size, count, timeoutMs } = argument;
  const any = address.includes(":") ? "::" : "0.0.0.0";
  const { handle } = udpOpen({ address: any });
  const expected = countedBytes(size);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await udpSend({ handle, address, port, size });
    const answer = await udpReceive({ handle, timeoutMs });
    if (answer && sameBytes(answer.text, expected)) {
      times.push(performance.now() - start);
    }
    if (argument.pauseMs) {
      await new Promise((resolve) => setTimeout(resolve, argument.pauseMs));
    }
  }
  udpClose({ handle });
  return { sent: count, times };
}

function sameBytes(text: string, expected: Uint8Array): boolean {
  return text.length === expected.length &&
    expected.every((byte, i) => text.charCodeAt(i) === byte);
}
