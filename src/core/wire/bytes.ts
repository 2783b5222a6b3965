/**
 * Integers in packet bytes: the one place where byte order is spelled out.
 *
 * «be» is network order; WireGuard's own messages are little-endian. Nothing
 * is bounds-checked here: the length checks of each format come first. 32-bit
 * results are unsigned.
 */

/** Reads an unsigned 16-bit integer, big-endian. */
export function readU16be(b: Uint8Array, at: number): number {
  return (b[at] << 8) | b[at + 1];
}

/** Writes the low 16 bits of `value`, big-endian. */
export function writeU16be(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

/** Reads an unsigned 24-bit integer, big-endian. */
export function readU24be(b: Uint8Array, at: number): number {
  return (b[at] << 16) | (b[at + 1] << 8) | b[at + 2];
}

/** Reads an unsigned 32-bit integer, big-endian. */
export function readU32be(b: Uint8Array, at: number): number {
  return ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>>
    0;
}

/** Writes the low 32 bits of `value`, big-endian; signed values are fine. */
export function writeU32be(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** Reads an unsigned 16-bit integer, little-endian. */
export function readU16le(b: Uint8Array, at: number): number {
  return b[at] | (b[at + 1] << 8);
}

/** Writes the low 16 bits of `value`, little-endian. */
export function writeU16le(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
}

/** Reads an unsigned 32-bit integer, little-endian. */
export function readU32le(b: Uint8Array, at: number): number {
  return (b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24)) >>>
    0;
}

/** Writes the low 32 bits of `value`, little-endian; signed values are fine. */
export function writeU32le(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
  b[at + 2] = value >>> 16;
  b[at + 3] = value >>> 24;
}

/**
 * Copies `length` bytes without making a view. The ranges may overlap only
 * where both arguments are the same array.
 */
export function copyBytes(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  if (to === from) {
    to.copyWithin(toAt, fromAt, fromAt + length);
    return;
  }
  for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i];
}
