/**
 * Hostile bytes at every parser of packets and address text: nothing throws,
 * nothing outside the packet is looked at, and what is accepted holds together.
 * The corpus is the table of real packets; seeds are fixed, so runs repeat.
 */
import assert from "node:assert/strict";
import {
  DROP_REASON_COUNT,
  DropReason,
} from "../../src/core/columns/drop_reason.ts";
import {
  formatAddress,
  formatEndpoint,
  formatPrefix,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../../src/core/wire/address.ts";
import { describePacket } from "../../src/core/wire/describe.ts";
import {
  embeddedAt,
  emitError4,
  emitError6,
  MAX_ERROR_4,
  MAX_ERROR_6,
  mayAnswerWithError,
  readEmbedded,
} from "../../src/core/wire/icmp_error.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import * as ipv6 from "../../src/core/wire/ipv6.ts";
import { parseEmbedded, parsePacket } from "../../src/core/wire/packet.ts";
import { FragmentKind, PacketView } from "../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../src/core/wire/transport_checksum.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import * as tcp from "../../src/core/wire/tcp.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";
import { RESETS, SAMPLES, UNREACHABLES } from "../core/wire/packets.ts";

const CORPUS: readonly Uint8Array[] = [
  ...SAMPLES.map(({ bytes }) => bytes),
  ...RESETS.flatMap(({ asked, answered }) => [asked, answered]),
  ...UNREACHABLES.flatMap(({ asked, answered }) => [asked, answered]),
];

/** Values that lengths, counts and types like to trip over. */
const INTERESTING = [0, 1, 4, 5, 6, 7, 8, 20, 40, 43, 44, 51, 58, 60, 127, 255];
const ROOM = 64;
const LARGEST = 2048;
const GATEWAY6 = Int32Array.of(0x20010db8, 0, 0, 1);

/** A packet between filler bytes, in two arenas whose fillers differ. */
class Arenas {
  readonly zeros = new Uint8Array(LARGEST + 2 * ROOM);
  readonly ones = new Uint8Array(LARGEST + 2 * ROOM).fill(0xff);

  put(packet: Uint8Array, length: number): void {
    this.zeros.fill(0);
    this.ones.fill(0xff);
    for (let i = 0; i < length; i++) {
      this.zeros[ROOM + i] = packet[i];
      this.ones[ROOM + i] = packet[i];
    }
  }
}

/** Makes one hostile packet in `packet`; returns its length. */
function mutate(packet: Uint8Array, random: SeededRandom): number {
  const from = CORPUS[random.below(CORPUS.length)];
  let length = from.length;
  packet.set(from);
  if (random.below(20) === 0) {
    length = random.below(120);
    random.fill(packet, 0, length);
    packet[0] = random.below(2) === 0 ? 0x45 : 0x60;
  }
  for (let n = random.below(5); n > 0; n--) {
    // Mostly in the headers, where it matters.
    const limit = random.below(4) === 0 ? length : Math.min(length, 72);
    if (limit === 0) break;
    const at = random.below(limit);
    switch (random.below(5)) {
      case 0:
        packet[at] ^= 1 << random.below(8);
        break;
      case 1:
        packet[at] = random.next();
        break;
      case 2:
        packet[at] = INTERESTING[random.below(INTERESTING.length)];
        break;
      case 3:
        length = random.below(length + 1);
        break;
      case 4:
        packet.copyWithin(at, random.below(limit), limit);
        break;
    }
  }
  if (random.below(2) === 0) repair(packet, length, random);
  return length;
}

/** Makes the outer lengths and checksum fit, so that what is behind is reached. */
function repair(
  packet: Uint8Array,
  length: number,
  random: SeededRandom,
): void {
  if (packet[0] >>> 4 === 4 && length >= 20) {
    if (random.below(2) === 0) ipv4.setTotalLength(packet, 0, length);
    if (ipv4.headerLength(packet, 0) <= length) {
      ipv4.updateHeaderChecksum(packet, 0);
    }
  } else if (packet[0] >>> 4 === 6 && length >= 40) {
    ipv6.setPayloadLength(packet, 0, length - 40);
  }
}

function checkView(view: PacketView, length: number): void {
  const { at, headerLength, totalLength, payloadAt, payloadLength } = view;
  assert.equal(at, ROOM);
  assert.ok(view.version === 4 || view.version === 6);
  assert.ok(headerLength >= (view.version === 4 ? 20 : 40));
  assert.ok(totalLength <= length);
  assert.equal(payloadAt, at + headerLength);
  assert.equal(headerLength + payloadLength, totalLength);
  assert.ok(payloadLength >= 0);
  const later = view.fragment === FragmentKind.Later;
  assert.equal(later, view.fragmentOffset > 0);
  if (later) {
    assert.equal(view.sourcePort + view.destinationPort + view.identifier, 0);
    assert.equal(view.icmpType, -1);
  } else if (view.protocol === Protocol.Tcp) {
    assert.ok(payloadLength >= 20);
  } else if (
    view.protocol === Protocol.Udp || view.protocol === Protocol.Icmp ||
    view.protocol === Protocol.Icmpv6
  ) {
    assert.ok(payloadLength >= 8);
  }
}

function equalViews(a: PacketView, b: PacketView): void {
  for (const field of Object.keys(a) as (keyof PacketView)[]) {
    const one = a[field];
    const other = b[field];
    if (typeof one === "number") {
      assert.equal(one, other, field);
    } else {
      for (let i = 0; i < 4; i++) {
        assert.equal(one[i], (other as Int32Array)[i], field);
      }
    }
  }
}

/** Whether an answer of ours is a packet that we would accept. */
function checkAnswer(out: Uint8Array, length: number, view: PacketView): void {
  assert.equal(parsePacket(out, 0, length, view), DropReason.None);
  assert.equal(view.totalLength, length);
  assert.equal(verifyTransport(out, view), DropReason.None);
}

/** Every answer that the packet may get, and what an error of it shows. */
function checkAnswers(
  b: Uint8Array,
  view: PacketView,
  out: Uint8Array,
): number {
  let answers = 0;
  const answer = new PacketView();
  if (view.protocol === Protocol.Tcp && view.fragment !== FragmentKind.Later) {
    const length = tcp.emitReset(out, 0, b, ROOM);
    if (length > 0) {
      checkAnswer(out, length, answer);
      assert.equal(answer.sourcePort, view.destinationPort);
      answers++;
    }
  }
  if (!mayAnswerWithError(b, view)) return answers;
  const { totalLength } = view;
  const length = view.version === 4
    ? emitError4(out, 0, 0x0a080001, 3, 4, 1400, b, ROOM, totalLength)
    : emitError6(out, 0, GATEWAY6, 2, 0, 1280, b, ROOM, totalLength);
  assert.ok(length <= (view.version === 4 ? MAX_ERROR_4 : MAX_ERROR_6));
  checkAnswer(out, length, answer);
  const embedded = new PacketView();
  if (readEmbedded(out, answer, embedded) === DropReason.None) {
    assert.equal(embedded.sourcePort, view.sourcePort);
    assert.equal(embedded.protocol, view.protocol);
  }
  return answers + 1;
}

Deno.test("mutated packets never throw, and what is accepted holds together", () => {
  const random = new SeededRandom(20240229);
  const packet = new Uint8Array(LARGEST);
  const out = new Uint8Array(MAX_ERROR_6);
  const arenas = new Arenas();
  const view = new PacketView();
  const other = new PacketView();
  const reasons = new Map<DropReason, number>();
  let answers = 0;
  let embedded = 0;
  for (let n = 0; n < 200_000; n++) {
    const length = mutate(packet, random);
    arenas.put(packet, length);
    const { zeros, ones } = arenas;
    const reason = parsePacket(zeros, ROOM, length, view);
    assert.equal(parsePacket(ones, ROOM, length, other), reason);
    assert.ok(reason >= 0 && reason < DROP_REASON_COUNT);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    if (n % 16 === 0) assert.ok(describePacket(zeros, ROOM, length).length > 0);
    if (reason === DropReason.None) {
      checkView(view, length);
      equalViews(view, other);
      const verified = verifyTransport(zeros, view);
      assert.equal(verifyTransport(ones, other), verified);
      const inner = embeddedAt(zeros, view);
      assert.equal(embeddedAt(ones, other), inner);
      if (inner >= 0) embedded++;
      answers += checkAnswers(zeros, view, out);
    }
    const lenient = parseEmbedded(zeros, ROOM, length, view);
    assert.equal(parseEmbedded(ones, ROOM, length, other), lenient);
    if (lenient === DropReason.None) equalViews(view, other);
    // All that the strict parser takes, the lenient one takes.
    if (reason === DropReason.None && view.payloadLength >= 8) {
      assert.equal(lenient, DropReason.None);
    }
  }
  // The cases reach each refusal and both ends of the parser.
  for (
    const reason of [
      DropReason.None,
      DropReason.TooShort,
      DropReason.UnknownVersion,
      DropReason.BadHeaderLength,
      DropReason.BadTotalLength,
      DropReason.BadChecksum,
      DropReason.BadExtensionHeader,
    ]
  ) {
    assert.ok((reasons.get(reason) ?? 0) > 500, `reason ${reason}`);
  }
  assert.ok(answers > 10_000 && embedded > 1000, `${answers}, ${embedded}`);
});

Deno.test("the parsers refuse lengths that the array doesn't have", () => {
  const view = new PacketView();
  for (const bytes of CORPUS) {
    for (const [at, length] of [[0, bytes.length + 1], [1, bytes.length]]) {
      assert.equal(parsePacket(bytes, at, length, view), DropReason.TooShort);
      assert.equal(parseEmbedded(bytes, at, length, view), DropReason.TooShort);
    }
  }
});

const TEXTS = [
  "1.2.3.4",
  "255.255.255.255:65535",
  "10.8.0.0/24",
  "2001:db8::1",
  "::ffff:1.2.3.4",
  "[2001:db8::1]:51820",
  "fe80::/10",
  "1:2:3:4:5:6:7:8",
];
const LETTERS = "0123456789abcdefABCDEF:./[]%x -\0\n٣";

Deno.test("mutated address text never throws, and what is read can be written", () => {
  const random = new SeededRandom(5952);
  let read = 0;
  for (let n = 0; n < 30_000; n++) {
    const letters = [...TEXTS[random.below(TEXTS.length)]];
    for (let change = random.below(4); change > 0; change--) {
      const at = random.below(letters.length + 1);
      const letter = LETTERS[random.below(LETTERS.length)];
      letters.splice(at, random.below(3), letter);
    }
    const text = letters.join("");
    const address = parseAddress(text);
    assert.equal(
      address !== undefined,
      parseIpv4(text) !== undefined || parseIpv6(text) !== undefined,
    );
    if (address !== undefined) {
      assert.deepEqual(parseAddress(formatAddress(address)), address, text);
      read++;
    }
    const prefix = parsePrefix(text);
    if (prefix !== undefined) {
      assert.deepEqual(parsePrefix(formatPrefix(prefix)), prefix, text);
      read++;
    }
    const endpoint = parseEndpoint(text);
    if (endpoint !== undefined) {
      const { words, port } = endpoint;
      const back = parseEndpoint(formatEndpoint(words, 0, port));
      assert.deepEqual(back, endpoint, text);
      read++;
    }
  }
  assert.ok(read > 5000, `${read}`);
});
