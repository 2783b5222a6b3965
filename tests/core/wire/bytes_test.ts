import assert from "node:assert/strict";
import fc from "fast-check";
import {
  copyBytes,
  readU16be,
  readU16le,
  readU24be,
  readU32be,
  readU32le,
  writeU16be,
  writeU16le,
  writeU32be,
  writeU32le,
} from "../../../src/core/wire/bytes.ts";
import { hex, toHex } from "./packets.ts";

Deno.test("integers are read in both byte orders, 32 bits unsigned", () => {
  const b = hex("00 fe dc ba 98 76");
  assert.equal(readU16be(b, 1), 0xfedc);
  assert.equal(readU16le(b, 1), 0xdcfe);
  assert.equal(readU24be(b, 1), 0xfedcba);
  assert.equal(readU32be(b, 1), 0xfedcba98);
  assert.equal(readU32le(b, 1), 0x98badcfe);
});

Deno.test("integers are written in both byte orders, signed ones too", () => {
  const b = new Uint8Array(12);
  writeU16be(b, 0, 0x12345);
  writeU16le(b, 2, 0x12345);
  writeU32be(b, 4, -2);
  writeU32le(b, 8, -2);
  assert.equal(toHex(b), "2345" + "4523" + "fffffffe" + "feffffff");
});

Deno.test("what is written is read, as DataView reads it", () => {
  fc.assert(fc.property(fc.nat(0xffffffff), fc.nat(3), (value, at) => {
    const b = new Uint8Array(8);
    const view = new DataView(b.buffer);
    writeU32be(b, at, value);
    assert.equal(view.getUint32(at), value);
    assert.equal(readU32be(b, at), value);
    writeU32le(b, at, value);
    assert.equal(view.getUint32(at, true), value);
    assert.equal(readU32le(b, at), value);
    writeU16be(b, at, value);
    assert.equal(view.getUint16(at), value & 0xffff);
    assert.equal(readU16be(b, at), value & 0xffff);
    writeU16le(b, at, value);
    assert.equal(view.getUint16(at, true), value & 0xffff);
    assert.equal(readU16le(b, at), value & 0xffff);
  }));
});

Deno.test("bytes are copied within one array as if through a third", () => {
  const b = hex("00 01 02 03 04 05");
  copyBytes(b, 1, b, 0, 4);
  assert.equal(toHex(b), "000001020305");
  const to = new Uint8Array(4);
  copyBytes(to, 1, b, 3, 2);
  assert.equal(toHex(to), "00020300");
});
