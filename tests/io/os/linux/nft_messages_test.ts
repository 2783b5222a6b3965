/** nf_tables messages: bytes as `nft --debug=mnl` shows them for the same rules. */
import assert from "node:assert/strict";
import { ruleCounters } from "../../../../src/io/os/linux/kill_switch.ts";
import { parseMessages } from "../../../../src/io/os/linux/netlink_message.ts";
import {
  batchFrame,
  count,
  equals,
  Hook,
  interfaceName,
  loadMeta,
  loadPayload,
  mask,
  Meta,
  native32,
  newChain,
  newRule,
  newTable,
  NftMessage,
  NftVerdict,
  PayloadBase,
  TABLE_OWNED,
  verdict,
} from "../../../../src/io/os/linux/nft_messages.ts";
import { hex } from "./hex.ts";

Deno.test("the frame of a batch names nf_tables", () => {
  assert.deepEqual(
    batchFrame(NftMessage.BatchBegin).finish(0),
    hex("14000000 1000 0100 00000000 00000000 00 00 000a"),
  );
  assert.deepEqual(
    batchFrame(NftMessage.BatchEnd).finish(15),
    hex("14000000 1100 0100 0f000000 00000000 00 00 000a"),
  );
});

Deno.test("a table that belongs to its socket", () => {
  assert.deepEqual(
    newTable("sluice", { flags: TABLE_OWNED, userData: "x" }).finish(1),
    hex(`
      30000000 000a 0504 01000000 00000000
      01 00 0000                              # inet
      0b00 0100 736c7569636500 00             # NFTA_TABLE_NAME
      0800 0200 00000002                      # NFTA_TABLE_FLAGS
      0600 0600 7800 0000                     # NFTA_TABLE_USERDATA`),
  );
});

Deno.test("a chain that drops", () => {
  const chain = {
    name: "output",
    hook: Hook.Output,
    priority: 0,
    type: "filter",
    policy: NftVerdict.Drop,
  } as const;
  assert.deepEqual(
    newChain("sluice", chain).finish(2),
    hex(`
      54000000 030a 0504 02000000 00000000
      01 00 0000
      0b00 0100 736c7569636500 00
      0b00 0300 6f757470757400 00
      0b00 0700 66696c74657200 00
      0800 0500 00000000                      # policy drop
      1400 0480 0800 0100 00000003 0800 0200 00000000`),
  );
});

Deno.test("meta mark 0x123 accept", () => {
  const steps = [
    loadMeta(Meta.Mark),
    equals(native32(0x123)),
    verdict(NftVerdict.Accept),
  ];
  assert.deepEqual(
    newRule("sluice", "output", steps).finish(3),
    hex(`
      b0000000 060a 050c 03000000 00000000
      01 00 0000
      0b00 0100 736c7569636500 00
      0b00 0200 6f757470757400 00
      8400 0480
        2400 0180 0900 0100 6d65746100 000000
          1400 0280 0800 0200 00000003 0800 0100 00000001
        2c00 0180 0800 0100 636d7000
          2000 0280 0800 0100 00000001 0800 0200 00000000
            0c00 0380 0800 0100 23010000
        3000 0180 0e00 0100 696d6d65646961746500 0000
          1c00 0280 0800 0100 00000000
            1000 0280 0c00 0280 0800 0100 00000001`),
  );
});

Deno.test("bytes of a packet under a mask", () => {
  assert.deepEqual(
    loadPayload(PayloadBase.Network, 24, 16),
    hex(`
      0c00 0100 7061796c6f616400
      2400 0280 0800 0100 00000001 0800 0200 00000001
                0800 0300 00000018 0800 0400 00000010`),
  );
  const bits = new Uint8Array(16);
  bits.set([0xff, 0xc0]);
  assert.deepEqual(
    mask(bits),
    hex(`
      0c00 0100 6269747769736500
      4c00 0280 0800 0100 00000001 0800 0200 00000001 0800 0300 00000010
        1800 0480 1400 0100 ffc00000 ${"00".repeat(12)}
        1800 0580 1400 0100 ${"00".repeat(16)}`),
  );
});

Deno.test("interface names are padded, and cut before they lose their NUL", () => {
  assert.deepEqual(interfaceName("lo"), hex(`6c6f ${"00".repeat(14)}`));
  const long = interfaceName("a-name-of-more-than-15-bytes");
  assert.deepEqual([long.length, long[14], long[15]], [16, 45, 0]);
});

Deno.test("counters are read; cut and foreign messages have none", () => {
  // As the kernel answers: a counter with its values, and a verdict.
  const bytes = hex(`
    60000000 060a 0200 01000000 00000000
    01 00 0000
    4c00 0480
      2c00 0180 0c00 0100 636f756e74657200
        1c00 0280 0c00 0100 0000000100000002 0c00 0200 0000000000000003
      1c00 0180 0e00 0100 696d6d65646961746500 0000 0800 0280 00000000`);
  const [message] = parseMessages(bytes).messages;
  assert.deepEqual(ruleCounters(message), [
    { packets: 3, bytes: 0x1_0000_0002 },
  ]);
  assert.deepEqual(ruleCounters({ ...message, type: 1 }), []);
  for (let length = 0; length < message.body.length; length++) {
    ruleCounters({ ...message, body: message.body.subarray(0, length) });
  }
  const [own] = parseMessages(newRule("t", "c", [count()]).finish(1)).messages;
  assert.deepEqual(ruleCounters(own), [{ packets: 0, bytes: 0 }]);
});
