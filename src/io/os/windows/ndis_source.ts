/** The driver of a capture as a worker's device needs it: its sections, its queue, its sends. */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import type { Msvcrt } from "../../../../ffi/windows/msvcrt.ts";
import type { NdisapiSymbols } from "../../../../ffi/windows/ndisapi.ts";
import type { Area } from "../../ports.ts";
import { viewNative } from "./native_memory.ts";
import type { CaptureBlockContents } from "./ndis_block.ts";
import { BUFFER_LENGTH } from "./ndis_buffer.ts";
import type { FrameSource } from "./ndis_device.ts";
import { FastIoSection } from "./ndis_fast_io.ts";
import { driverSends } from "./ndis_senders.ts";

/** What a source reads. */
export interface NativeSourceOptions {
  readonly kernel32: Kernel32;
  readonly msvcrt: Msvcrt;
  readonly call: NdisapiSymbols;
  readonly block: CaptureBlockContents;
  /** The arena's address. */
  readonly address: number;
  readonly readArea: Area;
}

/** Frames that are asked for at once. */
const QUEUE_FRAMES = 256;

/** Opens the driver's sections and its queue for the calling thread. */
export function nativeSource(options: NativeSourceOptions): FrameSource {
  const { kernel32, msvcrt, call, block, address, readArea } = options;
  const { event, driver, sections, sectionLength } = block;
  const room = Math.floor((readArea.end - readArea.start) / BUFFER_LENGTH);
  const asked = Math.min(QUEUE_FRAMES, room);
  const pointers = new BigUint64Array(asked);
  for (let n = 0; n < asked; n++) {
    pointers[n] = BigInt(address + readArea.start + n * BUFFER_LENGTH);
  }
  const pointerBytes = new Uint8Array(pointers.buffer);
  const success = new Uint32Array(32);
  const successBytes = new Uint8Array(success.buffer);
  const arena = BigInt(address);
  return {
    ...driverSends(call, driver),
    sections: sections.map((at) => {
      const from = BigInt(at);
      return new FastIoSection(
        viewNative(at, sectionLength),
        (to, offset, length) =>
          msvcrt.call.memcpy(
            arena + BigInt(to),
            from + BigInt(offset),
            length,
          ),
      );
    }),
    readQueue() {
      success[0] = 0;
      const isRead = call.ReadPacketsUnsorted(
        driver,
        pointerBytes,
        asked,
        successBytes,
      );
      return isRead === 0 ? 0 : success[0];
    },
    resetEvent: () => void kernel32.call.ResetEvent(event),
  };
}
