/** Plays the proxy for a handshake, with bytes written as annotated hex. */
import type { ProxyHandshake } from "../../../src/core/proxy/handshake.ts";

/** Bytes of hex text; what stands behind `;` on a line is a comment. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replace(/;[^\n]*/g, "").replace(/\s/g, "");
  return Uint8Array.from(
    digits.match(/../g) ?? [],
    (pair) => parseInt(pair, 16),
  );
}

/** ASCII text as bytes; characters are bytes. */
export function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Takes all that the handshake wants to send. */
export function sendAll(handshake: ProxyHandshake): Uint8Array<ArrayBuffer> {
  const output = handshake.output.slice();
  handshake.sent(output.length);
  return output;
}

/** Gives bytes at once, within others, as they lie in a receive buffer. */
export function give(handshake: ProxyHandshake, answer: Uint8Array): number {
  const room = new Uint8Array(answer.length + 7).fill(0xee);
  room.set(answer, 3);
  return handshake.receive(room, 3, answer.length);
}

/** Plays a whole conversation: each answer is given when all output was sent. */
export function converse(
  handshake: ProxyHandshake,
  answers: readonly Uint8Array[],
): Uint8Array[] {
  const sent: Uint8Array[] = [];
  for (const answer of answers) {
    sent.push(sendAll(handshake));
    give(handshake, answer);
  }
  return sent;
}

/** Everything of a handshake that can be seen, to compare two. */
export function visible(handshake: ProxyHandshake): unknown {
  const { state, failure, output } = handshake;
  return { state, failure, output: output.slice() };
}
