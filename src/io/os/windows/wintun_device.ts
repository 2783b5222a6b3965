/**
 * A worker's end of a Wintun adapter: packets between the session's rings and a
 * batch, one at a time, since the driver has no super-packets.
 *
 * Rows that are read lie back to back in the device's part of the arena, so
 * that they still touch when they have become messages:
 *
 *     | headroom | packet, padding | tailroom | headroom | packet, ...
 *
 * The session's event resets itself when a wait ends by it, but a pump may leave
 * packets for the next round, or for another thread. So the poller sets it again
 * after each wait, and who finds the ring empty resets it and looks once more.
 */
import type { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import type { TunAttachment, TunDevice } from "../../ports.ts";
import { isPacket, paddedPacketLength } from "../tun_rows.ts";
import { Received, WintunRing, type WintunSession } from "./wintun_ring.ts";

/** What a device needs of its attachment. */
export type WintunDeviceOptions = Omit<
  TunAttachment,
  "offload" | "kernels" | "writeArea"
>;

/** See the file header. */
export class WintunDevice implements TunDevice {
  readonly name: string;
  readonly descriptor: number;
  readonly mtu: number;
  readonly pending = false;
  readonly #ring: WintunRing;
  readonly #options: WintunDeviceOptions;

  constructor(session: WintunSession, options: WintunDeviceOptions) {
    this.name = options.name;
    this.descriptor = options.descriptor;
    this.mtu = options.mtu;
    this.#options = options;
    this.#ring = new WintunRing(session, options.bytes);
  }

  get gone(): boolean {
    return this.#ring.gone;
  }

  read(batch: Batch): number {
    const { bytes, readArea, headroom, tailroom, padLimit } = this.#options;
    const ring = this.#ring;
    const before = batch.count;
    let at = readArea.start + headroom;
    // Bounds the packets that are read and skipped, too.
    for (let left = batch.capacity - before; left > 0; left--) {
      const room = readArea.end - tailroom - 15 - at;
      if (room < this.mtu) break;
      const length = ring.receive(at, room);
      if (length === Received.TooLong) continue;
      if (length < 0) return batch.count - before;
      if (!isPacket(bytes, at, length)) continue;
      batch.push(at, length, -1);
      at += paddedPacketLength(length, padLimit) + tailroom + headroom;
    }
    ring.leave();
    return batch.count - before;
  }

  write(batch: Batch): number {
    const ring = this.#ring;
    let refused = 0;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.ToHost) continue;
      if (!ring.send(batch.offset[row], batch.length[row])) refused++;
    }
    return refused;
  }

  [Symbol.dispose](): void {}
}
