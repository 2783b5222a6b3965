/**
 * The AEAD of RFC 8439 section 2.8 as WireGuard's transport messages use it:
 * no associated data, in place, the tag right behind the text.
 *
 *     | length bytes of text | tag (16) |
 *     ^ at
 */
import { chachaKey, chachaNonce, xorFourBlocks } from "./chacha20";
import { polyBlock, polyBlocks, polyFinish, polyStart } from "./poly1305";

/** The keystream's first four blocks; block 0 is Poly1305's one-time key. */
const KEYSTREAM: usize = memory.data(256, 16);
/** The last, partial 256 bytes of a message. */
const REST: usize = memory.data(256, 16);
/** A padded block, and a computed tag. */
const BLOCK: usize = memory.data(16, 16);
const TAG: usize = memory.data(16, 16);

function clear256(at: usize): void {
  for (let i: usize = 0; i < 256; i += 16) v128.store(at + i, i64x2.splat(0));
}

/** XORs `length` bytes of keystream over the message. */
// @ts-ignore: decorator
@inline
function xorBytes(at: usize, length: usize, keystream: usize): void {
  let i: usize = 0;
  for (; i + 16 <= length; i += 16) {
    v128.store(at + i, v128.xor(v128.load(at + i), v128.load(keystream + i)));
  }
  for (; i < length; i++) store<u8>(at + i, load<u8>(at + i) ^ load<u8>(keystream + i));
}

/** Prepares key, nonce and the first keystream. */
function start(key: usize, counterLow: u32, counterHigh: u32): void {
  chachaKey(key);
  chachaNonce(0, counterLow, counterHigh);
  clear256(KEYSTREAM);
  xorFourBlocks(0, KEYSTREAM);
}

/** Encrypts or decrypts, from keystream block 1 on. */
function crypt(at: usize, length: usize): void {
  const first = min<usize>(length, 192);
  xorBytes(at, first, KEYSTREAM + 64);
  at += first;
  length -= first;
  let counter: u32 = 4;
  for (; length >= 256; length -= 256, at += 256, counter += 4) xorFourBlocks(counter, at);
  if (length) {
    clear256(REST);
    xorFourBlocks(counter, REST);
    xorBytes(at, length, REST);
  }
}

/** The tag of `length` bytes of ciphertext under the one-time key in KEYSTREAM. */
function authenticate(at: usize, length: usize, tag: usize): void {
  polyStart(KEYSTREAM);
  const whole = length & ~15;
  polyBlocks(at, whole);
  if (length !== whole) {
    v128.store(BLOCK, i64x2.splat(0));
    for (let i = whole; i < length; i++) store<u8>(BLOCK + (i & 15), load<u8>(at + i));
    polyBlock(BLOCK, 1 << 24);
  }
  store<u64>(BLOCK, 0);
  store<u64>(BLOCK, <u64> length, 8);
  polyBlock(BLOCK, 1 << 24);
  polyFinish(tag);
}

/** Encrypts `length` bytes at `at` and puts the tag behind them; nonce = 0, counter. */
export function seal(key: usize, counterLow: u32, counterHigh: u32, at: usize, length: usize): void {
  start(key, counterLow, counterHigh);
  crypt(at, length);
  authenticate(at, length, at + length);
}

/** Checks the tag behind `length` bytes and decrypts them; 0 leaves the bytes as they are. */
export function open(key: usize, counterLow: u32, counterHigh: u32, at: usize, length: usize): i32 {
  start(key, counterLow, counterHigh);
  authenticate(at, length, TAG);
  const tag = at + length;
  if ((load<u64>(TAG) ^ load<u64>(tag)) | (load<u64>(TAG, 8) ^ load<u64>(tag, 8))) return 0;
  crypt(at, length);
  return 1;
}

/** Plain ChaCha20 of RFC 8439 2.4: any nonce, any first block. */
export function chacha20(key: usize, nonce: usize, counter: u32, at: usize, length: usize): void {
  chachaKey(key);
  chachaNonce(load<u32>(nonce), load<u32>(nonce, 4), load<u32>(nonce, 8));
  for (; length; counter += 4) {
    const part = min<usize>(length, 256);
    clear256(REST);
    xorFourBlocks(counter, REST);
    xorBytes(at, part, REST);
    at += part;
    length -= part;
  }
}

/** Plain Poly1305 of RFC 8439 2.5 over any length. */
export function poly1305(key: usize, at: usize, length: usize, tag: usize): void {
  polyStart(key);
  const whole = length & ~15;
  polyBlocks(at, whole);
  if (length !== whole) {
    v128.store(BLOCK, i64x2.splat(0));
    for (let i = whole; i < length; i++) store<u8>(BLOCK + (i & 15), load<u8>(at + i));
    store<u8>(BLOCK + (length & 15), 1);
    polyBlock(BLOCK, 0);
  }
  polyFinish(tag);
}
