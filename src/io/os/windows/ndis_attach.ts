/** A worker's device of a capture that another thread has opened. */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import type { CaptureAttachment } from "../../ports/capture.ts";
import { viewNative } from "./native_memory.ts";
import { BLOCK_LENGTH, countersOf, linksOf, readBlock } from "./ndis_block.ts";
import { NdisDevice } from "./ndis_device.ts";
import { openLibrary } from "./ndis_driver.ts";
import { nativeSource } from "./ndis_source.ts";

/** @throws {CaptureError} where the library can't be opened by this thread, too. */
export function attachNdisCapture(
  kernel32: Kernel32,
  attachment: CaptureAttachment,
): NdisDevice {
  const { descriptor, name, mtu, bytes, readArea, writeArea } = attachment;
  const memory = viewNative(descriptor, BLOCK_LENGTH);
  // It stays loaded as long as the thread runs.
  const { call } = openLibrary(kernel32);
  const address = addressOf(bytes);
  const block = readBlock(memory);
  return new NdisDevice({
    name,
    descriptor,
    mtu,
    bytes,
    address,
    readArea,
    writeArea,
    source: nativeSource({ kernel32, call, block, address, readArea }),
    links: linksOf(memory),
    counters: countersOf(memory),
  });
}

/** Where bytes lie; they must neither grow nor move. */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
