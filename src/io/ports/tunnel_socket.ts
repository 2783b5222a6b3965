/** The UDP socket that carries tunnel messages. */
import type { Batch } from "../../core/columns/batch.ts";
import type { Area } from "./tun.ts";

/** The port that a socket was to have is taken; the command line says by whom to ask. */
export class PortInUseError extends Error {
  override readonly name = "PortInUseError";
  constructor(readonly port: number, options?: ErrorOptions) {
    super(`UDP port ${port} is in use by another program`, options);
  }
}

/** Which socket to open. */
export interface TunnelSocketOptions {
  /** The local port; 0 takes any. */
  readonly port: number;
  /**
   * Mark for the host's routing policy (SO_MARK); needs CAP_NET_ADMIN. Windows
   * has no marks and takes no note of it.
   */
  readonly fwmark?: number;
  /**
   * Number of the interface to use, whatever routes say: for a tunnel whose
   * routes cover its own endpoint.
   */
  readonly interfaceIndex?: number;
  /**
   * `sticky` (for a server) answers each remote from the local address that it
   * wrote to, `system` (for a client, whose address changes) lets the system choose.
   */
  readonly source: "sticky" | "system";
}

/** The tunnel's socket as the thread that opened it holds it; closing ends it. */
export interface OpenedTunnelSocket extends Disposable {
  /** Usable from any thread of the process until this is disposed of. */
  readonly descriptor: number;
  /** The local port. */
  readonly port: number;
  /** 6 carries both families, 4 where the system has no IPv6. */
  readonly family: 4 | 6;
  /**
   * The local address that each remote last wrote to, shared by the workers, so
   * that answers leave from it; undefined leaves the choice to the system.
   */
  readonly sources: SharedArrayBuffer | undefined;
  /**
   * Has it leave by another interface from now on, whatever routes say.
   * @returns whether the system does that
   */
  leaveBy(interfaceIndex: number): boolean;
}

/** How a worker gets at the tunnel's socket. */
export interface TunnelSocketAttachment
  extends Omit<OpenedTunnelSocket, typeof Symbol.dispose | "leaveBy"> {
  /** The worker's arena; batches and messages lie in it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where datagrams go, 64 KiB and a bit for each; empty for a worker that only sends. */
  readonly receiveArea: Area;
}

/** The UDP socket that carries tunnel messages; IPv4 and IPv6 by one socket. */
export interface TunnelSocket extends Disposable {
  readonly descriptor: number;
  /** The local port. */
  readonly port: number;
  /**
   * Reads what is there: one row per datagram (peer -1), with `remote` and
   * `remotePort`. Never blocks. Rows lie packed, without head- or tailroom;
   * call it once for a batch, since the next call uses the same bytes again.
   * An eighth of the batch's rows stays free for appended ones, and a train is
   * read only where 128 rows are left: give it batches of 256 or more.
   * @returns rows added; 0 where nothing waits.
   */
  receive(batch: Batch): number;
  /**
   * Queues one message that lies in the arena; messages of equal size to the
   * same destination leave as one train (the last may be shorter), wherever
   * they lie. Bytes must stay until {@linkcode flush}.
   * @param words address words, from index `i`
   */
  queue(
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): void;
  /**
   * Sends what is queued.
   * @returns messages that could not be sent since the last flush.
   */
  flush(): number;
}
