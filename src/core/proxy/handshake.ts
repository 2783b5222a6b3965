/**
 * What the handshakes with proxies have in common: bytes to send, bytes that
 * came, an outcome. Whoever has the socket does this:
 *
 *     while state is "talking":
 *       output not empty:  send it, tell how much by sent()
 *       else:              peek, give it to receive(), discard what it took
 *                          end or reset of the connection: closed()
 *
 * A handshake takes all bytes that are its own and not one more, so that
 * nothing is left to wake the poll set, and what follows belongs to the tunnel.
 */
import { formatEndpoint, isUnspecified } from "../wire/address.ts";

/** Why a handshake came to nothing. */
export type ProxyFailureKind =
  | "refused"
  | "host-unreachable"
  | "network-unreachable"
  | "timed-out"
  | "not-permitted"
  | "unsupported"
  | "proxy-unreachable"
  | "proxy-closed"
  | "proxy-garbage"
  | "proxy-auth"
  | "proxy-refused";

/** A failed handshake: what happened, and one printable line about it. */
export interface ProxyFailure {
  readonly kind: ProxyFailureKind;
  readonly text: string;
}

/** Where a connection through a proxy is to go. */
export interface ProxyTarget {
  /** Four address words; not looked at where there is a name. */
  readonly words: Int32Array;
  readonly port: number;
  /** The domain name, in place of the address. */
  readonly name?: string;
}

/** A handshake with a proxy. */
export interface ProxyHandshake {
  readonly state: "talking" | "established" | "failed";
  /** Set where the state is «failed». */
  readonly failure: ProxyFailure | undefined;
  /** What is to be sent now; while it is empty, the proxy's turn is awaited. */
  readonly output: Uint8Array<ArrayBuffer>;
  /** The first `count` bytes of the output were sent. */
  sent(count: number): void;
  /**
   * Looks at what came from the proxy.
   * @returns how many of the bytes belong to the handshake; the rest does not.
   */
  receive(bytes: Uint8Array, at: number, length: number): number;
  /** The proxy has closed the connection. */
  closed(): void;
}

/** A DNS name has at most 253 characters; SOCKS5 has room for 255. */
const LONGEST_NAME = 253;
const NAME = /^[A-Za-z0-9_.-]+$/;

/**
 * Whether a name may stand in a request. Names come from what clients ask for:
 * blanks, line ends and control characters must never reach a request.
 */
export function isTargetName(name: string): boolean {
  return name.length <= LONGEST_NAME && NAME.test(name);
}

/**
 * Says why a target cannot be asked for; undefined where it can.
 */
export function targetFault(target: ProxyTarget): ProxyFailure | undefined {
  const { name, words, port } = target;
  if (name !== undefined && !isTargetName(name)) {
    return {
      kind: "unsupported",
      text: `${printable(name, 60)} is no name that a proxy can be asked for`,
    };
  }
  if (name === undefined && isUnspecified(words)) {
    return {
      kind: "unsupported",
      text: `${formatEndpoint(words, 0, port)} is no destination`,
    };
  }
  return undefined;
}

/** ASCII without control characters, of at most `limit` characters. */
export function printable(text: string, limit: number): string {
  const clean = text.slice(0, limit).replace(/[^\x20-\x7e]/g, "?").trim();
  return text.length > limit ? `${clean}...` : clean;
}
