/**
 * DNS over TCP: each message behind two bytes of length (RFC 1035 section
 * 4.2.2, RFC 7766), and a listener that answers so.
 */
import { accepted } from "./accepted.ts";

/** Something to read from and write to. */
type ByteStream = Pick<Deno.Conn, "read" | "write">;

/** Writes one message. */
export async function writeStreamMessage(
  stream: ByteStream,
  message: Uint8Array,
): Promise<void> {
  const framed = new Uint8Array(2 + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length;
  framed.set(message, 2);
  for (let at = 0; at < framed.length;) {
    at += await stream.write(framed.subarray(at));
  }
}

/** Reads one message; undefined where the stream ends before it is whole. */
export async function readStreamMessage(
  stream: ByteStream,
): Promise<Uint8Array | undefined> {
  const length = await readExactly(stream, 2);
  return length && await readExactly(stream, length[0] << 8 | length[1]);
}

async function readExactly(
  stream: ByteStream,
  length: number,
): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await stream.read(bytes.subarray(at));
    if (count === null) return undefined;
    at += count;
  }
  return bytes;
}

/** What a listener grants its clients (RFC 7766 section 6.2). */
export interface DnsListenerLimits {
  readonly connections: number;
  readonly connectionsPerClient: number;
  /** How long a client may take for a query, and to take an answer, in ms. */
  readonly idleMs: number;
}

/** How a listener behaves. */
export interface DnsListenerOptions {
  /** An IP address as text. */
  readonly hostname: string;
  readonly port: number;
  /** Gives the answer, or undefined to end the connection. */
  readonly answer: (query: Uint8Array) => Promise<Uint8Array | undefined>;
  readonly limits?: DnsListenerLimits;
}

/** A running listener. */
export interface DnsListener extends Disposable {
  readonly port: number;
}

const DEFAULT_LIMITS: DnsListenerLimits = {
  connections: 128,
  connectionsPerClient: 16,
  idleMs: 10_000,
};
/**
 * Answers DNS by TCP until it is disposed.
 * @throws what Deno.listen throws: the address is in use or not there.
 */
export function listenDnsTcp(options: DnsListenerOptions): DnsListener {
  return new Listener(options);
}

class Listener implements DnsListener {
  readonly #options: DnsListenerOptions;
  readonly #limits: DnsListenerLimits;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();

  constructor(options: DnsListenerOptions) {
    const { hostname, port, limits = DEFAULT_LIMITS } = options;
    this.#options = options;
    this.#limits = limits;
    this.#listener = Deno.listen({ transport: "tcp", hostname, port });
    this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
  }

  async #accept(): Promise<void> {
    for await (const connection of accepted(this.#listener)) {
      if (this.#hasRoomFor(connection)) this.#serve(connection);
      else close(connection);
    }
  }

  #hasRoomFor(connection: Deno.TcpConn): boolean {
    const { connections, connectionsPerClient } = this.#limits;
    const client = connection.remoteAddr.hostname;
    let same = 0;
    for (const { remoteAddr } of this.#connections) {
      if (remoteAddr.hostname === client) same++;
    }
    return this.#connections.size < connections && same < connectionsPerClient;
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    this.#connections.add(connection);
    try {
      for (;;) {
        const query = await this.#limited(
          connection,
          readStreamMessage(connection),
        );
        const answer = query && await this.#options.answer(query);
        if (answer === undefined) return;
        await this.#limited(connection, writeStreamMessage(connection, answer));
      }
    } catch {
      // The client has gone, or was too slow.
    } finally {
      this.#connections.delete(connection);
      close(connection);
    }
  }

  /** Closes the connection where the client takes too long. */
  async #limited<T>(connection: Deno.TcpConn, step: Promise<T>): Promise<T> {
    const timer = setTimeout(() => close(connection), this.#limits.idleMs);
    try {
      return await step;
    } finally {
      clearTimeout(timer);
    }
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // Already closed.
  }
}
