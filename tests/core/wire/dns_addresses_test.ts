import assert from "node:assert/strict";
import { formatAddress } from "../../../src/core/wire/address.ts";
import { readDnsAddresses } from "../../../src/core/wire/dns_addresses.ts";
import { SeededRandom } from "../columns/seeded_random.ts";
import {
  aRecord,
  buildAnswer,
  buildQuery,
  type TestRecord,
} from "../../support/dns_messages.ts";

function read(name: string, answers: TestRecord[], code = 0): string[] {
  const message = buildAnswer(buildQuery({ name }), { answers, code });
  const found = readDnsAddresses(message);
  return (found?.addresses ?? []).map(({ words, seconds }) =>
    `${formatAddress(words)} ${seconds}`
  );
}

function alias(name: string, ttl: number, data: string): TestRecord {
  return { name, type: "CNAME", ttl, data };
}

Deno.test("addresses of the name, others' not", () => {
  assert.deepEqual(
    read("a.test", [
      aRecord("a.test", 60, "192.0.2.1"),
      aRecord("A.Test", 70, "192.0.2.2"),
      aRecord("b.test", 80, "192.0.2.3"),
      { name: "a.test", type: "TXT", ttl: 5, data: "x" },
      { name: "a.test", type: "AAAA", ttl: 90, data: "2001:db8::1" },
    ]),
    ["192.0.2.1 60", "192.0.2.2 70", "2001:db8::1 90"],
  );
});

Deno.test("aliases are followed in any order, with the least TTL", () => {
  assert.deepEqual(
    read("a.test", [
      aRecord("c.test", 600, "192.0.2.1"),
      alias("b.test", 30, "c.test"),
      alias("a.test", 300, "b.test"),
      aRecord("b.test", 200, "192.0.2.2"),
    ]),
    ["192.0.2.1 30", "192.0.2.2 200"],
  );
});

Deno.test("aliases in a circle end", () => {
  assert.deepEqual(
    read("a.test", [
      alias("a.test", 60, "b.test"),
      alias("b.test", 50, "a.test"),
      aRecord("b.test", 70, "192.0.2.1"),
    ]),
    ["192.0.2.1 60"],
  );
});

Deno.test("errors have no addresses", () => {
  const records = [aRecord("a.test", 60, "192.0.2.1")];
  assert.deepEqual(read("a.test", records, 3), []);
  assert.equal(readDnsAddresses(buildQuery({ name: "a.test" })), undefined);
});

// deno-fmt-ignore
const COMPRESSED = [
  0x00, 0x01, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0,
  3, 0x77, 0x77, 0x77, 1, 0x61, 4, 0x74, 0x65, 0x73, 0x74, 0, // 12 www.a.test
  0, 1, 0, 1,                                                 // 24 A, IN
  0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, 0x62, 0xc0, 18,  // 28 -> b.test
  0xc0, 40, 0, 1, 0, 1, 0, 0, 0, 7, 0, 4, 192, 0, 2, 1,       // 44 b.test
];

Deno.test("compressed names, as servers send them", () => {
  const found = readDnsAddresses(Uint8Array.from(COMPRESSED));
  assert.equal(found?.name, "www.a.test");
  assert.deepEqual(
    found?.addresses.map(({ words, seconds }) => [
      formatAddress(words),
      seconds,
    ]),
    [["192.0.2.1", 7]],
  );
});

Deno.test("a pointer ahead, or to itself, ends the name", () => {
  for (const target of [40, 43, 44, 60, 0xff]) {
    const bytes = Uint8Array.from(COMPRESSED);
    bytes[43] = target;
    const found = readDnsAddresses(bytes);
    assert.deepEqual(found?.addresses, [], String(target));
  }
});

Deno.test("every truncation and many mutations are read without throwing", () => {
  const random = new SeededRandom(3);
  const bytes = Uint8Array.from(COMPRESSED);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readDnsAddresses(bytes.slice(0, length)), undefined);
  }
  for (let i = 0; i < 20_000; i++) {
    const mutated = bytes.slice();
    for (let n = random.below(4); n >= 0; n--) {
      mutated[random.below(mutated.length)] = random.below(256);
    }
    for (
      const { words, seconds } of readDnsAddresses(mutated)?.addresses ?? []
    ) {
      assert.equal(words.length, 4);
      assert.ok(seconds >= 0);
    }
  }
});
