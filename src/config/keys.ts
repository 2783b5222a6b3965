/**
 * WireGuard keys as text and as bytes: 32 bytes, written as base64 by `wg`
 * and in every `.conf` file, as hexadecimal in the UAPI.
 *
 * X25519 is RFC 7748; private keys are clamped as its section 5 says.
 */
import { noblePrimitives } from "../core/wireguard/noble_primitives.ts";

/** Length of every WireGuard key in bytes. */
export const KEY_LENGTH = 32;

/** A key in canonical base64: 43 characters whose last holds 4 bits, and `=`. */
export const KEY_PATTERN: RegExp = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

const HEX_PATTERN = /^[0-9a-fA-F]{64}$/;

/** Fills its argument with random bytes; `crypto.getRandomValues` in the product. */
export type RandomSource = (bytes: Uint8Array<ArrayBuffer>) => unknown;

/** A key from base64 (surrounding blanks allowed), or undefined where it is none. */
export function parseKey(text: string): Uint8Array<ArrayBuffer> | undefined {
  const trimmed = text.trim();
  if (!KEY_PATTERN.test(trimmed)) return undefined;
  return Uint8Array.from(atob(trimmed), (character) => character.charCodeAt(0));
}

/** A key as base64. */
export function formatKey(key: Uint8Array): string {
  return btoa(String.fromCharCode(...key));
}

/** A key from 64 hexadecimal digits, or undefined where it is none. */
export function parseHexKey(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!HEX_PATTERN.test(text)) return undefined;
  const key = new Uint8Array(KEY_LENGTH);
  for (let i = 0; i < KEY_LENGTH; i++) {
    key[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  }
  return key;
}

/** A key as 64 lower-case hexadecimal digits. */
export function formatHexKey(key: Uint8Array): string {
  return Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether every byte of the key is zero: «no key» to `wg`. */
export function isZeroKey(key: Uint8Array): boolean {
  return key.every((byte) => byte === 0);
}

/** Whether two keys are equal. */
export function sameKey(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length &&
    left.every((byte, i) => byte === right[i]);
}

/** Clamps a private key in place (RFC 7748 section 5) and returns it. */
export function clampPrivateKey<Bytes extends Uint8Array>(key: Bytes): Bytes {
  key[0] &= 248;
  key[31] = (key[31] & 127) | 64;
  return key;
}

/** A new clamped private key, as `wg genkey` makes it. */
export function generatePrivateKey(
  random: RandomSource = randomBytes,
): Uint8Array<ArrayBuffer> {
  return clampPrivateKey(generatePresharedKey(random));
}

/** A new preshared key: 32 random bytes, as `wg genpsk` makes it. */
export function generatePresharedKey(
  random: RandomSource = randomBytes,
): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(KEY_LENGTH);
  random(key);
  return key;
}

/** The public key that belongs to a private key. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return noblePrimitives.publicKey(privateKey);
}

function randomBytes(bytes: Uint8Array<ArrayBuffer>): void {
  crypto.getRandomValues(bytes);
}
