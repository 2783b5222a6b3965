import assert from "node:assert/strict";
import fc from "fast-check";
import {
  adjust16,
  checksum,
  fold,
  pseudoHeader4,
  pseudoHeader6,
  sum,
} from "../../../src/core/wire/checksum.ts";
import { readU16be, writeU16be } from "../../../src/core/wire/bytes.ts";
import { concat, hex } from "./packets.ts";

/** RFC 1071 word by word: add with end-around carry, then invert. */
function slowChecksum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    total += bytes[i] * 256 + (i + 1 < bytes.length ? bytes[i + 1] : 0);
    if (total > 0xffff) total -= 0xffff;
  }
  return 0xffff - total;
}

Deno.test("the example of RFC 1071, section 3", () => {
  const b = hex("0001 f203 f4f5 f6f7");
  assert.equal(sum(b, 0, 8), 0x2ddf0);
  assert.equal(fold(0x2ddf0), 0xddf2);
  assert.equal(checksum(b, 0, 8), 0x220d);
});

Deno.test("an IPv4 header that another program checked", () => {
  const b = hex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7");
  assert.equal(checksum(b, 0, 20), 0xb861);
  writeU16be(b, 10, 0xb861);
  assert.equal(fold(sum(b, 0, 20)), 0xffff);
});

Deno.test("the sum agrees with its slow twin at every length and start", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 167 + 13) ^ 7);
  for (let at = 0; at < 4; at++) {
    for (let length = 0; length <= bytes.length - at; length++) {
      assert.equal(
        checksum(bytes, at, length),
        slowChecksum(bytes.slice(at, at + length)),
        `${length} bytes at ${at}`,
      );
    }
  }
});

Deno.test("the sum agrees with its slow twin on any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
    assert.equal(checksum(bytes, 0, bytes.length), slowChecksum(bytes));
  }));
});

Deno.test("64 KB of 0xff and the greatest pseudo-header don't overflow", () => {
  const bytes = new Uint8Array(65536).fill(0xff);
  const pseudo = pseudoHeader4(0xffffffff, 0xffffffff, 255, 65535);
  assert.equal(sum(bytes, 0, 65536, pseudo), 32768 * 0xffff + pseudo);
  const header = hex("ffffffff ffffffff 00ff ffff");
  assert.equal(
    checksum(bytes, 0, 65536, pseudo),
    slowChecksum(concat(bytes, header)),
  );
});

Deno.test("pseudo-headers are what they stand for, written out", () => {
  const six = hex(`
    20010db8000000000000000000000001 fe80000000000000edb7cb5c22853763
    0000ffde 000000 3a
  `);
  assert.equal(
    fold(pseudoHeader6(six, 0, 16, 58, 0xffde)),
    fold(sum(six, 0, six.length)),
  );
  const four = hex("c0a80001 ffffffff 00 11 0020");
  assert.equal(
    fold(pseudoHeader4(0xc0a80001, 0xffffffff, 17, 32)),
    fold(sum(four, 0, four.length)),
  );
});

Deno.test("the example of RFC 1624, section 4: the sum turns to 0x0000", () => {
  assert.equal(adjust16(0xdd2f, 0x5555, 0x3285), 0x0000);
});

/** Words with the corners 0x0000 and 0xffff common. */
const word = fc.oneof(
  fc.constantFrom(0, 0xffff, 1, 0xfffe),
  fc.nat({ max: 0xffff }),
);

Deno.test("a changed word's checksum is that of the whole anew", () => {
  const lists = fc.array(word, { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(lists, fc.nat(), word, (words, position, next) => {
      // A first word that stays keeps the whole from being all zero.
      const b = new Uint8Array(words.length * 2 + 2);
      writeU16be(b, 0, 0x4500);
      words.forEach((value, i) => writeU16be(b, i * 2 + 2, value));
      const at = 2 + (position % words.length) * 2;
      const before = checksum(b, 0, b.length);
      const old = readU16be(b, at);
      writeU16be(b, at, next);
      assert.equal(adjust16(before, old, next), checksum(b, 0, b.length));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a change and its reverse give back the checksum", () => {
  fc.assert(fc.property(word, word, word, (value, a, b) => {
    // 0xffff stands for an all-zero range only; it comes back as 0x0000.
    const there = adjust16(value, a, b);
    assert.equal(adjust16(there, b, a) % 0xffff, value % 0xffff);
  }));
});
