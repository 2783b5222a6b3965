/** A DNS server on loopback whose answers a test writes. */

import { accepted } from "../../src/io/accepted.ts";

/** What a server does with one query. */
export interface DnsServerScript {
  readonly hostname?: string;
  /** Datagrams to send back, in order; none is silence. */
  readonly udp?: (query: Uint8Array) => readonly Uint8Array[];
  /** Messages to send back; «close» ends the connection without one. */
  readonly tcp?: (query: Uint8Array) => readonly Uint8Array[] | "close";
}

/** Serves UDP and TCP on one port until it is disposed of. */
export class DnsTestServer implements Disposable {
  readonly hostname: string;
  readonly port: number;
  /** The queries that came, in order. */
  readonly seen: { transport: "udp" | "tcp"; query: Uint8Array }[] = [];
  /** Where UDP queries came from. */
  readonly from: Deno.NetAddr[] = [];
  readonly #firstQuery = Promise.withResolvers<Deno.NetAddr>();
  readonly #script: DnsServerScript;
  readonly #udp: Deno.DatagramConn;
  readonly #tcp: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();

  constructor(script: DnsServerScript) {
    this.#script = script;
    this.hostname = script.hostname ?? "127.0.0.1";
    const { udp, tcp } = listenOnBoth(this.hostname);
    this.#udp = udp;
    this.#tcp = tcp;
    this.port = tcp.addr.port;
    this.#serveUdp();
    this.#serveTcp();
  }

  /** Where the first UDP query comes from, once it is there. */
  get firstQueryFrom(): Promise<Deno.NetAddr> {
    return this.#firstQuery.promise;
  }

  /** Sends a datagram from the server's port. */
  async send(bytes: Uint8Array, to: Deno.NetAddr): Promise<void> {
    await this.#udp.send(bytes, to);
  }

  [Symbol.dispose](): void {
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  async #serveUdp(): Promise<void> {
    for await (const [query, from] of this.#udp) {
      this.seen.push({ transport: "udp", query: query.slice() });
      this.from.push(from as Deno.NetAddr);
      this.#firstQuery.resolve(from as Deno.NetAddr);
      for (const answer of this.#script.udp?.(query) ?? []) {
        await this.#udp.send(answer, from);
      }
    }
  }

  async #serveTcp(): Promise<void> {
    for await (const connection of accepted(this.#tcp)) {
      this.#connections.add(connection);
      this.#converse(connection).catch(() => {}).finally(() => {
        if (this.#connections.delete(connection)) connection.close();
      });
    }
  }

  async #converse(connection: Deno.TcpConn): Promise<void> {
    for (;;) {
      const query = await readFrame(connection);
      if (query === undefined) return;
      this.seen.push({ transport: "tcp", query });
      const answers = this.#script.tcp?.(query) ?? [];
      if (answers === "close") return;
      for (const answer of answers) await writeFrame(connection, answer);
    }
  }
}

/** Reads one framed message slowly; undefined at the end. */
export async function readFrame(
  connection: Deno.Conn,
): Promise<Uint8Array | undefined> {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  while (bytes.length < 2 || bytes.length < 2 + bytes[0] * 256 + bytes[1]) {
    if (await connection.read(one) === null) return undefined;
    bytes.push(one[0]);
  }
  return Uint8Array.from(bytes.slice(2));
}

/** Writes one framed message. */
export async function writeFrame(
  connection: Deno.Conn,
  message: Uint8Array,
): Promise<void> {
  const { length } = message;
  await writeAll(
    connection,
    Uint8Array.of(length >> 8, length & 255, ...message),
  );
}

/** Writes all bytes. */
export async function writeAll(
  connection: Deno.Conn,
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await connection.write(bytes.subarray(at));
  }
}

/** A UDP and a TCP socket on the same port. */
function listenOnBoth(hostname: string) {
  for (let attempt = 0;; attempt++) {
    const tcp = Deno.listen({ hostname, port: 0 });
    try {
      const { port } = tcp.addr;
      const udp = Deno.listenDatagram({ transport: "udp", hostname, port });
      return { udp, tcp };
    } catch (error) {
      tcp.close();
      if (attempt === 20) throw error;
    }
  }
}
