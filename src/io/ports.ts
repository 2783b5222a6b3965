/**
 * What the rest of sluice asks of the world. Each operating system implements
 * these under `os/`; `platform.ts` is the one place that chooses.
 *
 * Data-plane ports (TunDevice, TunnelSocket, OutsidePort, Poller) are used by a
 * worker's packet loop: they neither allocate nor throw once opened, report by
 * return values, and take bytes by offset in the worker's arena. Control-plane
 * ports (HostNetwork) throw with the name and code of the call that failed.
 */
import type { AddressWords } from "../core/wire/address.ts";
import type { Batch } from "../core/columns/batch.ts";
import type { OutsideSockets } from "../core/flow/nat.ts";

/** Why a wait ended: bits of {@linkcode Poller.wait}'s result. */
export const Ready = {
  /** The wake descriptor was signalled: look at the shared tables, maybe stop. */
  Wake: 1,
  Tun: 2,
  Tunnel: 4,
  /** At least one outside socket; {@linkcode Poller.outsideRow} names them. */
  Outside: 8,
} as const;

/** Waits for any of a pump's descriptors. */
export interface Poller extends Disposable {
  /**
   * Blocks until something is ready or the time is over.
   * @param timeoutMs -1 waits without end.
   * @returns bits of {@linkcode Ready}; 0 when the time was over.
   */
  wait(timeoutMs: number): number;
  /** How many outside sockets the last wait reported. */
  readonly outsideCount: number;
  /** The NAT row of the i-th of them; -1 for the raw echo sockets. */
  outsideRow(i: number): number;
  /**
   * The socket of the i-th of them, as {@linkcode OutsidePort.receive} takes it.
   * Unlike the NAT row's own column it is right from the moment of `open`.
   */
  outsideHandle(i: number): number;
  /** Whether the i-th has an error waiting (its error queue should be read). */
  outsideError(i: number): boolean;
}

/** Wakes a worker that blocks in {@linkcode Poller.wait}; usable from any thread. */
export interface Wake extends Disposable {
  readonly descriptor: number;
  /** Wakes the worker, or keeps it from blocking the next time. */
  signal(): void;
  /** Takes all signals back; {@linkcode Poller.wait} does that by itself. */
  drain(): void;
}

/** A layer-3 device. Packets are bare IP packets, without any device header. */
export interface TunDevice extends Disposable {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  /** Somebody removed the interface: its descriptor stays ready, for nothing. */
  readonly gone: boolean;
  /**
   * A super-packet was read that found no room: the next read begins with it,
   * and no poller reports it.
   */
  readonly pending: boolean;
  /**
   * Reads what is there into rows of the batch (peer -1), each with the batch's
   * head- and tailroom; a super-packet is split into its segments. Stops when
   * the batch or the device's part of the arena is full. The next read uses
   * that part again: a batch is dealt with before it.
   * @returns rows added; 0 where nothing waits.
   */
  read(batch: Batch): number;
  /**
   * Writes all rows whose verdict is ToHost, in order, joined where the device
   * takes super-packets.
   * @returns rows that the device refused.
   */
  write(batch: Batch): number;
}

/** What a TUN device can do beyond single packets. */
export interface TunOffload {
  /** Whether a vnet header stands before each packet; without it the rest is false. */
  readonly vnetHeader: boolean;
  /** Whether the device may hand over TCP over IPv4 as super-packets. */
  readonly tso4: boolean;
  /** Whether the device may hand over TCP over IPv6 as super-packets. */
  readonly tso6: boolean;
  /** Whether the device takes and gives UDP super-packets, both families. */
  readonly uso: boolean;
}

/**
 * Why an interface could not be made.
 *
 * - `name-invalid`: the system would not take such a name
 * - `name-taken`: another interface has it, or another process holds it
 * - `device-absent`: no /dev/net/tun, or no driver behind it
 * - `device-denied`: /dev/net/tun may not be opened
 * - `not-permitted`: the right to make interfaces is missing (CAP_NET_ADMIN)
 * - `failed`: anything else; the message has the system's text
 */
export type TunErrorCode =
  | "name-invalid"
  | "name-taken"
  | "device-absent"
  | "device-denied"
  | "not-permitted"
  | "failed";

/** An interface that could not be made; the command line says what to do. */
export class TunError extends Error {
  override readonly name = "TunError";
  constructor(
    readonly code: TunErrorCode,
    /** The name that was asked for. */
    readonly interfaceName: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`cannot make TUN interface ${interfaceName}: ${message}`, options);
  }
}

/** Which TUN interface to make. */
export interface CreateTunOptions {
  /** 1 to 15 bytes, without `/`, `:`, `%` and spaces. */
  readonly name: string;
  /**
   * `segments` asks for super-packets, whose readers and writers need kernels;
   * where the system has none, or for `none`, packets come one at a time.
   */
  readonly offload: "segments" | "none";
}

/** A TUN interface as the thread that made it holds it; closing ends it. */
export interface CreatedTun extends Disposable {
  /** Usable from any thread of the process until this is disposed of. */
  readonly descriptor: number;
  readonly name: string;
  readonly offload: TunOffload;
  /** The interface was there before and outlives the process. */
  readonly persistent: boolean;
}

/** A part of an arena: [start, end), in bytes. */
export interface Area {
  readonly start: number;
  readonly end: number;
}

/** How a worker gets at a TUN interface. */
export interface TunAttachment {
  readonly descriptor: number;
  readonly name: string;
  readonly mtu: number;
  readonly offload: TunOffload;
  /** Needed where `offload.vnetHeader` is set. */
  readonly kernels?: PacketOffload;
  /** The worker's arena; batches given to the device lie in the same one. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where packets that are read go; empty for a worker that only writes. */
  readonly readArea: Area;
  /** Where joined packets are built; where it is empty, each is written alone. */
  readonly writeArea: Area;
  /** What stands before each packet: the message header of the tunnel. */
  readonly headroom: number;
  /** What follows each packet and its padding: the tag. */
  readonly tailroom: number;
  /** Packets are padded to 16 bytes, but not beyond this length. */
  readonly padLimit: number;
}

/** What {@linkcode PacketOffload.coalesce} may do: bits. */
export const CoalesceFlag = {
  /** Build TCP super-packets. */
  Tcp: 1,
  /** Build UDP super-packets. */
  Udp: 2,
  /** The 10 bytes before each packet may be overwritten. */
  InPlace: 4,
} as const;

/**
 * Splits and joins packets at devices with vnet headers: the WASM kernels, over
 * a worker's arena. A table is rows of two i32: a place in the arena, a length.
 */
export interface PacketOffload {
  /**
   * Splits what the device gave ([vnet header][packet]) into whole packets with
   * true checksums. They lie back to back from `out`: `headroom` free bytes,
   * the packet, zeros to a multiple of 16 (not beyond `padLimit`), `tailroom`
   * free bytes. Their places go to the table.
   * @returns packets; 0 where the source is malformed, -1 where the output or
   * the table is too small.
   */
  segment(
    source: number,
    sourceLength: number,
    out: number,
    outEnd: number,
    headroom: number,
    tailroom: number,
    padLimit: number,
    table: number,
    tableEnd: number,
  ): number;
  /**
   * Joins packets of the table that belong together and rewrites the table:
   * each row is then what one write takes, [vnet header][packet], either where
   * the packet was or in [out, outEnd).
   * @param flags bits of {@linkcode CoalesceFlag}
   * @returns rows; -1 where the output is too small.
   */
  coalesce(
    table: number,
    count: number,
    out: number,
    outEnd: number,
    flags: number,
  ): number;
}

/** The port that a socket was to have is taken; the command line says by whom to ask. */
export class PortInUseError extends Error {
  override readonly name = "PortInUseError";
  constructor(readonly port: number, options?: ErrorOptions) {
    super(`UDP port ${port} is in use by another program`, options);
  }
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
}

/** How a worker gets at the tunnel's socket. */
export interface TunnelSocketAttachment
  extends Omit<OpenedTunnelSocket, typeof Symbol.dispose> {
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

/** What the system said about a datagram sent earlier from an outside socket. */
export interface OutsideErrorReport {
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
   * batch's arena with at least 128 writable bytes before it; often empty,
   * since a router need not quote more than 8 bytes behind the IP header.
   */
  payloadAt: number;
  payloadLength: number;
}

/** The gateway's outside as the thread that opened it holds it. */
export interface OpenedOutside extends Disposable {
  /** How echo goes out: one raw socket for all, a ping socket each, or not at all. */
  readonly echo: "raw" | "ping" | "none";
  /** What workers need to attach: plain data, so that it can be posted. */
  readonly shared: OutsideShared;
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
  /** NAT rows: each can be retired once before it is freed. */
  readonly capacity: number;
  /** Sockets on their way from the sending to the receiving worker. */
  readonly retired: SharedArrayBuffer;
  /** How each socket was last set to treat fragments. */
  readonly modes: SharedArrayBuffer;
}

/** How a worker gets at the outside. */
export interface OutsideAttachment {
  readonly shared: OutsideShared;
  /** The worker's arena; batches lie in it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where datagrams go, 64 KiB and a bit for each; empty for a worker that only sends. */
  readonly receiveArea: Area;
}

/**
 * Sockets towards the outside: one per NAT row for UDP, raw or ping sockets for
 * echo. The sending worker owns the NAT rows: it opens, sends, flushes and
 * retires. The receiving one receives, reads errors and closes what was retired.
 */
export interface OutsidePort extends OutsideSockets, Disposable {
  /**
   * Queues a ToUdp or ToEcho row of the batch, whose bytes must stay until
   * {@linkcode flush}. Rows of one socket that follow each other leave in one call.
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
   * `remotePort`, `hopLimit`, each with 128 writable bytes before it and 64
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

/** An address on an interface. */
export interface InterfaceAddress {
  /** Address words. */
  readonly words: Int32Array;
  /** Prefix length within the family (0-32 or 0-128). */
  readonly prefixLength: number;
  readonly family: 4 | 6;
}

/** A route through the interface. */
export interface InterfaceRoute {
  readonly words: Int32Array;
  readonly prefixLength: number;
  readonly family: 4 | 6;
  /** Lower wins; undefined leaves it to the system. */
  readonly metric?: number;
}

/** What the host's network should look like for one of our interfaces. */
export interface InterfaceConfig {
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly InterfaceRoute[];
}

/**
 * What could not be applied, without making the rest useless: the interface has
 * no IPv6, so that its IPv6 addresses and routes were left out.
 */
export interface NetworkWarning {
  readonly kind: "ipv6-off";
  /** Switched off on this host, or the MTU is below IPv6's 1280. */
  readonly reason: "disabled" | "mtu";
  readonly interface: string;
  /** The prefixes that were left out, as text. */
  readonly omitted: readonly string[];
}

/** A way out of the host. */
export interface Egress {
  /** The system's number of the interface. */
  readonly interfaceIndex: number;
  /** The host's address there: address words; undefined where routes name none. */
  readonly source: AddressWords | undefined;
}

/** Addresses, links and routes of the host, applied declaratively. */
export interface HostNetwork extends Disposable {
  /**
   * Makes it so: what is missing is added, what we added before and is no
   * longer wanted is removed. Applying the same twice changes nothing.
   * @throws {Error} with the request's name and the system's text; what was
   * done until then stays recorded, and `reset` undoes it.
   */
  apply(config: InterfaceConfig): readonly NetworkWarning[];
  /** Undoes all that `apply` did. */
  reset(): void;
  /**
   * Undoes what earlier processes of ours left behind when they died, sockets
   * in the file system included.
   * @returns a line about each thing undone and each journal that made no sense.
   */
  recover(): readonly string[];
  /** How the host would send to a destination now; undefined without a route. */
  egressFor(words: AddressWords): Egress | undefined;
}

/** A thing to undo: one that outlives the process that made it. */
export type JournalEntry =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "address";
    readonly interface: string;
    /** The system's number of the interface. */
    readonly index: number;
    /** Address and prefix length, as text. */
    readonly prefix: string;
  }
  | {
    readonly kind: "route";
    readonly interface: string;
    readonly index: number;
    readonly prefix: string;
    readonly metric?: number;
  };

/** Where a journal is kept. */
export type JournalLocation =
  | { readonly kind: "directory"; readonly directory: string }
  /** Nowhere on disk, and why not: nothing can be undone after a crash. */
  | { readonly kind: "memory"; readonly problems: readonly string[] };

/** The journal of a process that no longer runs. */
export type Leftover =
  | {
    readonly kind: "entries";
    readonly path: string;
    readonly processId: number;
    readonly entries: readonly JournalEntry[];
    /**
     * Where its addresses and routes were: in the network that we are in, in
     * another network namespace, or in one that ended with an earlier boot.
     */
    readonly network: "ours" | "other" | "gone";
  }
  | {
    readonly kind: "malformed";
    readonly path: string;
    readonly reason: string;
  };

/** What is to be undone by the next start, should this process be killed. */
export interface Journal {
  readonly location: JournalLocation;
  /**
   * Sets the entries of a scope, e.g. `uapi` or `network:sluice0`; none at all
   * end it. On disk when this returns: call it before making the change.
   */
  record(scope: string, entries: readonly JournalEntry[]): void;
  /** The journals of dead processes. */
  leftovers(): Leftover[];
  /** Removes such a journal once it is undone; puts a malformed one aside. */
  forget(leftover: Leftover): void;
}

/** Whether /dev/net/tun can be opened, and if not, the system's reason. */
export type TunAccess =
  | { readonly kind: "usable" }
  | { readonly kind: "absent"; readonly path: string; readonly reason: string }
  | { readonly kind: "denied"; readonly path: string; readonly reason: string };

/** What this process may do. */
export interface Privileges {
  /** The effective user; 0 is root. */
  readonly userId: number;
  /** May change interfaces, addresses and routes. */
  readonly netAdmin: boolean;
  /** May open raw sockets. */
  readonly netRaw: boolean;
  readonly tun: TunAccess;
}
