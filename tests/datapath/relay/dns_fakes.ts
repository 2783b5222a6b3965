/** Resolvers behind a dialer that a test plays by hand, without sockets. */
import { formatEndpoint } from "../../../src/core/wire/address.ts";
import type {
  Dial,
  Dialer,
  DialState,
  DialTarget,
} from "../../../src/io/ports/dialer.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../../src/io/ports/stream_sockets.ts";

/** One connection as its far end sees it. */
export class FakeStream {
  /** What it was dialed for. */
  readonly target: string;
  readonly descriptor: number;
  state: DialState = "pending";
  /** Bytes for us; `end` follows them where set. */
  readonly toUs: number[] = [];
  end: "open" | "finished" | "reset" = "open";
  /** Bytes that we sent. */
  readonly fromUs: number[] = [];
  /** Bytes that it still takes. */
  room = Infinity;
  isClosed = false;

  constructor(target: string, descriptor: number) {
    this.target = target;
    this.descriptor = descriptor;
  }

  /** Takes the framed messages that have come so far. */
  takeMessages(): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (;;) {
      const length = this.fromUs[0] * 256 + this.fromUs[1];
      if (!(this.fromUs.length >= 2 + length)) return messages;
      messages.push(
        Uint8Array.from(this.fromUs.splice(0, 2 + length).slice(2)),
      );
    }
  }

  /** Sends a framed message. */
  give(message: Uint8Array): void {
    this.toUs.push(message.length >> 8, message.length & 255, ...message);
  }
}

/** Dials that become what the test says, and the sockets that go with them. */
export class FakeStreams {
  readonly all: FakeStream[] = [];
  /** What becomes of new dials before anybody looks. */
  prepare: (stream: FakeStream) => void = () => {};
  readonly dialer: Dialer = {
    name: "fake",
    dial: (target) => this.#dial(target),
  };
  readonly sockets: StreamSockets = {
    send: (descriptor: number, bytes: Uint8Array, length: number) =>
      this.#send(descriptor, bytes, length),
    receive: (descriptor: number, bytes: Uint8Array, length: number) =>
      this.#receive(descriptor, bytes, length),
    close: (descriptor: number) => {
      this.#of(descriptor).isClosed = true;
    },
  } as Partial<StreamSockets> as StreamSockets;

  /** The one that was dialed last. */
  get last(): FakeStream {
    return this.all[this.all.length - 1];
  }

  #dial({ words, port }: DialTarget): Dial {
    const descriptor = 5000 + this.all.length;
    const stream = new FakeStream(formatEndpoint(words, 0, port), descriptor);
    this.prepare(stream);
    this.all.push(stream);
    let isTaken = false;
    return {
      descriptor,
      wants: "write",
      failure: undefined,
      advance: () => stream.state,
      take: () => {
        isTaken = true;
        return descriptor;
      },
      [Symbol.dispose]: () => {
        if (!isTaken) stream.isClosed = true;
      },
    };
  }

  #of(descriptor: number): FakeStream {
    const stream = this.all[descriptor - 5000];
    if (stream === undefined || stream.isClosed) throw new Error("not open");
    return stream;
  }

  #send(descriptor: number, bytes: Uint8Array, length: number): number {
    const stream = this.#of(descriptor);
    if (stream.end === "reset") return -SocketError.ConnectionReset;
    const count = Math.min(length, stream.room);
    if (count === 0) return -SocketError.WouldBlock;
    stream.fromUs.push(...bytes.subarray(0, count));
    stream.room -= count;
    return count;
  }

  #receive(descriptor: number, bytes: Uint8Array, length: number): number {
    const stream = this.#of(descriptor);
    const count = Math.min(length, stream.toUs.length);
    if (count > 0) {
      bytes.set(stream.toUs.splice(0, count));
      return count;
    }
    if (stream.end === "open") return -SocketError.WouldBlock;
    return stream.end === "finished" ? 0 : -SocketError.ConnectionReset;
  }
}
