/**
 * A SOCKS5 proxy for UDP whose answers a test writes: what real ones never do.
 * Real ones are in the scenarios.
 */
import { writeAll } from "./dns_server.ts";
import { accepted } from "../../src/io/accepted.ts";

/** What the proxy says. */
export interface SocksUdpScript {
  /** Answer to the greeting; «none» is silence, «close» the end. */
  readonly method?: readonly number[] | "none" | "close";
  /** The whole reply to the request, given the port of its relay. */
  readonly reply?: (relayPort: number) => readonly number[] | "none" | "close";
  /** Datagrams that its relay sends back for one that came. */
  readonly relay?: (datagram: Uint8Array) => readonly Uint8Array[];
}

/** The reply that gives an association at 127.0.0.1. */
export function grant(
  port: number,
  address: readonly number[] = [127, 0, 0, 1],
): number[] {
  const type = address.length === 4 ? 1 : 4;
  return [5, 0, 0, type, ...address, port >> 8, port & 255];
}

/** Serves on loopback until it is disposed of. */
export class SocksUdpProxy implements Disposable {
  readonly port: number;
  readonly relayPort: number;
  /** Requests that came, in order. */
  readonly requests: Uint8Array[] = [];
  /** Datagrams that came to the relay. */
  readonly datagrams: Uint8Array[] = [];
  /** Where they came from. */
  readonly from: Deno.NetAddr[] = [];
  readonly connections: Deno.TcpConn[] = [];
  readonly #script: SocksUdpScript;
  readonly #tcp: Deno.TcpListener;
  readonly #udp: Deno.DatagramConn;
  #relays = true;

  constructor(script: SocksUdpScript) {
    this.#script = script;
    const hostname = "127.0.0.1";
    this.#tcp = Deno.listen({ hostname, port: 0 });
    this.#udp = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.port = this.#tcp.addr.port;
    this.relayPort = (this.#udp.addr as Deno.NetAddr).port;
    this.#serve();
    this.#relay();
  }

  /** Sends a datagram from the relay's socket. */
  async send(datagram: Uint8Array, to: Deno.NetAddr): Promise<void> {
    await this.#udp.send(datagram, to);
  }

  /** Ends the control connections. */
  hangUp(): void {
    for (const connection of this.connections.splice(0)) connection.close();
  }

  /** Ends the relay alone. */
  endRelay(): void {
    if (this.#relays) this.#udp.close();
    this.#relays = false;
  }

  [Symbol.dispose](): void {
    this.#tcp.close();
    this.endRelay();
    this.hangUp();
  }

  async #serve(): Promise<void> {
    for await (const connection of accepted(this.#tcp)) {
      this.connections.push(connection);
      this.#talk(connection).catch(() => {});
    }
  }

  async #talk(connection: Deno.TcpConn): Promise<void> {
    const { method = [5, 0], reply = grant } = this.#script;
    await readSome(connection);
    if (!await this.#say(connection, method)) return;
    this.requests.push(await readSome(connection));
    await this.#say(connection, reply(this.relayPort));
  }

  /** @returns whether the talk goes on. */
  async #say(
    connection: Deno.TcpConn,
    what: readonly number[] | "none" | "close",
  ): Promise<boolean> {
    if (what === "close") {
      this.connections.splice(this.connections.indexOf(connection), 1);
      connection.close();
    }
    if (typeof what === "string") return false;
    await writeAll(connection, Uint8Array.from(what));
    return true;
  }

  async #relay(): Promise<void> {
    for await (const [datagram, from] of this.#udp) {
      this.datagrams.push(datagram.slice());
      this.from.push(from as Deno.NetAddr);
      for (const answer of this.#script.relay?.(datagram) ?? []) {
        await this.#udp.send(answer, from);
      }
    }
  }
}

async function readSome(connection: Deno.TcpConn): Promise<Uint8Array> {
  const room = new Uint8Array(600);
  const count = await connection.read(room);
  if (count === null) throw new Error("the client has gone");
  return room.slice(0, count);
}
