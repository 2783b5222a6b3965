/** Makes a UDP packet one from its receiver to its sender; the checksum stays right. */
export function turnedRound(b: Uint8Array, at: number): void {
  const isIpv4 = b[at] >>> 4 === 4;
  const [addresses, length] = isIpv4 ? [at + 12, 4] : [at + 8, 16];
  const ports = at + (isIpv4 ? (b[at] & 15) * 4 : 40);
  swap(b, addresses, length);
  swap(b, ports, 2);
}

function swap(b: Uint8Array, at: number, length: number): void {
  const first = b.slice(at, at + length);
  b.copyWithin(at, at + length, at + 2 * length);
  b.set(first, at + length);
}
