import assert from "node:assert/strict";
import {
  classify,
  drawHeader,
  type MessageFormat,
  MessageKind,
  plainFormat,
} from "../../../src/core/wireguard/classify.ts";
import { assertNoAllocation } from "./allocation.ts";
import { Random } from "./hex.ts";
import { TRANSCRIPT } from "./vectors.ts";

const PLAIN = plainFormat();
const AMNEZIA: MessageFormat = {
  prefix: Int32Array.of(15, 68, 7, 12),
  headerFirst: Uint32Array.of(100, 200, 300, 0xfffffff0),
  headerLast: Uint32Array.of(150, 200, 310, 0xffffffff),
};

function datagram(prefix: number, type: number, length: number): Uint8Array {
  const bytes = new Random(length).bytes(prefix + length);
  new DataView(bytes.buffer).setUint32(prefix, type, true);
  return bytes;
}

Deno.test("the transcript's messages are known", () => {
  const table: [Uint8Array, MessageKind][] = [
    [TRANSCRIPT.initiation, MessageKind.Initiation],
    [TRANSCRIPT.response, MessageKind.Response],
    [TRANSCRIPT.initiatorKeepalive, MessageKind.Transport],
  ];
  for (const [bytes, kind] of table) {
    assert.equal(classify(bytes, 0, bytes.length, PLAIN), kind);
    const shifted = new Uint8Array(bytes.length + 9).fill(0xee);
    shifted.set(bytes, 5);
    assert.equal(classify(shifted, 5, bytes.length, PLAIN), kind);
    assert.equal(classify(bytes, 0, bytes.length, AMNEZIA), MessageKind.None);
  }
});

Deno.test("every other length of a handshake message is nothing", () => {
  for (const [type, right] of [[1, 148], [2, 92], [3, 64]]) {
    for (let length = 0; length < 200; length++) {
      const bytes = new Uint8Array(length);
      bytes[0] = type;
      const expected = length === right ? type : MessageKind.None;
      assert.equal(classify(bytes, 0, length, PLAIN), expected);
    }
  }
  for (let length = 0; length < 100; length++) {
    const bytes = new Uint8Array(length);
    bytes[0] = 4;
    const expected = length >= 32 ? MessageKind.Transport : MessageKind.None;
    assert.equal(classify(bytes, 0, length, PLAIN), expected);
  }
});

Deno.test("all four bytes of the type count", () => {
  for (let at = 0; at < 4; at++) {
    const bytes = TRANSCRIPT.initiation.slice();
    bytes[at] ^= 0x80;
    assert.equal(classify(bytes, 0, bytes.length, PLAIN), MessageKind.None);
  }
});

Deno.test("AmneziaWG: prefix, length and range must all fit", () => {
  const lengths = [148, 92, 64, 32];
  for (let kind = 1; kind <= 4; kind++) {
    const prefix = AMNEZIA.prefix[kind - 1];
    const first = AMNEZIA.headerFirst[kind - 1];
    const last = AMNEZIA.headerLast[kind - 1];
    const length = lengths[kind - 1];
    for (
      const [type, fits] of [[first, true], [last, true], [
        first - 1,
        false,
      ]] as const
    ) {
      const bytes = datagram(prefix, type, length);
      const expected = fits ? kind : MessageKind.None;
      assert.equal(classify(bytes, 0, bytes.length, AMNEZIA), expected);
    }
    if (last < 0xffffffff) {
      const bytes = datagram(prefix, last + 1, length);
      assert.equal(classify(bytes, 0, bytes.length, AMNEZIA), MessageKind.None);
    }
    const short = datagram(prefix, first, length).subarray(1);
    assert.equal(classify(short, 0, short.length, AMNEZIA), MessageKind.None);
  }
  const long = datagram(12, 0xffffffff, 1400);
  assert.equal(classify(long, 0, long.length, AMNEZIA), MessageKind.Transport);
});

Deno.test("header values are drawn from the whole range and nothing else", () => {
  const random = new Random(3);
  const seen = new Set<number>();
  for (let i = 0; i < 5000; i++) {
    seen.add(drawHeader(AMNEZIA, MessageKind.Cookie, random.next()));
  }
  assert.deepEqual(
    [...seen].sort(),
    Array.from({ length: 11 }, (_, i) => 300 + i),
  );
  for (let i = 0; i < 100; i++) {
    const high = drawHeader(AMNEZIA, MessageKind.Transport, random.next());
    assert.ok(high >= 0xfffffff0 && high <= 0xffffffff);
  }
  assert.equal(drawHeader(PLAIN, MessageKind.Response, 0xffffffff), 2);
});

Deno.test("classifying allocates nothing", () => {
  const bytes = datagram(12, 0xfffffff5, 1400);
  assertNoAllocation(() => {
    classify(bytes, 0, bytes.length, AMNEZIA);
    classify(bytes, 0, bytes.length, PLAIN);
  });
});
