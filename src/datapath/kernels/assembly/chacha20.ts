/**
 * ChaCha20, RFC 8439 sections 2.3 and 2.4, four blocks at a time.
 *
 * Vector xi holds word i of four consecutive blocks, one block a lane, so the
 * quarter rounds of the RFC run on all four without moving a lane.
 */

/** The state of RFC 8439 2.3: 4 constants, 8 key words, the counter, 3 nonce words. */
const STATE: usize = memory.data(64, 16);

/** Loads the constants and the 32 key bytes at `key`. */
export function chachaKey(key: usize): void {
  v128.store(STATE, i32x4(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574));
  v128.store(STATE, v128.load(key), 16);
  v128.store(STATE, v128.load(key, 16), 32);
}

/** Sets the 96-bit nonce as three little-endian words. */
export function chachaNonce(first: u32, second: u32, third: u32): void {
  store<u32>(STATE, first, 52);
  store<u32>(STATE, second, 56);
  store<u32>(STATE, third, 60);
}

// @ts-ignore: decorator
@inline
function rotate16(x: v128): v128 {
  return v128.shuffle<u16>(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
}

// @ts-ignore: decorator
@inline
function rotate12(x: v128): v128 {
  return v128.or(i32x4.shl(x, 12), i32x4.shr_u(x, 20));
}

// @ts-ignore: decorator
@inline
function rotate8(x: v128): v128 {
  return v128.shuffle<u8>(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
}

// @ts-ignore: decorator
@inline
function rotate7(x: v128): v128 {
  return v128.or(i32x4.shl(x, 7), i32x4.shr_u(x, 25));
}

/** Word `i` of the state in all four lanes. */
// @ts-ignore: decorator
@inline
function word(i: usize): v128 {
  return v128.load32_splat(STATE + (i << 2));
}

/** XORs 16 bytes of keystream over the message. */
// @ts-ignore: decorator
@inline
function xorAt(at: usize, keystream: v128): void {
  v128.store(at, v128.xor(v128.load(at), keystream));
}

/**
 * Turns four words of four blocks (a lane a block) into 16 bytes of each block
 * and XORs them over the message; blocks lie 64 bytes apart.
 */
// @ts-ignore: decorator
@inline
function xorWords(at: usize, a: v128, b: v128, c: v128, d: v128): void {
  const abLow = v128.shuffle<u32>(a, b, 0, 4, 1, 5), cdLow = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  xorAt(at, v128.shuffle<u64>(abLow, cdLow, 0, 2));
  xorAt(at + 64, v128.shuffle<u64>(abLow, cdLow, 1, 3));
  const abHigh = v128.shuffle<u32>(a, b, 2, 6, 3, 7), cdHigh = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  xorAt(at + 128, v128.shuffle<u64>(abHigh, cdHigh, 0, 2));
  xorAt(at + 192, v128.shuffle<u64>(abHigh, cdHigh, 1, 3));
}

/** XORs the keystream of blocks `counter` to `counter + 3` over the 256 bytes at `at`. */
export function xorFourBlocks(counter: u32, at: usize): void {
  const counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  let x0 = word(0), x1 = word(1), x2 = word(2), x3 = word(3);
  let x4 = word(4), x5 = word(5), x6 = word(6), x7 = word(7);
  let x8 = word(8), x9 = word(9), x10 = word(10), x11 = word(11);
  let x12 = counters, x13 = word(13), x14 = word(14), x15 = word(15);
  for (let round = 0; round < 10; round++) {
    // Column round: quarter rounds (0,4,8,12) (1,5,9,13) (2,6,10,14) (3,7,11,15), step by step.
    x0 = i32x4.add(x0, x4), x12 = rotate16(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5), x13 = rotate16(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6), x14 = rotate16(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7), x15 = rotate16(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12), x4 = rotate12(v128.xor(x4, x8));
    x9 = i32x4.add(x9, x13), x5 = rotate12(v128.xor(x5, x9));
    x10 = i32x4.add(x10, x14), x6 = rotate12(v128.xor(x6, x10));
    x11 = i32x4.add(x11, x15), x7 = rotate12(v128.xor(x7, x11));
    x0 = i32x4.add(x0, x4), x12 = rotate8(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5), x13 = rotate8(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6), x14 = rotate8(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7), x15 = rotate8(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12), x4 = rotate7(v128.xor(x4, x8));
    x9 = i32x4.add(x9, x13), x5 = rotate7(v128.xor(x5, x9));
    x10 = i32x4.add(x10, x14), x6 = rotate7(v128.xor(x6, x10));
    x11 = i32x4.add(x11, x15), x7 = rotate7(v128.xor(x7, x11));
    // Diagonal round: quarter rounds (0,5,10,15) (1,6,11,12) (2,7,8,13) (3,4,9,14).
    x0 = i32x4.add(x0, x5), x15 = rotate16(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6), x12 = rotate16(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7), x13 = rotate16(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4), x14 = rotate16(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15), x5 = rotate12(v128.xor(x5, x10));
    x11 = i32x4.add(x11, x12), x6 = rotate12(v128.xor(x6, x11));
    x8 = i32x4.add(x8, x13), x7 = rotate12(v128.xor(x7, x8));
    x9 = i32x4.add(x9, x14), x4 = rotate12(v128.xor(x4, x9));
    x0 = i32x4.add(x0, x5), x15 = rotate8(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6), x12 = rotate8(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7), x13 = rotate8(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4), x14 = rotate8(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15), x5 = rotate7(v128.xor(x5, x10));
    x11 = i32x4.add(x11, x12), x6 = rotate7(v128.xor(x6, x11));
    x8 = i32x4.add(x8, x13), x7 = rotate7(v128.xor(x7, x8));
    x9 = i32x4.add(x9, x14), x4 = rotate7(v128.xor(x4, x9));
  }
  x0 = i32x4.add(x0, word(0)), x1 = i32x4.add(x1, word(1));
  x2 = i32x4.add(x2, word(2)), x3 = i32x4.add(x3, word(3));
  x4 = i32x4.add(x4, word(4)), x5 = i32x4.add(x5, word(5));
  x6 = i32x4.add(x6, word(6)), x7 = i32x4.add(x7, word(7));
  x8 = i32x4.add(x8, word(8)), x9 = i32x4.add(x9, word(9));
  x10 = i32x4.add(x10, word(10)), x11 = i32x4.add(x11, word(11));
  x12 = i32x4.add(x12, counters), x13 = i32x4.add(x13, word(13));
  x14 = i32x4.add(x14, word(14)), x15 = i32x4.add(x15, word(15));
  xorWords(at, x0, x1, x2, x3);
  xorWords(at + 16, x4, x5, x6, x7);
  xorWords(at + 32, x8, x9, x10, x11);
  xorWords(at + 48, x12, x13, x14, x15);
}
