/**
 * What is left to do where ChaCha20 and Poly1305 come from a library, one by
 * one: RFC 8439 section 2.8 put together from its parts.
 */

/**
 * Takes Poly1305's one-time key out of a keystream that was XORed over 32 bytes
 * at `over` and written to `mixed`.
 */
export function takeOneTimeKey(mixed: usize, over: usize, key: usize): void {
  v128.store(key, v128.xor(v128.load(mixed), v128.load(over)));
  v128.store(key, v128.xor(v128.load(mixed, 16), v128.load(over, 16)), 16);
}

/** 1 where two tags are the same, in a time that does not tell where they differ. */
export function sameTag(a: usize, b: usize): i32 {
  const low = load<u64>(a) ^ load<u64>(b);
  const high = load<u64>(a, 8) ^ load<u64>(b, 8);
  return i32((low | high) === 0);
}

/** Copies `length` bytes to a place that does not overlap. */
export function copyText(to: usize, from: usize, length: usize): void {
  const end = to + (length & ~63);
  for (; to < end; to += 64, from += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
  }
  memory.copy(to, from, length & 63);
}
