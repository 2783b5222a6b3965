/**
 * The client's side of HTTP CONNECT (RFC 9110 section 9.3.6, RFC 9112) with
 * Basic authentication (RFC 7617).
 *
 *     CONNECT host:port HTTP/1.1        HTTP/1.1 200 Connection established
 *     Host: host:port                   any: header
 *     Proxy-Authorization: Basic ...
 *                                       tunnel ...
 *
 * Any 2xx opens the tunnel, whatever its headers say of a body; the first byte
 * after the blank line is the tunnel's. Other answers fail with their status
 * line. Interim answers (1xx) are passed over.
 */
import { formatEndpoint } from "../wire/address.ts";
import {
  printable,
  type ProxyFailure,
  type ProxyFailureKind,
  type ProxyHandshake,
  type ProxyTarget,
  targetFault,
} from "./handshake.ts";

/** Bytes that a proxy may send before the tunnel begins, interim answers included. */
export const LONGEST_HTTP_ANSWER = 16 * 1024;
const STATUS_LINE_KEPT = 256;
const STATUS_LINE_SHOWN = 120;
const START = "HTTP/1.";
const STATUS_LINE = /^HTTP\/1\.[0-9] ([1-9][0-9]{2})(?: .*)?$/;
const CR = 13;
const LF = 10;

/** Who we are to the proxy. */
export interface HttpCredentials {
  /** Without a colon and control characters (RFC 7617 section 2). */
  readonly user: string;
  readonly password: string;
}

/** One handshake. */
export interface HttpConnectOptions {
  readonly target: ProxyTarget;
  readonly credentials?: HttpCredentials;
}

const EMPTY = new Uint8Array(0);

/** A handshake with an HTTP proxy; see {@linkcode ProxyHandshake}. */
export class HttpConnectHandshake implements ProxyHandshake {
  state: ProxyHandshake["state"] = "talking";
  failure: ProxyFailure | undefined;
  output: Uint8Array<ArrayBuffer> = EMPTY;
  readonly #authenticates: boolean;
  readonly #statusLine = new Uint8Array(STATUS_LINE_KEPT);
  #part: "status" | "headers" = "status";
  /** The status code of the answer whose headers are read. */
  #status = 0;
  /** Bytes of the current line without its end; a CR before LF counts. */
  #lineLength = 0;
  #lastByte = 0;
  #received = 0;

  /** @throws {TypeError} where user or password cannot be written in a header. */
  constructor(options: HttpConnectOptions) {
    const { target, credentials } = options;
    this.#authenticates = credentials !== undefined;
    const authorization = credentials && encodeBasic(credentials);
    const fault = targetFault(target);
    if (fault !== undefined) this.#fail(fault.kind, fault.text);
    else this.output = encodeRequest(target, authorization);
  }

  sent(count: number): void {
    this.output = this.output.subarray(count);
  }

  receive(bytes: Uint8Array, at: number, length: number): number {
    let taken = 0;
    while (taken < length && this.state === "talking") {
      this.#take(bytes[at + taken++]);
      if (++this.#received === LONGEST_HTTP_ANSWER) this.#failTooLong();
    }
    return taken;
  }

  closed(): void {
    if (this.state !== "talking") return;
    this.#fail(
      "proxy-closed",
      this.#received === 0
        ? "the proxy closed the connection without an answer"
        : "the proxy closed the connection within its answer",
    );
  }

  #take(byte: number): void {
    if (byte === LF) {
      const withReturn = this.#lineLength > 0 && this.#lastByte === CR;
      this.#endLine(this.#lineLength - (withReturn ? 1 : 0));
      this.#lineLength = 0;
    } else {
      if (this.#part === "status") this.#takeStatusByte(byte);
      this.#lineLength++;
    }
    this.#lastByte = byte;
  }

  #takeStatusByte(byte: number): void {
    const i = this.#lineLength;
    if (i < START.length && byte !== START.charCodeAt(i)) {
      // Nothing else may follow: a proxy of another kind may never send a line.
      this.#fail(
        "proxy-garbage",
        "the answer does not begin with HTTP/1: no HTTP proxy",
      );
    }
    if (i < STATUS_LINE_KEPT) this.#statusLine[i] = byte;
  }

  /** A line of `length` bytes is over. */
  #endLine(length: number): void {
    if (this.#part === "status") {
      const kept = Math.min(length, STATUS_LINE_KEPT);
      this.#takeStatusLine(String.fromCharCode(
        ...this.#statusLine.subarray(0, kept),
      ));
    } else if (length === 0) {
      this.#part = "status";
      if (this.#status >= 200) this.state = "established";
    }
  }

  #takeStatusLine(line: string): void {
    const text = printable(line, STATUS_LINE_SHOWN);
    const status = Number(STATUS_LINE.exec(line.trimEnd())?.[1] ?? 0);
    if (status === 0) {
      this.#fail("proxy-garbage", `the answer is no status line: ${text}`);
    } else if (status === 101) {
      this.#fail("proxy-garbage", `the proxy changes protocols: ${text}`);
    } else if (status >= 300) {
      this.#failStatus(status, text);
    } else {
      this.#status = status;
      this.#part = "headers";
    }
  }

  #failStatus(status: number, line: string): void {
    // Some proxies (tinyproxy) say 401 of a wrong password.
    if (status === 407 || status === 401) {
      const what = this.#authenticates
        ? "the proxy refuses this user and password"
        : "the proxy wants a user and password";
      return this.#fail("proxy-auth", `${what}: ${line}`);
    }
    const kind = STATUS_KINDS.get(status) ?? "proxy-refused";
    this.#fail(kind, `the proxy says: ${line}`);
  }

  #failTooLong(): void {
    if (this.state !== "talking") return;
    this.#fail(
      "proxy-garbage",
      `the answer's headers do not end within ${LONGEST_HTTP_ANSWER} bytes`,
    );
  }

  #fail(kind: ProxyFailureKind, text: string): void {
    if (this.state === "failed") return;
    this.state = "failed";
    this.output = EMPTY;
    this.failure = { kind, text };
  }
}

/** Statuses that tell more than «no». */
const STATUS_KINDS = new Map<number, ProxyFailureKind>([
  [403, "not-permitted"],
  [504, "timed-out"],
]);

function encodeRequest(
  { name, words, port }: ProxyTarget,
  authorization: string | undefined,
): Uint8Array<ArrayBuffer> {
  const authority = name === undefined
    ? formatEndpoint(words, 0, port)
    : `${name}:${port}`;
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  if (authorization !== undefined) {
    lines.push(`Proxy-Authorization: Basic ${authorization}`);
  }
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

function encodeBasic({ user, password }: HttpCredentials): string {
  if (user.includes(":")) throw new TypeError("a user with a colon in it");
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) {
    throw new TypeError("a user or password with a control character");
  }
  return btoa(String.fromCharCode(...bytes));
}
