import assert from "node:assert/strict";
import fc from "fast-check";
import { noblePrimitives } from "../../src/core/wireguard/noble_primitives.ts";
import { LibcryptoAead } from "../../src/datapath/crypto/libcrypto_aead.ts";
import { MixedAead, SMALL_TEXT } from "../../src/datapath/crypto/mixed_aead.ts";
import { NobleAead } from "../../src/datapath/crypto/noble_aead.ts";
import { nodePrimitives } from "../../src/datapath/crypto/node_primitives.ts";
import {
  KEY_LENGTH,
  type PacketAead,
  TAG_LENGTH,
} from "../../src/datapath/crypto/packet_aead.ts";
import {
  AEAD_CHOICES,
  selectAead,
} from "../../src/datapath/crypto/select_aead.ts";
import {
  SELF_TEST_BYTES,
  selfTest,
} from "../../src/datapath/crypto/self_test.ts";
import { WasmAead } from "../../src/datapath/crypto/wasm_aead.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { openLibcrypto } from "../../ffi/libcrypto.ts";
import { Random } from "./twins/random.ts";

const kernels = instantiateKernels({ arenaBytes: 1 << 20 });
const arena = kernels.bytes;
/** Not aligned, as a packet behind a junk prefix is not. */
const AT = kernels.firstFree + 4096 + 5;
const noble = new NobleAead(arena);

function providers(): PacketAead[] {
  const wasm = new WasmAead(kernels);
  const opened = openLibcrypto();
  if (opened.kind === "absent") {
    console.log(`libcrypto is not tested: ${opened.reason}`);
    return [wasm];
  }
  const libcrypto = new LibcryptoAead(opened.library, kernels);
  return [wasm, libcrypto, new MixedAead(wasm, libcrypto)];
}

/** A key as the session table has it: a view into shared memory. */
function sharedKey(bytes: Uint8Array): Uint8Array {
  const key = new Uint8Array(
    new SharedArrayBuffer(3 * KEY_LENGTH),
    KEY_LENGTH,
    KEY_LENGTH,
  );
  key.set(bytes);
  return key;
}

function sealed(
  aead: PacketAead,
  key: Uint8Array,
  counter: number,
  text: Uint8Array,
): Uint8Array {
  arena.fill(0x5a, AT - 16, AT + text.length + 64);
  arena.set(text, AT);
  aead.sealWith(key);
  aead.seal(counter, AT, text.length);
  assert.ok(
    arena.subarray(AT - 16, AT).every((byte) => byte === 0x5a),
    "wrote before the text",
  );
  const behind = AT + text.length + TAG_LENGTH;
  assert.ok(
    arena.subarray(behind, behind + 48).every((byte) => byte === 0x5a),
    "wrote behind the tag",
  );
  return arena.slice(AT, behind);
}

/** Opens what lies at AT. */
function opened(
  aead: PacketAead,
  key: Uint8Array,
  counter: number,
  length: number,
): boolean {
  aead.openWith(key);
  return aead.open(counter, AT, length);
}

const COUNTERS = [
  0,
  1,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  Number.MAX_SAFE_INTEGER,
];

for (const aead of providers()) {
  Deno.test(`${aead.name}: gives the known answers`, () => {
    assert.equal(selfTest(aead, arena, AT), undefined);
  });

  Deno.test(`${aead.name}: every length from 0 to 1700 is noble's, both ways`, () => {
    const random = new Random(1);
    for (let length = 0; length <= 1700; length++) {
      const key = sharedKey(random.bytes(KEY_LENGTH)),
        text = random.bytes(length);
      const counter = COUNTERS[length % COUNTERS.length]! -
        (length % 3 === 0 && length % 7 ? 1 : 0);
      const message = sealed(aead, key, counter, text);
      assert.deepEqual(
        message,
        sealed(noble, key, counter, text),
        `length ${length}`,
      );
      arena.set(message, AT);
      assert.ok(opened(aead, key, counter, length), `length ${length}`);
      assert.deepEqual(arena.slice(AT, AT + length), text, `length ${length}`);
    }
  });

  Deno.test(`${aead.name}: the counter is the nonce, all 53 bits of it`, () => {
    const key = sharedKey(new Uint8Array(32).fill(9)),
      text = new Uint8Array(500);
    for (let bit = 0; bit < 53; bit++) {
      const counter = 2 ** bit;
      assert.deepEqual(
        sealed(aead, key, counter, text),
        sealed(noble, key, counter, text),
        `bit ${bit}`,
      );
    }
  });

  Deno.test(`${aead.name}: refuses every changed bit of tag, key and counter, and of the text`, () => {
    const random = new Random(2);
    for (
      const length of [0, 1, 16, 64, 200, SMALL_TEXT, SMALL_TEXT + 1, 1420]
    ) {
      const key = sharedKey(random.bytes(KEY_LENGTH)),
        text = random.bytes(length),
        counter = 77;
      const message = sealed(aead, key, counter, text);
      const opens = (with_: Uint8Array, by: Uint8Array, at: number) => {
        arena.set(with_, AT);
        return opened(aead, by, at, length);
      };
      for (
        let bit = 0;
        bit < 8 * message.length;
        bit += bit < 8 * length ? 13 : 1
      ) {
        const changed = message.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.ok(
          !opens(changed, key, counter),
          `length ${length}, bit ${bit} of the message`,
        );
      }
      for (let bit = 0; bit < 8 * KEY_LENGTH; bit++) {
        const changed = key.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.ok(
          !opens(message, changed, counter),
          `length ${length}, bit ${bit} of the key`,
        );
      }
      for (let bit = 0; bit < 53; bit++) {
        const changed = counter +
          (counter / 2 ** bit % 2 >= 1 ? -(2 ** bit) : 2 ** bit);
        assert.ok(
          !opens(message, key, changed),
          `length ${length}, bit ${bit} of the counter`,
        );
      }
      assert.ok(
        opens(message, key, counter),
        "and takes the true one after all that",
      );
    }
  });

  Deno.test(`${aead.name}: refuses a message of another length`, () => {
    const key = sharedKey(new Uint8Array(32).fill(3));
    const message = sealed(aead, key, 5, new Uint8Array(100).fill(1));
    for (const length of [0, 16, 84, 96, 99, 101, 116]) {
      arena.set(message, AT);
      assert.ok(!opened(aead, key, 5, length), `${length}`);
    }
  });

  Deno.test(`${aead.name}: keys may alternate from packet to packet`, () => {
    const random = new Random(3);
    const keys = [sharedKey(random.bytes(32)), sharedKey(random.bytes(32))];
    const messages = keys.map((key, i) =>
      sealed(aead, key, i, random.bytes(700))
    );
    for (let round = 0; round < 6; round++) {
      arena.set(messages[round % 2]!, AT);
      assert.ok(opened(aead, keys[round % 2]!, round % 2, 700));
      assert.ok(!opened(aead, keys[(round + 1) % 2]!, round % 2, 700));
    }
  });

  Deno.test(`${aead.name}: a key stays for what follows, one for each direction`, () => {
    const random = new Random(5);
    const key = sharedKey(random.bytes(32)),
      other = sharedKey(random.bytes(32));
    const texts = [20, 700, 20, 1400].map((length) => random.bytes(length));
    const messages = texts.map((text, i) => sealed(noble, key, i, text));
    aead.sealWith(key);
    aead.openWith(key);
    for (const [i, text] of texts.entries()) {
      arena.set(text, AT);
      aead.seal(i, AT, text.length);
      const message = arena.slice(AT, AT + text.length + TAG_LENGTH);
      assert.deepEqual(message, messages[i]);
    }
    aead.sealWith(other);
    for (const [i, text] of texts.entries()) {
      arena.set(messages[i]!, AT);
      assert.ok(aead.open(i, AT, text.length), `message ${i}`);
      assert.ok(
        !aead.open(i, AT, text.length),
        "what was opened is no message",
      );
    }
  });

  Deno.test(`${aead.name}: any message at any offset is noble's`, () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        fc.uint8Array({ maxLength: 3000 }),
        fc.nat({ max: 200_000 }),
        (keyBytes, counter, text, shift) => {
          const key = sharedKey(keyBytes), at = AT + shift;
          arena.set(text, at);
          aead.sealWith(key);
          aead.seal(counter, at, text.length);
          const message = arena.slice(at, at + text.length + TAG_LENGTH);
          assert.deepEqual(message, sealed(noble, key, counter, text));
        },
      ),
      { numRuns: 200, seed: 4 },
    );
  });
}

Deno.test("self-test: refuses a provider that never checks the tag, or seals wrongly", () => {
  const wasm = new WasmAead(kernels);
  const honest: PacketAead = {
    name: "honest",
    sealWith: (key) => wasm.sealWith(key),
    openWith: (key) => wasm.openWith(key),
    seal: (...message) => wasm.seal(...message),
    open: (...message) => wasm.open(...message),
  };
  assert.equal(selfTest(honest, arena, AT), undefined);
  const careless: PacketAead = {
    ...honest,
    open: (...message) => wasm.open(...message) || true,
  };
  assert.match(selfTest(careless, arena, AT)!, /forged/);
  const wrong: PacketAead = {
    ...honest,
    seal: (counter, at, length) => wasm.seal(counter + 1, at, length),
  };
  assert.match(selfTest(wrong, arena, AT)!, /something else/);
  const broken: PacketAead = {
    ...wrong,
    seal: () => assert.fail("no such function"),
  };
  assert.match(selfTest(broken, arena, AT)!, /no such function/);
  const refusing: PacketAead = { ...careless, open: () => false };
  assert.match(selfTest(refusing, arena, AT)!, /refused/);
});

Deno.test("selectAead: every choice works, and leaves the arena as it was", () => {
  const { firstFree } = kernels;
  const before = new Random(5).bytes(SELF_TEST_BYTES);
  arena.set(before, firstFree);
  for (const force of AEAD_CHOICES) {
    if (force === "libcrypto" && openLibcrypto().kind === "absent") continue;
    if (force === "bcrypt") continue;
    const { aead, description } = selectAead(kernels, { force });
    assert.ok(description.startsWith(aead.name), description);
    assert.deepEqual(
      arena.slice(firstFree, firstFree + SELF_TEST_BYTES),
      before,
    );
  }
});

Deno.test("node primitives: X25519 is RFC 7748's", () => {
  // RFC 7748 section 5.2: scalar, u-coordinate, result.
  const vectors = [
    [
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
  ].map((vector) => vector.map((hex) => Uint8Array.fromHex(hex)));
  for (const [scalar, coordinate, result] of vectors) {
    assert.deepEqual(nodePrimitives.x25519(scalar!, coordinate!), result);
  }
});

Deno.test("node primitives: any keys give what noble's give", () => {
  const random = new Random(6);
  for (let i = 0; i < 30; i++) {
    const mine = random.bytes(32), theirs = random.bytes(32); // a u-coordinate of any value
    assert.deepEqual(
      nodePrimitives.publicKey(mine),
      noblePrimitives.publicKey(mine),
    );
    assert.deepEqual(
      nodePrimitives.x25519(mine, theirs),
      noblePrimitives.x25519(mine, theirs),
    );
  }
});

Deno.test("node primitives: a point of low order gives no secret", () => {
  const mine = new Random(7).bytes(32);
  const lowOrder = [
    "00".repeat(32),
    "01" + "00".repeat(31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff".repeat(30) + "7f",
    "ed" + "ff".repeat(30) + "7f",
    "ee" + "ff".repeat(30) + "7f",
  ];
  for (const point of lowOrder) {
    assert.equal(
      nodePrimitives.x25519(mine, Uint8Array.fromHex(point)),
      undefined,
      point,
    );
  }
});
