/**
 * One INTERMEDIATE_BUFFER of the driver's, in bytes at `at`: whose frame it is,
 * where it was going, and the frame.
 */
import {
  intermediateBuffer,
  MAX_ETHER_FRAME,
} from "../../../../ffi/windows/layouts/ndisapi.ts";
import { PACKET_FLAG } from "../../../../ffi/windows/ndisapi.ts";
import { copyBytes, readU32le, writeU32le } from "../../../core/wire/bytes.ts";
import * as ethernet from "../../../core/wire/ethernet.ts";

const { m_hAdapter, m_dwDeviceFlags, m_Length, m_Flags, m_IBuffer } =
  intermediateBuffer.at;

/** Bytes of one; they lie back to back. */
export const BUFFER_LENGTH = intermediateBuffer.size;
/** Where the frame starts in it. */
export const FRAME_AT = m_IBuffer;

/** What to make of a buffer that the driver has filled. */
export const BufferKind = {
  /** A frame with an IP packet. */
  Ip: 0,
  /** A frame without one: it goes on. */
  Other: 1,
  /** A frame that goes nowhere: cut off, or with packets in it that nobody looks into. */
  Wrapped: 2,
  /** A frame longer than one may be: part of a large send that was not cut. */
  Oversize: 3,
  /** No buffer as we know it. */
  Malformed: 4,
} as const;

/** One of the values of {@linkcode BufferKind}. */
export type BufferKind = typeof BufferKind[keyof typeof BufferKind];

/** Looks at a filled buffer. */
export function bufferKind(b: Uint8Array, at: number): BufferKind {
  const flags = readU32le(b, at + m_dwDeviceFlags);
  if (flags !== PACKET_FLAG.ON_SEND && flags !== PACKET_FLAG.ON_RECEIVE) {
    return BufferKind.Malformed;
  }
  const length = frameLength(b, at);
  if (length > MAX_ETHER_FRAME) return BufferKind.Oversize;
  switch (ethernet.frameKind(b, at + FRAME_AT, length)) {
    case ethernet.FrameKind.Ip:
      return BufferKind.Ip;
    case ethernet.FrameKind.Other:
      return BufferKind.Other;
    default:
      return BufferKind.Wrapped;
  }
}

/** Whether the host has sent it; else the network has. */
export function isFromHost(b: Uint8Array, at: number): boolean {
  return readU32le(b, at + m_dwDeviceFlags) === PACKET_FLAG.ON_SEND;
}

/** Says that it goes to the host, as if received, or to the network. */
export function setGoing(
  b: Uint8Array,
  at: number,
  where: "host" | "network",
): void {
  const { ON_RECEIVE, ON_SEND } = PACKET_FLAG;
  writeU32le(
    b,
    at + m_dwDeviceFlags,
    where === "host" ? ON_RECEIVE : ON_SEND,
  );
}

/** Bytes of the frame. */
export function frameLength(b: Uint8Array, at: number): number {
  return readU32le(b, at + m_Length);
}

/** Says how many bytes the frame has. */
export function setFrameLength(
  b: Uint8Array,
  at: number,
  length: number,
): void {
  writeU32le(b, at + m_Length, length);
}

/** Where the adapter's handle lies, 8 bytes. */
export function adapterAt(at: number): number {
  return at + m_hAdapter;
}

/** Makes a buffer one that the driver has told nothing of yet. */
export function clearFlags(b: Uint8Array, at: number): void {
  b.fill(0, at + m_hAdapter, at + m_IBuffer);
}

/**
 * Makes a captured frame from the host one for the host, from whom it was for.
 * @param packetAt where its packet starts by now, maybe behind its old place
 */
export function returnToHost(
  b: Uint8Array,
  at: number,
  packetAt: number,
  length: number,
): void {
  const frame = at + FRAME_AT;
  const header = ethernet.headerLength(b, frame);
  ethernet.turnRound(b, frame);
  if (packetAt !== frame + header) {
    copyBytes(b, frame + header, b, packetAt, length);
  }
  setFrameLength(b, at, header + length);
  writeU32le(b, at + m_Flags, 0);
  setGoing(b, at, "host");
}
