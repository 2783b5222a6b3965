import assert from "node:assert/strict";
import {
  DropReason,
  dropReasonText,
} from "../../../src/core/columns/drop_reason.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import { readU16be } from "../../../src/core/wire/bytes.ts";
import * as icmp from "../../../src/core/wire/icmp.ts";
import {
  embeddedAt,
  emitError4,
  emitError6,
  MAX_ERROR_4,
  MAX_ERROR_6,
  mayAnswerWithError,
  readEmbedded,
} from "../../../src/core/wire/icmp_error.ts";
import * as icmpv6 from "../../../src/core/wire/icmpv6.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as ipv6 from "../../../src/core/wire/ipv6.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import {
  concat,
  hex,
  ICMP4_ECHO,
  ICMP6_ECHO,
  ICMP6_ROUTER_SOLICITATION,
  SAMPLES,
  TCP4_SYN,
  TCP6_SYN,
  toHex,
  UDP4_DNS,
  UDP4_FRAGMENT_FIRST,
  UDP4_FRAGMENT_LATER,
  UDP6,
  UDP6_FRAGMENT_LATER,
  UNREACHABLES,
} from "./packets.ts";

const GATEWAY4 = 0x0a080001;
const GATEWAY6 = Int32Array.from(parseAddress("2001:db8::1")!);

function parse(bytes: Uint8Array): PacketView {
  const view = new PacketView();
  const reason = parsePacket(bytes, 0, bytes.length, view);
  assert.equal(dropReasonText(reason), "none");
  return view;
}

for (const { name, asked, answered } of UNREACHABLES) {
  Deno.test(`an error is the one that the kernel sends: ${name}`, () => {
    const out = new Uint8Array(1400).fill(0xee);
    const input = concat(hex("eeeeee"), asked, hex("eeee"));
    const left = asked.length + 2; // more than the packet's own length
    const wanted = answered.slice();
    let length: number;
    if (asked[0] === 0x45) {
      const { DestinationUnreachable: type } = icmp.Type;
      const code = icmp.Unreachable.Port;
      length = emitError4(out, 5, GATEWAY4, type, code, 0, input, 3, left);
      ipv4.setIdentification(wanted, 0, 0); // the kernel numbers its packets
      ipv4.updateHeaderChecksum(wanted, 0);
    } else {
      const { DestinationUnreachable: type } = icmpv6.Type;
      const code = icmpv6.Unreachable.Port;
      length = emitError6(out, 5, GATEWAY6, type, code, 0, input, 3, left);
      wanted.set(hex("60000000")); // and labels its flows
    }
    assert.equal(toHex(out.slice(5, 5 + length)), toHex(wanted));
    assert.ok(out.slice(0, 5).every((byte) => byte === 0xee));
    assert.ok(out.slice(5 + length).every((byte) => byte === 0xee));
  });
}

Deno.test("«fragmentation needed» and «packet too big» carry the MTU", () => {
  const out = new Uint8Array(MAX_ERROR_6);
  const four = TCP4_SYN.bytes;
  const length4 = emitError4(out, 0, GATEWAY4, 3, 4, 1400, four, 0, 60);
  assert.equal(length4, 88);
  assert.equal(icmp.nextHopMtu(out, 20), 1400);
  const six = TCP6_SYN.bytes;
  const length6 = emitError6(out, 0, GATEWAY6, 2, 0, 1280, six, 0, 80);
  assert.equal(length6, 128);
  assert.equal(icmpv6.extra(out, 40), 1280);
});

Deno.test("an error about a packet in the same array leaves the packet alone", () => {
  const b = concat(new Uint8Array(MAX_ERROR_4), UDP4_FRAGMENT_FIRST.bytes);
  const length = emitError4(b, 0, GATEWAY4, 11, 0, 0, b, MAX_ERROR_4, 1500);
  assert.equal(length, MAX_ERROR_4);
  assert.equal(
    toHex(b.slice(MAX_ERROR_4)),
    toHex(UDP4_FRAGMENT_FIRST.bytes),
  );
  const view = parse(b.slice(0, length));
  assert.equal(verifyTransport(b, view), DropReason.None);
});

Deno.test("the packet that an error is about is found and read again", () => {
  for (const { name, bytes } of SAMPLES) {
    const original = parse(bytes);
    const out = new Uint8Array(MAX_ERROR_6);
    const length = original.version === 4
      ? emitError4(out, 0, GATEWAY4, 11, 0, 0, bytes, 0, bytes.length)
      : emitError6(out, 0, GATEWAY6, 3, 0, 0, bytes, 0, bytes.length);
    const error = parse(out.slice(0, length));
    assert.equal(verifyTransport(out, error), DropReason.None);
    assert.deepEqual(error.destinationWords, original.sourceWords);
    const at = embeddedAt(out, error);
    assert.equal(at, error.payloadAt + 8, name);
    const embedded = new PacketView();
    assert.equal(readEmbedded(out, error, embedded), DropReason.None);
    assert.equal(embedded.totalLength, original.totalLength);
    assert.equal(embedded.sourcePort, original.sourcePort);
    assert.equal(embedded.destinationPort, original.destinationPort);
    assert.equal(embedded.identifier, original.identifier);
    assert.deepEqual(embedded.sourceWords, original.sourceWords);
  }
});

Deno.test("an error too short for a header and 8 bytes carries nothing", () => {
  for (const { asked, answered } of UNREACHABLES) {
    const whole = parse(answered);
    const header = asked[0] === 0x45 ? 20 : 40;
    for (let left = 0; left <= asked.length; left++) {
      const length = whole.headerLength + 8 + left;
      if (length > answered.length) break;
      const b = answered.slice(0, length);
      if (header === 20) {
        ipv4.setTotalLength(b, 0, length);
        ipv4.updateHeaderChecksum(b, 0);
      } else {
        ipv6.setPayloadLength(b, 0, length - 40);
      }
      const found = embeddedAt(b, parse(b)) >= 0;
      assert.equal(found, left >= header + 8, `${left}`);
    }
  }
});

Deno.test("what is no error, or carries the other family, embeds nothing", () => {
  for (const { bytes } of [ICMP4_ECHO, ICMP6_ECHO, UDP4_DNS, UDP6]) {
    const view = parse(bytes);
    assert.equal(embeddedAt(bytes, view), -1);
    assert.equal(
      readEmbedded(bytes, view, new PacketView()),
      DropReason.TooShort,
    );
  }
  for (const { answered } of UNREACHABLES) {
    const view = parse(answered);
    const at = view.payloadAt + 8;
    for (const first of [0x44, 0x00, 0x55, 0x64]) {
      const b = answered.slice();
      b[at] = first;
      const same = first >>> 4 === 6 && view.version === 6;
      assert.equal(embeddedAt(b, view), same ? at : -1, `${first}`);
    }
  }
});

/** The IPv4 sample with other addresses. */
function between(source: string, destination: string): Uint8Array {
  const b = UDP4_DNS.bytes.slice();
  ipv4.setSource(b, 0, parseAddress(source)![3]);
  ipv4.setDestination(b, 0, parseAddress(destination)![3]);
  ipv4.updateHeaderChecksum(b, 0);
  return b;
}

Deno.test("an error answers what may be answered, and nothing else", () => {
  const may = (bytes: Uint8Array) => mayAnswerWithError(bytes, parse(bytes));
  for (
    const { name, bytes } of [
      TCP4_SYN,
      TCP6_SYN,
      UDP4_DNS,
      UDP6,
      UDP4_FRAGMENT_FIRST,
      ICMP4_ECHO,
      ICMP6_ECHO,
    ]
  ) {
    assert.ok(may(bytes), name);
  }
  assert.ok(!may(UDP4_FRAGMENT_LATER.bytes), "a later fragment");
  assert.ok(!may(UDP6_FRAGMENT_LATER.bytes), "a later fragment");
  assert.ok(!may(ICMP6_ROUTER_SOLICITATION.bytes), "to a group");
  for (const { name, answered } of UNREACHABLES) {
    assert.ok(!may(answered), `an error ${name}`);
  }
  const redirect = ICMP6_ECHO.bytes.slice();
  redirect[40] = icmpv6.Type.Redirect;
  assert.ok(!may(redirect), "a redirect");
  for (
    const [source, destination] of [
      ["10.8.0.1", "224.0.0.251"],
      ["10.8.0.1", "255.255.255.255"],
      ["0.0.0.0", "10.8.0.2"],
      ["0.1.2.3", "10.8.0.2"],
      ["127.0.0.1", "10.8.0.2"],
      ["224.0.0.1", "10.8.0.2"],
      ["255.255.255.255", "10.8.0.2"],
    ]
  ) {
    assert.ok(!may(between(source, destination)), `${source} ${destination}`);
  }
  assert.ok(may(between("126.255.255.255", "223.255.255.255")));
  const six = UDP6.bytes.slice();
  six.fill(0, 8, 24);
  assert.ok(!may(six), "from ::");
  six[8] = 0xff;
  assert.ok(!may(six), "from a group");
});

Deno.test("errors are sent with precedence 6 (RFC 1812)", () => {
  const out = new Uint8Array(MAX_ERROR_4);
  emitError4(out, 0, GATEWAY4, 3, 13, 0, UDP4_DNS.bytes, 0, 57);
  assert.equal(readU16be(out, 0), 0x45c0);
});
