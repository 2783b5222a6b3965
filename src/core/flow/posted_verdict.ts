/**
 * A flow's verdict as the control thread posts it to the worker that has the
 * flows: words, most significant byte first.
 *
 *     | way | outbound | rule | to: port | to: four address words |
 */
import { readWords, writeWords } from "../wire/address.ts";
import { readU32be, writeU32be } from "../wire/bytes.ts";

/** Bytes of a verdict. */
export const VERDICT_LENGTH = 32;

/** A verdict as it lies in a message; one object is filled again each time. */
export class PostedVerdict {
  way = 0;
  outbound = 0;
  rule = 0;
  /** Words of where it is sent. */
  readonly to: Int32Array = new Int32Array(4);
  toPort = 0;
}

/** Writes a verdict. */
export function writeVerdict(b: Uint8Array, verdict: PostedVerdict): void {
  writeU32be(b, 0, verdict.way);
  writeU32be(b, 4, verdict.outbound);
  writeU32be(b, 8, verdict.rule);
  writeU32be(b, 12, verdict.toPort);
  writeWords(b, 16, verdict.to, 0);
}

/** Reads a verdict. */
export function readVerdict(
  b: Uint8Array,
  at: number,
  into: PostedVerdict,
): void {
  into.way = readU32be(b, at);
  into.outbound = readU32be(b, at + 4);
  into.rule = readU32be(b, at + 8) | 0;
  into.toPort = readU32be(b, at + 12);
  readWords(b, at + 16, into.to, 0);
}
