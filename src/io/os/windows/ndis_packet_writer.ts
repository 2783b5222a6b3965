/**
 * Single packets for the host by a capture's driver, beside the worker that
 * reads: in pieces where they are longer than a frame.
 */
import { Batch } from "../../../core/columns/batch.ts";
import { Verdict } from "../../../core/columns/verdict.ts";
import { splitRow } from "../../../core/flow/split.ts";
import { copyBytes } from "../../../core/wire/bytes.ts";
import * as ethernet from "../../../core/wire/ethernet.ts";
import type { PacketWriter } from "../../ports.ts";
import {
  adapterAt,
  BUFFER_LENGTH,
  clearFlags,
  FRAME_AT,
  setFrameLength,
  setGoing,
} from "./ndis_buffer.ts";
import { FrameSender, type FrameSends } from "./ndis_senders.ts";
import type { FrameLinks } from "./ndis_links.ts";

const LONGEST_PACKET = 65_535;
const ROWS = 64;
/** Room for a packet, its pieces, and a frame of each. */
const SPARE_AT = 1 << 17;
const SPARE_END = SPARE_AT + (1 << 17);
const FRAMES_AT = SPARE_END;
const ARENA = FRAMES_AT + ROWS * BUFFER_LENGTH;

/** What a writer works with. */
export interface NdisWriterOptions {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The address of `bytes`. */
  readonly address: number;
  readonly sends: FrameSends;
  readonly links: FrameLinks;
}

/** Bytes that a writer's memory must have. */
export const WRITER_LENGTH = ARENA;

/** Makes a writer over memory of its own. */
export function ndisPacketWriter(options: NdisWriterOptions): PacketWriter {
  const { bytes: arena, address, sends, links } = options;
  const sender = new FrameSender(sends, ROWS, address);
  const batch = new Batch({
    bytes: arena,
    capacity: ROWS,
    spareStart: SPARE_AT,
    spareEnd: SPARE_END,
    headroom: 0,
    tailroom: 0,
  });
  let identification = 0;
  return {
    write(bytes, at, length) {
      if (length > LONGEST_PACKET) return false;
      copyBytes(arena, 0, bytes, at, length);
      batch.clear();
      batch.push(0, length, 0);
      batch.decide(0, Verdict.ToHost, 0);
      if (length > ethernet.MAX_PAYLOAD) {
        identification = (identification + 1) | 0;
        splitRow(batch, 0, ethernet.MAX_PAYLOAD, identification);
      }
      for (let row = 0; row < batch.count; row++) {
        if (batch.verdict[row] !== Verdict.ToHost) return false;
        const buffer = FRAMES_AT + row * BUFFER_LENGTH;
        const frame = buffer + FRAME_AT;
        const packet = batch.offset[row];
        clearFlags(arena, buffer);
        if (!links.toHost(arena, adapterAt(buffer), frame, packet)) {
          return false;
        }
        const payload = frame + ethernet.HEADER_LENGTH;
        copyBytes(arena, payload, arena, packet, batch.length[row]);
        setFrameLength(
          arena,
          buffer,
          ethernet.HEADER_LENGTH + batch.length[row],
        );
        setGoing(arena, buffer, "host");
        sender.toHost(buffer);
      }
      sender.flush();
      return sender.takeRefused() === 0;
    },
  };
}
