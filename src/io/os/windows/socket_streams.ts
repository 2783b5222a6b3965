/**
 * Streams over sockets on Windows, where Node's sockets cannot be made of
 * descriptors: reads and writes that never wait, and one wait for all of them on
 * a thread of its own, as long as there are any.
 */
import { Duplex } from "node:stream";
import { SocketEvent } from "../../ports/socket_events.ts";
import type {
  SocketStream,
  SocketStreams,
} from "../../ports/socket_streams.ts";
import { SocketError, type StreamSockets } from "../../ports/stream_sockets.ts";
import { openSocketEvents, type WindowsSocketEvents } from "./socket_events.ts";
import { openSocketLibraries } from "./socket_libraries.ts";
import { SocketReadiness } from "./socket_readiness.ts";
import { openStreamSockets } from "./stream_sockets.ts";

/** Bytes of one read. */
const ROOM = 64 << 10;
const BROKEN = SocketEvent.Error | SocketEvent.HangUp;

/** Opens streams for the calling thread, with libraries of their own. */
export function openSocketStreams(): SocketStreams {
  return new WindowsSocketStreams();
}

class WindowsSocketStreams implements SocketStreams {
  /** By key. */
  readonly #open = new Map<number, PolledStream>();
  #nextKey = 1;
  #loop: StreamLoop | undefined;

  open(descriptor: number): SocketStream {
    const key = this.#nextKey++;
    const loop = this.#loop ??= this.#start();
    const stream = new PolledStream(loop, {
      descriptor,
      key,
      onClosed: () => this.#closed(key),
    });
    this.#open.set(key, stream);
    return stream;
  }

  [Symbol.dispose](): void {
    for (const stream of [...this.#open.values()]) stream.destroy();
  }

  #closed(key: number): void {
    this.#open.delete(key);
    if (this.#open.size > 0) return;
    this.#loop?.end();
    this.#loop = undefined;
  }

  #start(): StreamLoop {
    const loop = new StreamLoop();
    void loop.run((key, happened) => this.#open.get(key)?.ready(happened));
    return loop;
  }
}

/** Sockets and their poll set, until the last stream is closed. */
class StreamLoop {
  readonly sockets: StreamSockets;
  readonly events: WindowsSocketEvents;
  /** For reads: what comes is copied out at once. */
  readonly room = new Uint8Array(ROOM);
  readonly #resources: DisposableStack;
  #ended = false;

  constructor() {
    using guard = new DisposableStack();
    const libraries = guard.use(openSocketLibraries());
    const readiness = new SocketReadiness();
    this.sockets = openStreamSockets(libraries, readiness);
    this.events = guard.use(openSocketEvents(libraries, readiness));
    this.#resources = guard.move();
  }

  async run(tell: (key: number, happened: number) => void): Promise<void> {
    using _all = this.#resources;
    const { events } = this;
    while (!this.#ended) {
      const count = await events.waitElsewhere();
      for (let i = 0; i < count; i++) tell(events.key(i), events.happened(i));
    }
  }

  end(): void {
    this.#ended = true;
    this.events.interrupt();
  }
}

class PolledStream extends Duplex implements SocketStream {
  readonly #loop: StreamLoop;
  readonly #descriptor: number;
  readonly #key: number;
  readonly #onClosed: () => void;
  /** What is waited for: bits of SocketEvent. */
  #wants = 0;
  /** What is still to be sent, and who is told when it was. */
  #rest: Uint8Array<ArrayBuffer> | undefined;
  #sent: (error?: Error | null) => void = () => {};
  #ends: "close" | "reset" = "close";

  constructor(
    loop: StreamLoop,
    { descriptor, key, onClosed }: {
      readonly descriptor: number;
      readonly key: number;
      readonly onClosed: () => void;
    },
  ) {
    super({ allowHalfOpen: true, decodeStrings: true });
    this.#loop = loop;
    this.#descriptor = descriptor;
    this.#key = key;
    this.#onClosed = onClosed;
    // That it breaks is told whatever is waited for.
    loop.events.add(descriptor, 0, key);
  }

  resetAndDestroy(): this {
    this.#ends = "reset";
    return this.destroy();
  }

  /** Goes on with what happened at the socket. */
  ready(happened: number): void {
    if (this.destroyed) return;
    if ((happened & (SocketEvent.Writable | BROKEN)) !== 0) this.#push();
    if (this.destroyed) return;
    if ((happened & (SocketEvent.Readable | BROKEN)) !== 0) this.#pull();
    if (this.destroyed || (happened & BROKEN) === 0) return;
    const error = this.#loop.sockets.takeError(this.#descriptor);
    this.#fail(error === 0 ? -SocketError.ConnectionReset : error);
  }

  override _read(): void {
    this.#pull();
  }

  override _write(
    chunk: Uint8Array,
    _encoding: string,
    sent: (error?: Error | null) => void,
  ): void {
    this.#rest = Uint8Array.from(chunk);
    this.#sent = sent;
    this.#push();
  }

  override _final(done: (error?: Error | null) => void): void {
    const result = this.#loop.sockets.shutdownWrite(this.#descriptor);
    done(result < 0 ? this.#error(result) : null);
  }

  override _destroy(
    error: Error | null,
    done: (error?: Error | null) => void,
  ): void {
    const { events, sockets } = this.#loop;
    events.remove(this.#descriptor);
    sockets[this.#ends](this.#descriptor);
    this.#onClosed();
    done(error);
  }

  /** Reads until the reader has enough, or there is no more. */
  #pull(): void {
    const { sockets, room } = this.#loop;
    for (;;) {
      const count = sockets.receive(this.#descriptor, room, ROOM);
      if (count === -SocketError.WouldBlock) {
        return this.#want(this.#wants | SocketEvent.Readable);
      }
      if (count < 0) return this.#fail(count);
      const goesOn = this.push(count === 0 ? null : room.slice(0, count));
      if (goesOn && !this.destroyed) continue;
      return this.#want(this.#wants & ~SocketEvent.Readable);
    }
  }

  /** Sends until all is sent, or there is no room. */
  #push(): void {
    const { sockets } = this.#loop;
    for (let rest = this.#rest; rest !== undefined;) {
      const count = sockets.send(this.#descriptor, rest, rest.length);
      if (count === -SocketError.WouldBlock) {
        return this.#want(this.#wants | SocketEvent.Writable);
      }
      if (count < 0) return this.#fail(count);
      rest = count === rest.length ? undefined : rest.subarray(count);
      this.#rest = rest;
      if (rest !== undefined) continue;
      this.#want(this.#wants & ~SocketEvent.Writable);
      this.#sent();
    }
  }

  #want(wants: number): void {
    if (this.destroyed || wants === this.#wants) return;
    this.#wants = wants;
    this.#loop.events.change(this.#descriptor, wants, this.#key);
  }

  #fail(error: number): void {
    this.destroy(this.#error(error));
  }

  #error(error: number): Error {
    return new Error(this.#loop.sockets.errorText(error));
  }
}
