/**
 * What a TLS bridge says to its worker before the proxy's own bytes: whether
 * TLS stands.
 *
 *     00                      it stands; all that follows is the proxy's
 *     01 length(2) text       it doesn't, and why (UTF-8)
 */
import type {
  ProxyFailure,
  ProxyHandshake,
} from "../../core/proxy/handshake.ts";
import { printable } from "../../core/proxy/handshake.ts";
import { readU16be, writeU16be } from "../../core/wire/bytes.ts";

const STANDS = 0;
const FAILED = 1;
const HEADER_LENGTH = 3;
const LONGEST_TEXT = 300;
const EMPTY = new Uint8Array(0);

/** The prelude of a connection that stands. */
export function encodeTlsStands(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(STANDS);
}

/** The prelude of a connection that came to nothing. */
export function encodeTlsFailure(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(printable(text, LONGEST_TEXT));
  const prelude = new Uint8Array(HEADER_LENGTH + bytes.length);
  prelude[0] = FAILED;
  writeU16be(prelude, 1, bytes.length);
  prelude.set(bytes, HEADER_LENGTH);
  return prelude;
}

/** Waits for the prelude; a handshake in which only the other end speaks. */
export class TlsPrelude implements ProxyHandshake {
  state: ProxyHandshake["state"] = "talking";
  failure: ProxyFailure | undefined;
  readonly output: Uint8Array<ArrayBuffer> = EMPTY;
  readonly #received: number[] = [];

  sent(): void {}

  receive(bytes: Uint8Array, at: number, length: number): number {
    let taken = 0;
    while (taken < length && this.state === "talking") {
      this.#received.push(bytes[at + taken++]);
      this.#look();
    }
    return taken;
  }

  closed(): void {
    if (this.state === "talking") this.#fail("it was closed");
  }

  #look(): void {
    const received = this.#received;
    if (received[0] === STANDS) {
      this.state = "established";
    } else if (received.length >= HEADER_LENGTH) {
      const bytes = Uint8Array.from(received);
      const end = HEADER_LENGTH + readU16be(bytes, 1);
      if (received.length < end) return;
      this.#fail(new TextDecoder().decode(bytes.subarray(HEADER_LENGTH)));
    }
  }

  #fail(text: string): void {
    this.state = "failed";
    this.failure = {
      kind: "proxy-unreachable",
      text: `TLS to the proxy failed: ${printable(text, LONGEST_TEXT)}`,
    };
  }
}
