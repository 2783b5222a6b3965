/** Buffers as the driver fills them. */
import { intermediateBuffer } from "../../../../ffi/windows/layouts/ndisapi.ts";

/** What a buffer is made of. */
export interface BufferOptions {
  readonly way: "send" | "receive" | number;
  readonly adapter?: number;
  /** Destination and source. */
  readonly macs?: readonly [number, number];
  readonly type?: number;
  readonly payload: ArrayLike<number>;
  /** Where another length is claimed. */
  readonly length?: number;
}

/** One buffer, whole. */
export function bufferOf(options: BufferOptions): Uint8Array {
  const { way, adapter = 1, macs = [2, 1], payload } = options;
  const { type = payload[0] >>> 4 === 6 ? 0x86dd : 0x0800 } = options;
  const { size, at } = intermediateBuffer;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(
    at.m_hAdapter,
    0xffff_8a00_0000_0000n | BigInt(adapter),
    true,
  );
  const flags = way === "send" ? 1 : way === "receive" ? 2 : way;
  view.setUint32(at.m_dwDeviceFlags, flags, true);
  const length = options.length ?? 14 + payload.length;
  view.setUint32(at.m_Length, length, true);
  bytes.set([0, 0, 0, 0, 0, macs[0], 0, 0, 0, 0, 0, macs[1]], at.m_IBuffer);
  view.setUint16(at.m_IBuffer + 12, type);
  bytes.set(Array.from(payload), at.m_IBuffer + 14);
  return bytes;
}

/** A buffer, read. */
export interface ReadBuffer {
  readonly adapter: number;
  readonly way: "send" | "receive";
  /** The last byte of each: destination's, source's. */
  readonly macs: readonly number[];
  readonly type: number;
  readonly payload: readonly number[];
}

/** What a buffer says. */
export function readBuffer(bytes: Uint8Array, start: number): ReadBuffer {
  const { at } = intermediateBuffer;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start);
  const length = view.getUint32(at.m_Length, true);
  const frame = start + at.m_IBuffer;
  return {
    adapter: Number(view.getBigUint64(at.m_hAdapter, true) & 0xffffffffn),
    way: view.getUint32(at.m_dwDeviceFlags, true) === 1 ? "send" : "receive",
    macs: [bytes[frame + 5], bytes[frame + 11]],
    type: view.getUint16(at.m_IBuffer + 12),
    payload: [...bytes.subarray(frame + 14, frame + length)],
  };
}
