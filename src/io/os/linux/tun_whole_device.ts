/**
 * A TUN device for one that only rewrites headers: TCP super-packets are read
 * whole, with the header that says how to cut them (virtio_net_hdr), and written
 * back behind the same header. Nothing is cut, joined or summed on the way.
 *
 *     readArea:  | vnet header | packet | gap | vnet header | packet | ...
 *                              ^ the row, at a multiple of 16
 *
 * What is not TCP gets the checksum that the system left to the device, so that
 * everybody behind it sees ordinary packets.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { virtioNetHdr } from "../../../../ffi/linux_layouts.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { readU16le, writeU16be } from "../../../core/wire/bytes.ts";
import { fold, type Sum, sum } from "../../../core/wire/checksum.ts";
import { CHECKSUM_AT as TCP_CHECKSUM_AT } from "../../../core/wire/tcp.ts";
import { CHECKSUM_AT as UDP_CHECKSUM_AT } from "../../../core/wire/udp.ts";
import type { TunDevice, WholeTunAttachment } from "../../ports.ts";
import { isPacket } from "../tun_rows.ts";
import { ArenaPiece, EBADFD } from "./tun_pieces.ts";

const VNET_HEADER = virtioNetHdr.size;
const NEEDS_CHECKSUM = 1;
const LONGEST_PACKET = 65535;
const ALIGNMENT = 16;

/** A device with vnet headers whose super-packets stay whole. */
export class WholeTunDevice implements TunDevice {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  readonly pending = false;
  gone = false;
  readonly #libc: Libc;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #start: number;
  readonly #end: number;
  readonly #sum: Sum;
  /** A packet with the vnet header before it. */
  readonly #piece: ArenaPiece;
  /** A packet behind a vnet header that asks for nothing. */
  readonly #single: ArenaPiece;

  constructor(libc: Libc, options: WholeTunAttachment) {
    const { bytes, readArea } = options;
    this.name = options.name;
    this.descriptor = options.descriptor;
    this.mtu = options.mtu;
    this.#libc = libc;
    this.#bytes = bytes;
    this.#start = readArea.start;
    this.#end = readArea.end;
    this.#sum = options.sum ?? sum;
    this.#piece = new ArenaPiece(bytes);
    this.#single = new ArenaPiece(bytes, new Uint8Array(VNET_HEADER));
  }

  read(batch: Batch): number {
    const bytes = this.#bytes;
    const before = batch.count;
    // What stages append needs rows, too.
    const limit = batch.capacity - (batch.capacity >> 3);
    let at = rowAt(this.#start);
    // Bounds the packets that are read and skipped, too.
    for (let left = limit - before; left > 0; left--) {
      if (at + LONGEST_PACKET > this.#end) break;
      const header = at - VNET_HEADER;
      this.#piece.set(header, VNET_HEADER + LONGEST_PACKET);
      const { iovec } = this.#piece;
      const read = this.#libc.call.readv(this.descriptor, iovec, 1);
      if (read < 0) {
        this.gone = this.#libc.errno() === EBADFD;
        break;
      }
      const length = read - VNET_HEADER;
      if (!isPacket(bytes, at, length)) continue;
      const row = batch.push(at, length, -1);
      if (row < 0) break;
      batch.partial[row] = this.#complete(header, at, length);
      at = rowAt(at + length);
    }
    return batch.count - before;
  }

  write(batch: Batch): number {
    const { call } = this.#libc;
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.ToHost) continue;
      const at = batch.offset[row];
      const length = batch.length[row];
      let piece = this.#single;
      if (batch.partial[row] === 1) {
        piece = this.#piece;
        piece.set(at - VNET_HEADER, length + VNET_HEADER);
      } else piece.set(at, length);
      const written = call.writev(this.descriptor, piece.iovec, piece.count);
      if (written < 0) refused++;
    }
    return refused;
  }

  [Symbol.dispose](): void {}

  /**
   * Completes the checksum of a packet that is not TCP.
   * @returns 1 where the checksum stays partial, else 0.
   */
  #complete(header: number, at: number, length: number): number {
    const bytes = this.#bytes;
    if ((bytes[header + virtioNetHdr.at.flags] & NEEDS_CHECKSUM) === 0) {
      return 0;
    }
    const start = readU16le(bytes, header + virtioNetHdr.at.csum_start);
    const offset = readU16le(bytes, header + virtioNetHdr.at.csum_offset);
    if (offset === TCP_CHECKSUM_AT) return 1;
    if (start + offset + 2 > length) return 0;
    const total = this.#sum(bytes, at + start, length - start, 0);
    const checksum = ~fold(total) & 0xffff;
    const zero = offset === UDP_CHECKSUM_AT ? 0xffff : 0;
    writeU16be(bytes, at + start + offset, checksum === 0 ? zero : checksum);
    return 0;
  }
}

/** Where the first row goes that has its vnet header behind `from`. */
function rowAt(from: number): number {
  return (from + VNET_HEADER + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}
