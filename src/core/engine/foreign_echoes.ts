/**
 * Sockets that send echo requests under other identifiers than the programs'
 * own: where those live on the same host, they would hear each reply twice.
 */
import { OpenFailure, type OutsideSockets } from "../flow/outside_sockets.ts";
import { Protocol } from "../wire/protocol.ts";

/** See the module header. */
export class ForeignEchoes implements OutsideSockets {
  /** The identifier of the program that is served now. */
  own = 0;
  readonly #sockets: OutsideSockets;

  constructor(sockets: OutsideSockets) {
    this.#sockets = sockets;
  }

  open(protocol: number, family: 4 | 6, port: number, row: number): number {
    return protocol !== Protocol.Udp && port === this.own
      ? OpenFailure.InUse
      : this.#sockets.open(protocol, family, port, row);
  }

  port(handle: number): number {
    return this.#sockets.port(handle);
  }

  retire(row: number, handle: number): void {
    this.#sockets.retire(row, handle);
  }
}
