import assert from "node:assert/strict";
import { poly1305 } from "@noble/ciphers/_poly1305.js";
import { buildKernels } from "../../scripts/kernels.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { AEAD, CHACHA20, POLY1305 } from "../vectors/rfc8439.ts";
import { fold, sum } from "./twins/packets.ts";
import { Random } from "./twins/random.ts";

const kernels = instantiateKernels({ arenaBytes: 1 << 20 });
const arena = kernels.bytes;
const KEY = kernels.firstFree,
  NONCE = KEY + 64,
  TAG = KEY + 128,
  AT = KEY + 256;

function chacha20(
  key: Uint8Array,
  nonce: Uint8Array,
  counter: number,
  text: Uint8Array,
): Uint8Array {
  arena.set(key, KEY);
  arena.set(nonce, NONCE);
  arena.set(text, AT);
  kernels.chacha20(KEY, NONCE, counter, AT, text.length);
  return arena.slice(AT, AT + text.length);
}

function tagOf(key: Uint8Array, message: Uint8Array): Uint8Array {
  arena.set(key, KEY);
  arena.set(message, AT);
  kernels.poly1305(KEY, AT, message.length, TAG);
  return arena.slice(TAG, TAG + 16);
}

Deno.test("kernels: kernels.wasm is what its source compiles to", async () => {
  const committed = await Deno.readFile(
    new URL("../../src/datapath/kernels/kernels.wasm", import.meta.url),
  );
  assert.deepEqual(await buildKernels(), committed, "run: deno task kernels");
});

Deno.test("kernels: the arena has the size asked for and does not grow", () => {
  const { bytes, firstFree, keysAt } = instantiateKernels({
    arenaBytes: 100_000,
  });
  assert.ok(bytes.length - firstFree >= 100_000);
  assert.ok(keysAt + 64 <= firstFree);
  assert.equal(firstFree % 64, 0);
});

for (const { section, key, nonce, counter, text, result } of CHACHA20) {
  Deno.test(`kernels: ChaCha20 of RFC 8439 ${section}`, () => {
    assert.deepEqual(chacha20(key, nonce, counter, text), result);
    assert.deepEqual(
      chacha20(key, nonce, counter, result),
      new Uint8Array(text),
      "and back",
    );
  });
}

for (const { section, key, message, tag } of POLY1305) {
  Deno.test(`kernels: Poly1305 of RFC 8439 ${section}`, () => {
    assert.deepEqual(tagOf(key, message), tag);
  });
}

Deno.test("kernels: ChaCha20 and Poly1305 make the AEAD of RFC 8439 2.8.2", () => {
  const { key, nonce, additional, text, sealed, tag } = AEAD;
  const oneTimeKey = chacha20(key, nonce, 0, new Uint8Array(32));
  assert.deepEqual(chacha20(key, nonce, 1, text), sealed);
  const message = new Uint8Array(16 + 128 + 16); // both padded to 16, then both lengths
  message.set(additional);
  message.set(sealed, 16);
  message[144] = additional.length;
  message[152] = sealed.length;
  assert.deepEqual(tagOf(oneTimeKey, message), tag);
});

Deno.test("kernels: Poly1305 of extreme keys and messages is noble's, at every length", () => {
  const extremes = [0x00, 0xff, 0xfe, 0xfb, 0x7f, 0x80, 0x01];
  for (const keyByte of extremes) {
    for (const messageByte of extremes) {
      const key = new Uint8Array(32).fill(keyByte);
      for (let length = 0; length < 1500; length += length < 80 ? 1 : 61) {
        const message = new Uint8Array(length).fill(messageByte);
        assert.deepEqual(
          tagOf(key, message),
          poly1305(message, key),
          `${keyByte} ${messageByte} ${length}`,
        );
      }
    }
  }
});

Deno.test("kernels: Poly1305 of random keys and of sparse messages is noble's", () => {
  const random = new Random(1);
  for (let i = 0; i < 2000; i++) {
    const key = random.bytes(32), message = random.bytes(random.below(1600));
    if (random.oneIn(2)) {
      message.fill(random.pick([0, 0xff]), random.below(message.length + 1));
    }
    if (random.oneIn(4)) key.fill(0xff, 0, 16);
    assert.deepEqual(tagOf(key, message), poly1305(message, key), `case ${i}`);
  }
});

Deno.test("kernels: the checksum's sum is the plain one's, at any offset and length", () => {
  const random = new Random(2);
  for (let length = 0; length < 300; length++) {
    const bytes = random.bytes(length), at = AT + random.below(40);
    arena.set(bytes, at);
    assert.equal(
      kernels.checksumSum(at, length),
      fold(sum(bytes, 0, length)),
      `${length}`,
    );
  }
  arena.fill(0xff, AT, AT + 65535);
  assert.equal(kernels.checksumSum(AT, 65535), fold(32767 * 0xffff + 0xff00));
});
