/**
 * DNS over TCP: each message behind two bytes of length (RFC 1035 section
 * 4.2.2, RFC 7766), and a listener that answers so.
 */

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

/** How a listener behaves. */
export interface DnsListenerOptions {
  /** An IP address as text. */
  readonly hostname: string;
  readonly port: number;
  /** Gives the answer, or undefined to end the connection. */
  readonly answer: (query: Uint8Array) => Promise<Uint8Array | undefined>;
}

const MAX_CONNECTIONS = 128;
const IDLE_TIMEOUT_MS = 10_000;

/**
 * Answers DNS by TCP until it is disposed.
 * @throws what Deno.listen throws: the address is in use or not there.
 */
export function listenDnsTcp(options: DnsListenerOptions): Disposable {
  const { hostname, port } = options;
  const listener = Deno.listen({ transport: "tcp", hostname, port });
  const connections = new Set<Deno.Conn>();
  accept(listener, connections, options);
  return {
    [Symbol.dispose]() {
      listener.close();
      for (const connection of connections) close(connection);
    },
  };
}

async function accept(
  listener: Deno.Listener,
  connections: Set<Deno.Conn>,
  options: DnsListenerOptions,
): Promise<void> {
  for (;;) {
    let connection: Deno.Conn;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource) return;
      await new Promise((resolve) => setTimeout(resolve, 100)); // out of descriptors
      continue;
    }
    if (connections.size >= MAX_CONNECTIONS) {
      close(connection);
      continue;
    }
    connections.add(connection);
    serve(connection, options)
      .catch(() => {}) // the client has gone
      .finally(() => {
        connections.delete(connection);
        close(connection);
      });
  }
}

async function serve(
  connection: Deno.Conn,
  options: DnsListenerOptions,
): Promise<void> {
  for (;;) {
    const timer = setTimeout(() => close(connection), IDLE_TIMEOUT_MS);
    try {
      const query = await readStreamMessage(connection);
      const answer = query && await options.answer(query);
      if (answer === undefined) return;
      await writeStreamMessage(connection, answer);
    } finally {
      clearTimeout(timer);
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Already closed.
  }
}
