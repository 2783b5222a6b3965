/**
 * The provider of bcrypt.dll. Wine's has no ChaCha20-Poly1305, so the same calls
 * seal by AES-256-GCM, which has keys, nonces and tags of the same lengths, and
 * another library opens what they sealed.
 */
import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { openBcrypt } from "../../../ffi/windows/bcrypt.ts";
import {
  BcryptAead,
  type BcryptCipher,
} from "../../../src/datapath/crypto/bcrypt_aead.ts";
import { writeCounter } from "../../../src/datapath/crypto/packet_aead.ts";
import { selectAead } from "../../../src/datapath/crypto/select_aead.ts";
import { selfTest } from "../../../src/datapath/crypto/self_test.ts";
import { instantiateKernels } from "../../../src/datapath/kernels/kernels.ts";

const AES_256_GCM: BcryptCipher = {
  algorithm: "AES",
  chainingMode: "ChainingModeGCM",
};
const TAG = 16;

const kernels = instantiateKernels({ arenaBytes: 1 << 20 });
const arena = kernels.bytes;
const AT = kernels.firstFree + 4096 + 5;

/** One for all: of several the runtime no longer takes its fast path. */
const opened = openBcrypt();

function aes(): BcryptAead {
  if (opened.kind === "absent") throw new Error(opened.reason);
  return new BcryptAead(opened.library, kernels, AES_256_GCM);
}

function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  writeCounter(nonce, 4, counter);
  return nonce;
}

function sealedByNode(
  key: Uint8Array,
  counter: number,
  text: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv("aes-256-gcm", key, nonceOf(counter));
  return new Uint8Array([
    ...cipher.update(text),
    ...cipher.final(),
    ...cipher.getAuthTag(),
  ]);
}

const COUNTERS = [0, 1, 2 ** 32 - 1, 2 ** 32 + 5, 2 ** 53 - 1];
const LENGTHS = [1, 15, 16, 17, 64, 1420, 65_000];

Deno.test("what bcrypt.dll seals is what another library seals", () => {
  using aead = aes();
  for (const [i, length] of LENGTHS.entries()) {
    const counter = COUNTERS[i % COUNTERS.length];
    const key = new Uint8Array(32).fill(i + 1);
    const text = Uint8Array.from({ length }, (_, n) => n * 7 + i);
    arena.set(text, AT);
    aead.sealWith(key);
    aead.seal(counter, AT, length);
    assert.deepEqual(
      arena.slice(AT, AT + length + TAG),
      sealedByNode(key, counter, text),
    );
  }
});

Deno.test("it opens in place what another library sealed, and nothing forged", () => {
  using aead = aes();
  for (const [i, length] of LENGTHS.entries()) {
    const counter = COUNTERS[i % COUNTERS.length];
    const key = new Uint8Array(32).fill(i + 1);
    const text = Uint8Array.from({ length }, (_, n) => n * 5 + i);
    const sealed = sealedByNode(key, counter, text);
    aead.openWith(key);
    for (const flipped of [0, length - 1, length, length + TAG - 1]) {
      arena.set(sealed, AT);
      arena[AT + flipped] ^= 0x80;
      assert.equal(aead.open(counter, AT, length), false);
    }
    arena.set(sealed, AT);
    assert.equal(aead.open(counter + 1, AT, length), false);
    arena.set(sealed, AT);
    const after = arena.slice(AT + length, AT + length + 64);
    assert.equal(aead.open(counter, AT, length), true);
    assert.deepEqual(arena.slice(AT, AT + length), text);
    assert.deepEqual(arena.slice(AT + length, AT + length + 64), after);
  }
});

Deno.test("both directions keep a key of their own, and take new ones", () => {
  using aead = aes();
  const keys = [1, 2, 3].map((value) => new Uint8Array(32).fill(value));
  const text = new TextEncoder().encode("a text of some length");
  for (const [i, key] of keys.entries()) {
    aead.sealWith(key);
    aead.openWith(keys[0]);
    arena.set(text, AT);
    aead.seal(7, AT, text.length);
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(7));
    decipher.setAuthTag(arena.slice(AT + text.length, AT + text.length + TAG));
    assert.deepEqual(
      new Uint8Array([
        ...decipher.update(arena.slice(AT, AT + text.length)),
        ...decipher.final(),
      ]),
      text,
    );
    assert.equal(aead.open(7, AT, text.length), i === 0);
  }
});

Deno.test("a wrong cipher fails the self-test", () => {
  using aead = aes();
  assert.match(selfTest(aead, arena, AT)!, /something else/);
});

Deno.test("sealing and opening allocates nothing", () => {
  using aead = aes();
  const key = new Uint8Array(32).fill(9);
  aead.sealWith(key);
  aead.openWith(key);
  const packets = (count: number): number => {
    let opened = 0;
    for (let counter = 0; counter < count; counter++) {
      aead.seal(counter, AT, 64);
      if (aead.open(counter, AT, 64)) opened++;
    }
    return opened;
  };
  const count = 20_000;
  for (let i = 0; i < 5; i++) assert.equal(packets(count), count);
  let least = Infinity;
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = Deno.memoryUsage().heapUsed;
    packets(count);
    const grown = Deno.memoryUsage().heapUsed - before;
    // A collection in between hides growth: such an attempt says nothing.
    if (grown >= 0) least = Math.min(least, grown / count);
  }
  assert.ok(least < 4, `${least} bytes a packet`);
});

Deno.test("without ChaCha20-Poly1305 the kernels seal, and it is said why", () => {
  const { aead, refused } = selectAead(kernels, { library: "bcrypt" });
  assert.equal(aead.name, "wasm");
  assert.match(refused!, /^bcrypt: this Windows has no CHACHA20_POLY1305/);
  assert.throws(
    () => selectAead(kernels, { library: "bcrypt", force: "bcrypt" }),
    /bcrypt is not usable/,
  );
  assert.throws(
    () => selectAead(kernels, { library: "bcrypt", force: "libcrypto" }),
    /it is for Linux/,
  );
});
