import assert from "node:assert/strict";
import fc from "fast-check";
import { PrefixList } from "../../../src/core/route/prefix_list.ts";
import {
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../../src/core/wire/address.ts";

Deno.test("an empty list contains nothing", () => {
  assert.equal(new PrefixList([]).contains(new Int32Array(4), 0), false);
});

Deno.test("0.0.0.0/0 is all of IPv4 and nothing of IPv6", () => {
  const list = new PrefixList([parsePrefix("0.0.0.0/0")!]);
  assert.equal(
    list.contains(Int32Array.from(parseAddress("8.8.8.8")!), 0),
    true,
  );
  assert.equal(
    list.contains(Int32Array.from(parseAddress("2001:db8::1")!), 0),
    false,
  );
});

Deno.test("the list agrees with asking each prefix", () => {
  const near = fc.tuple(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: 255 }),
  );
  const prefix = fc.oneof(
    fc.tuple(near, fc.integer({ min: 0, max: 32 }))
      .map(([[a, b], bits]) => `10.${a}.0.${b}/${bits}`),
    fc.tuple(near, fc.integer({ min: 0, max: 128 }))
      .map(([[a, b], bits]) => `2001:db8:${a}::${b.toString(16)}/${bits}`),
  );
  const address = near.chain(([a, b]) =>
    fc.constantFrom(`10.${a}.0.${b}`, `2001:db8:${a}::${b.toString(16)}`)
  );
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 6 }), address, (texts, text) => {
      const prefixes = texts.map((item) => parsePrefix(item)!);
      const words = Int32Array.from(parseAddress(text)!);
      const expected = prefixes.some((item) => prefixContains(item, words));
      assert.equal(new PrefixList(prefixes).contains(words, 0), expected);
    }),
    { numRuns: 2000, seed: 3 },
  );
});
