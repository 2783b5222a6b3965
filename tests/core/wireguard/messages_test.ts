import assert from "node:assert/strict";
import {
  paddedLength,
  transportCounter,
  transportReceiver,
  writeTransportHeader,
} from "../../../src/core/wireguard/messages.ts";
import { TRANSCRIPT } from "./vectors.ts";

Deno.test("a transport header is written as it is read", () => {
  const bytes = new Uint8Array(20);
  for (const counter of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    writeTransportHeader(bytes, 3, 4, 0xfedcba98, counter);
    assert.equal(bytes[3], 4);
    assert.equal(transportReceiver(bytes, 3), 0xfedcba98);
    assert.equal(transportCounter(bytes, 3), counter);
  }
});

Deno.test("the transcript's keepalive has receiver and counter", () => {
  const header = new Uint8Array(16);
  writeTransportHeader(header, 0, 4, TRANSCRIPT.responderIndex, 0);
  assert.deepEqual(header, TRANSCRIPT.initiatorKeepalive.slice(0, 16));
});

Deno.test("a counter that a number cannot hold is -1", () => {
  const bytes = new Uint8Array(16);
  bytes[14] = 0x20;
  assert.equal(transportCounter(bytes, 0), -1);
  bytes.fill(0xff, 8);
  assert.equal(transportCounter(bytes, 0), -1);
});

Deno.test("padding goes to 16 but not past the MTU", () => {
  const table = [
    [0, 0],
    [1, 16],
    [16, 16],
    [17, 32],
    [1408, 1408],
    [1409, 1420],
    [1420, 1420],
    [1500, 1500],
  ];
  for (const [length, padded] of table) {
    assert.equal(paddedLength(length, 1420), padded, `${length}`);
  }
});
