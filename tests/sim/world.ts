/**
 * A virtual clock and a network that loses, delays, reorders, duplicates and
 * replays datagrams by a seed. Ends are known by port; an end may change its
 * port (roaming) and may be replaced by a new one (restart).
 */
import { Random } from "../core/wireguard/hex.ts";
import type { End } from "./end.ts";

/** How the network treats a datagram; probabilities from 0 to 1. */
export interface Weather {
  readonly loss: number;
  readonly duplication: number;
  /** A copy comes again, 1 to 100 s later. */
  readonly replay: number;
  readonly delayMs: number;
  /** Most that is added to the delay of each datagram: reorders. */
  readonly jitterMs: number;
}

/** A network that delivers everything in order. */
export const CALM: Weather = {
  loss: 0,
  duplication: 0,
  replay: 0,
  delayMs: 20,
  jitterMs: 0,
};

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A place on the network: the end that lives there and where it is now. */
export interface Host {
  end: End;
  port: number;
  /** Its wall clock's distance from the virtual one, ms. */
  wallOffset: number;
}

/** See the module header. */
export class World {
  now = 1_000_000;
  weather: Weather = CALM;
  readonly random: Random;
  readonly hosts: Host[] = [];
  /** Sees each datagram as it is sent. */
  tap: (bytes: Uint8Array, from: number, to: number) => void = () => {};
  #events: Event[] = [];
  #order = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Runs something at a time. */
  at(time: number, run: () => void): void {
    const event = { at: time, order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    // Sorted with the earliest last.
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#events[middle];
      if (other.at > time || (other.at === time && other.order < event.order)) {
        low = middle + 1;
      } else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  /** Sends a datagram from a host to a port. */
  transmit(host: Host, bytes: Uint8Array, port: number): void {
    const { weather, random } = this;
    const from = host.port;
    this.tap(bytes, from, port);
    if (random.chance(weather.loss)) return;
    this.#arrive(bytes, from, port, 0);
    if (random.chance(weather.duplication)) this.#arrive(bytes, from, port, 0);
    if (random.chance(weather.replay)) {
      this.#arrive(bytes, from, port, 1000 + random.below(99_000));
    }
  }

  /** Runs until a time. */
  runUntil(end: number): void {
    for (;;) {
      let next = this.#events.at(-1)?.at ?? Infinity;
      let timed: Host | undefined;
      for (const host of this.hosts) {
        const timeout = host.end.device.nextTimeout();
        if (timeout < next) {
          next = timeout;
          timed = host;
        }
      }
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (timed !== undefined) timed.end.timeout(this.now);
      else this.#events.pop()?.run();
    }
    this.now = end;
  }

  #arrive(bytes: Uint8Array, from: number, to: number, extraMs: number): void {
    const { delayMs, jitterMs } = this.weather;
    const delay = delayMs + this.random.unit() * jitterMs + extraMs;
    this.at(this.now + delay, () => {
      const host = this.hosts.find((host) => host.port === to);
      host?.end.receive(bytes, address(from), from, this.now);
    });
  }
}

/** The address of a port: each lives at one of its own. */
export function address(port: number): Int32Array {
  return Int32Array.of(0, 0, 0xffff, 0x0a000000 | (port & 0xffff));
}
