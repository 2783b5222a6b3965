/**
 * Handles of outside sockets: the descriptor itself, or one of two numbers far
 * above any descriptor for the raw echo sockets, which all mappings share.
 */
import { OpenFailure } from "../../../core/flow/outside_sockets.ts";
import type { OutsideShared } from "../../ports.ts";

/** The raw echo sockets as handles. */
const RawHandle = { V4: 0x4000_0000, V6: 0x4000_0001 } as const;

/** Whether a handle stands for a shared raw echo socket. */
export function isRawHandle(handle: number): boolean {
  return handle >= RawHandle.V4;
}

/** The descriptor behind a handle; -1 where there is no such raw socket. */
export function descriptorOf(shared: OutsideShared, handle: number): number {
  if (handle < RawHandle.V4) return handle;
  return handle === RawHandle.V4 ? shared.raw4 : shared.raw6;
}

/** The handle of the raw echo socket that a mapping uses, or an {@linkcode OpenFailure}. */
export function openRawHandle(shared: OutsideShared, family: 4 | 6): number {
  const handle = family === 4 ? RawHandle.V4 : RawHandle.V6;
  return descriptorOf(shared, handle) < 0 ? OpenFailure.NotPermitted : handle;
}
