/** Sockets towards the outside, one for each mapping of the translator. */
import type { Batch } from "../../core/columns/batch.ts";
import type { OutsideSockets } from "../../core/flow/nat.ts";
import type { Area } from "./tun.ts";

/** What the system said about a datagram sent earlier from an outside socket. */
export interface OutsideErrorReport {
  /** The NAT row that it is about, where the system tells by one socket for all; else -1. */
  natRow: number;
  /** ICMP type and code, or ICMPv6's where `family` is 6. */
  type: number;
  code: number;
  /** MTU for «too big», else 0. */
  extra: number;
  /** 4 or 6: the family of type, code and addresses. */
  family: number;
  /** Who reported: address words; all zero where the system does not say. */
  readonly offender: Int32Array;
  /** Where the datagram was going: address words. */
  readonly destination: Int32Array;
  destinationPort: number;
  /**
   * The start of the UDP payload, or of the ICMP message as it went out, in the
   * batch's arena with the headroom before it; often empty,
   * since a router need not quote more than 8 bytes behind the IP header.
   */
  payloadAt: number;
  payloadLength: number;
}

/** What the outside works with. */
export interface OutsideOptions {
  /** Descriptor of the receiving worker's poll set. */
  readonly poller: number;
  /** Descriptor of the receiving worker's wake. */
  readonly wake: number;
  /** Rows of the NAT table. */
  readonly capacity: number;
  /** `ping` leaves raw sockets alone even where they are allowed. */
  readonly echo?: "raw" | "ping";
  /**
   * Number of the interface to leave by, whatever routes say: for an outside
   * whose destinations are routed to ourselves.
   */
  readonly interfaceIndex?: number;
  /**
   * Mark for the host's routing policy (SO_MARK); needs CAP_NET_ADMIN. Windows
   * has no marks and takes no note of it.
   */
  readonly mark?: number;
}

/** The gateway's outside as the thread that opened it holds it. */
export interface OpenedOutside extends Disposable {
  /** How echo goes out: one raw socket for all, a ping socket each, or not at all. */
  readonly echo: "raw" | "ping" | "none";
  /** What workers need to attach: plain data, so that it can be posted. */
  readonly shared: OutsideShared;
  /**
   * Other interfaces to leave by, for sockets that are opened from now on and
   * the raw echo sockets; those of mappings stay as they are until they are retired.
   * @param index 0 leaves it to the routes
   */
  setInterface(family: 4 | 6, index: number): void;
}

/** What the workers share of the outside. */
export interface OutsideShared {
  /** The poll set of the receiving worker. */
  readonly poller: number;
  /** The descriptor that wakes the receiving worker. */
  readonly wake: number;
  readonly echo: "raw" | "ping" | "none";
  /** Raw echo sockets; -1 where there are none. */
  readonly raw4: number;
  readonly raw6: number;
  /** What tells of ICMP errors, where the mappings' sockets have no error queue. */
  readonly errors?: OutsideErrorSockets;
  /** Where all sockets leave: cells that may change. */
  readonly binding: SharedArrayBuffer;
  /** NAT rows: each can be retired once before it is freed. */
  readonly capacity: number;
  /** Sockets on their way from the sending to the receiving worker. */
  readonly retired: SharedArrayBuffer;
  /** How each socket was last set to treat fragments. */
  readonly modes: SharedArrayBuffer;
}

/** Sockets that hear of all ICMP errors of the host, to be told apart by ports. */
export interface OutsideErrorSockets {
  /** -1 where there is none. */
  readonly raw4: number;
  readonly raw6: number;
  /** NAT rows by family and external port. */
  readonly rows: SharedArrayBuffer;
}

/** How a worker gets at the outside. */
export interface OutsideAttachment {
  readonly shared: OutsideShared;
  /** The worker's arena; batches lie in it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where datagrams and trains go, about 90 KiB for each; empty for a worker that only sends. */
  readonly receiveArea: Area;
  /** Writable bytes before each row, a multiple of 64: headers and seal go there. */
  readonly headroom: number;
}

/**
 * Sockets towards the outside: one per NAT row for UDP, raw or ping sockets for
 * echo. The sending worker owns the NAT rows: it opens, sends, flushes and
 * retires. The receiving one receives, reads errors and closes what was retired.
 */
export interface OutsidePort extends OutsideSockets, Disposable {
  /**
   * Queues a ToUdp or ToEcho row of the batch, whose bytes and columns must stay
   * until {@linkcode flush}. Rows of one socket leave together and in order,
   * those to one remote with equal size, hop limit and fragmentation as trains.
   */
  send(handle: number, batch: Batch, row: number): void;
  /**
   * Sends what is queued.
   * @returns {@linkcode failedCount}.
   */
  flush(): number;
  /** Rows that could not be sent up to the last flush; the next send forgets them. */
  readonly failedCount: number;
  /** The first {@linkcode failedCount} elements: rows of the batch. */
  readonly failedRow: Int32Array;
  /** The system's errno for each of them. */
  readonly failedErrno: Int32Array;
  /** The path MTU that the system knows towards the row's destination; 0 unknown. */
  pathMtu(batch: Batch, row: number): number;
  /**
   * Reads what waits at one socket into rows with `target` = `natRow`, `remote`,
   * `remotePort`, `hopLimit`, each with the headroom before it and 64
   * behind it. A handle of -1 reads the raw echo sockets: such rows hold the
   * ICMP message, those of other programs too, and `target` is -1. What finds
   * no place in batch or area stays in the socket, and the poller reports it again.
   * @returns rows added.
   */
  receive(natRow: number, handle: number, batch: Batch): number;
  /** A report for {@linkcode receiveError} to fill. */
  readonly report: OutsideErrorReport;
  /**
   * Takes one ICMP error from the socket's error queue; -1: the raw echo sockets'.
   * The payload's bytes hold until the next call.
   * @returns false where the queue is empty.
   */
  receiveError(
    handle: number,
    batch: Batch,
    report: OutsideErrorReport,
  ): boolean;
  /**
   * Closes what was retired and frees its rows. Call it after the sockets of the
   * last wait were handled: an event for a closed socket must not be left over.
   */
  closeRetired(nat: { markFree(row: number): void }): void;
}
