/**
 * TAI64N timestamps of initiations (WireGuard paper, section 5.1).
 *
 *     0  seconds      8   2^62 + 10 + Unix seconds, big-endian
 *     8  nanoseconds  4   big-endian, the low 24 bits zero
 *
 * The coarse nanoseconds keep the sender's clock from being measured. Here a
 * timestamp is a count of ticks, `64 * Unix seconds + nanoseconds / 2^24`: it
 * orders as the 12 bytes do and is exact for 140,000 years.
 */
import { readU32be, writeU32be } from "../wire/bytes.ts";

export const TIMESTAMP_LENGTH = 12;

const LABEL_HIGH = 0x40000000;
const LEAP_SECONDS = 10;
const TICKS_PER_SECOND = 64;
// 59 * 2^24 is the last multiple below 10^9.
const LAST_TICK = 59;
const TWO_POW_32 = 2 ** 32;

/** The ticks of a Unix time in ms. */
export function ticksOf(wallMs: number): number {
  const seconds = Math.floor(wallMs / 1000);
  const nanoseconds = Math.floor((wallMs - seconds * 1000) * 1e6);
  return seconds * TICKS_PER_SECOND + (nanoseconds >>> 24);
}

/** The least valid ticks greater than `ticks`. */
export function nextTicks(ticks: number): number {
  const seconds = Math.floor(ticks / TICKS_PER_SECOND);
  return ticks - seconds * TICKS_PER_SECOND < LAST_TICK
    ? ticks + 1
    : (seconds + 1) * TICKS_PER_SECOND;
}

/** Writes 12 bytes. */
export function writeTimestamp(
  bytes: Uint8Array,
  at: number,
  ticks: number,
): void {
  const seconds = Math.floor(ticks / TICKS_PER_SECOND);
  const label = seconds + LEAP_SECONDS;
  writeU32be(bytes, at, LABEL_HIGH + Math.floor(label / TWO_POW_32));
  writeU32be(bytes, at + 4, label % TWO_POW_32);
  writeU32be(bytes, at + 8, ((ticks - seconds * TICKS_PER_SECOND) << 24) >>> 0);
}

/** True where the 12 bytes at `a` are a later time than those at `b`. */
export function isLater(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
): boolean {
  for (let i = 0; i < TIMESTAMP_LENGTH; i += 4) {
    const left = readU32be(a, aAt + i);
    const right = readU32be(b, bAt + i);
    if (left !== right) return left > right;
  }
  return false;
}
