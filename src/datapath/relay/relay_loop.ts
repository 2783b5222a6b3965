/**
 * The relay's thread: waits for everything it has to do with, and hands each
 * event to whom it is for. What the open worker asks for comes by a ring and a
 * wake.
 */
import { RelayMessage } from "../../core/columns/relay_message.ts";
import type { Ring } from "../../core/columns/ring.ts";
import type { Wake } from "../../io/ports/poller.ts";
import {
  SocketEvent,
  type SocketEvents,
} from "../../io/ports/socket_events.ts";
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";
import {
  eventKey,
  eventNumber,
  EventSource,
  eventSource,
} from "./event_key.ts";
import {
  RelayConnections,
  type RelayConnectionsOptions,
} from "./relay_connections.ts";
import type { RelayGuest, RelayHost } from "./relay_guest.ts";
import { RelayListeners } from "./relay_listeners.ts";

/** What a loop works with. */
export interface RelayLoopOptions extends RelayConnectionsOptions {
  /** Listening sockets, closed by whoever opened them. */
  readonly listeners: readonly number[];
  /** Messages of the open worker, and what wakes us for them. */
  readonly ring: Ring;
  readonly wake: Wake;
  /** Messages of the control thread, read first; the same wake tells of them. */
  readonly commands?: Ring;
  /** The workers' clock, ms. */
  readonly now: () => number;
  /** A shared cell: not 0 when the loop is to end; the wake tells of it. */
  readonly stop: Int32Array;
  /** Makes what else lives in this thread. */
  readonly guest?: (host: RelayHost) => RelayGuest;
}

/** Runs a relay until the stop cell is set; then all of its connections are over. */
export function runRelay(options: RelayLoopOptions): void {
  using loop = new RelayLoop(options);
  while (Atomics.load(options.stop, 0) === 0) loop.round();
}

/** A relay, round by round. */
export class RelayLoop implements Disposable {
  readonly #options: RelayLoopOptions;
  readonly #events: SocketEvents;
  readonly #resources = new DisposableStack();
  readonly #connections: RelayConnections;
  readonly #listeners: RelayListeners;
  readonly #guest: RelayGuest | undefined;
  readonly #handleMessage = this.#message.bind(this);
  #now: number;

  /** @throws {Error} where listeners or wake cannot be waited for. */
  constructor(options: RelayLoopOptions) {
    const { events, sockets, wake } = options;
    this.#options = options;
    this.#events = events;
    this.#now = options.now();
    using guard = new DisposableStack();
    this.#connections = guard.use(new RelayConnections(options));
    const connections = this.#connections;
    this.#listeners = guard.use(
      new RelayListeners({
        sockets,
        events,
        descriptors: options.listeners,
        onAccepted: (descriptor, peer, port, now) =>
          connections.accepted(descriptor, peer, port, now),
        onExhausted: (error, now) => connections.exhausted(error, now),
      }),
    );
    const key = eventKey(EventSource.Wake, 0);
    addOrThrow(options, wake.descriptor, key);
    guard.defer(() => void events.remove(wake.descriptor));
    this.#guest = options.guest?.(guestHost(options));
    if (this.#guest !== undefined) guard.use(this.#guest);
    this.#resources.use(guard.move());
  }

  /** Waits once, and does all that it woke up for. */
  round(): void {
    const connections = this.#connections;
    const events = this.#events;
    const count = events.wait(this.#timeout());
    const now = this.#options.now();
    this.#now = now;
    for (let i = 0; i < count; i++) {
      this.#handle(events.key(i), events.happened(i), now);
    }
    connections.takeTurns(now);
    if (connections.deadline <= now) connections.expire(now);
    if (this.#listeners.deadline <= now) this.#listeners.resume(now);
    const guest = this.#guest;
    if (guest !== undefined && guest.nextTimeout() <= now) guest.tick(now);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #handle(key: number, happened: number, now: number): void {
    const number = eventNumber(key);
    switch (eventSource(key)) {
      case EventSource.Side:
        this.#connections.sideReady(number, happened, now);
        break;
      case EventSource.Dial:
        this.#connections.dialReady(number, now);
        break;
      case EventSource.Listener:
        this.#listeners.ready(number, now);
        break;
      case EventSource.Wake:
        this.#options.wake.drain();
        this.#options.commands?.read(this.#handleMessage);
        this.#options.ring.read(this.#handleMessage);
        break;
      case EventSource.Guest:
        this.#guest?.ready(number, happened, now);
    }
  }

  #message(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    switch (kind) {
      case RelayMessage.Dial:
        this.#connections.dial(a, b, bytes, at, length, this.#now);
        break;
      case RelayMessage.Abandon:
        this.#connections.abandon(a, b);
        break;
      case RelayMessage.End:
        this.#connections.end(a, b, "reset");
        break;
      case RelayMessage.Vanish:
        this.#connections.end(a, b, "silent");
        break;
      default:
        this.#guest?.message(kind, a, b, bytes, at, length, this.#now);
    }
  }

  /** How long to wait, in ms; -1 without end. */
  #timeout(): number {
    if (this.#connections.busy) return 0;
    const deadline = Math.min(
      this.#connections.deadline,
      this.#listeners.deadline,
      this.#guest?.nextTimeout() ?? Infinity,
    );
    if (deadline === Infinity) return -1;
    return Math.max(0, Math.ceil(deadline - this.#options.now()));
  }
}

function guestHost(options: RelayLoopOptions): RelayHost {
  const { events, answer, tell } = options;
  return {
    watch: (descriptor, tag, wants) =>
      events.add(descriptor, bits(wants), eventKey(EventSource.Guest, tag)) ===
        0,
    change: (descriptor, tag, wants) =>
      void events.change(
        descriptor,
        bits(wants),
        eventKey(EventSource.Guest, tag),
      ),
    forget: (descriptor) => void events.remove(descriptor),
    answer: (bytes, at, length) => answer(bytes, at, length, -1),
    tell,
  };
}

function bits(wants: "read" | "write"): number {
  return wants === "read" ? SocketEvent.Readable : SocketEvent.Writable;
}

function addOrThrow(
  options: { events: SocketEvents; sockets: StreamSockets },
  descriptor: number,
  key: number,
): void {
  const { events, sockets } = options;
  const error = events.add(descriptor, SocketEvent.Readable, key);
  if (error !== 0) {
    throw new Error(`cannot wait for the wake: ${sockets.errorText(error)}`);
  }
}
