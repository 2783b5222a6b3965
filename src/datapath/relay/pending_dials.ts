/** The dials of a relay, one a slot at most: each steps when its descriptor tells something. */
import type { Dial, DialFailure, DialState } from "../../io/ports/dialer.ts";
import {
  SocketEvent,
  type SocketEvents,
} from "../../io/ports/socket_events.ts";
import { NO_ROOM } from "./dial_failures.ts";
import { eventKey, EventSource } from "./event_key.ts";

/** See the module header. */
export class PendingDials {
  readonly #events: SocketEvents;
  readonly #dials: (Dial | undefined)[];
  /** Per slot: the descriptor in the event set, or -1. */
  readonly #watched: Int32Array;
  #count = 0;

  constructor(events: SocketEvents, capacity: number) {
    this.#events = events;
    this.#dials = new Array(capacity).fill(undefined);
    this.#watched = new Int32Array(capacity).fill(-1);
  }

  /** Dials in the making. */
  get count(): number {
    return this.#count;
  }

  /** Whether a slot has one. */
  has(slot: number): boolean {
    return this.#dials[slot] !== undefined;
  }

  /** Gives a slot a dial; {@linkcode step} it then. */
  start(slot: number, dial: Dial): void {
    this.#dials[slot] = dial;
    this.#count++;
  }

  /** Lets a dial go on, and waits for what it wants next. */
  step(slot: number): DialState {
    const dial = this.#dials[slot]!;
    const state = dial.advance();
    return state === "pending" && !this.#watch(slot, dial) ? "failed" : state;
  }

  /** Why a slot's dial failed. */
  failure(slot: number): DialFailure {
    return this.#dials[slot]?.failure ?? NO_ROOM;
  }

  /** Takes the connection of a dial that stands; the slot has none then. */
  take(slot: number): number {
    this.#unwatch(slot);
    const descriptor = this.#dials[slot]!.take();
    this.forget(slot);
    return descriptor;
  }

  /** Ends a slot's dial, if it has one. */
  forget(slot: number): void {
    const dial = this.#dials[slot];
    if (dial === undefined) return;
    this.#unwatch(slot);
    dial[Symbol.dispose]();
    this.#dials[slot] = undefined;
    this.#count--;
  }

  /** @returns whether the system has room to wait for it. */
  #watch(slot: number, dial: Dial): boolean {
    const { descriptor } = dial;
    const wants = dial.wants === "read"
      ? SocketEvent.Readable | SocketEvent.ReadFinished
      : SocketEvent.Writable;
    const key = eventKey(EventSource.Dial, slot);
    if (this.#watched[slot] === descriptor) {
      return this.#events.change(descriptor, wants, key) === 0;
    }
    this.#unwatch(slot);
    if (this.#events.add(descriptor, wants, key) !== 0) return false;
    this.#watched[slot] = descriptor;
    return true;
  }

  #unwatch(slot: number): void {
    const watched = this.#watched[slot];
    if (watched >= 0) this.#events.remove(watched);
    this.#watched[slot] = -1;
  }
}
