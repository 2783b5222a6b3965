import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addressNumber,
  addressWords,
  contains,
  hostRange,
  networkOf,
  overlaps,
  prefixRange,
  readInterfaceAddress,
  readPrefix,
  samePrefix,
  subtract,
} from "../../src/config/prefix.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const at = (text: string) => readPrefix(text)!;
const MAPPED = 0xffffn << 32n;

Deno.test("the addresses that a prefix covers", () => {
  assert.deepEqual(prefixRange(at("10.66.0.7/24")), {
    first: MAPPED + 0x0a420000n,
    last: MAPPED + 0x0a4200ffn,
  });
  assert.deepEqual(prefixRange(at("0.0.0.0/0")), {
    first: MAPPED,
    last: MAPPED + 0xffffffffn,
  });
  const six = prefixRange(at("fd00::1/126"));
  assert.equal(six.last - six.first, 3n);
});

Deno.test("hosts have neither the network's nor the broadcast address", () => {
  const four = hostRange(at("10.66.0.0/30"));
  assert.equal(four.first, MAPPED + 0x0a420001n);
  assert.equal(four.last, MAPPED + 0x0a420002n);
  const six = hostRange(at("fd00::/126"));
  assert.equal(six.last - six.first, 2n);
});

Deno.test("containing and overlapping", () => {
  const yes: [string, string][] = [
    ["10.66.0.0/24", "10.66.0.5/32"],
    ["0.0.0.0/0", "10.66.0.5/32"],
    ["10.66.0.0/24", "10.66.0.99/24"],
    ["fd00::/64", "fd00::1/128"],
  ];
  for (const [outer, inner] of yes) {
    assert.ok(contains(at(outer), at(inner)), `${outer} ${inner}`);
    assert.ok(overlaps(at(inner), at(outer)));
  }
  const no: [string, string][] = [
    ["10.66.0.0/24", "10.66.1.0/32"],
    ["10.66.0.0/24", "10.66.0.0/16"],
    ["::/0", "10.66.0.0/24"],
    ["0.0.0.0/0", "fd00::1/128"],
  ];
  for (const [outer, inner] of no) {
    assert.ok(!contains(at(outer), at(inner)), `${outer} ${inner}`);
  }
  assert.ok(samePrefix(at("10.66.0.9/24"), at("10.66.0.1/24")));
  assert.ok(!samePrefix(at("10.66.0.9/24"), at("10.66.0.9/25")));
});

Deno.test("host bits go", () => {
  assert.equal(formatPrefix(networkOf(at("10.66.0.9/24"))), "10.66.0.0/24");
  assert.equal(formatPrefix(networkOf(at("fd00::9:1/112"))), "fd00::9:0/112");
});

Deno.test("numbers and words are the same address", () => {
  fc.assert(fc.property(fc.bigInt(0n, 2n ** 128n - 1n), (value) => {
    assert.equal(addressNumber(addressWords(value)), value);
  }));
});

Deno.test("what is no prefix", () => {
  for (
    const bad of [
      "",
      "10.0.0.0/33",
      "fd00::/129",
      "::ffff:1.2.3.4/128",
      "10.0.0.0/a",
      "x",
    ]
  ) {
    assert.equal(readPrefix(bad), undefined, bad);
  }
  assert.equal(formatPrefix(at("10.66.0.2")), "10.66.0.2/32");
  assert.equal(readInterfaceAddress("10.66.0.2"), undefined);
});

Deno.test("what is left without others: as few prefixes as hold just that", () => {
  const text = (left: string[], without: string[]) =>
    subtract(left.map(at), without.map(at)).map(formatPrefix);
  assert.deepEqual(text(["10.0.0.0/8"], []), ["10.0.0.0/8"]);
  assert.deepEqual(text(["10.0.0.0/8"], ["11.0.0.0/8", "::/0"]), [
    "10.0.0.0/8",
  ]);
  assert.deepEqual(text(["10.0.0.0/8"], ["0.0.0.0/0"]), []);
  assert.deepEqual(text(["10.0.0.0/8"], ["10.0.0.0/8"]), []);
  assert.deepEqual(text(["10.0.0.0/30"], ["10.0.0.1/32"]), [
    "10.0.0.0/32",
    "10.0.0.2/31",
  ]);
  assert.deepEqual(text(["fd00::/126", "10.0.0.0/31"], ["fd00::2/127"]), [
    "fd00::/127",
    "10.0.0.0/31",
  ]);
  const all = text(["0.0.0.0/0", "::/0"], ["192.0.2.1/32", "2001:db8::1/128"]);
  assert.equal(all.length, 32 + 128);
  const held = all.map(at).reduce(
    (sum, { family, length }) => family === 4 ? sum + 2 ** (32 - length) : sum,
    0,
  );
  assert.equal(held, 2 ** 32 - 1);
});
