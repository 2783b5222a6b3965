/**
 * What the relay's events are about, in the 32 bits that go with a descriptor:
 * a number and, in the low three bits, of what.
 */

/** What an event is about. */
export const EventSource = {
  /** A side of a connection; the number is the side. */
  Side: 0,
  /** A dial; the number is the connection's slot. */
  Dial: 1,
  /** A listener; the number is its index. */
  Listener: 2,
  /** Another thread has something in the ring, or the end has come. */
  Wake: 3,
  /** A descriptor of a guest; the number is the guest's tag. */
  Guest: 4,
} as const;

/** One of the values of {@linkcode EventSource}. */
export type EventSource = typeof EventSource[keyof typeof EventSource];

const SOURCE_BITS = 3;
const SOURCE_MASK = (1 << SOURCE_BITS) - 1;

/** Numbers are below this. */
export const EVENT_NUMBERS = 1 << 28;

/** Makes a key. */
export function eventKey(source: EventSource, number: number): number {
  return number << SOURCE_BITS | source;
}

/** Of what a key's number is one. */
export function eventSource(key: number): number {
  return key & SOURCE_MASK;
}

/** A key's number. */
export function eventNumber(key: number): number {
  return key >>> SOURCE_BITS;
}
