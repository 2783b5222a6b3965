/** Layer-3 devices of the host, and what splits and joins their super-packets. */
import type { Batch } from "../../core/columns/batch.ts";
import type { Sum } from "../../core/wire/checksum.ts";

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
 * - `device-absent`: no /dev/net/tun or wintun.dll, or no driver behind it
 * - `device-denied`: /dev/net/tun may not be opened, wintun.dll not be trusted
 * - `not-permitted`: the right to make interfaces is missing (CAP_NET_ADMIN, an
 *   administrator's)
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
  /** What to do about it on this system; undefined leaves it to the code. */
  readonly advice: string | undefined;
  constructor(
    readonly code: TunErrorCode,
    /** The name that was asked for. */
    readonly interfaceName: string,
    message: string,
    options: ErrorOptions & { readonly advice?: string } = {},
  ) {
    super(`cannot make TUN interface ${interfaceName}: ${message}`, options);
    this.advice = options.advice;
  }
}

/** Which TUN interface to make. */
export interface CreateTunOptions {
  /** On Linux 1 to 15 bytes, without `/`, `:`, `%` and spaces. */
  readonly name: string;
  /**
   * `segments` asks for super-packets, whose readers and writers need kernels;
   * `tcp` for those of TCP alone, to be passed on whole ({@linkcode
   * WholeTunAttachment}); where the system has none, or for `none`, packets come
   * one at a time.
   */
  readonly offload: "segments" | "tcp" | "none";
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

/**
 * How a worker gets at a TUN interface whose super-packets stay whole: for one
 * that only rewrites headers and writes packets back.
 *
 * Rows that are read are TCP packets of up to 64 KiB, `partial` where the system
 * left their checksum so, and single packets with true checksums of all else.
 * A row with `partial` is written back with what the system said of it, so it
 * must stay where it was read, its headers as long as they were.
 */
export interface WholeTunAttachment {
  readonly descriptor: number;
  readonly name: string;
  readonly mtu: number;
  readonly offload: TunOffload;
  /** The worker's arena; batches given to the device lie in the same one. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where packets that are read go; empty for a worker that only writes. */
  readonly readArea: Area;
  /** How checksums that the system left partial are completed. */
  readonly sum?: Sum;
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
