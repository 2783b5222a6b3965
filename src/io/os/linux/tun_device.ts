/**
 * A worker's end of a TUN interface: packets between the device and a batch.
 *
 * Rows that are read lie back to back in the device's part of the arena, so
 * that they still touch when they have become messages:
 *
 *     | headroom | packet, padding | tailroom | headroom | packet, ...
 */
import type { Libc } from "../../../../ffi/libc.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import type { TunAttachment, TunDevice } from "../../ports.ts";
import { isPacket, paddedPacketLength } from "../tun_rows.ts";
import { ArenaPiece, EBADFD, writeSingly } from "./tun_pieces.ts";

/** A device without offloads: one packet a call. */
export class PlainTunDevice implements TunDevice {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  readonly pending = false;
  gone = false;
  readonly #libc: Libc;
  readonly #options: TunAttachment;
  readonly #piece: ArenaPiece;

  constructor(libc: Libc, options: TunAttachment) {
    this.name = options.name;
    this.descriptor = options.descriptor;
    this.mtu = options.mtu;
    this.#libc = libc;
    this.#options = options;
    this.#piece = new ArenaPiece(options.bytes);
  }

  read(batch: Batch): number {
    const { bytes, readArea, headroom, tailroom, padLimit } = this.#options;
    const before = batch.count;
    let at = readArea.start + headroom;
    // Bounds the packets that are read and skipped, too.
    for (let left = batch.capacity - before; left > 0; left--) {
      const room = readArea.end - tailroom - 15 - at;
      if (room < this.mtu) break;
      this.#piece.set(at, room);
      const { iovec } = this.#piece;
      const length = this.#libc.call.readv(this.descriptor, iovec, 1);
      if (length < 0) {
        this.gone = this.#libc.errno() === EBADFD;
        break;
      }
      if (!isPacket(bytes, at, length)) continue;
      batch.push(at, length, -1);
      at += paddedPacketLength(length, padLimit) + tailroom + headroom;
    }
    return batch.count - before;
  }

  write(batch: Batch): number {
    return writeSingly(this.#libc, this.descriptor, this.#piece, batch);
  }

  [Symbol.dispose](): void {}
}
