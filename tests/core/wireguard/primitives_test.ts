import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { noblePrimitives as noble } from "../../../src/core/wireguard/noble_primitives.ts";
import { equalBytes } from "../../../src/core/wireguard/primitives.ts";
import { hex, Random, toHex } from "./hex.ts";
import { nodePrimitives } from "./node_primitives.ts";

const text = (value: string) => new TextEncoder().encode(value);

Deno.test("BLAKE2s of abc (RFC 7693, appendix B), in any split", () => {
  for (let split = 0; split <= 3; split++) {
    const message = text("abc");
    assert.equal(
      toHex(noble.hash(message.subarray(0, split), message.subarray(split))),
      "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
    );
  }
});

Deno.test("BLAKE2s agrees with OpenSSL over many lengths", () => {
  const random = new Random(1);
  for (let length = 0; length < 200; length++) {
    const message = random.bytes(length);
    const expected = createHash("blake2s256").update(message).digest("hex");
    assert.equal(toHex(noble.hash(message, new Uint8Array(0))), expected);
  }
});

Deno.test("HMAC is what RFC 2104 says, the MAC depends on its key", () => {
  const random = new Random(2);
  const key = random.bytes(32);
  const message = random.bytes(100);
  const pad = (value: number) =>
    Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ value);
  const inner = noble.hash(pad(0x36), message);
  assert.deepEqual(noble.hmac(key, message), noble.hash(pad(0x5c), inner));
  assert.equal(noble.mac(key, message).length, 16);
  assert.notDeepEqual(
    noble.mac(key, message),
    noble.mac(message.subarray(0, 32), message),
  );
});

Deno.test("X25519 (RFC 7748, section 5.2), noble and node:crypto", () => {
  const scalar = hex(
    "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
  );
  const point = hex(
    "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
  );
  const product =
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552";
  for (const primitives of [noble, nodePrimitives]) {
    assert.equal(toHex(primitives.x25519(scalar, point) ?? scalar), product);
  }
  const random = new Random(3);
  for (let i = 0; i < 20; i++) {
    const a = random.bytes(32);
    const b = random.bytes(32);
    assert.deepEqual(noble.publicKey(a), nodePrimitives.publicKey(a));
    const shared = noble.x25519(a, noble.publicKey(b));
    assert.deepEqual(shared, nodePrimitives.x25519(a, noble.publicKey(b)));
    assert.deepEqual(shared, noble.x25519(b, noble.publicKey(a)));
  }
});

Deno.test("XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, A.3.1)", () => {
  const key = hex(
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
  );
  const nonce = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
  const additional = hex("50515253c0c1c2c3c4c5c6c7");
  const plaintext = text(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one " +
      "tip for the future, sunscreen would be it.",
  );
  const sealed = hex(`
    bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
    731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
    2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
    21f9664c97637da9768812f615c68b13b52e
    c0875924c1c7987947deafd8780acf49`);
  assert.deepEqual(
    noble.sealExtended(key, nonce, plaintext, additional),
    sealed,
  );
  assert.deepEqual(
    noble.openExtended(key, nonce, sealed, additional),
    plaintext,
  );
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] ^= 1;
    assert.equal(
      noble.openExtended(key, nonce, changed, additional),
      undefined,
    );
  }
});

Deno.test("ChaCha20-Poly1305 takes any counter and refuses any other", () => {
  const key = hex(
    "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
  );
  const plaintext = text("Internet-Drafts");
  for (const counter of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const sealed = noble.seal(key, counter, plaintext, key);
    assert.deepEqual(noble.open(key, counter, sealed, key), plaintext);
    assert.equal(noble.open(key, counter - 1, sealed, key), undefined);
    assert.equal(noble.open(key, counter, sealed, plaintext), undefined);
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(
        noble.open(key, counter, sealed.subarray(0, length), key),
        undefined,
      );
    }
  }
});

Deno.test("equalBytes compares all bytes and lengths", () => {
  const a = hex("00010203");
  assert.ok(equalBytes(a, hex("00010203")));
  assert.ok(!equalBytes(a, hex("0001020300")));
  for (let at = 0; at < 4; at++) {
    const b = a.slice();
    b[at] ^= 0x80;
    assert.ok(!equalBytes(a, b));
  }
});
