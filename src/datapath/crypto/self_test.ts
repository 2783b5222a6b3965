/**
 * Known answers that a provider must give before it seals a packet: a library
 * that is old, broken or built without the cipher is found at start, not by a
 * peer.
 */
import { type PacketAead, TAG_LENGTH } from "./packet_aead.ts";

/** A text and what it is sealed to. */
interface KnownAnswer {
  readonly name: string;
  readonly key: Uint8Array;
  readonly counter: number;
  readonly text: Uint8Array;
  /** The end of the sealed text, in hex; enough, since the tag covers the rest. */
  readonly sealedEnd: string;
}

const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  {
    // Its nonce 00000000 0000004a 00000000 has the form of WireGuard's, so the
    // RFC's ciphertext is the AEAD's. The RFC gives no tag for it: the last 16
    // bytes are what OpenSSL and noble give.
    name: "RFC 8439 2.4.2",
    key: Uint8Array.from({ length: 32 }, (_, i) => i),
    counter: 0x4a000000,
    text: new TextEncoder().encode(
      "Ladies and Gentlemen of the class of '99: If I could offer you " +
        "only one tip for the future, sunscreen would be it.",
    ),
    sealedEnd: "5af90bbf74a35be6b40b8eedf2785e42874d" +
      "81db63fcb189a03121ae0ac72a3f1f36",
  },
  {
    // Ones everywhere, at a packet's full size: the longest carries.
    name: "all ones, 1420 bytes",
    key: new Uint8Array(32).fill(0xff),
    counter: Number.MAX_SAFE_INTEGER,
    text: new Uint8Array(1420).fill(0xff),
    sealedEnd:
      "7596cb9fb12c41c9b7025a4eb8f0943a5b7616e66c290acbef3755762b53cdf8",
  },
];

/** Bytes of the arena that {@linkcode selfTest} uses. */
export const SELF_TEST_BYTES = 2048;

/**
 * Seals and opens every known answer, and tries each with a flipped bit.
 * @param at where {@linkcode SELF_TEST_BYTES} bytes of the arena are free.
 * @returns what went wrong, or undefined where all is well.
 */
export function selfTest(
  aead: PacketAead,
  arena: Uint8Array,
  at: number,
): string | undefined {
  try {
    for (const answer of KNOWN_ANSWERS) {
      const failure = tryAnswer(
        aead,
        arena.subarray(at, at + SELF_TEST_BYTES),
        at,
        answer,
      );
      if (failure !== undefined) return `${answer.name}: ${failure}`;
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function tryAnswer(
  aead: PacketAead,
  bytes: Uint8Array,
  at: number,
  { key, counter, text, sealedEnd }: KnownAnswer,
): string | undefined {
  const { length } = text;
  bytes.set(text);
  aead.sealWith(key);
  aead.openWith(key);
  aead.seal(counter, at, length);
  const sealed = bytes.slice(0, length + TAG_LENGTH);
  if (!sealed.toHex().endsWith(sealedEnd)) return "sealed to something else";
  for (const flipped of [0, length - 1, length, length + TAG_LENGTH - 1]) {
    bytes.set(sealed);
    bytes[flipped]! ^= 0x80;
    if (aead.open(counter, at, length)) return "opened a forged message";
  }
  bytes.set(sealed);
  if (!aead.open(counter, at, length)) return "refused its own message";
  if (bytes.subarray(0, length).toHex() !== text.toHex()) {
    return "opened to another text";
  }
  return undefined;
}
