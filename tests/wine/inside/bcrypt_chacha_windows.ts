/**
 * The provider of bcrypt.dll as on Windows 11, against a library that has
 * ChaCha20-Poly1305 and is strict about its arguments; run by bcrypt_test.ts.
 */
import assert from "node:assert/strict";
import { openBcrypt } from "../../../ffi/windows/bcrypt.ts";
import { BcryptAead } from "../../../src/datapath/crypto/bcrypt_aead.ts";
import { MixedAead } from "../../../src/datapath/crypto/mixed_aead.ts";
import { selfTest } from "../../../src/datapath/crypto/self_test.ts";
import { WasmAead } from "../../../src/datapath/crypto/wasm_aead.ts";
import { instantiateKernels } from "../../../src/datapath/kernels/kernels.ts";

const TAG = 16;

const kernels = instantiateKernels({ arenaBytes: 1 << 20 });
const arena = kernels.bytes;
const AT = kernels.firstFree + 4096 + 5;
const opened = openBcrypt(
  `Z:${Deno.env.get("SLUICE_TEST_BCRYPT")}`.replaceAll("/", "\\"),
);

function provider(): BcryptAead {
  if (opened.kind === "absent") throw new Error(opened.reason);
  return new BcryptAead(opened.library, kernels);
}

Deno.test("it gives the known answers", () => {
  using aead = provider();
  assert.equal(selfTest(aead, arena, AT), undefined);
});

Deno.test("it seals as the kernels do, and each opens what the other sealed", () => {
  using bcrypt = provider();
  const wasm = new WasmAead(kernels);
  const mixed = new MixedAead(wasm, bcrypt);
  for (const [i, length] of [0, 1, 15, 16, 63, 64, 65, 129, 1420].entries()) {
    const counter = i * 0x4000_0001;
    const key = crypto.getRandomValues(new Uint8Array(32));
    const text = crypto.getRandomValues(new Uint8Array(length));
    const seal = (aead: typeof bcrypt | WasmAead | MixedAead) => {
      arena.set(text, AT);
      aead.sealWith(key);
      aead.seal(counter, AT, length);
      return arena.slice(AT, AT + length + TAG);
    };
    const expected = seal(wasm);
    for (const aead of [bcrypt, mixed]) {
      assert.deepEqual(seal(aead), expected);
      aead.openWith(key);
      arena.set(expected, AT);
      assert.equal(aead.open(counter, AT, length), true);
      assert.deepEqual(arena.slice(AT, AT + length), text);
      arena.set(expected, AT);
      arena[AT + length] ^= 1;
      assert.equal(aead.open(counter, AT, length), false);
    }
  }
});

Deno.test("sealing without a key fails, so that no text leaves unsealed", () => {
  using aead = provider();
  assert.throws(
    () => aead.seal(0, AT, 100),
    /BCryptEncrypt: status 0xc0000008/,
  );
  assert.equal(aead.open(0, AT, 100), false);
});
