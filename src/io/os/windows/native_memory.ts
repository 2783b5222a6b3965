/**
 * Memory outside of JavaScript's heap, for what the system writes while we go
 * on and what all threads share by an address.
 */
import { type Kernel32, MEM } from "../../../../ffi/windows/kernel32.ts";

/** A piece of such memory. */
export interface NativeMemory {
  /** Below 2^53: addresses of user space have 47 bits. */
  readonly address: number;
  /** Zeroed at first. Atomics work on it, their `wait` apart. */
  readonly buffer: ArrayBuffer;
}

/**
 * Allocates whole pages; the calling thread and others use them until they are
 * released.
 * @throws {Win32Error}
 */
export function allocateNative(
  kernel32: Kernel32,
  byteLength: number,
): NativeMemory {
  const pointer = kernel32.call.VirtualAlloc(
    null,
    BigInt(byteLength),
    MEM.COMMIT_RESERVE,
    MEM.READWRITE,
  );
  if (pointer === null) throw kernel32.error("VirtualAlloc");
  return {
    address: Number(Deno.UnsafePointer.value(pointer)),
    buffer: Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength),
  };
}

/** Memory that another thread has allocated, or the system. */
export function viewNative(address: number, byteLength: number): ArrayBuffer {
  const pointer = Deno.UnsafePointer.create(BigInt(address));
  if (pointer === null) throw new Error("memory at address 0");
  return Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength);
}

/** Gives memory back; no view of it may be touched afterwards. */
export function releaseNative(kernel32: Kernel32, address: number): void {
  const pointer = Deno.UnsafePointer.create(BigInt(address));
  kernel32.call.VirtualFree(pointer, 0n, MEM.RELEASE);
}
