/**
 * A relay over real sockets on loopback, driven round by round by the test. The
 * redirect table is played: letting a SYN in opens a true client connection to
 * the relay's listener, so that the port it comes from stands for the row.
 */
import { sharedBuffer } from "../../../src/core/columns/columns.ts";
import { RelayMessage } from "../../../src/core/columns/relay_message.ts";
import { Ring } from "../../../src/core/columns/ring.ts";
import { writeWords } from "../../../src/core/wire/address.ts";
import {
  pseudoHeader4,
  pseudoHeader6,
} from "../../../src/core/wire/checksum.ts";
import * as ipv4 from "../../../src/core/wire/ipv4.ts";
import * as ipv6 from "../../../src/core/wire/ipv6.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import * as tcp from "../../../src/core/wire/tcp.ts";
import {
  RelayCount,
  RelayCounters,
} from "../../../src/datapath/relay/relay_counters.ts";
import { RelayLoop } from "../../../src/datapath/relay/relay_loop.ts";
import type {
  DialOutcome,
  RelayRows,
} from "../../../src/datapath/relay/relay_rows.ts";
import {
  DEFAULT_RELAY_LIMITS,
  type RelayLimits,
} from "../../../src/datapath/relay/relay_settings.ts";
import { DirectDialer } from "../../../src/io/outbound/direct_dialer.ts";
import { openPlatform, type Platform } from "../../../src/io/platform.ts";
import type { Dialer } from "../../../src/io/ports/dialer.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../../src/io/ports/stream_sockets.ts";

export const LOOPBACK = Int32Array.of(0, 0, 0xffff, 0x7f000001);
/** The client that SYNs come from. */
export const CLIENT = Int32Array.of(0, 0, 0xffff, 0x0a080002);
export const CLIENT6 = Int32Array.of(0x20010db8, 0, 0, 2);
const CLIENT_PORT = 40_000;
/** Rounds without a rest, and rounds with one: for what other processes do. */
const QUICK_ROUNDS = 2000;
const SLOW_ROUNDS = 20_000;

/** What a lab may have differently. */
export interface RelayLabOptions {
  readonly dialer?: (sockets: StreamSockets) => Dialer;
  readonly limits?: Partial<RelayLimits>;
  /** The sockets that the relay sees; the test's own stay true. */
  readonly wrap?: (sockets: StreamSockets) => StreamSockets;
  readonly ownHost?: "allow" | "refuse";
  /** Whether let in SYNs come to the listener. */
  readonly clients?: "come" | "stay-away";
}

/** Rows that the test plays. */
class PlayedRows implements RelayRows {
  readonly capacity = 8192;
  readonly outcome = new Map<string, DialOutcome>();
  readonly abandoned = new Set<string>();
  readonly rowOfPort = new Map<number, number>();
  readonly entered: { row: number; generation: number; syn: Uint8Array }[] = [];
  onEnter: (row: number) => void = () => {};

  rowOf(_words: Int32Array, port: number): number {
    return this.rowOfPort.get(port) ?? -1;
  }

  settle(row: number, generation: number, outcome: DialOutcome): boolean {
    const key = `${row}/${generation}`;
    if (this.outcome.has(key) || this.abandoned.has(key)) return false;
    this.outcome.set(key, outcome);
    return true;
  }

  enter(row: number, generation: number, syn: Uint8Array): boolean {
    this.entered.push({ row, generation, syn: syn.slice() });
    this.onEnter(row);
    return true;
  }
}

/** See the module header. */
export class RelayLab implements Disposable {
  readonly platform: Platform = openPlatform();
  readonly sockets: StreamSockets = this.platform.openStreamSockets();
  readonly counters = new RelayCounters(
    sharedBuffer(RelayCounters.byteLength),
  );
  readonly rows = new PlayedRows();
  readonly answers: Uint8Array[] = [];
  readonly lines: string[] = [];
  readonly relayPort: number;
  readonly loop: RelayLoop;
  /** The test's sockets; closed at the end. */
  readonly own = new Set<number>();
  /** Clients by row. */
  readonly clients = new Map<number, number>();
  /** Added to the clock, in ms. */
  later = 0;
  readonly #ring: Ring;
  readonly #wake;
  readonly #resources = new DisposableStack();

  constructor(options: RelayLabOptions = {}) {
    const { platform, sockets, rows } = this;
    const resources = this.#resources;
    resources.use(platform);
    const events = resources.use(platform.openSocketEvents());
    this.#wake = resources.use(platform.openWake());
    this.#ring = new Ring(sharedBuffer(Ring.byteLength(1 << 20)), 1 << 20);
    const listener = this.listen();
    this.relayPort = sockets.localPort(listener);
    const clock = platform.openClock();
    const relaySockets = options.wrap?.(sockets) ?? sockets;
    this.loop = new RelayLoop({
      sockets: relaySockets,
      events,
      dialer: options.dialer
        ? options.dialer(sockets)
        : new DirectDialer(relaySockets),
      rows,
      answer: (bytes, at, length) => {
        this.answers.push(bytes.slice(at, at + length));
        return true;
      },
      counters: this.counters,
      limits: { ...DEFAULT_RELAY_LIMITS, ...options.limits },
      answerSource: {
        address4: 0x0a080001,
        address6: Int32Array.of(0x20010db8, 0, 0, 1),
      },
      ownHost: options.ownHost ?? "allow",
      listeners: [listener],
      ring: this.#ring,
      wake: this.#wake,
      now: () => clock() + this.later,
      stop: new Int32Array(1),
      tell: (line) => this.lines.push(line),
    });
    if (options.clients !== "stay-away") {
      rows.onEnter = (row) => this.clients.set(row, this.#comeIn(row));
    }
  }

  /** A listening socket of the test's own. */
  listen(backlog = 4096): number {
    const address = { words: LOOPBACK, port: 0 };
    return this.keep(this.sockets.listen({ address, backlog }));
  }

  /** Remembers a descriptor to close it at the end; throws where it is an error. */
  keep(descriptor: number): number {
    if (descriptor < 0) throw new Error(this.sockets.errorText(descriptor));
    this.own.add(descriptor);
    return descriptor;
  }

  /** Ends a descriptor of the test's own. */
  end(descriptor: number, how: "close" | "reset" = "close"): void {
    this.own.delete(descriptor);
    if (how === "close") this.sockets.close(descriptor);
    else this.sockets.reset(descriptor);
  }

  /** Asks for a connection, as the open worker does. */
  dial(row: number, generation: number, words: Int32Array, port: number): void {
    const syn = makeSyn(words, port);
    this.#ring.tryWrite(
      RelayMessage.Dial,
      row,
      generation,
      syn,
      0,
      syn.length,
    );
  }

  /** Says that a connection is over. */
  abandon(row: number, generation: number): void {
    const none = new Uint8Array(0);
    this.rows.abandoned.add(`${row}/${generation}`);
    this.#ring.tryWrite(RelayMessage.Abandon, row, generation, none, 0, 0);
  }

  /** Says that a connection is over at once. */
  cut(
    row: number,
    generation: number,
    kind: number = RelayMessage.End,
  ): void {
    const none = new Uint8Array(0);
    this.rows.abandoned.add(`${row}/${generation}`);
    this.#ring.tryWrite(kind, row, generation, none, 0, 0);
  }

  /** Lets the relay do what it has to, some rounds. */
  rounds(count = 3): void {
    for (let i = 0; i < count; i++) {
      this.#wake.signal();
      this.loop.round();
    }
  }

  /** Runs rounds until something holds; throws where it never does. */
  until(condition: () => boolean, what: string): void {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    for (let round = 0; round < QUICK_ROUNDS + SLOW_ROUNDS; round++) {
      if (condition()) return;
      this.rounds(1);
      if (round >= QUICK_ROUNDS) Atomics.wait(cell, 0, 0, 1);
    }
    throw new Error(`in vain: ${what}`);
  }

  /** Accepts from a listener of the test's own. */
  accept(listener: number): number {
    let descriptor = -1;
    this.until(() => {
      descriptor = this.sockets.accept(listener);
      return descriptor >= 0;
    }, "accept");
    return this.keep(descriptor);
  }

  /** A joined connection: the client's end and the outside's. */
  connect(row = 0, generation = 1): { client: number; outside: number } {
    const opened = this.counters.get(RelayCount.Opened);
    const listener = this.listen();
    this.dial(row, generation, LOOPBACK, this.sockets.localPort(listener));
    const outside = this.accept(listener);
    this.until(() => this.clients.has(row), "the client comes in");
    const client = this.clients.get(row)!;
    this.until(
      () => this.counters.get(RelayCount.Opened) > opened,
      "the client is connected",
    );
    this.end(listener);
    return { client, outside };
  }

  /** Connections that the relay has open. */
  get loopOpen(): number {
    return this.counters.snapshot().counts.Open;
  }

  /** Reads all that comes until the end of the stream; the relay runs meanwhile. */
  readAll(descriptor: number): Uint8Array {
    const chunks: Uint8Array[] = [];
    const buffer = new Uint8Array(1 << 16);
    this.until(() => {
      for (;;) {
        const count = this.sockets.receive(descriptor, buffer, buffer.length);
        if (count === -SocketError.WouldBlock) return false;
        if (count < 0) throw new Error(this.sockets.errorText(count));
        if (count === 0) return true;
        chunks.push(buffer.slice(0, count));
      }
    }, "the stream ends");
    return concat(chunks);
  }

  /** The result of reading once that is not «would block». */
  readOnce(descriptor: number, length = 1 << 16): number {
    const buffer = new Uint8Array(length);
    let count = 0;
    this.until(() => {
      count = this.sockets.receive(descriptor, buffer, length);
      return count !== -SocketError.WouldBlock;
    }, "something to read");
    return count;
  }

  /** Sends all of it; the relay runs meanwhile. */
  sendAll(descriptor: number, bytes: Uint8Array): void {
    let at = 0;
    this.until(() => {
      at += this.sendSome(descriptor, bytes, at);
      return at === bytes.length;
    }, "all is sent");
  }

  /** Sends what the system takes now. @returns bytes */
  sendSome(descriptor: number, bytes: Uint8Array, at = 0): number {
    const rest = bytes.slice(at, at + (1 << 18));
    const sent = this.sockets.send(descriptor, rest, rest.length);
    if (sent === -SocketError.WouldBlock) return 0;
    if (sent < 0) throw new Error(this.sockets.errorText(sent));
    return sent;
  }

  [Symbol.dispose](): void {
    this.loop[Symbol.dispose]();
    for (const descriptor of this.own) this.sockets.close(descriptor);
    this.#resources.dispose();
  }

  #comeIn(row: number): number {
    const client = this.keep(this.sockets.connect(LOOPBACK, this.relayPort));
    this.rows.rowOfPort.set(this.sockets.localPort(client), row);
    return client;
  }
}

/** A client's SYN, a whole packet. */
export function makeSyn(words: Int32Array, port: number): Uint8Array {
  const isV4 = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  const header = isV4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  const b = new Uint8Array(header + tcp.HEADER_LENGTH);
  tcp.emit(b, header, CLIENT_PORT, port, 1000, 0, tcp.Flag.Syn, 65_535);
  if (isV4) {
    const from = CLIENT[3] >>> 0;
    const to = words[3] >>> 0;
    ipv4.emit(b, 0, b.length, Protocol.Tcp, 64, from, to);
    const sum = pseudoHeader4(from, to, Protocol.Tcp, tcp.HEADER_LENGTH);
    tcp.updateChecksum(b, header, tcp.HEADER_LENGTH, sum);
  } else {
    ipv6.emit(b, 0, tcp.HEADER_LENGTH, Protocol.Tcp, 64);
    writeWords(b, ipv6.SOURCE_AT, CLIENT6, 0);
    writeWords(b, ipv6.DESTINATION_AT, words, 0);
    const sum = pseudoHeader6(
      b,
      ipv6.SOURCE_AT,
      ipv6.DESTINATION_AT,
      Protocol.Tcp,
      tcp.HEADER_LENGTH,
    );
    tcp.updateChecksum(b, header, tcp.HEADER_LENGTH, sum);
  }
  return b;
}

/** Bytes that look random and are the same each time. */
export function patternBytes(
  length: number,
  seed = 1,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let x = seed;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Descriptors that this process has open. */
export function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
