/**
 * The Internet checksum's sum, RFC 1071, over the machine's own byte order: a
 * little-endian sum of 16-bit words is the byte-swapped big-endian one (RFC
 * 1071 section 2.B), so headers are read and written without swapping.
 */

/** The four 32-bit lanes of an accumulator. */
// @ts-ignore: decorator
@inline
function lanes(acc: v128): u64 {
  const pairs = i64x2.add(
    i64x2.extend_low_i32x4_u(acc),
    i64x2.extend_high_i32x4_u(acc),
  );
  return <u64> i64x2.extract_lane(pairs, 0) + <u64> i64x2.extract_lane(pairs, 1);
}

/** The unfolded little-endian sum of `length` bytes, at most 512 KB; an odd end counts as padded. */
export function sum(at: usize, length: usize): u64 {
  let first = i32x4.splat(0), second = i32x4.splat(0);
  let i: usize = 0;
  for (; i + 32 <= length; i += 32) {
    first = i32x4.add(first, i32x4.extadd_pairwise_i16x8_u(v128.load(at + i)));
    second = i32x4.add(second, i32x4.extadd_pairwise_i16x8_u(v128.load(at + i, 16)));
  }
  let total = lanes(i32x4.add(first, second));
  for (; i + 2 <= length; i += 2) total += load<u16>(at + i);
  if (i < length) total += load<u8>(at + i);
  return total;
}

/** Copies `length` bytes and gives the sum of them; `to` may lie before `from` in the same bytes. */
export function copySum(from: usize, to: usize, length: usize): u64 {
  let first = i32x4.splat(0), second = i32x4.splat(0);
  let i: usize = 0;
  for (; i + 32 <= length; i += 32) {
    const a = v128.load(from + i), b = v128.load(from + i, 16);
    v128.store(to + i, a);
    v128.store(to + i, b, 16);
    first = i32x4.add(first, i32x4.extadd_pairwise_i16x8_u(a));
    second = i32x4.add(second, i32x4.extadd_pairwise_i16x8_u(b));
  }
  let total = lanes(i32x4.add(first, second));
  for (; i + 2 <= length; i += 2) {
    const word = load<u16>(from + i);
    store<u16>(to + i, word);
    total += word;
  }
  if (i < length) {
    const byte = load<u8>(from + i);
    store<u8>(to + i, byte);
    total += byte;
  }
  return total;
}

/** Folds a sum to 16 bits; not inverted. */
// @ts-ignore: decorator
@inline
export function fold(total: u64): u32 {
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  return <u32> total;
}

/** Swaps the bytes of a 16-bit number: between header fields and numbers. */
// @ts-ignore: decorator
@inline
export function swap16(x: u32): u32 {
  return ((x & 0xff) << 8) | ((x >> 8) & 0xff);
}

/** Sum of `length` bytes folded to 16 bits, as a number (first byte high). */
export function checksumSum(at: usize, length: usize): u32 {
  return swap16(fold(sum(at, length)));
}
