import assert from "node:assert/strict";
import {
  type AmneziaParameters,
  formatHeaderRange,
  messageFormat,
  parseHeaderRange,
  PLAIN_WIREGUARD,
  validateAmnezia,
} from "../../../src/core/wireguard/amnezia.ts";
import {
  fillPacketTemplate,
  junkPackets,
  packetTemplateLength,
  parsePacketTemplate,
} from "../../../src/core/wireguard/amnezia_packets.ts";
import { plainFormat } from "../../../src/core/wireguard/classify.ts";
import { Random, toHex } from "./hex.ts";

/** Every parameter in use. */
const FULL: AmneziaParameters = {
  Jc: 5,
  Jmin: 40,
  Jmax: 70,
  S1: 15,
  S2: 68,
  S3: 32,
  S4: 12,
  H1: { first: 100_000, last: 200_000 },
  H2: { first: 300_000, last: 300_000 },
  H3: { first: 400_000, last: 500_000 },
  H4: { first: 4_000_000_000, last: 4_294_967_295 },
  I1: "<b 0xc0ff><r 16><t><c>",
  I2: "<rd 8><rc 8>",
  I3: "",
  I4: "",
  I5: "<b 0x01>",
};

function problems(change: Partial<AmneziaParameters>): string[] {
  const violations = validateAmnezia({ ...FULL, ...change }, { mtu: 1420 });
  for (const { parameter, message } of violations) {
    assert.ok(message.startsWith(`${parameter} `), message);
  }
  return violations.map((violation) => violation.message);
}

Deno.test("the defaults are WireGuard and valid, and so is every parameter in use", () => {
  assert.deepEqual(validateAmnezia(PLAIN_WIREGUARD, { mtu: 1420 }), []);
  assert.deepEqual(messageFormat(PLAIN_WIREGUARD), plainFormat());
  assert.deepEqual(problems({}), []);
  assert.deepEqual(messageFormat(FULL).prefix, Int32Array.of(15, 68, 32, 12));
});

Deno.test("each limit has its own error with name, value and limit", () => {
  const table: [Partial<AmneziaParameters>, RegExp][] = [
    [{ Jc: 129 }, /^Jc = 129: .*1 to 128/],
    [{ Jc: -1 }, /^Jc = -1: /],
    [{ Jc: 1.5 }, /^Jc = 1.5: /],
    [{ Jmin: 71 }, /^Jmin = 71: must not be greater than Jmax = 70/],
    [{ Jmin: -3 }, /^Jmin = -3: /],
    [{ Jmax: 1420 }, /^Jmax = 1420: .*MTU of 1420/],
    [{ S1: 1133 }, /^S1 = 1133: .*0 to 1132/],
    [{ S2: 1189 }, /^S2 = 1189: .*0 to 1188/],
    [{ S3: 1217 }, /^S3 = 1217: .*0 to 1216/],
    [{ S4: -1 }, /^S4 = -1: /],
    [{ S1: 12 }, /^S2 = 68: must not be S1 \+ 56 = 68/],
    [{ H1: { first: 0, last: 5 } }, /^H1 = 0-5: .*1 to 4294967295/],
    [{ H1: { first: 9, last: 5 } }, /^H1 = 9-5: /],
    [{ H4: { first: 5, last: 2 ** 32 } }, /^H4 = 5-4294967296: /],
    [
      { H2: { first: 150_000, last: 150_000 } },
      /^H2 = 150000: must not overlap H1 = 100000-200000/,
    ],
    [
      { H3: { first: 200_000, last: 250_000 } },
      /^H3 = 200000-250000: must not overlap H1/,
    ],
    [{ I1: "<b 0xabc>" }, /^I1 = <b 0xabc>: .*even number/],
    [{ I2: "<b ff>" }, /^I2 = .*expected 0x/],
    [{ I3: "<x 5>" }, /^I3 = .*unknown tag/],
    [{ I4: "<r -1>" }, /^I4 = .*expected a length/],
    [{ I5: "hello" }, /^I5 = hello: expected a tag/],
    [{ I5: "<t 4>" }, /^I5 = .*takes no argument/],
    [{ I5: "<r 60000><r 60000>" }, /^I5 gives 120000 bytes: .*65507/],
  ];
  for (const [change, pattern] of table) {
    const found = problems(change);
    assert.equal(found.length, 1, `${JSON.stringify(change)}: ${found}`);
    assert.match(found[0], pattern);
  }
  assert.equal(
    problems({ Jc: 200, S1: 5000, H1: { first: 0, last: 0 } }).length,
    3,
  );
});

Deno.test("header ranges are read and written", () => {
  assert.deepEqual(parseHeaderRange("5"), { first: 5, last: 5 });
  assert.deepEqual(parseHeaderRange(" 5 - 10 "), { first: 5, last: 10 });
  assert.equal(formatHeaderRange({ first: 5, last: 10 }), "5-10");
  assert.equal(formatHeaderRange({ first: 5, last: 5 }), "5");
  for (const text of ["", "-", "5-", "x", "5-10-15", "0x10", "99999999999"]) {
    assert.equal(parseHeaderRange(text), undefined, text);
  }
});

Deno.test("tags make the bytes that they describe", () => {
  const template = parsePacketTemplate(
    "<b 0xDEADbeef> <t><c><rd 20><rc 20><r 5>",
  );
  assert.ok(typeof template !== "string");
  assert.equal(packetTemplateLength(template), 4 + 4 + 4 + 20 + 20 + 5);
  const sources = {
    random: new Random(1).fill,
    wallMs: 1_700_000_000_999,
    counter: 258,
  };
  const packet = fillPacketTemplate(template, sources);
  assert.equal(toHex(packet.subarray(0, 12)), "deadbeef6553f10000000102");
  const text = new TextDecoder().decode(packet.subarray(12, 52));
  assert.match(text, /^[0-9]{20}[A-Za-z]{20}$/);
  const again = fillPacketTemplate(template, sources);
  assert.notDeepEqual(again.subarray(12), packet.subarray(12));
});

Deno.test("an empty text is no datagram", () => {
  assert.deepEqual(parsePacketTemplate("  "), []);
});

Deno.test("junk has the wanted count and lengths", () => {
  const lengths = new Set<number>();
  const { fill } = new Random(2);
  for (let i = 0; i < 200; i++) {
    const packets = junkPackets(fill, { count: 3, least: 40, most: 45 });
    assert.equal(packets.length, 3);
    for (const packet of packets) lengths.add(packet.length);
  }
  assert.deepEqual([...lengths].sort(), [40, 41, 42, 43, 44, 45]);
  assert.deepEqual(junkPackets(fill, { count: 0, least: 0, most: 0 }), []);
});
