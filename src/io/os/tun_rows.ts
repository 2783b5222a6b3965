/** What TUN devices of all systems do alike with the packets they read. */

/** The shortest packet there is: an IPv4 header. */
const SHORTEST_PACKET = 20;
const PADDING = 16;

/** Bytes that a packet takes together with its padding, in a tunnel message. */
export function paddedPacketLength(length: number, padLimit: number): number {
  const padded = (length + PADDING - 1) & ~(PADDING - 1);
  return padded <= padLimit ? padded : Math.max(length, padLimit);
}

/** Whether bytes begin like an IP packet; the device may give others. */
export function isPacket(
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  const version = bytes[at] >>> 4;
  return length >= SHORTEST_PACKET && (version === 4 || version === 6);
}
