/**
 * A TUN device that hands over and takes super-packets: TCP and UDP trains of
 * up to 64 KiB with a header that says how to cut them (virtio_net_hdr).
 *
 * Kernels cut and join. Where the bytes lie meanwhile:
 *
 *     readArea:  | table | what the device gave | packets, back to back ...
 *     writeArea: | table | super-packets ...
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { virtioNetHdr } from "../../../../ffi/linux_layouts.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { readU16le } from "../../../core/wire/bytes.ts";
import {
  type Area,
  CoalesceFlag,
  type PacketOffload,
  type TunAttachment,
  type TunDevice,
} from "../../ports.ts";
import { isPacket, paddedPacketLength } from "../tun_rows.ts";
import { ArenaPiece, EBADFD, writeSingly } from "./tun_pieces.ts";

const VNET_HEADER = virtioNetHdr.size;
const TABLE_ROWS = 1024;
const TABLE_LENGTH = TABLE_ROWS * 8;
const SOURCE_LENGTH = 65535 + VNET_HEADER;
/** A super-packet as segments of common sizes, with room around each. */
const SEGMENTS_LENGTH = 80 * 1024;

/** The least that an area of such a device may have, in bytes. */
export const OFFLOAD_AREA_MINIMUM = 256 * 1024;

/** A device with vnet headers. */
export class OffloadTunDevice implements TunDevice {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  gone = false;
  readonly #libc: Libc;
  readonly #options: TunAttachment;
  readonly #kernels: PacketOffload;
  readonly #piece: ArenaPiece;
  /** A packet behind a vnet header that asks for nothing. */
  readonly #single: ArenaPiece;
  readonly #source: Uint8Array<ArrayBuffer>;
  readonly #sourceAt: number;
  readonly #packetsAt: number;
  readonly #readTable: Int32Array;
  readonly #writeTable: Int32Array;
  readonly #joinFlags: number;
  /** Bytes that one joining may take; 0 where packets are written singly. */
  readonly #joinBytes: number;
  /** A super-packet that the last batch had no room for. */
  #pending = 0;
  /** Packets in the table that wait to be written, and their bytes. */
  #queued = 0;
  #queuedBytes = 0;

  constructor(libc: Libc, kernels: PacketOffload, options: TunAttachment) {
    const { bytes, readArea, writeArea, offload } = options;
    checkArea(readArea);
    checkArea(writeArea);
    this.name = options.name;
    this.descriptor = options.descriptor;
    this.mtu = options.mtu;
    this.#libc = libc;
    this.#options = options;
    this.#kernels = kernels;
    this.#piece = new ArenaPiece(bytes);
    this.#single = new ArenaPiece(bytes, new Uint8Array(VNET_HEADER));
    this.#sourceAt = readArea.start + TABLE_LENGTH;
    this.#packetsAt = (this.#sourceAt + SOURCE_LENGTH + 63) & ~63;
    this.#source = bytes.subarray(this.#sourceAt);
    this.#readTable = tableOf(bytes, readArea);
    this.#writeTable = tableOf(bytes, writeArea);
    this.#joinBytes = this.#writeTable.length === 0
      ? 0
      : writeArea.end - writeArea.start - TABLE_LENGTH;
    this.#joinFlags = CoalesceFlag.Tcp | CoalesceFlag.InPlace |
      (offload.uso ? CoalesceFlag.Udp : 0);
  }

  get pending(): boolean {
    return this.#pending > 0;
  }

  read(batch: Batch): number {
    const { readArea } = this.#options;
    const before = batch.count;
    let at = this.#packetsAt;
    // Bounds the packets that are read and skipped, too.
    for (let left = batch.capacity - before; left > 0; left--) {
      if (at + SEGMENTS_LENGTH > readArea.end) break;
      if (batch.count === batch.capacity) break;
      const length = this.#pending > 0 ? this.#pending : this.#readSource();
      if (length === 0) break;
      const next = this.#segment(batch, length, at);
      // What does not even fit an empty batch never will.
      this.#pending = next < 0 && batch.count > 0 ? length : 0;
      if (this.#pending > 0) break;
      if (next > 0) at = next;
    }
    return batch.count - before;
  }

  write(batch: Batch): number {
    if (this.#joinBytes === 0) {
      return writeSingly(this.#libc, this.descriptor, this.#single, batch);
    }
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.ToHost) continue;
      const needed = batch.length[row] + VNET_HEADER;
      const full = this.#queued === TABLE_ROWS ||
        this.#queuedBytes + needed > this.#joinBytes;
      if (full) refused += this.#flush();
      const entry = this.#queued++ * 2;
      this.#queuedBytes += needed;
      this.#writeTable[entry] = batch.offset[row];
      this.#writeTable[entry + 1] = batch.length[row];
    }
    return refused + this.#flush();
  }

  [Symbol.dispose](): void {}

  /** @returns bytes read; 0 where nothing waits. */
  #readSource(): number {
    const length = this.#libc.call.read(
      this.descriptor,
      this.#source,
      SOURCE_LENGTH,
    );
    if (length >= 0) return length;
    this.gone = this.#libc.errno() === EBADFD;
    return 0;
  }

  /**
   * Adds rows for what was read.
   * @returns where the next packet's headroom begins, 0 where nothing was
   * added, -1 where rows or bytes don't suffice.
   */
  #segment(batch: Batch, length: number, at: number): number {
    const { bytes, readArea, headroom, tailroom, padLimit } = this.#options;
    const packet = this.#sourceAt + VNET_HEADER;
    if (!isPacket(bytes, packet, length - VNET_HEADER)) return 0;
    const rows = Math.min(TABLE_ROWS, batch.capacity - batch.count);
    const count = this.#kernels.segment(
      this.#sourceAt,
      length,
      at,
      readArea.end,
      headroom,
      tailroom,
      padLimit,
      readArea.start,
      readArea.start + rows * 8,
    );
    if (count <= 0) return count;
    for (let entry = 0; entry < count * 2; entry += 2) {
      batch.push(this.#readTable[entry], this.#readTable[entry + 1], -1);
    }
    const last = batch.count - 1;
    return batch.offset[last] +
      paddedPacketLength(batch.length[last], padLimit) + tailroom;
  }

  /** Joins and writes what is queued. */
  #flush(): number {
    const { writeArea } = this.#options;
    const queued = this.#queued;
    this.#queued = 0;
    this.#queuedBytes = 0;
    if (queued === 0) return 0;
    const rows = this.#kernels.coalesce(
      writeArea.start,
      queued,
      writeArea.start + TABLE_LENGTH,
      writeArea.end,
      this.#joinFlags,
    );
    if (rows < 0) return queued;
    let refused = 0;
    for (let entry = 0; entry < rows * 2; entry += 2) {
      const at = this.#writeTable[entry];
      const length = this.#writeTable[entry + 1];
      this.#piece.set(at, length);
      const { iovec } = this.#piece;
      const written = this.#libc.call.writev(this.descriptor, iovec, 1);
      if (written < 0) refused += this.#packetsIn(at, length);
    }
    return refused;
  }

  /** How many packets a super-packet is made of. */
  #packetsIn(at: number, length: number): number {
    const { bytes } = this.#options;
    const size = readU16le(bytes, at + virtioNetHdr.at.gso_size);
    if (size === 0) return 1;
    const headers = VNET_HEADER +
      readU16le(bytes, at + virtioNetHdr.at.hdr_len);
    return Math.ceil((length - headers) / size);
  }
}

function checkArea(area: Area): void {
  const length = area.end - area.start;
  if (length !== 0 && length < OFFLOAD_AREA_MINIMUM) {
    throw new RangeError(
      `an area has ${length} bytes, offloads need ${OFFLOAD_AREA_MINIMUM}`,
    );
  }
}

function tableOf(bytes: Uint8Array<ArrayBuffer>, area: Area): Int32Array {
  const entries = area.end === area.start ? 0 : TABLE_ROWS * 2;
  return new Int32Array(bytes.buffer, bytes.byteOffset + area.start, entries);
}
