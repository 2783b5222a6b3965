/**
 * The client's side of SOCKS5 (RFC 1928) with user and password (RFC 1929).
 *
 *     us     05 n methods                                   0 none, 2 user and password
 *     proxy  05 method
 *     us     01 n user n password                           where method is 2
 *     proxy  01 status                                      0 is success
 *     us     05 command 00 type address port
 *     proxy  05 reply 00 type address port
 *
 *     type 1: 4 bytes; 3: a length and a name; 4: 16 bytes
 *
 * Each step waits for the answer to the one before: proxies read a step into a
 * buffer and lose what follows it.
 */
import {
  isMappedIpv4,
  readWords,
  setMappedIpv4,
  writeWords,
} from "../wire/address.ts";
import { readU16be, readU32be, writeU16be, writeU32be } from "../wire/bytes.ts";
import {
  type ProxyFailure,
  type ProxyFailureKind,
  type ProxyHandshake,
  type ProxyTarget,
  targetFault,
} from "./handshake.ts";

const VERSION = 5;
const AUTH_VERSION = 1;
const METHOD_NONE = 0;
const METHOD_PASSWORD = 2;
const METHOD_REFUSED = 0xff;
const LONGEST_CREDENTIAL = 255;
/** 4 bytes, a length, a name of 255 bytes, a port. */
const LONGEST_REPLY = 262;

/** Address types (RFC 1928 section 5). */
export const AddressType = { Ipv4: 1, Name: 3, Ipv6: 4 } as const;

const COMMANDS = { connect: 1, "udp-associate": 3 } as const;

/** What a proxy is asked to do. */
export type Socks5Command = keyof typeof COMMANDS;

/** Reply codes 1 to 8 (RFC 1928 section 6). */
const REPLIES: readonly (readonly [ProxyFailureKind, string])[] = [
  ["proxy-refused", "the proxy failed for a reason that it does not tell"],
  ["not-permitted", "the proxy's rules do not allow this connection"],
  ["network-unreachable", "the proxy finds no route to the network"],
  ["host-unreachable", "the proxy cannot reach the host"],
  ["refused", "the destination refused the proxy's connection"],
  // This is also how proxies report that connecting took too long.
  ["timed-out", "the proxy waited in vain for the destination (TTL expired)"],
  ["unsupported", "the proxy does not know the command"],
  ["unsupported", "the proxy does not know the address type"],
];

/** Who we are to the proxy. */
export interface Socks5Credentials {
  readonly user: string;
  readonly password: string;
}

/** One handshake. */
export interface Socks5Options {
  /**
   * For `udp-associate` the address that our datagrams will come from; where it
   * is not known 0.0.0.0 or ::, as the connection to the proxy: some give their
   * relay an address of that family.
   */
  readonly target: ProxyTarget;
  /** `connect` where left out. */
  readonly command?: Socks5Command;
  /** Offered beside «none»; the proxy chooses. */
  readonly credentials?: Socks5Credentials;
}

const EMPTY = new Uint8Array(0);

/** A handshake with a SOCKS5 proxy; see {@linkcode ProxyHandshake}. */
export class Socks5Handshake implements ProxyHandshake {
  state: ProxyHandshake["state"] = "talking";
  failure: ProxyFailure | undefined;
  output: Uint8Array<ArrayBuffer>;
  /**
   * What the proxy is bound to, when established: the relay for datagrams after
   * `udp-associate`. Four address words; all zero (or 0.0.0.0) where the proxy
   * says so or names a host, and then its own address is meant.
   */
  readonly bound: Int32Array = new Int32Array(4);
  boundPort = 0;
  #stage: "method" | "auth" | "reply" = "method";
  readonly #reply = new Uint8Array(LONGEST_REPLY);
  #received = 0;
  readonly #options: Socks5Options;

  /** @throws {RangeError} where user or password have more than 255 bytes. */
  constructor(options: Socks5Options) {
    this.#options = options;
    const { credentials, target, command = "connect" } = options;
    if (credentials !== undefined) checkCredentials(credentials);
    this.output = credentials === undefined
      ? Uint8Array.of(VERSION, 1, METHOD_NONE)
      : Uint8Array.of(VERSION, 2, METHOD_NONE, METHOD_PASSWORD);
    const fault = command === "connect" ? targetFault(target) : undefined;
    if (fault !== undefined) this.#fail(fault.kind, fault.text);
  }

  sent(count: number): void {
    this.output = this.output.subarray(count);
  }

  receive(bytes: Uint8Array, at: number, length: number): number {
    let taken = 0;
    while (taken < length && this.state === "talking") {
      // Out of turn: nothing of ours is answered yet, so it can't be an answer.
      if (this.output.length > 0) {
        this.#fail("proxy-garbage", "the proxy speaks before it is asked");
        break;
      }
      this.#reply[this.#received++] = bytes[at + taken++];
      this.#look();
    }
    return taken;
  }

  closed(): void {
    if (this.state !== "talking") return;
    this.#fail("proxy-closed", CLOSED[this.#stage]);
  }

  /** Looks at the answer so far, one byte longer than the last time. */
  #look(): void {
    switch (this.#stage) {
      case "method":
        return this.#lookAtMethod();
      case "auth":
        return this.#lookAtAuth();
      case "reply":
        return this.#lookAtReply();
    }
  }

  #lookAtMethod(): void {
    if (!this.#hasVersion(VERSION) || this.#received < 2) return;
    const method = this.#reply[1];
    const { credentials } = this.#options;
    if (method === METHOD_NONE) {
      this.#request();
    } else if (method === METHOD_PASSWORD && credentials !== undefined) {
      this.#next("auth", encodeCredentials(credentials));
    } else if (method === METHOD_REFUSED) {
      this.#fail(
        "proxy-auth",
        credentials === undefined
          ? "the proxy wants a user and password, or another authentication"
          : "the proxy takes neither user and password nor none",
      );
    } else {
      this.#fail(
        "proxy-garbage",
        `the proxy chose authentication method ${method}, which was not offered`,
      );
    }
  }

  #lookAtAuth(): void {
    if (!this.#hasVersion(AUTH_VERSION) || this.#received < 2) return;
    if (this.#reply[1] === 0) this.#request();
    else this.#fail("proxy-auth", "the proxy refuses this user and password");
  }

  #lookAtReply(): void {
    if (!this.#hasVersion(VERSION) || this.#received < 2) return;
    const code = this.#reply[1];
    if (code !== 0) {
      const [kind, text] = REPLIES[code - 1] ??
        ["proxy-refused", "the proxy refuses"];
      return this.#fail(kind, `${text} (reply ${code})`);
    }
    if (this.#received < 5) return;
    const end = replyLength(this.#reply);
    if (end === 0) {
      this.#fail("proxy-garbage", `address type ${this.#reply[3]} is unknown`);
    } else if (this.#received === end) {
      this.#takeBound(end);
      this.state = "established";
    }
  }

  #takeBound(end: number): void {
    const type = this.#reply[3];
    if (type === AddressType.Ipv4) {
      setMappedIpv4(this.bound, 0, readU32be(this.#reply, 4));
    } else if (type === AddressType.Ipv6) {
      readWords(this.#reply, 4, this.bound, 0);
    }
    this.boundPort = readU16be(this.#reply, end - 2);
  }

  #hasVersion(version: number): boolean {
    if (this.#reply[0] === version) return true;
    this.#fail(
      "proxy-garbage",
      `the answer begins with ${
        this.#reply[0]
      }, not ${version}: no SOCKS5 proxy`,
    );
    return false;
  }

  #request(): void {
    const { command = "connect", target } = this.#options;
    this.#next("reply", encodeRequest(command, target));
  }

  #next(stage: "auth" | "reply", output: Uint8Array<ArrayBuffer>): void {
    this.#stage = stage;
    this.#received = 0;
    this.output = output;
  }

  #fail(kind: ProxyFailureKind, text: string): void {
    this.state = "failed";
    this.output = EMPTY;
    this.failure = { kind, text };
  }
}

const CLOSED = {
  method: "the proxy closed the connection at the greeting",
  auth: "the proxy closed the connection at user and password",
  reply: "the proxy closed the connection without an answer",
} as const;

/** Length of a reply whose first 5 bytes are there; 0 where its type is unknown. */
function replyLength(reply: Uint8Array): number {
  switch (reply[3]) {
    case AddressType.Ipv4:
      return 10;
    case AddressType.Name:
      return 7 + reply[4];
    case AddressType.Ipv6:
      return 22;
    default:
      return 0;
  }
}

function checkCredentials({ user, password }: Socks5Credentials): void {
  for (const [what, text] of [["user", user], ["password", password]]) {
    const length = new TextEncoder().encode(text).length;
    if (length > LONGEST_CREDENTIAL) {
      throw new RangeError(
        `SOCKS5 has room for 255 bytes: the ${what} has ${length}`,
      );
    }
  }
}

function encodeCredentials(
  credentials: Socks5Credentials,
): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const user = encoder.encode(credentials.user);
  const password = encoder.encode(credentials.password);
  return Uint8Array.of(
    AUTH_VERSION,
    user.length,
    ...user,
    password.length,
    ...password,
  );
}

function encodeRequest(
  command: Socks5Command,
  target: ProxyTarget,
): Uint8Array<ArrayBuffer> {
  const address = encodeAddress(target);
  const request = new Uint8Array(3 + address.length + 2);
  request[0] = VERSION;
  request[1] = COMMANDS[command];
  request.set(address, 3);
  writeU16be(request, 3 + address.length, target.port);
  return request;
}

/** Type and address. */
function encodeAddress({ name, words }: ProxyTarget): Uint8Array<ArrayBuffer> {
  if (name !== undefined) {
    const text = new TextEncoder().encode(name);
    return Uint8Array.of(AddressType.Name, text.length, ...text);
  }
  if (isMappedIpv4(words)) {
    const bytes = new Uint8Array(5);
    bytes[0] = AddressType.Ipv4;
    writeU32be(bytes, 1, words[3]);
    return bytes;
  }
  const bytes = new Uint8Array(17);
  bytes[0] = AddressType.Ipv6;
  writeWords(bytes, 1, words, 0);
  return bytes;
}
