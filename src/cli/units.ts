/** Numbers as people read them: bytes, rates, counts, ages. */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const BIT_UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];

/** Bytes in binary units: `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  return scale(bytes, 1024, BYTE_UNITS);
}

/** A rate in decimal units of bits: `12.3 Mbit/s`. */
export function formatBitRate(bitsPerSecond: number): string {
  return scale(bitsPerSecond, 1000, BIT_UNITS);
}

/** A count with blanks between thousands: `12 345`. */
export function formatCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+$)/g, " ");
}

/** How long ago: `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

function scale(value: number, base: number, units: readonly string[]): string {
  let scaled = value;
  let unit = 0;
  while (scaled >= base && unit < units.length - 1) {
    scaled /= base;
    unit++;
  }
  const digits = unit === 0 || scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${units[unit]}`;
}
