import assert from "node:assert/strict";
import {
  DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as ipv6 from "../../../src/core/wire/ipv6.ts";
import { parseEmbedded, parsePacket } from "../../../src/core/wire/packet.ts";
import {
  FragmentKind,
  PacketView,
} from "../../../src/core/wire/packet_view.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import {
  concat,
  hex,
  ICMP4_ECHO,
  ICMP6_ECHO,
  SAMPLES,
  TCP4_SYN,
  TCP6_SYN,
  UDP4_DNS,
  UDP4_FRAGMENT_FIRST,
  UDP4_FRAGMENT_LATER,
  UDP4_OPTIONS,
  UDP6,
  UDP6_EXTENSIONS,
  UDP6_FRAGMENT_FIRST,
  UDP6_FRAGMENT_LATER,
} from "./packets.ts";

function parse(bytes: Uint8Array): PacketView {
  const view = new PacketView();
  const reason = parsePacket(bytes, 0, bytes.length, view);
  assert.equal(dropReasonText(reason), "none");
  return view;
}

function reasonOf(bytes: Uint8Array): string {
  const view = new PacketView();
  return dropReasonText(parsePacket(bytes, 0, bytes.length, view));
}

/** An IPv6 packet: the addresses of the samples before the parts. */
function packet6(nextHeader: number, ...parts: Uint8Array[]): Uint8Array {
  const payload = concat(...parts);
  const b = concat(UDP6.bytes.slice(0, 40), payload);
  ipv6.setPayloadLength(b, 0, payload.length);
  b[ipv6.NEXT_HEADER_AT] = nextHeader;
  return b;
}

/** An IPv4 fragment of a protocol. */
function fragment4(
  protocol: number,
  offset: number,
  more: number,
  payload: Uint8Array,
): Uint8Array {
  const b = concat(new Uint8Array(20), payload);
  ipv4.emit(b, 0, b.length, protocol, 64, 0x0a080001, 0x0a080002);
  ipv4.setFragment(b, 0, offset, more, 0);
  ipv4.updateHeaderChecksum(b, 0);
  return b;
}

/** What each view is to hold, beside the fields that all share. */
const VIEWS: readonly [Uint8Array, Record<string, unknown>][] = [
  [TCP4_SYN.bytes, {
    version: 4,
    protocol: 6,
    headerLength: 20,
    totalLength: 60,
    source: 0x0a080001,
    destination: 0x0a080002,
    sourcePort: 45048,
    destinationPort: 443,
    icmpType: -1,
    fragment: FragmentKind.None,
    fragmentId: 0xcd1a,
    hopLimit: 64,
    payloadLength: 40,
  }],
  [UDP4_OPTIONS.bytes, { headerLength: 24, sourcePort: 33234 }],
  [UDP4_FRAGMENT_FIRST.bytes, {
    fragment: FragmentKind.First,
    fragmentOffset: 0,
    fragmentId: 0x3f13,
    moreFragments: 1,
    sourcePort: 35145,
    destinationPort: 9,
    payloadLength: 1480,
    fragmentHeaderAt: -1,
  }],
  [UDP4_FRAGMENT_LATER.bytes, {
    fragment: FragmentKind.Later,
    fragmentOffset: 1480,
    fragmentId: 0x3f13,
    moreFragments: 0,
    sourcePort: 0,
    destinationPort: 0,
    payloadLength: 128,
  }],
  [UDP6_EXTENSIONS.bytes, {
    version: 6,
    protocol: 17,
    headerLength: 56,
    sourcePort: 35252,
    destinationPort: 1234,
    payloadLength: 11,
  }],
  [UDP6_FRAGMENT_FIRST.bytes, {
    protocol: 17,
    headerLength: 48,
    fragment: FragmentKind.First,
    fragmentId: 0xb0fbd790,
    moreFragments: 1,
    fragmentHeaderAt: 40,
    fragmentNamedAt: 6,
    sourcePort: 50960,
  }],
  [UDP6_FRAGMENT_LATER.bytes, {
    protocol: 17,
    fragment: FragmentKind.Later,
    fragmentOffset: 1448,
    moreFragments: 0,
    sourcePort: 0,
    payloadLength: 160,
  }],
  [ICMP4_ECHO.bytes, { icmpType: 8, identifier: 0x4bad, sourcePort: 0 }],
  [ICMP6_ECHO.bytes, { icmpType: 128, identifier: 0x4bae, protocol: 58 }],
];

Deno.test("the view holds what the packet says, after any packet before it", () => {
  const view = new PacketView();
  for (const order of [VIEWS, VIEWS.toReversed()]) {
    for (const [bytes, wanted] of order) {
      const b = concat(new Uint8Array(9), bytes, new Uint8Array(9));
      assert.equal(parsePacket(b, 9, bytes.length + 4, view), DropReason.None);
      assert.equal(view.at, 9);
      assert.equal(view.payloadAt, 9 + view.headerLength);
      assert.equal(view.totalLength, bytes.length);
      assert.equal(view.headerLength + view.payloadLength, bytes.length);
      for (const [field, value] of Object.entries(wanted)) {
        const moved = field.endsWith("At") && value !== -1 ? 9 : 0;
        const actual = view[field as keyof PacketView];
        assert.equal(actual, value as number + moved, field);
      }
    }
  }
});

Deno.test("addresses come as words in both families", () => {
  const four = parse(TCP4_SYN.bytes);
  assert.deepEqual(
    four.sourceWords,
    Int32Array.from(parseAddress("10.8.0.1")!),
  );
  const six = parse(TCP6_SYN.bytes);
  assert.deepEqual(
    six.destinationWords,
    Int32Array.from(parseAddress("2001:db8::2")!),
  );
});

for (const { name, bytes } of SAMPLES) {
  Deno.test(`every truncation is refused, the whole is right: ${name}`, () => {
    const view = parse(bytes);
    for (let length = 0; length < bytes.length; length++) {
      // At hand are fewer bytes than the header claims, in a larger array too.
      const cut = bytes.slice(0, length);
      assert.notEqual(reasonOf(cut), "none", `${length}`);
      const within = parsePacket(bytes, 0, length, view);
      assert.equal(dropReasonText(within), reasonOf(cut), `${length}`);
    }
  });

  Deno.test(`every shorter packet with fitting IP lengths: ${name}`, () => {
    const whole = parse(bytes);
    const later = whole.fragment === FragmentKind.Later;
    const minimum = later ? 1 : whole.protocol === Protocol.Tcp ? 40 : 8;
    for (let length = whole.headerLength; length < bytes.length; length++) {
      const b = bytes.slice(0, length);
      if (whole.version === 4) {
        ipv4.setTotalLength(b, 0, length);
        ipv4.updateHeaderChecksum(b, 0);
      } else {
        ipv6.setPayloadLength(b, 0, length - 40);
      }
      const left = length - whole.headerLength;
      const reason = reasonOf(b);
      const uneven = whole.moreFragments === 1 && left % 8 !== 0;
      const datagram = whole.protocol === Protocol.Udp &&
        whole.fragment === FragmentKind.None;
      if (left < minimum || uneven || datagram) {
        assert.notEqual(reason, "none", `${left}`);
      } else {
        assert.equal(reason, "none", `${left}`);
      }
    }
  });

  Deno.test(`bytes around the packet don't matter: ${name}`, () => {
    const views = [0x00, 0xff].map((filler) => {
      const b = new Uint8Array(bytes.length + 64).fill(filler);
      b.set(bytes, 32);
      const view = new PacketView();
      assert.equal(parsePacket(b, 32, bytes.length, view), DropReason.None);
      return view;
    });
    assert.deepEqual(views[0], views[1]);
  });
}

Deno.test("nothing and other versions are refused", () => {
  assert.equal(reasonOf(new Uint8Array()), "packet too short");
  for (const version of [0, 1, 5, 7, 15]) {
    const b = new Uint8Array(60);
    b[0] = version << 4;
    assert.equal(reasonOf(b), "unknown IP version");
  }
});

Deno.test("a datagram's length must fit its packet and its header", () => {
  const b = UDP4_DNS.bytes.slice();
  for (
    const [length, reason] of [
      [38, "bad total length"],
      [65535, "bad total length"],
      [7, "bad header length"],
      [0, "bad header length"],
      [36, "none"],
    ] as const
  ) {
    b[24] = length >> 8;
    b[25] = length;
    assert.equal(reasonOf(b), reason, `${length}`);
  }
});

Deno.test("other protocols pass without a look at what they carry", () => {
  const b = fragment4(47, 0, 0, hex("00"));
  const view = parse(b);
  assert.equal(view.protocol, 47);
  assert.equal(view.payloadLength, 1);
  const none = parse(packet6(Protocol.NoNextHeader, hex("ff")));
  assert.equal(none.protocol, Protocol.NoNextHeader);
  assert.equal(parse(packet6(Protocol.NoNextHeader)).payloadLength, 0);
});

Deno.test("fragments carry whole units, something at all, and end in 64 KB", () => {
  const body = new Uint8Array(24);
  assert.equal(reasonOf(fragment4(17, 8, 1, body)), "none");
  assert.equal(
    reasonOf(fragment4(17, 8, 1, body.slice(0, 23))),
    "bad total length",
  );
  assert.equal(reasonOf(fragment4(17, 8, 0, body.slice(0, 23))), "none");
  assert.equal(
    reasonOf(fragment4(17, 8, 0, body.slice(0, 0))),
    "bad total length",
  );
  assert.equal(reasonOf(fragment4(17, 65512, 0, body)), "bad total length");
  assert.equal(reasonOf(fragment4(17, 65512, 0, body.slice(0, 23))), "none");
});

Deno.test("a first fragment needs the fixed transport header, no more", () => {
  const syn = TCP4_SYN.bytes.slice(20);
  assert.equal(
    reasonOf(fragment4(6, 0, 1, syn.slice(0, 16))),
    "packet too short",
  );
  // Data offset 40, of which 24 are here.
  const view = parse(fragment4(6, 0, 1, syn.slice(0, 24)));
  assert.equal(view.sourcePort, 45048);
  assert.equal(view.fragment, FragmentKind.First);
  const bad = syn.slice(0, 24);
  bad[12] = 0x40;
  assert.equal(reasonOf(fragment4(6, 0, 1, bad)), "bad header length");
});

Deno.test("an IPv6 packet in one fragment is whole (RFC 6946)", () => {
  const fragment = hex("11 00 0000 12345678");
  const b = packet6(Protocol.Fragment, fragment, UDP6.bytes.slice(40));
  const view = parse(b);
  assert.equal(view.fragment, FragmentKind.None);
  assert.equal(view.fragmentHeaderAt, 40);
  assert.equal(view.sourcePort, 46832);
  assert.equal(verifyTransport(b, view), DropReason.None);
});

Deno.test("the byte that names a fragment header is found behind options", () => {
  const options = hex("2c 00 0104 00000000");
  const fragment = hex("11 00 0001 00000001");
  const udp = UDP6_FRAGMENT_FIRST.bytes.slice(48);
  const view = parse(packet6(Protocol.HopByHop, options, fragment, udp));
  assert.equal(view.fragmentHeaderAt, 48);
  assert.equal(view.fragmentNamedAt, 40);
});

Deno.test("behind a later fragment's header nothing is walked", () => {
  const fragment = hex("3c 00 0008 00000001");
  const view = parse(packet6(Protocol.Fragment, fragment, hex("ffffffff")));
  assert.equal(view.protocol, Protocol.DestinationOptions);
  assert.equal(view.payloadLength, 4);
});

Deno.test("an authentication header is stepped over", () => {
  const header = hex("11 04 0000 00000001 00000002 000000000000000000000000");
  const b = packet6(
    Protocol.AuthenticationHeader,
    header,
    UDP6.bytes.slice(40),
  );
  assert.equal(parse(b).headerLength, 64);
});

Deno.test("extension headers that RFC 8200 or its updates forbid are refused", () => {
  const udp = UDP6.bytes.slice(40);
  const pad = (next: number) => hex(`${next.toString(16)} 00 0104 00000000`);
  const to60 = pad(Protocol.DestinationOptions);
  const chain = (n: number) =>
    packet6(
      Protocol.DestinationOptions,
      ...Array.from({ length: n - 1 }, () => to60),
      pad(Protocol.Udp),
      udp,
    );
  const bad = "bad extension header";
  assert.equal(reasonOf(chain(8)), "none");
  assert.equal(reasonOf(chain(9)), bad);
  assert.equal(reasonOf(chain(100)), bad);
  // Hop-by-hop options behind another header
  const hop = hex("00 00 0104 00000000");
  assert.equal(
    reasonOf(
      packet6(Protocol.DestinationOptions, hop, pad(Protocol.Udp), udp),
    ),
    bad,
  );
  // A routing header: all segments used, one left
  const used = hex("11 00 0000 00000000");
  const left = hex("11 00 0001 00000000");
  assert.equal(reasonOf(packet6(Protocol.Routing, used, udp)), "none");
  assert.equal(reasonOf(packet6(Protocol.Routing, left, udp)), bad);
  // Two fragment headers
  const again = hex("2c 00 0001 00000001");
  const first = hex("11 00 0001 00000001");
  assert.equal(
    reasonOf(packet6(Protocol.Fragment, again, first, udp.slice(0, 16))),
    bad,
  );
  // A length past the packet
  const long = hex("11 ff 0104 00000000");
  assert.equal(reasonOf(packet6(Protocol.DestinationOptions, long, udp)), bad);
  // A chain that ends in the middle
  assert.equal(reasonOf(packet6(Protocol.DestinationOptions, to60)), bad);
  assert.equal(
    reasonOf(packet6(Protocol.DestinationOptions, to60.slice(0, 7))),
    bad,
  );
});

Deno.test("an embedded later fragment needs its whole header", () => {
  const b = UDP4_OPTIONS.bytes.slice();
  ipv4.setFragment(b, 0, 8, 0, 0);
  const view = new PacketView();
  for (let length = 0; length <= b.length; length++) {
    const wanted = length < 24 ? DropReason.TooShort : DropReason.None;
    assert.equal(parseEmbedded(b, 0, length, view), wanted, `${length}`);
  }
});

Deno.test("an embedded packet is read though its end is cut and its checksum stale", () => {
  const view = new PacketView();
  for (const { name, bytes } of SAMPLES) {
    const whole = parse(bytes);
    const b = bytes.slice();
    if (whole.version === 4) b[10] ^= 0xff;
    const least = whole.fragment === FragmentKind.Later ? 0 : 8;
    for (let length = 0; length <= bytes.length; length++) {
      const reason = parseEmbedded(b.slice(0, length), 0, length, view);
      if (length < whole.headerLength + least) {
        assert.notEqual(reason, DropReason.None, `${name}, ${length}`);
        continue;
      }
      assert.equal(reason, DropReason.None, `${name}, ${length}`);
      assert.equal(view.payloadLength, length - whole.headerLength);
      const { payloadLength } = whole;
      assert.deepEqual({ ...view, payloadLength }, { ...whole });
    }
  }
});
