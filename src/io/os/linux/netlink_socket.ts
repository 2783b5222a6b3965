/**
 * A netlink socket of any protocol: a question, and the kernel's answer to it.
 *
 * Requests are answered while they are sent, so the calls block for no longer
 * than the kernel needs; a time-out guards against an answer that never comes.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  nlmsghdr,
  sockaddrNl,
  timeval,
} from "../../../../ffi/linux_layouts.ts";
import { readU32le, writeU16le, writeU32le } from "../../../core/wire/bytes.ts";
import {
  Control,
  Flag,
  type NetlinkMessage,
  parseMessages,
  parseOutcome,
  type RequestWriter,
} from "./netlink_message.ts";

/** Protocols of netlink, and the text for a failure to open one. */
export const NetlinkProtocol = {
  Route: 0,
  SocketDiag: 4,
  Connector: 11,
  Netfilter: 12,
} as const;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;
const EINTR = 4;

const BUFFER_LENGTH = 64 * 1024;
const TIMEOUT_SECONDS = 5;
const DUMP_ATTEMPTS = 5;

/** A request that the kernel refused. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  constructor(
    /** What was asked, e.g. `RTM_NEWADDR 10.8.0.1/24`. */
    readonly request: string,
    /** The errno; 0 where the answer made no sense. */
    readonly code: number,
    text: string,
    /** The kernel's own words, where it has some. */
    readonly detail: string | undefined = undefined,
  ) {
    super(`${request}: ${text}${detail === undefined ? "" : ` (${detail})`}`);
  }
}

/** One request of a transaction, and its name in the text of a refusal. */
export interface NamedRequest {
  readonly name: string;
  readonly writer: RequestWriter;
}

/** How a netlink socket is opened. */
export interface NetlinkSocketOptions {
  /** One of {@linkcode NetlinkProtocol}. */
  readonly protocol: number;
  /** Groups (bits) whose messages come unasked. */
  readonly groups?: number;
}

/** A netlink socket, for one thread. */
export class NetlinkSocket implements Disposable {
  readonly #libc: Libc;
  readonly descriptor: number;
  readonly #buffer = new Uint8Array(BUFFER_LENGTH);
  readonly #sender = new Uint8Array(sockaddrNl.size);
  readonly #senderLength = new Uint8Array(4);
  #sequence = 0;

  /** @throws {LibcError} where the socket cannot be made. */
  constructor(libc: Libc, options: NetlinkSocketOptions) {
    this.#libc = libc;
    this.descriptor = libc.call.socket(
      AF_NETLINK,
      SOCK_RAW | SOCK_CLOEXEC,
      options.protocol,
    );
    if (this.descriptor < 0) throw libc.error("socket(AF_NETLINK)");
    const address = new Uint8Array(sockaddrNl.size);
    writeU16le(address, sockaddrNl.at.nl_family, AF_NETLINK);
    writeU32le(address, sockaddrNl.at.nl_groups, options.groups ?? 0);
    if (libc.call.bind(this.descriptor, address, address.length) !== 0) {
      const error = libc.error("bind(AF_NETLINK)");
      libc.call.close(this.descriptor);
      throw error;
    }
    this.#setOptions();
  }

  /** Asks for many entries; asks again where they changed meanwhile. */
  dump(request: string, writer: RequestWriter): readonly NetlinkMessage[] {
    let messages: readonly NetlinkMessage[] = [];
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      messages = this.exchange(request, writer);
      const interrupted = messages.some((message) =>
        (message.flags & Flag.DumpInterrupted) !== 0
      );
      if (!interrupted) break;
    }
    return messages;
  }

  /**
   * Sends a request and collects its answer up to the message that ends it.
   * @throws {NetlinkError} where the kernel refuses it.
   */
  exchange(request: string, writer: RequestWriter): readonly NetlinkMessage[] {
    const sequence = this.#nextSequence();
    this.#send(request, writer.finish(sequence));
    const answer: NetlinkMessage[] = [];
    for (;;) {
      for (const message of this.#receive(request)) {
        // An answer to a request that timed out earlier.
        if (message.sequence !== sequence) continue;
        if (message.type === Control.Done || message.type === Control.Error) {
          this.#checkOutcome(request, message);
          return answer;
        }
        if (message.type === Control.Overrun) {
          throw new NetlinkError(request, 0, "the answer was lost");
        }
        answer.push(message);
        if ((message.flags & Flag.Multi) === 0) return answer;
      }
    }
  }

  /**
   * Sends all requests at once, for a protocol that does all of them or none.
   * The requests in the middle ask for acknowledgement; the first and the last
   * are the transaction's own frame.
   * @throws {NetlinkError} with the name of the first one that was refused.
   */
  transact(requests: readonly NamedRequest[]): void {
    const first = (this.#sequence + 1) >>> 0;
    const pieces = requests.map(({ writer }) =>
      writer.finish(this.#nextSequence())
    );
    this.#send(requests[0].name, joined(pieces));
    let waiting = requests.length - 2;
    while (waiting > 0) {
      for (const message of this.#receive(requests[0].name)) {
        const which = (message.sequence - first) >>> 0;
        if (which >= requests.length || message.type !== Control.Error) {
          continue;
        }
        this.#checkOutcome(requests[which].name, message);
        waiting--;
      }
    }
  }

  /** Sends one message that nobody acknowledges. */
  tell(request: string, writer: RequestWriter): void {
    this.#send(request, writer.finish(this.#nextSequence()));
  }

  [Symbol.dispose](): void {
    this.#libc.call.close(this.descriptor);
  }

  /** Extended errors are a comfort: a kernel without them still works. */
  #setOptions(): void {
    const one = Uint8Array.of(1, 0, 0, 0);
    this.setOption(SOL_NETLINK, NETLINK_CAP_ACK, one);
    this.setOption(SOL_NETLINK, NETLINK_EXT_ACK, one);
    this.setTimeout({ seconds: TIMEOUT_SECONDS });
  }

  /** Sets how long an answer may take; 0 of both is for ever. */
  setTimeout(limit: { seconds?: number; microseconds?: number }): void {
    const value = new Uint8Array(timeval.size);
    writeU32le(value, timeval.at.tv_sec, limit.seconds ?? 0);
    writeU32le(value, timeval.at.tv_usec, limit.microseconds ?? 0);
    this.setOption(SOL_SOCKET, SO_RCVTIMEO, value);
  }

  /** Sets a socket option. @returns whether the system took it. */
  setOption(
    level: number,
    option: number,
    value: Uint8Array<ArrayBuffer>,
  ): boolean {
    const { setsockopt } = this.#libc.call;
    return setsockopt(
      this.descriptor,
      level,
      option,
      value,
      value.length,
    ) === 0;
  }

  #nextSequence(): number {
    return this.#sequence = (this.#sequence + 1) >>> 0;
  }

  #send(request: string, bytes: Uint8Array<ArrayBuffer>): void {
    const { call } = this.#libc;
    let sent: number;
    do {
      sent = call.sendto(this.descriptor, bytes, bytes.length, 0, null, 0);
    } while (sent < 0 && this.#libc.errno() === EINTR);
    if (sent < 0) throw this.#failure(request, this.#libc.errno());
  }

  /** Reads one datagram of the kernel's; others may write to the socket too. */
  #receive(request: string): readonly NetlinkMessage[] {
    const { call } = this.#libc;
    for (;;) {
      writeU32le(this.#senderLength, 0, sockaddrNl.size);
      const length = call.recvfrom(
        this.descriptor,
        this.#buffer,
        this.#buffer.length,
        MSG_TRUNC,
        this.#sender,
        this.#senderLength,
      );
      if (length < 0) {
        if (this.#libc.errno() === EINTR) continue;
        throw this.#failure(request, this.#libc.errno());
      }
      if (readU32le(this.#sender, sockaddrNl.at.nl_pid) !== 0) continue;
      if (length > this.#buffer.length) {
        throw new NetlinkError(request, 0, `an answer of ${length} bytes`);
      }
      // A copy: messages outlive the buffer's next use.
      const { messages, whole } = parseMessages(this.#buffer.slice(0, length));
      if (!whole) {
        throw new NetlinkError(request, 0, "the answer is malformed");
      }
      return messages;
    }
  }

  #checkOutcome(request: string, message: NetlinkMessage): void {
    const outcome = parseOutcome(message);
    if (outcome === undefined) {
      throw new NetlinkError(request, 0, "the answer is malformed");
    }
    if (outcome.code === 0) return;
    throw this.#failure(request, outcome.code, outcome.detail);
  }

  #failure(request: string, code: number, detail?: string): NetlinkError {
    const text = this.#libc.error(request, code).message;
    const bare = text.slice(request.length + 2);
    return new NetlinkError(request, code, bare, detail);
  }
}

/** Messages one after the other, each padded to 4. */
function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const padded = (piece: Uint8Array) => (piece.length + 3) & ~3;
  const length = pieces.reduce((sum, piece) => sum + padded(piece), 0);
  const bytes = new Uint8Array(Math.max(length, nlmsghdr.size));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += padded(piece);
  }
  return bytes;
}
