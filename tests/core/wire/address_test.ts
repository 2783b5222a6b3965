import assert from "node:assert/strict";
import fc from "fast-check";
import {
  equalWords,
  formatAddress,
  formatEndpoint,
  formatIpv4,
  formatIpv6,
  formatPrefix,
  isMappedIpv4,
  isMulticast,
  isUnspecified,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parseIpv6,
  parsePrefix,
  prefixContains,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../../../src/core/wire/address.ts";
import { hex, toHex } from "./packets.ts";

Deno.test("IPv4 addresses are their numeric value", () => {
  assert.equal(parseIpv4("1.2.3.4"), 0x01020304);
  assert.equal(parseIpv4("255.255.255.255"), 0xffffffff);
  assert.equal(parseIpv4("0.0.0.0"), 0);
  assert.equal(formatIpv4(0xfffefdfc), "255.254.253.252");
  assert.equal(formatIpv4(0xfffefdfc | 0), "255.254.253.252");
});

Deno.test("what is no dotted quad is refused", () => {
  for (
    const text of [
      "",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.04",
      "0x1.2.3.4",
      " 1.2.3.4",
      "1.2.3.4 ",
      "1.2.3.4\n",
      "1..3.4",
      "1.2.3.-4",
      "1.2.3.1e1",
      "١.2.3.4",
    ]
  ) {
    assert.equal(parseIpv4(text), undefined, JSON.stringify(text));
  }
});

/** Text in, its 16 bytes, and the one text that RFC 5952 allows. */
const IPV6_TEXTS: readonly [string, string, string][] = [
  ["::", "00000000000000000000000000000000", "::"],
  ["::1", "00000000000000000000000000000001", "::1"],
  ["1::", "00010000000000000000000000000000", "1::"],
  // RFC 5952, section 1 and 2
  [
    "2001:0db8:0000:0000:0001:0000:0000:0001",
    "20010db8000000000001000000000001",
    "2001:db8::1:0:0:1",
  ],
  [
    "2001:db8::1:0:0:1",
    "20010db8000000000001000000000001",
    "2001:db8::1:0:0:1",
  ],
  // section 4.2.1: shorten as much as possible
  ["2001:db8:0:0:0:0:2:1", "20010db8000000000000000000020001", "2001:db8::2:1"],
  // section 4.2.2: one group of zeros stays
  [
    "2001:db8::1:1:1:1:1",
    "20010db8000000010001000100010001",
    "2001:db8:0:1:1:1:1:1",
  ],
  // section 4.2.3: the longest run, the first of equals
  ["2001:0:0:1:0:0:0:1", "20010000000000010000000000000001", "2001:0:0:1::1"],
  [
    "2001:db8:0:0:1:0:0:1",
    "20010db8000000000001000000000001",
    "2001:db8::1:0:0:1",
  ],
  // section 4.3: lower case
  ["2001:DB8::ABCD", "20010db800000000000000000000abcd", "2001:db8::abcd"],
  // section 5: mapped IPv4
  ["::ffff:192.0.2.1", "00000000000000000000ffffc0000201", "::ffff:192.0.2.1"],
  ["::FFFF:c000:201", "00000000000000000000ffffc0000201", "::ffff:192.0.2.1"],
  [
    "64:ff9b::192.0.2.33",
    "0064ff9b0000000000000000c0000221",
    "64:ff9b::c000:221",
  ],
  [
    "1:2:3:4:5:6:1.2.3.4",
    "00010002000300040005000601020304",
    "1:2:3:4:5:6:102:304",
  ],
  ["1:2:3:4:5:6:7::", "00010002000300040005000600070000", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "00000002000300040005000600070008", "0:2:3:4:5:6:7:8"],
];

Deno.test("IPv6 addresses are read as RFC 4291 and written as RFC 5952 says", () => {
  for (const [text, bytes, canonical] of IPV6_TEXTS) {
    const words = parseIpv6(text);
    assert.ok(words, text);
    const b = new Uint8Array(18);
    writeWords(b, 1, words, 0);
    assert.equal(toHex(b.slice(1, 17)), bytes, text);
    assert.equal(formatIpv6(words), canonical, text);
    assert.equal(formatIpv6(Int32Array.from(words)), canonical, text);
  }
});

Deno.test("what is no IPv6 address is refused", () => {
  for (
    const text of [
      "",
      ":",
      ":::",
      "1",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::",
      "::1:2:3:4:5:6:7:8",
      "1::2::3",
      ":1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7:",
      "12345::",
      "g::",
      "1.2.3.4",
      "1.2.3.4::",
      "::1.2.3",
      "::1.2.3.4:5",
      "1:2:3:4:5:6:7:1.2.3.4",
      "fe80::1%eth0",
      "::1 ",
      "[::1]",
      "-1::",
    ]
  ) {
    assert.equal(parseIpv6(text), undefined, JSON.stringify(text));
  }
});

const words = fc.array(
  fc.oneof(
    fc.constantFrom(0, 0xffff, 0xffff0000, 1),
    fc.nat({ max: 0xffffffff }),
  ),
  { minLength: 4, maxLength: 4 },
).map((list) => Uint32Array.from(list));

Deno.test("every address comes back from its text", () => {
  fc.assert(
    fc.property(words, (address) => {
      assert.deepEqual(parseIpv6(formatIpv6(address)), address);
      assert.deepEqual(parseAddress(formatAddress(address)), address);
      assert.equal(parseIpv4(formatIpv4(address[3])), address[3]);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("every address comes back from its 16 bytes, in either column type", () => {
  const b = hex("ff 20010db8fffffffe0000000080000001");
  const unsigned = new Uint32Array(5);
  const signed = new Int32Array(5);
  readWords(b, 1, unsigned, 1);
  readWords(b, 1, signed, 1);
  assert.deepEqual([...unsigned], [0, 0x20010db8, 0xfffffffe, 0, 0x80000001]);
  assert.ok(equalWords(unsigned, 1, signed, 1));
  const back = new Uint8Array(17).fill(0xff);
  writeWords(back, 1, signed, 1);
  assert.deepEqual(back, b);
  signed[4] ^= 1;
  assert.ok(!equalWords(unsigned, 1, signed, 1));
});

Deno.test("IPv4 lies in words as ::ffff:a.b.c.d", () => {
  const column = new Int32Array(8);
  setMappedIpv4(column, 4, 0xfffefdfc);
  assert.ok(isMappedIpv4(column, 4));
  assert.ok(!isMappedIpv4(column, 0));
  assert.equal(formatAddress(column, 4), "255.254.253.252");
  assert.deepEqual([...parseAddress("1.2.3.4")!], [0, 0, 0xffff, 0x01020304]);
});

Deno.test("groups and «unspecified» are told in both families", () => {
  const is = (test: (w: Uint32Array) => boolean, text: string) =>
    test(parseAddress(text)!);
  for (const text of ["224.0.0.0", "239.255.255.255", "ff02::1"]) {
    assert.ok(is(isMulticast, text), text);
  }
  for (const text of ["223.255.255.255", "240.0.0.0", "fe80::1", "::"]) {
    assert.ok(!is(isMulticast, text), text);
  }
  assert.ok(is(isUnspecified, "0.0.0.0") && is(isUnspecified, "::"));
  for (const text of ["::1", "0.0.0.1", "1::", "::1:0:0"]) {
    assert.ok(!is(isUnspecified, text), text);
  }
});

Deno.test("prefixes keep their host bits; an address alone is whole", () => {
  const cases: [string, 4 | 6, number, string][] = [
    ["10.8.0.1/24", 4, 24, "10.8.0.1/24"],
    ["0.0.0.0/0", 4, 0, "0.0.0.0/0"],
    ["1.2.3.4", 4, 32, "1.2.3.4/32"],
    ["2001:DB8::1/64", 6, 64, "2001:db8::1/64"],
    ["::/0", 6, 0, "::/0"],
    ["::1", 6, 128, "::1/128"],
    ["::ffff:1.2.3.4/128", 6, 128, "::ffff:1.2.3.4/128"],
  ];
  for (const [text, family, length, formatted] of cases) {
    const prefix = parsePrefix(text);
    assert.ok(prefix, text);
    assert.equal(prefix.family, family);
    assert.equal(prefix.length, length);
    assert.equal(formatPrefix(prefix), formatted);
  }
  for (
    const text of [
      "",
      "/",
      "/24",
      "10.8.0.1/",
      "10.8.0.1/33",
      "10.8.0.1/024",
      "10.8.0.1/+4",
      "10.8.0.1/24/24",
      "10.8.0/24",
      "::/129",
      "::/-1",
      "::/1e1",
    ]
  ) {
    assert.equal(parsePrefix(text), undefined, JSON.stringify(text));
  }
});

Deno.test("a prefix holds what shares its bits, and nothing of the other family", () => {
  const holds = (prefix: string, address: string) =>
    prefixContains(parsePrefix(prefix)!, parseAddress(address)!);
  assert.ok(holds("10.8.0.0/24", "10.8.0.255"));
  assert.ok(!holds("10.8.0.0/24", "10.8.1.0"));
  assert.ok(holds("0.0.0.0/0", "255.255.255.255"));
  assert.ok(!holds("0.0.0.0/0", "::1"));
  assert.ok(holds("::/0", "fe80::1"));
  assert.ok(!holds("::/0", "1.2.3.4"));
  assert.ok(holds("2001:db8::/33", "2001:db8:7fff::"));
  assert.ok(!holds("2001:db8::/33", "2001:db8:8000::"));
  assert.ok(holds("2001:db8::1/128", "2001:db8::1"));
  assert.ok(!holds("2001:db8::1/128", "2001:db8::2"));
});

Deno.test("endpoints are read and written, IPv6 in brackets", () => {
  for (const text of ["1.2.3.4:51820", "[2001:db8::1]:51820", "0.0.0.0:0"]) {
    const endpoint = parseEndpoint(text);
    assert.ok(endpoint, text);
    assert.equal(formatEndpoint(endpoint.words, 0, endpoint.port), text);
  }
  for (
    const text of [
      "1.2.3.4",
      "1.2.3.4:",
      "1.2.3.4:65536",
      "1.2.3.4:080",
      "2001:db8::1:51820",
      "[1.2.3.4]:80",
      "[::1]80",
      "[::1]:",
      "[]:80",
      ":80",
      "host:80",
    ]
  ) {
    assert.equal(parseEndpoint(text), undefined, JSON.stringify(text));
  }
});
