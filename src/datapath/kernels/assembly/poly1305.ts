/**
 * Poly1305, RFC 8439 section 2.5.
 *
 * Numbers modulo 2^130 - 5 are five limbs of 26 bits. A multiplication leaves
 * limbs a little above 26 bits; the next one has room for that. Long messages
 * go four blocks at a time: of the blocks m0 to m3,
 *
 *     h = (h + m0) r^4 + m1 r^3 + m2 r^2 + m3 r
 *
 * is summed in two 64-bit lanes, (m0, m2) and (m1, m3), where both lanes take
 * the even power until the last group of four.
 */

const MASK: u64 = 0x3ffffff;

// The accumulator, and the key's r.
let h0: u64 = 0, h1: u64 = 0, h2: u64 = 0, h3: u64 = 0, h4: u64 = 0;
let r0: u64 = 0, r1: u64 = 0, r2: u64 = 0, r3: u64 = 0, r4: u64 = 0;
/** The key's second half, added at the end. */
let pad0: u64 = 0, pad1: u64 = 0;

/**
 * Powers of r for four blocks: nine vectors, limb 0 to 4 and five times limb 1
 * to 4, in the lane order of the blocks m0 m1 m2 m3.
 */
const STEP_POWERS: usize = memory.data(144, 16);
/** The same for the last group. */
const LAST_POWERS: usize = memory.data(144, 16);
/** Below this many bytes the powers cost more than they bring. */
const LONG_MESSAGE: usize = 256;

/** Starts a message under the 32-byte one-time key at `key`. */
export function polyStart(key: usize): void {
  const low = load<u64>(key), high = load<u64>(key, 8);
  r0 = low & 0x3ffffff;
  r1 = (low >> 26) & 0x3ffff03;
  r2 = ((low >> 52) | (high << 12)) & 0x3ffc0ff;
  r3 = (high >> 14) & 0x3f03fff;
  r4 = (high >> 40) & 0x00fffff;
  pad0 = load<u64>(key, 16);
  pad1 = load<u64>(key, 24);
  h0 = h1 = h2 = h3 = h4 = 0;
}

/** h = (a0..a4) r. */
// @ts-ignore: decorator
@inline
function multiply(a0: u64, a1: u64, a2: u64, a3: u64, a4: u64): void {
  const s1 = r1 * 5, s2 = r2 * 5, s3 = r3 * 5, s4 = r4 * 5;
  reduce(
    a0 * r0 + a1 * s4 + a2 * s3 + a3 * s2 + a4 * s1,
    a0 * r1 + a1 * r0 + a2 * s4 + a3 * s3 + a4 * s2,
    a0 * r2 + a1 * r1 + a2 * r0 + a3 * s4 + a4 * s3,
    a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0 + a4 * s4,
    a0 * r4 + a1 * r3 + a2 * r2 + a3 * r1 + a4 * r0,
  );
}

/** h = the five sums, carried down to limbs. */
// @ts-ignore: decorator
@inline
function reduce(d0: u64, d1: u64, d2: u64, d3: u64, d4: u64): void {
  d1 += d0 >> 26;
  d2 += d1 >> 26;
  d3 += d2 >> 26;
  d4 += d3 >> 26;
  d0 = (d0 & MASK) + (d4 >> 26) * 5;
  h0 = d0 & MASK;
  h1 = (d1 & MASK) + (d0 >> 26);
  h2 = d2 & MASK;
  h3 = d3 & MASK;
  h4 = d4 & MASK;
}

/** One block; `top` is the bit above its 128: 1 << 24, or 0 where the block carries its own. */
export function polyBlock(at: usize, top: u64): void {
  const low = load<u64>(at), high = load<u64>(at, 8);
  multiply(
    h0 + (low & MASK),
    h1 + ((low >> 26) & MASK),
    h2 + (((low >> 52) | (high << 12)) & MASK),
    h3 + ((high >> 14) & MASK),
    h4 + ((high >> 40) | top),
  );
}

/** Whole blocks; `length` is a multiple of 16. */
export function polyBlocks(at: usize, length: usize): void {
  if (length >= LONG_MESSAGE) {
    const long = length & ~63;
    storePowers();
    fourBlocks(at, long);
    at += long;
    length -= long;
  }
  for (const end = at + length; at < end; at += 16) polyBlock(at, 1 << 24);
}

/** Puts one power of r, which is in h, into lane `lane` of a table. */
// @ts-ignore: decorator
@inline
function storePower(table: usize, lane: usize): void {
  const at = table + (lane << 2);
  store<u32>(at, <u32> h0);
  store<u32>(at, <u32> h1, 16);
  store<u32>(at, <u32> h2, 32);
  store<u32>(at, <u32> h3, 48);
  store<u32>(at, <u32> h4, 64);
  store<u32>(at, <u32> (h1 * 5), 80);
  store<u32>(at, <u32> (h2 * 5), 96);
  store<u32>(at, <u32> (h3 * 5), 112);
  store<u32>(at, <u32> (h4 * 5), 128);
}

/** Fills both tables with r to r^4; h is kept. */
function storePowers(): void {
  const k0 = h0, k1 = h1, k2 = h2, k3 = h3, k4 = h4;
  h0 = r0, h1 = r1, h2 = r2, h3 = r3, h4 = r4;
  storePower(LAST_POWERS, 3);
  multiply(h0, h1, h2, h3, h4);
  storePower(LAST_POWERS, 2);
  storePower(STEP_POWERS, 2);
  storePower(STEP_POWERS, 3);
  multiply(h0, h1, h2, h3, h4);
  storePower(LAST_POWERS, 1);
  multiply(h0, h1, h2, h3, h4);
  storePower(LAST_POWERS, 0);
  storePower(STEP_POWERS, 0);
  storePower(STEP_POWERS, 1);
  h0 = k0, h1 = k1, h2 = k2, h3 = k3, h4 = k4;
}

/** Lanes m0 m2 and m1 m3 of limb a times power b, in two 64-bit sums. */
// @ts-ignore: decorator
@inline
function products(a: v128, b: v128): v128 {
  return i64x2.add(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b));
}

/** One sum of a multiplication: a0 b0 + a1 b1 + a2 b2 + a3 b3 + a4 b4. */
// @ts-ignore: decorator
@inline
function row(
  a0: v128, b0: v128, a1: v128, b1: v128, a2: v128, b2: v128, a3: v128, b3: v128, a4: v128, b4: v128,
): v128 {
  return i64x2.add(
    i64x2.add(i64x2.add(products(a0, b0), products(a1, b1)), i64x2.add(products(a2, b2), products(a3, b3))),
    products(a4, b4),
  );
}

/** A limb of h, one 64-bit lane each, as the first two of four 32-bit lanes. */
// @ts-ignore: decorator
@inline
function firstLanes(h: v128): v128 {
  return v128.shuffle<u32>(h, i64x2.splat(0), 0, 2, 4, 4);
}

// @ts-ignore: decorator
@inline
function carry(d: v128): v128 {
  return i64x2.shr_u(d, 26);
}

// @ts-ignore: decorator
@inline
function laneSum(d: v128): u64 {
  return <u64> i64x2.extract_lane(d, 0) + <u64> i64x2.extract_lane(d, 1);
}

/** `length` bytes, a multiple of 64 and not 0. */
function fourBlocks(at: usize, length: usize): void {
  const mask32 = i32x4.splat(0x3ffffff), mask = i64x2.splat(0x3ffffff), top = i32x4.splat(1 << 24);
  let v0 = i64x2(h0, 0), v1 = i64x2(h1, 0), v2 = i64x2(h2, 0), v3 = i64x2(h3, 0), v4 = i64x2(h4, 0);
  let d0: v128, d1: v128, d2: v128, d3: v128, d4: v128;
  const last = at + length - 64;
  for (; at <= last; at += 64) {
    // Word i of the four blocks in wi.
    const m0 = v128.load(at), m1 = v128.load(at, 16), m2 = v128.load(at, 32), m3 = v128.load(at, 48);
    const low01 = v128.shuffle<u32>(m0, m1, 0, 4, 1, 5), low23 = v128.shuffle<u32>(m2, m3, 0, 4, 1, 5);
    const high01 = v128.shuffle<u32>(m0, m1, 2, 6, 3, 7), high23 = v128.shuffle<u32>(m2, m3, 2, 6, 3, 7);
    const w0 = v128.shuffle<u64>(low01, low23, 0, 2), w1 = v128.shuffle<u64>(low01, low23, 1, 3);
    const w2 = v128.shuffle<u64>(high01, high23, 0, 2), w3 = v128.shuffle<u64>(high01, high23, 1, 3);
    // Limb i of the four blocks in ai, with h added to the first pair.
    const a0 = i32x4.add(firstLanes(v0), v128.and(w0, mask32));
    const a1 = i32x4.add(
      firstLanes(v1),
      v128.and(v128.or(i32x4.shr_u(w0, 26), i32x4.shl(w1, 6)), mask32),
    );
    const a2 = i32x4.add(
      firstLanes(v2),
      v128.and(v128.or(i32x4.shr_u(w1, 20), i32x4.shl(w2, 12)), mask32),
    );
    const a3 = i32x4.add(
      firstLanes(v3),
      v128.and(v128.or(i32x4.shr_u(w2, 14), i32x4.shl(w3, 18)), mask32),
    );
    const a4 = i32x4.add(firstLanes(v4), v128.or(i32x4.shr_u(w3, 8), top));

    const powers = at === last ? LAST_POWERS : STEP_POWERS;
    const p0 = v128.load(powers), p1 = v128.load(powers, 16), p2 = v128.load(powers, 32);
    const p3 = v128.load(powers, 48), p4 = v128.load(powers, 64);
    const s1 = v128.load(powers, 80), s2 = v128.load(powers, 96);
    const s3 = v128.load(powers, 112), s4 = v128.load(powers, 128);
    d0 = row(a0, p0, a1, s4, a2, s3, a3, s2, a4, s1);
    d1 = row(a0, p1, a1, p0, a2, s4, a3, s3, a4, s2);
    d2 = row(a0, p2, a1, p1, a2, p0, a3, s4, a4, s3);
    d3 = row(a0, p3, a1, p2, a2, p1, a3, p0, a4, s4);
    d4 = row(a0, p4, a1, p3, a2, p2, a3, p1, a4, p0);

    // Two carry chains side by side: 0 to 2 and 3 to 0.
    d1 = i64x2.add(d1, carry(d0)), d4 = i64x2.add(d4, carry(d3));
    d0 = v128.and(d0, mask), d3 = v128.and(d3, mask);
    d2 = i64x2.add(d2, carry(d1));
    const wrapped = carry(d4);
    d0 = i64x2.add(d0, i64x2.add(wrapped, i64x2.shl(wrapped, 2)));
    v4 = v128.and(d4, mask);
    d1 = v128.and(d1, mask);
    d3 = i64x2.add(d3, carry(d2)), v2 = v128.and(d2, mask);
    v1 = i64x2.add(d1, carry(d0)), v0 = v128.and(d0, mask);
    v4 = i64x2.add(v4, carry(d3)), v3 = v128.and(d3, mask);
  }
  reduce(laneSum(v0), laneSum(v1), laneSum(v2), laneSum(v3), laneSum(v4));
}

/** Ends the message: the 16-byte tag to `tag`. */
export function polyFinish(tag: usize): void {
  reduce(h0, h1, h2, h3, h4);
  reduce(h0, h1, h2, h3, h4);
  // h - p, taken where it is not negative.
  let g0 = h0 + 5;
  let g1 = h1 + (g0 >> 26);
  let g2 = h2 + (g1 >> 26);
  let g3 = h3 + (g2 >> 26);
  const g4 = h4 + (g3 >> 26) - (1 << 26);
  const keep: u64 = 0 - (g4 >> 63);
  g0 = (h0 & keep) | (g0 & MASK & ~keep);
  g1 = (h1 & keep) | (g1 & MASK & ~keep);
  g2 = (h2 & keep) | (g2 & MASK & ~keep);
  g3 = (h3 & keep) | (g3 & MASK & ~keep);
  const top = (h4 & keep) | (g4 & ~keep);
  const low = g0 | (g1 << 26) | (g2 << 52), high = (g2 >> 12) | (g3 << 14) | (top << 40);
  const sum = low + pad0;
  store<u64>(tag, sum);
  store<u64>(tag, high + pad1 + u64(sum < low), 8);
}
