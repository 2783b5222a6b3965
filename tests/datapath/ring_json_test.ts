import assert from "node:assert/strict";
import {
  decodeRingJson,
  encodeRingJson,
} from "../../src/datapath/ring_json.ts";

Deno.test("plain data comes back as it was, words as words", () => {
  const value = {
    text: "ключ \u0000",
    words: Int32Array.of(0, -1, 0xffff, 5),
    format: { first: Uint32Array.of(4294967295), empty: new Int32Array(0) },
    list: [1, null, { port: 53 }],
  };
  const bytes = encodeRingJson(value);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 8));
  shared.set(bytes, 4);
  assert.deepEqual(decodeRingJson(shared, 4, bytes.length), value);
});

Deno.test("what is left out stays left out", () => {
  const bytes = encodeRingJson({ origin: undefined, mark: 0 });
  assert.deepEqual(decodeRingJson(bytes, 0, bytes.length), { mark: 0 });
});
