import assert from "node:assert/strict";
import fc from "fast-check";
import {
  clampPrivateKey,
  formatHexKey,
  formatKey,
  generatePresharedKey,
  generatePrivateKey,
  isZeroKey,
  parseHexKey,
  parseKey,
  publicKeyOf,
  sameKey,
} from "../../src/config/keys.ts";

const KEY = fc.uint8Array({ minLength: 32, maxLength: 32 });

Deno.test("a key survives base64 and hexadecimal", () => {
  fc.assert(fc.property(KEY, (key) => {
    assert.deepEqual(parseKey(formatKey(key)), key);
    assert.deepEqual(parseHexKey(formatHexKey(key)), key);
    assert.equal(formatKey(key).length, 44);
  }));
});

Deno.test("blanks around a key do not matter, anything else does", () => {
  const text = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
  assert.notEqual(parseKey(` ${text}\n`), undefined);
  for (
    const bad of [
      "",
      "abc",
      text.slice(1),
      text.slice(0, -1),
      `${text}=`,
      text.replace("x", "-"),
      // The last character carries bits that 32 bytes do not have.
      text.replace("g=", "h="),
      `${text} ${text}`,
    ]
  ) assert.equal(parseKey(bad), undefined, JSON.stringify(bad));
});

Deno.test("hexadecimal keys have 64 digits", () => {
  assert.notEqual(parseHexKey("0A".repeat(32)), undefined);
  for (const bad of ["", "0a".repeat(31), "0a".repeat(33), "0g".repeat(32)]) {
    assert.equal(parseHexKey(bad), undefined, bad);
  }
});

// RFC 7748, section 6.1: Alice's and Bob's keys.
Deno.test("public keys are those of RFC 7748", () => {
  const pairs = [
    [
      "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ],
    [
      "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ],
  ];
  for (const [secret, expected] of pairs) {
    assert.equal(formatHexKey(publicKeyOf(parseHexKey(secret)!)), expected);
  }
});

Deno.test("private keys are clamped, preshared keys are not", () => {
  const ones = (bytes: Uint8Array) => bytes.fill(0xff);
  const key = generatePrivateKey(ones);
  assert.equal(key[0], 0xf8);
  assert.equal(key[31], 0x7f);
  assert.ok(generatePresharedKey(ones).every((byte) => byte === 0xff));
  assert.equal(clampPrivateKey(new Uint8Array(32))[31], 64);
});

Deno.test("two made keys differ", () => {
  assert.ok(!sameKey(generatePrivateKey(), generatePrivateKey()));
  assert.ok(!isZeroKey(generatePresharedKey()));
  assert.ok(isZeroKey(new Uint8Array(32)));
});
