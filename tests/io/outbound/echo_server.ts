/** A destination: greets, and gives back what it gets until the other end finishes. */

import { accepted } from "../../../src/io/accepted.ts";

/** The first bytes of each connection: a protocol in which the server begins. */
export const BANNER = "SSH-2.0-echo\r\n";

/** An echo server on loopback, with its connections kept. */
export class EchoServer implements Disposable {
  readonly port: number;
  /** Where its connections came from. */
  readonly from: string[] = [];
  readonly #listeners: Deno.TcpListener[] = [];

  /** Listens on the same port of all addresses. */
  constructor(...addresses: readonly string[]) {
    let port = 0;
    for (const hostname of addresses) {
      const listener = Deno.listen({ hostname, port });
      port = listener.addr.port;
      this.#listeners.push(listener);
      void this.#serve(listener);
    }
    this.port = port;
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener.close();
  }

  async #serve(listener: Deno.TcpListener): Promise<void> {
    for await (const connection of accepted(listener)) {
      this.from.push(connection.remoteAddr.hostname);
      void echo(connection).catch(() => {});
    }
  }
}

async function echo(connection: Deno.TcpConn): Promise<void> {
  try {
    const writer = connection.writable.getWriter();
    await writer.write(new TextEncoder().encode(BANNER));
    writer.releaseLock();
    await connection.readable.pipeTo(connection.writable, {
      preventClose: true,
    });
    await connection.closeWrite();
  } finally {
    connection.close();
  }
}

/** A port of loopback that nobody listens on. */
export function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
