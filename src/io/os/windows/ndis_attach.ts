/**
 * A worker's device of a capture that another thread has opened, and who tells a
 * capture's descriptor from that of an interface.
 */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { type Msvcrt, openMsvcrt } from "../../../../ffi/windows/msvcrt.ts";
import type { Ndisapi } from "../../../../ffi/windows/ndisapi.ts";
import type { Area, PacketWriter, TunDevice } from "../../ports.ts";
import { viewNative } from "./native_memory.ts";
import {
  BLOCK_LENGTH,
  countersOf,
  isCaptureBlock,
  KIND_END,
  linksOf,
  readBlock,
  SECTION_BYTES,
} from "./ndis_block.ts";
import { NdisDevice } from "./ndis_device.ts";
import { openLibrary } from "./ndis_driver.ts";
import { ndisPacketWriter, WRITER_LENGTH } from "./ndis_packet_writer.ts";
import { driverSends } from "./ndis_senders.ts";
import { nativeSource } from "./ndis_source.ts";

/** What a device needs of its attachment: a part of that of an interface. */
export interface NdisAttachment {
  readonly descriptor: number;
  readonly name: string;
  readonly mtu: number;
  /** The worker's arena; batches given to the device lie in the same one. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where frames that are read go, and those that are made; empty for a worker that only writes. */
  readonly readArea: Area;
  /** Where frames are made by a worker that only writes. */
  readonly writeArea?: Area;
}

/** Captures as one thread uses them; the library is opened when it is first needed. */
export class NdisCaptures implements Disposable {
  readonly #kernel32: Kernel32;
  #library: Ndisapi | undefined;
  #msvcrt: Msvcrt | undefined;

  constructor(kernel32: Kernel32) {
    this.#kernel32 = kernel32;
  }

  /** Whether a descriptor is a capture's. */
  owns(descriptor: number): boolean {
    return isCaptureBlock(viewNative(descriptor, KIND_END));
  }

  /** Uses a capture of this process in the calling thread. */
  attach(attachment: NdisAttachment): TunDevice {
    const { descriptor, name, mtu, bytes, readArea, writeArea } = attachment;
    const { start, end } = readArea;
    const isReader = end - start > SECTION_BYTES;
    if (!isReader && (end > start || writeArea === undefined)) {
      throw new RangeError(
        `a capture's read area needs more than ${SECTION_BYTES} bytes`,
      );
    }
    const frames = { start, end: isReader ? start + SECTION_BYTES : start };
    const memory = viewNative(descriptor, BLOCK_LENGTH);
    const address = addressOf(bytes);
    const block = readBlock(memory);
    return new NdisDevice({
      name,
      descriptor,
      mtu,
      bytes,
      address,
      readArea: frames,
      writeArea: isReader ? { start: frames.end, end } : writeArea!,
      source: nativeSource({
        kernel32: this.#kernel32,
        msvcrt: this.#msvcrt ??= openMsvcrt(),
        call: this.#call,
        block: isReader ? block : { ...block, sections: [] },
        address,
        readArea: frames,
      }),
      links: linksOf(memory),
      counters: countersOf(memory),
    });
  }

  /** Makes a writer for the calling thread; the capture stays its owner's. */
  attachWriter(descriptor: number): PacketWriter {
    const memory = viewNative(descriptor, BLOCK_LENGTH);
    const bytes = new Uint8Array(WRITER_LENGTH);
    return ndisPacketWriter({
      bytes,
      address: addressOf(bytes),
      sends: driverSends(this.#call, readBlock(memory).driver),
      links: linksOf(memory),
    });
  }

  [Symbol.dispose](): void {
    this.#library?.[Symbol.dispose]();
    this.#msvcrt?.[Symbol.dispose]();
    this.#library = this.#msvcrt = undefined;
  }

  get #call(): Ndisapi["call"] {
    this.#library ??= openLibrary(this.#kernel32);
    return this.#library.call;
  }
}

/** Where bytes lie; they must neither grow nor move. */
function addressOf(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
