/**
 * The sockets by which a relay's clients come in, one for each family. Where
 * the system has no descriptor left, accepting pauses: clients wait in the
 * listener's queue, and nothing spins.
 */
import { SocketEvent } from "../../io/ports/socket_events.ts";
import type { SocketEvents } from "../../io/ports/socket_events.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../io/ports/stream_sockets.ts";
import { eventKey, EventSource } from "./event_key.ts";

/** What listeners need and whom they tell. */
export interface RelayListenersOptions {
  readonly sockets: StreamSockets;
  readonly events: SocketEvents;
  /** Listening sockets; they stay whoever's they are. */
  readonly descriptors: readonly number[];
  onAccepted(
    descriptor: number,
    peer: Int32Array,
    port: number,
    now: number,
  ): void;
  /**
   * The system has no descriptor left.
   * @returns whether one could be freed, so that accepting is worth another try
   */
  onExhausted(error: number, now: number): boolean;
}

/** Clients that one wake takes from a listener; the rest comes with the next one. */
const MOST_AT_ONCE = 64;
const PAUSE_MS = 250;

/** See the module header. */
export class RelayListeners implements Disposable {
  readonly #options: RelayListenersOptions;
  #pausedUntil = Infinity;

  /** @throws {Error} where a listener cannot be waited for. */
  constructor(options: RelayListenersOptions) {
    this.#options = options;
    this.#watchAll();
  }

  /** When {@linkcode resume} is due, ms; Infinity where nothing is paused. */
  get deadline(): number {
    return this.#pausedUntil;
  }

  /** Takes the clients that wait at a listener. */
  ready(index: number, now: number): void {
    const { sockets, descriptors, onAccepted, onExhausted } = this.#options;
    for (let left = MOST_AT_ONCE; left > 0; left--) {
      const descriptor = sockets.accept(descriptors[index]);
      if (descriptor >= 0) {
        onAccepted(descriptor, sockets.peer, sockets.peerPort, now);
      } else if (isExhaustion(descriptor)) {
        if (onExhausted(-descriptor, now)) continue;
        return this.#pause(now);
      } else if (descriptor === -SocketError.WouldBlock) return;
      // Anything else is about that client alone, which is gone.
    }
  }

  /** Accepts again, where a pause is over. */
  resume(now: number): void {
    if (this.#pausedUntil > now) return;
    this.#pausedUntil = Infinity;
    this.#watchAll();
  }

  [Symbol.dispose](): void {
    const { events, descriptors } = this.#options;
    for (const descriptor of descriptors) events.remove(descriptor);
  }

  #pause(now: number): void {
    const { events, descriptors } = this.#options;
    if (this.#pausedUntil === Infinity) {
      for (const descriptor of descriptors) events.remove(descriptor);
    }
    this.#pausedUntil = now + PAUSE_MS;
  }

  #watchAll(): void {
    const { sockets, events, descriptors } = this.#options;
    descriptors.forEach((descriptor, index) => {
      const key = eventKey(EventSource.Listener, index);
      const error = events.add(descriptor, SocketEvent.Readable, key);
      if (error !== 0) {
        throw new Error(
          `cannot wait for a listener: ${sockets.errorText(error)}`,
        );
      }
    });
  }
}

function isExhaustion(error: number): boolean {
  return error === -SocketError.TooManyFiles ||
    error === -SocketError.TooManyFilesInSystem ||
    error === -SocketError.NoBuffers || error === -SocketError.OutOfMemory;
}
