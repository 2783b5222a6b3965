/** The header of SOCKS5 datagrams: bytes, truncations, any bytes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DATAGRAM_HEADER_4,
  DATAGRAM_HEADER_6,
  DatagramFault,
  datagramHeaderLength,
  emitDatagramHeader,
  LONGEST_DATAGRAM_HEADER,
  parseDatagram,
  SocksDatagram,
} from "../../../src/core/proxy/socks5_datagram.ts";
import {
  equalWords,
  formatAddress,
  parseAddress,
} from "../../../src/core/wire/address.ts";
import { bytes } from "./conversation.ts";

const FOUR = bytes(`
  00 00           ; reserved
  00              ; whole
  01 08 08 04 04  ; 8.8.4.4
  00 35           ; 53
  aa bb cc        ; payload
`);
const SIX = bytes(`
  00 00 00
  04 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01
  ff ff
  aa
`);
const NAME = bytes("00 00 00 03 04 68 6f 73 74 00 50 aa bb");

Deno.test("socks5 datagram: headers of both families", () => {
  const table: [string, number, Uint8Array, number][] = [
    ["8.8.4.4", 53, FOUR, DATAGRAM_HEADER_4],
    ["2001:db8::1", 65535, SIX, DATAGRAM_HEADER_6],
  ];
  for (const [address, port, expected, length] of table) {
    const words = Int32Array.of(7, ...parseAddress(address)!, 7);
    const room = new Uint8Array(40).fill(0xee);
    assert.equal(emitDatagramHeader(room, 5, words, 1, port), length);
    assert.equal(datagramHeaderLength(words, 1), length);
    assert.deepEqual(room.slice(5, 5 + length), expected.slice(0, length));
    assert.deepEqual([room[4], room[5 + length]], [0xee, 0xee]);

    const view = new SocksDatagram();
    const within = Uint8Array.of(9, 9, ...expected, 9);
    const fault = parseDatagram(within, 2, expected.length, view);
    assert.equal(fault, DatagramFault.None);
    assert.equal(formatAddress(view.words), address);
    assert.equal(view.port, port);
    assert.equal(view.payloadAt, 2 + length);
    assert.equal(view.payloadLength, expected.length - length);
    assert.equal(view.nameLength, 0);
  }
});

Deno.test("socks5 datagram: from a name", () => {
  const view = new SocksDatagram();
  view.words.fill(5);
  assert.equal(parseDatagram(NAME, 0, NAME.length, view), DatagramFault.None);
  const name = NAME.subarray(view.nameAt, view.nameAt + view.nameLength);
  assert.equal(new TextDecoder().decode(name), "host");
  assert.deepEqual([...view.words], [0, 0, 0, 0]);
  assert.equal(view.port, 80);
  assert.equal(view.payloadLength, 2);

  const longest = new Uint8Array(LONGEST_DATAGRAM_HEADER);
  longest.set([0, 0, 0, 3, 255]);
  assert.equal(parseDatagram(longest, 0, longest.length, view), 0);
  assert.equal(view.payloadLength, 0);
});

Deno.test("socks5 datagram: fragments and unknown types are dropped", () => {
  const view = new SocksDatagram();
  const changed = (at: number, value: number) => {
    const copy = FOUR.slice();
    copy[at] = value;
    return parseDatagram(copy, 0, copy.length, view);
  };
  for (const fragment of [1, 2, 0x7f, 0x80, 0xff]) {
    assert.equal(changed(2, fragment), DatagramFault.Fragment);
  }
  for (const type of [0, 2, 5, 255]) {
    assert.equal(changed(3, type), DatagramFault.AddressType);
  }
});

Deno.test("socks5 datagram: every truncation is one, an empty payload is not", () => {
  const view = new SocksDatagram();
  const table: [Uint8Array, number][] = [[FOUR, 10], [SIX, 22], [NAME, 11]];
  for (const [datagram, header] of table) {
    for (let length = 0; length <= datagram.length; length++) {
      assert.equal(
        parseDatagram(datagram, 0, length, view),
        length < header ? DatagramFault.Truncated : DatagramFault.None,
      );
    }
  }
});

Deno.test("socks5 datagram: what is written reads back; any bytes stay in bounds", () => {
  const view = new SocksDatagram();
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(
      fc.tuple(word, word, word, word),
      fc.integer({ min: 0, max: 65535 }),
      fc.boolean(),
      (four, port, mapped) => {
        const words = Int32Array.of(...four);
        if (mapped) words.set([0, 0, 0xffff]);
        const room = new Uint8Array(30);
        const length = emitDatagramHeader(room, 1, words, 0, port);
        assert.equal(parseDatagram(room, 1, length + 2, view), 0);
        assert.ok(equalWords(view.words, 0, words, 0));
        assert.equal(view.port, port);
        assert.equal(view.payloadLength, 2);
      },
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (datagram) => {
      const fault = parseDatagram(datagram, 0, datagram.length, view);
      if (fault !== DatagramFault.None) return;
      assert.equal(view.payloadAt + view.payloadLength, datagram.length);
      assert.ok(view.nameAt + view.nameLength <= view.payloadAt);
    }),
  );
});
