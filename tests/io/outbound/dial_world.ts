/**
 * Dials on real sockets, stepped as a relay does it: only when its poll set
 * tells something. TLS bridges run beside, in the same thread.
 */
import { openDialer } from "../../../src/io/outbound/open_dialer.ts";
import { TlsBridges } from "../../../src/io/outbound/tls_bridge.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import type {
  Dial,
  Dialer,
  DialerSetup,
  DialFailure,
  DialTarget,
} from "../../../src/io/ports/dialer.ts";
import {
  SocketError,
  SocketEvent,
  type SocketEvents,
  type StreamSockets,
} from "../../../src/io/ports.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import {
  type CountedSockets,
  countSockets,
} from "../../support/counted_sockets.ts";
import { waitFor } from "../../support/wait.ts";

const READ = SocketEvent.Readable | SocketEvent.ReadFinished;

/** A destination from text. */
export function target(
  address: string,
  port: number,
  name?: string,
): DialTarget {
  const words = Int32Array.from(parseAddress(address)!);
  return name === undefined ? { words, port } : { words, port, name };
}

/** Sockets, a poll set and bridges, with the descriptors of all counted. */
export class DialWorld implements Disposable {
  readonly sockets: StreamSockets;
  readonly #counted: CountedSockets;
  readonly bridges: TlsBridges;
  /** How often the last dial was stepped. */
  steps = 0;
  readonly #platform = openPlatform();
  readonly #streams = this.#platform.openSocketStreams();

  constructor() {
    this.#counted = countSockets(this.#platform.openStreamSockets());
    this.sockets = this.#counted.sockets;
    this.bridges = new TlsBridges(this.#streams);
  }

  /** How many sockets are open here, those of TLS included. */
  get openSockets(): number {
    return this.#counted.count + this.bridges.count;
  }

  /** Opens a dialer whose TLS this thread speaks. */
  open(setup: DialerSetup): Dialer {
    return openDialer(setup, {
      sockets: this.sockets,
      bridgeTls: (request) => {
        this.#counted.forget(request.proxyDescriptor);
        this.#counted.forget(request.plainDescriptor);
        this.bridges.open(request);
      },
    });
  }

  /** As {@linkcode open}, with nobody to speak TLS. */
  openWithoutBridge(setup: DialerSetup): Dialer {
    return openDialer(setup, { sockets: this.sockets });
  }

  /** Steps a dial until it is decided, or while `goesOn` says so. */
  async run(
    dial: Dial,
    goesOn: () => boolean = () => true,
  ): Promise<ReturnType<Dial["advance"]>> {
    using events = this.#platform.openSocketEvents();
    this.steps = 1;
    let state = dial.advance();
    while (state === "pending" && goesOn()) {
      await told(events, dial, goesOn);
      if (!goesOn()) break;
      state = dial.advance();
      this.steps++;
    }
    return state;
  }

  /** Dials and gives the connection. */
  async connect(dialer: Dialer, to: DialTarget): Promise<Connection> {
    using dial = dialer.dial(to);
    if (await this.run(dial) !== "connected") {
      throw new Error(`${dial.failure?.kind}: ${dial.failure?.text}`);
    }
    return new Connection(this.sockets, dial.take());
  }

  /** Dials and gives why it failed. */
  async failure(dialer: Dialer, to: DialTarget): Promise<DialFailure> {
    using dial = dialer.dial(to);
    const state = await this.run(dial);
    if (state !== "failed" || dial.failure === undefined) {
      throw new Error(`${dialer.name}: ${state}, not failed`);
    }
    return dial.failure;
  }

  [Symbol.dispose](): void {
    this.bridges[Symbol.dispose]();
    this.#streams[Symbol.dispose]();
    this.#platform[Symbol.dispose]();
  }
}

/** Waits until something is told of what a dial waits for. */
async function told(
  events: SocketEvents,
  dial: Dial,
  goesOn: () => boolean,
): Promise<void> {
  const wants = dial.wants === "read" ? READ : SocketEvent.Writable;
  const { descriptor } = dial;
  if (events.add(descriptor, wants, 1) !== 0) {
    throw new Error(`descriptor ${descriptor} cannot be waited for`);
  }
  try {
    await waitFor(
      "the dial to go on",
      () => events.wait(0) > 0 || !goesOn(),
      { intervalMs: 1, timeoutMs: 10_000 },
    );
  } finally {
    events.remove(descriptor);
  }
}

/** A connected descriptor, with waiting. */
export class Connection implements Disposable {
  readonly descriptor: number;
  readonly #sockets: StreamSockets;

  constructor(sockets: StreamSockets, descriptor: number) {
    this.#sockets = sockets;
    this.descriptor = descriptor;
  }

  async send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const rest = bytes.subarray(at);
      at += await this.#tried(
        "send",
        () => this.#sockets.send(this.descriptor, rest, rest.length),
      );
    }
  }

  /** What comes, up to `limit` bytes; none where the other end has finished. */
  async receive(limit = 65_536): Promise<Uint8Array<ArrayBuffer>> {
    const room = new Uint8Array(limit);
    const count = await this.#tried(
      "receive",
      () => this.#sockets.receive(this.descriptor, room, limit),
    );
    return room.subarray(0, count);
  }

  /** Exactly so many bytes, fewer only where the other end finishes. */
  async receiveExactly(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const piece = await this.receive(length - at);
      if (piece.length === 0) break;
      all.set(piece, at);
      at += piece.length;
    }
    return all.subarray(0, at);
  }

  /** Says that no more bytes follow from here. */
  finish(): void {
    this.#sockets.shutdownWrite(this.descriptor);
  }

  /** Breaks the connection off. */
  reset(): void {
    this.#sockets.reset(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.#sockets.close(this.descriptor);
  }

  async #tried(call: string, attempt: () => number): Promise<number> {
    const { count } = await waitFor(`${call} to do something`, () => {
      const count = attempt();
      return count === -SocketError.WouldBlock ? undefined : { count };
    }, { intervalMs: 1, timeoutMs: 10_000 });
    if (count < 0) {
      throw new Error(`${call}: ${this.#sockets.errorText(count)}`);
    }
    return count;
  }
}
