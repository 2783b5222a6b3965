import assert from "node:assert/strict";
import {
  PostedVerdict,
  readVerdict,
  VERDICT_LENGTH,
  writeVerdict,
} from "../../../src/core/flow/posted_verdict.ts";
import { addressWords } from "./packets.ts";

Deno.test("a verdict's words, in their order", () => {
  const verdict = new PostedVerdict();
  Object.assign(verdict, { way: 4, outbound: 31, rule: -1, toPort: 53 });
  verdict.to.set(addressWords("192.0.2.7"));
  const bytes = new Uint8Array(VERDICT_LENGTH);
  writeVerdict(bytes, verdict);
  assert.deepEqual(
    [...bytes],
    [
      ...[0, 0, 0, 4],
      ...[0, 0, 0, 31],
      ...[255, 255, 255, 255],
      ...[0, 0, 0, 53],
      ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7],
    ],
  );
  const shifted = new Uint8Array(VERDICT_LENGTH + 3);
  shifted.set(bytes, 3);
  const read = new PostedVerdict();
  readVerdict(shifted, 3, read);
  assert.deepEqual(read, verdict);
});
