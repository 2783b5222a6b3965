import assert from "node:assert/strict";
import { parseEndpoint } from "../../../src/core/wire/address.ts";
import {
  ANSWER_HEADROOM,
  buildAnswer,
  longestPayload,
} from "../../../src/datapath/relay/udp_answer.ts";
import { udpPacket } from "../../core/flow/packets.ts";
import { readAnswer } from "./udp_fakes.ts";

function end(text: string): { words: Int32Array; port: number } {
  const { words, port } = parseEndpoint(text)!;
  return { words: Int32Array.from(words), port };
}

function answer(
  from: string,
  to: string,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(ANSWER_HEADROOM + payload.length).fill(0xee);
  bytes.set(payload, ANSWER_HEADROOM);
  const source = end(from);
  const client = end(to);
  const at = buildAnswer(
    bytes,
    ANSWER_HEADROOM,
    payload.length,
    source.words,
    0,
    source.port,
    client.words,
    0,
    client.port,
    7,
  );
  return bytes.subarray(at);
}

Deno.test("an answer is the packet that the remote would have sent", () => {
  const cases = [
    ["192.0.2.1:53", "10.0.0.2:40000"],
    ["255.255.255.254:65535", "128.0.0.1:1"],
    ["[2001:db8::1]:443", "[fd00::2]:40000"],
  ];
  for (const [from, to] of cases) {
    for (const length of [0, 1, 2, 3, 1200, 1201]) {
      const payload = Uint8Array.from({ length }, (_, i) => i * 7);
      const packet = answer(from, to, payload);
      assert.deepEqual(readAnswer(packet), { from, to, payload });
    }
  }
});

Deno.test("an answer is byte for byte what a slow builder writes", () => {
  const data = [1, 2, 3, 4, 5];
  const ours = answer(
    "[2001:db8::1]:443",
    "[fd00::2]:9",
    Uint8Array.from(data),
  );
  const theirs = udpPacket({
    from: "2001:db8:0:0:0:0:0:1",
    to: "fd00:0:0:0:0:0:0:2",
    fromPort: 443,
    toPort: 9,
  }, data);
  assert.deepEqual([...ours], [...theirs]);
});

Deno.test("the longest payload fits, whole", () => {
  for (
    const [from, to] of [
      ["192.0.2.1:53", "10.0.0.2:40000"],
      ["[2001:db8::1]:443", "[fd00::2]:40000"],
    ]
  ) {
    const length = longestPayload(end(to).words, 0);
    const payload = new Uint8Array(length).fill(0xff);
    assert.equal(readAnswer(answer(from, to, payload)).payload.length, length);
  }
});
