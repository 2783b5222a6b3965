/** Netlink messages: bytes by hand, every truncation, mutated answers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseAddress } from "../../../../src/core/wire/address.ts";
import {
  addressRequest,
  linkRequest,
  parseAddressMessage,
  parseLink,
  parseRoute,
  routeRequest,
  Rtm,
} from "../../../../src/io/os/linux/netlink_entities.ts";
import {
  attributeText,
  attributeU32,
  Control,
  Flag,
  parseAttributes,
  parseMessages,
  parseOutcome,
  RequestWriter,
} from "../../../../src/io/os/linux/netlink_message.ts";

function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, "").replace(/\s+/g, "");
  return Uint8Array.from(
    digits.match(/../g) ?? [],
    (pair) => parseInt(pair, 16),
  );
}

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

const ADD = Flag.Request | Flag.Acknowledge | Flag.Create | Flag.Exclusive;

Deno.test("RTM_NEWADDR as ip(8) sends it", () => {
  const address = {
    family: 4,
    words: words("10.8.0.1"),
    prefixLength: 24,
    index: 7,
  } as const;
  const bytes = addressRequest(Rtm.NewAddress, address, ADD).finish(0x11223344);
  assert.deepEqual(
    bytes,
    hex(`
      30000000 1400 0506 44332211 00000000  # 48 bytes, RTM_NEWADDR, flags, sequence, port
      02 18 00 00 07000000                  # AF_INET, /24, flags, scope, index
      0800 0200 0a080001                    # IFA_LOCAL
      0800 0100 0a080001                    # IFA_ADDRESS
      0800 0800 00000000                    # IFA_FLAGS`),
  );
});

Deno.test("RTM_NEWROUTE and RTM_DELROUTE of an IPv6 route", () => {
  const route = {
    family: 6,
    words: words("2001:db8::"),
    prefixLength: 32,
    index: 9,
    metric: 5,
  } as const;
  const added = routeRequest(Rtm.NewRoute, route, ADD).finish(1);
  assert.deepEqual(
    added,
    hex(`
      40000000 1800 0506 01000000 00000000
      0a 20 00 00 fe 53 00 01 00000000      # AF_INET6, /32, main table, ours, universe, unicast
      1400 0100 20010db8000000000000000000000000
      0800 0400 09000000                    # RTA_OIF
      0800 0600 05000000                    # RTA_PRIORITY`),
  );
  const removed = routeRequest(Rtm.DeleteRoute, route, Flag.Request).finish(1);
  assert.equal(removed[16 + 6], 255);
});

Deno.test("RTM_NEWLINK changes only what it names", () => {
  assert.deepEqual(
    linkRequest(3, { mtu: 1420 }, Flag.Request).finish(2),
    hex(`
      28000000 1000 0100 02000000 00000000
      00 00 0000 03000000 00000000 00000000
      0800 0400 8c050000`),
  );
  assert.deepEqual(
    linkRequest(3, { up: true }, Flag.Request).finish(2),
    hex(
      "20000000 1000 0100 02000000 00000000 00 00 0000 03000000 01000000 01000000",
    ),
  );
});

Deno.test("attributes are padded to 4 and a long request grows", () => {
  const writer = new RequestWriter(Rtm.NewLink, 0, 16);
  for (let i = 0; i < 100; i++) writer.attribute(i, new Uint8Array(5).fill(i));
  const bytes = writer.finish(1);
  assert.equal(bytes.length, 32 + 100 * 12);
  const attributes = parseAttributes(bytes, 32);
  assert.equal(attributes.size, 100);
  assert.deepEqual([...attributes.get(77)!], [77, 77, 77, 77, 77]);
});

/** A link named eth0, MTU 1400, up, as the kernel answers. */
const LINK = hex(`
  34000000 1000 0200 01000000 00000000
  00 00 0100 04000000 43100100 00000000
  0900 0300 65746830 00 000000
  0800 0400 78050000`);

Deno.test("a link is read; every truncation of it gives nothing and never throws", () => {
  const { messages, whole } = parseMessages(LINK);
  assert.ok(whole);
  assert.deepEqual(parseLink(messages[0]), {
    index: 4,
    name: "eth0",
    mtu: 1400,
    up: true,
    running: true,
    queueLength: 0,
  });
  for (let length = 1; length < LINK.length; length++) {
    const cut = parseMessages(LINK.subarray(0, length));
    assert.deepEqual(cut, { messages: [], whole: false }, `${length} bytes`);
  }
});

Deno.test("a message whose body is cut loses attributes, or is none at all", () => {
  const [message] = parseMessages(LINK).messages;
  for (let length = 0; length < message.body.length; length++) {
    const link = parseLink({
      ...message,
      body: message.body.subarray(0, length),
    });
    if (length < 16 + 9) assert.equal(link, undefined);
    else assert.deepEqual([link?.name, link?.mtu], ["eth0", 0]);
  }
});

Deno.test("several messages, the last one unpadded", () => {
  const two = hex(`
    12000000 0300 0200 01000000 00000000 aabb 0000
    11000000 0200 0000 02000000 00000000 cc`);
  const { messages, whole } = parseMessages(two);
  assert.ok(whole);
  assert.deepEqual(
    messages.map(({ type, sequence, body }) => [type, sequence, [...body]]),
    [
      [Control.Done, 1, [0xaa, 0xbb]],
      [Control.Error, 2, [0xcc]],
    ],
  );
});

Deno.test("lengths that lie end the reading", () => {
  for (const length of ["00000000", "0f000000", "35000000", "ffffffff"]) {
    const { messages, whole } = parseMessages(
      hex(length + "1000020001000000 00000000".repeat(4)),
    );
    assert.deepEqual([messages.length, whole], [0, false], length);
  }
  // Attribute lengths 0, 3 and beyond the end.
  for (const length of ["0000", "0300", "0900"]) {
    assert.equal(
      parseAttributes(hex(`${length} 0100 0a080001`), 0).size,
      0,
      length,
    );
  }
});

Deno.test("the type's high bits (nested, network order) are not part of it", () => {
  const attributes = parseAttributes(hex("0800 04c0 8c050000"), 0);
  assert.equal(attributeU32(attributes, 4), 1420);
  assert.equal(attributeU32(attributes, 5), undefined);
  assert.equal(
    attributeU32(parseAttributes(hex("0600 0400 8c05"), 0), 4),
    undefined,
  );
});

Deno.test("texts end at NUL or at the attribute's end", () => {
  assert.equal(
    attributeText(parseAttributes(hex("0700 0300 613100"), 0), 3),
    "a1",
  );
  assert.equal(
    attributeText(parseAttributes(hex("0600 0300 6131"), 0), 3),
    "a1",
  );
});

Deno.test("an error names its errno and the kernel's words, capped or not", () => {
  const REQUEST_HEADER = "30000000 1400 0506 01000000 00000000";
  const outcome = (flags: number, body: string) =>
    parseOutcome({ type: Control.Error, flags, sequence: 1, body: hex(body) });
  assert.deepEqual(outcome(0, `00000000 ${REQUEST_HEADER}`), {
    code: 0,
    detail: undefined,
  });
  assert.deepEqual(outcome(Flag.Capped, `efffffff ${REQUEST_HEADER}`), {
    code: 17,
    detail: undefined,
  });
  const MESSAGE = "0700 0100 6e6f00";
  const capped = Flag.Capped | Flag.AcknowledgeAttributes;
  assert.deepEqual(outcome(capped, `eaffffff ${REQUEST_HEADER} ${MESSAGE}`), {
    code: 22,
    detail: "no",
  });
  const whole = `eaffffff ${REQUEST_HEADER} ${"00".repeat(32)} ${MESSAGE}`;
  assert.deepEqual(outcome(Flag.AcknowledgeAttributes, whole), {
    code: 22,
    detail: "no",
  });
  assert.equal(outcome(0, "eaffffff"), undefined);
});

Deno.test("Done carries the error of a dump", () => {
  const done = (body: string) =>
    parseOutcome({
      type: Control.Done,
      flags: Flag.Multi,
      sequence: 1,
      body: hex(body),
    });
  assert.deepEqual(done("00000000"), { code: 0, detail: undefined });
  assert.deepEqual(done("f0ffffff"), { code: 16, detail: undefined });
  assert.equal(done("f0"), undefined);
});

Deno.test("mutated answers never throw", () => {
  const seeds = [
    LINK,
    addressRequest(Rtm.NewAddress, {
      family: 6,
      words: words("fd00::1"),
      prefixLength: 64,
      index: 1,
    }, 0).finish(1),
    routeRequest(Rtm.NewRoute, {
      family: 4,
      words: words("10.0.0.0"),
      prefixLength: 8,
      index: 1,
      gateway: words("10.0.0.1"),
    }, 0).finish(1),
  ];
  const mutation = fc.record({
    seed: fc.integer({ min: 0, max: seeds.length - 1 }),
    cut: fc.nat(80),
    edits: fc.array(fc.tuple(fc.nat(79), fc.integer({ min: 0, max: 255 })), {
      maxLength: 8,
    }),
  });
  fc.assert(
    fc.property(mutation, ({ seed, cut, edits }) => {
      const bytes = seeds[seed].slice(0, Math.max(cut, 1));
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      for (const message of parseMessages(bytes).messages) {
        parseLink(message);
        parseAddressMessage(message);
        parseRoute(message);
        parseOutcome(message);
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("what is written as a request reads as the same address and route", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.array(fc.integer(), { minLength: 4, maxLength: 4 }),
      fc.nat(32),
      fc.integer({ min: 1, max: 1000 }),
      (family, raw, prefixLength, index) => {
        const text = Int32Array.from(
          family === 4 ? [0, 0, 0xffff, raw[3]] : raw,
        );
        const address = { family, words: text, prefixLength, index };
        const [message] = parseMessages(
          addressRequest(Rtm.NewAddress, address, 0).finish(1),
        ).messages;
        assert.deepEqual(parseAddressMessage(message), address);
        const route = { ...address, gateway: text, metric: 7 };
        const [second] =
          parseMessages(routeRequest(Rtm.NewRoute, route, 0).finish(1))
            .messages;
        assert.deepEqual(parseRoute(second), {
          ...route,
          source: undefined,
          protocol: 83,
        });
      },
    ),
  );
});
