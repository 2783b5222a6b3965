/**
 * A TCP connection to one DNS resolver, in the relay worker: messages with a
 * length before each (RFC 1035 section 4.2.2), any number under way at once,
 * answered in any order (RFC 7766 section 6.2.1.1).
 *
 *     | length 2 | message |
 */
import { equalWords } from "../../core/wire/address.ts";
import { readU16be, writeU16be } from "../../core/wire/bytes.ts";
import {
  DNS_HEADER_LENGTH,
  type DnsMessage,
  isAnswerTo,
} from "../../core/wire/dns.ts";
import type { Dial, Dialer } from "../../io/ports/dialer.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../io/ports/stream_sockets.ts";
import type { RelayHost } from "./relay_guest.ts";

/** One end of a query: four address words and a port. */
export interface DnsClient {
  readonly words: Int32Array;
  readonly port: number;
}

/** A query in flight. */
export interface DnsQuery {
  readonly client: DnsClient;
  readonly message: DnsMessage;
  /** As it came, with the client's id. */
  readonly bytes: Uint8Array;
  readonly deadline: number;
  /** Connections that it was sent by. */
  tries: number;
}

/** Times and limits of a connection. */
export interface DnsConnectionLimits {
  /** The dialer may take so long, in ms. */
  readonly dialMs: number;
  /** A query waits so long for its answer, in ms. */
  readonly queryMs: number;
  /** A connection without queries is closed after this, in ms. */
  readonly idleMs: number;
}

/** What a connection works with. */
export interface DnsConnectionOptions {
  readonly dialer: Dialer;
  readonly sockets: StreamSockets;
  readonly host: RelayHost;
  readonly tag: number;
  readonly limits: DnsConnectionLimits;
  /** Takes the answer to a query; the bytes are the taker's. */
  readonly take: (query: DnsQuery, answer: Uint8Array) => void;
  readonly now: number;
}

const LENGTH_SIZE = 2;
const LONGEST_MESSAGE = 65_535;
/** Bytes that wait to be sent. */
const OUTPUT_ROOM = 64 * 1024;
const IDS = 65_536;

/** One connection, in the making or open. */
export class DnsConnection implements Disposable {
  readonly resolver: DnsClient;
  /** Whether it was ever open: then its end is not the destination's refusal. */
  served = false;
  readonly #options: DnsConnectionOptions;
  readonly #dial: Dial;
  /** What is watched, or -1. */
  #watched = -1;
  #wants: "read" | "write" = "read";
  /** Once open. */
  #descriptor = -1;
  #dialDeadline: number;
  #idleSince: number;
  #heardAt: number;
  /** By our own id, oldest first. */
  readonly #queries = new Map<number, DnsQuery>();
  #late = 0;
  #nextId = 0;
  readonly #output = new Uint8Array(OUTPUT_ROOM);
  #outputLength = 0;
  readonly #input = new Uint8Array(LENGTH_SIZE + LONGEST_MESSAGE);
  #inputLength = 0;

  constructor(resolver: DnsClient, options: DnsConnectionOptions) {
    const { dialer, limits, now } = options;
    this.resolver = resolver;
    this.#options = options;
    this.#dial = dialer.dial(resolver);
    this.#dialDeadline = now + limits.dialMs;
    this.#idleSince = now;
    this.#heardAt = now;
  }

  /** Queries without an answer. */
  get inFlight(): number {
    return this.#queries.size;
  }

  /** Whether a client's query with this id is under way. */
  has({ words, port }: DnsClient, id: number): boolean {
    for (const { client, message } of this.#queries.values()) {
      if (
        message.id === id && client.port === port &&
        equalWords(client.words, 0, words, 0)
      ) return true;
    }
    return false;
  }

  /**
   * Takes a query; {@linkcode advance} sends it.
   * @returns false where it has no room for it now.
   */
  send(query: DnsQuery): boolean {
    const { bytes } = query;
    const end = this.#outputLength + LENGTH_SIZE + bytes.length;
    if (end > OUTPUT_ROOM || this.#queries.size === IDS) return false;
    while (this.#queries.has(this.#nextId)) this.#skipId();
    const at = this.#outputLength;
    writeU16be(this.#output, at, bytes.length);
    this.#output.set(bytes, at + LENGTH_SIZE);
    writeU16be(this.#output, at + LENGTH_SIZE, this.#nextId);
    this.#outputLength = end;
    this.#queries.set(this.#nextId, query);
    this.#skipId();
    return true;
  }

  /** Goes on as far as it can without waiting. */
  advance(now: number): "goes-on" | "over" {
    if (this.#descriptor < 0) {
      const state = this.#connect();
      if (state === "failed") return "over";
      if (state === "pending") return "goes-on";
    }
    if (!this.#flush() || !this.#read(now)) return "over";
    const wants = this.#outputLength > 0 ? "write" : "read";
    return this.#watch(this.#descriptor, wants) ? "goes-on" : "over";
  }

  /** When {@linkcode handleTimeout} is due. */
  nextTimeout(): number {
    if (this.#descriptor < 0) return this.#dialDeadline;
    for (const { deadline } of this.#queries.values()) return deadline;
    return this.#idleSince + this.#options.limits.idleMs;
  }

  /** Gives up what waited too long. */
  handleTimeout(now: number): "goes-on" | "over" {
    if (this.#descriptor < 0) {
      return now >= this.#dialDeadline ? "over" : "goes-on";
    }
    const { queryMs, idleMs } = this.#options.limits;
    if (this.#queries.size === 0) {
      return now >= this.#idleSince + idleMs ? "over" : "goes-on";
    }
    let isDead = false;
    for (const [id, { deadline }] of this.#queries) {
      if (deadline > now) break;
      this.#queries.delete(id);
      this.#late++;
      // Nothing came since it was sent: not this query, the connection is stuck.
      if (this.#heardAt <= deadline - queryMs) isDead = true;
    }
    if (this.#queries.size === 0) this.#idleSince = now;
    return isDead ? "over" : "goes-on";
  }

  /** How many queries were given up since the last call. */
  takeLate(): number {
    const late = this.#late;
    this.#late = 0;
    return late;
  }

  /** Takes all queries without an answer. */
  takeAll(): DnsQuery[] {
    const all = [...this.#queries.values()];
    this.#queries.clear();
    return all;
  }

  [Symbol.dispose](): void {
    this.#forget();
    this.#dial[Symbol.dispose]();
    if (this.#descriptor >= 0) this.#options.sockets.close(this.#descriptor);
    this.#descriptor = -1;
  }

  #connect(): "pending" | "connected" | "failed" {
    // The dial may close or give away what is watched.
    this.#forget();
    const state = this.#dial.advance();
    if (state === "connected") {
      this.#descriptor = this.#dial.take();
      this.served = true;
      return state;
    }
    if (state === "failed") return state;
    return this.#watch(this.#dial.descriptor, this.#dial.wants)
      ? "pending"
      : "failed";
  }

  /** @returns false where the connection is over. */
  #flush(): boolean {
    let at = 0;
    while (at < this.#outputLength) {
      const sent = this.#options.sockets.send(
        this.#descriptor,
        this.#output.subarray(at),
        this.#outputLength - at,
      );
      if (sent === -SocketError.WouldBlock) break;
      if (sent < 0) return false;
      at += sent;
    }
    this.#output.copyWithin(0, at, this.#outputLength);
    this.#outputLength -= at;
    return true;
  }

  /** @returns false where the connection is over. */
  #read(now: number): boolean {
    for (;;) {
      const count = this.#options.sockets.receive(
        this.#descriptor,
        this.#input.subarray(this.#inputLength),
        this.#input.length - this.#inputLength,
      );
      if (count === -SocketError.WouldBlock) return true;
      if (count <= 0) return false;
      this.#heardAt = now;
      this.#inputLength += count;
      if (!this.#takeMessages(now)) return false;
    }
  }

  /** @returns false where what came is no DNS. */
  #takeMessages(now: number): boolean {
    const input = this.#input;
    let at = 0;
    while (this.#inputLength - at >= LENGTH_SIZE) {
      const length = readU16be(input, at);
      if (length < DNS_HEADER_LENGTH) return false;
      const end = at + LENGTH_SIZE + length;
      if (end > this.#inputLength) break;
      this.#takeAnswer(input.slice(at + LENGTH_SIZE, end), now);
      at = end;
    }
    input.copyWithin(0, at, this.#inputLength);
    this.#inputLength -= at;
    return true;
  }

  /** What answers none of our queries is ignored. */
  #takeAnswer(answer: Uint8Array, now: number): void {
    const id = readU16be(answer, 0);
    const query = this.#queries.get(id);
    if (query === undefined) return;
    writeU16be(answer, 0, query.message.id);
    if (!isAnswerTo(answer, query.bytes)) return;
    this.#queries.delete(id);
    if (this.#queries.size === 0) this.#idleSince = now;
    this.#options.take(query, answer);
  }

  /** @returns false where the poll set has no room. */
  #watch(descriptor: number, wants: "read" | "write"): boolean {
    const { host, tag } = this.#options;
    if (this.#watched === descriptor) {
      if (this.#wants !== wants) host.change(descriptor, tag, wants);
    } else {
      this.#forget();
      if (!host.watch(descriptor, tag, wants)) return false;
      this.#watched = descriptor;
    }
    this.#wants = wants;
    return true;
  }

  #forget(): void {
    if (this.#watched >= 0) this.#options.host.forget(this.#watched);
    this.#watched = -1;
  }

  #skipId(): void {
    this.#nextId = (this.#nextId + 1) % IDS;
  }
}
