/**
 * What threads share of a poll set: native memory, known by its address, that
 * the system writes into whenever a poll ends.
 *
 *     header 64 words   port, capacity, longest probe, due count, events
 *     groups            one handle of the socket driver for 32 slots
 *     due               slots that are to be polled again in the next wait
 *     slots             128 bytes each, found by open addressing over the socket
 *
 *     slot   IO_STATUS_BLOCK 16 | AFD_POLL_INFO 32 | socket | base | state |
 *            key | tag | wants | armed | unused
 *     event  handle | wait packet | key | state
 */
import {
  afdPollHandleInfo,
  afdPollInfo,
  ioStatusBlock,
} from "../../../../ffi/windows/layouts/ntdll.ts";

/** Where a slot stands. */
export const SlotState = {
  Free: 0,
  /** Being filled or looked at by one thread. */
  Held: 1,
  /** A poll is on its way; it comes out of the port in any case. */
  Armed: 2,
  /** No poll is on its way. */
  Idle: 3,
  /** Given up; free when its poll comes out of the port. */
  Ending: 4,
} as const;

/** Where an event stands. */
export const EventState = { Free: 0, Held: 1, Armed: 2, Idle: 3 } as const;

/** Words of 32 bits in a slot. */
export const SlotWord = {
  Status: ioStatusBlock.at.Status >> 2,
  Info: ioStatusBlock.size >> 2,
  Socket: 12,
  Base: 13,
  State: 14,
  Key: 15,
  Tag: 16,
  Wants: 17,
  Armed: 18,
} as const;

const HANDLE_INFO = SlotWord.Info + (afdPollInfo.at.Handles >> 2);
/** Words of the poll itself. */
export const PollWord = {
  Timeout: SlotWord.Info,
  Count: SlotWord.Info + (afdPollInfo.at.NumberOfHandles >> 2),
  Exclusive: SlotWord.Info + (afdPollInfo.at.Exclusive >> 2),
  Handle: HANDLE_INFO,
  Events: HANDLE_INFO + (afdPollHandleInfo.at.Events >> 2),
} as const;

/** Words of an event. */
export const EventWord = { Handle: 0, Packet: 1, Key: 2, State: 3 } as const;

/** Bytes of a slot. */
export const SLOT_SIZE = 128;
/** Events beside the sockets. */
export const EVENTS = 8;

const SLOT_WORDS = SLOT_SIZE >> 2;
const HEADER_WORDS = 64;
const EVENTS_AT = 16;
const EVENT_WORDS = 4;
const GROUP_SHIFT = 5;
const Header = { Port: 0, Capacity: 1, Probe: 2, Due: 3 } as const;

/** The shared memory of a poll set as one thread sees it. */
export class AfdSlots {
  readonly capacity: number;
  /** All of it, in words of 32 bits. */
  readonly words: Int32Array;
  /** Address of the first slot. */
  readonly address: number;
  readonly #groupsAt: number;
  readonly #dueAt: number;
  readonly #slotsAt: number;

  /** Bytes for so many sockets, a power of two. */
  static byteLength(capacity: number): number {
    const words = HEADER_WORDS + (capacity >> GROUP_SHIFT) + capacity;
    return words * 4 + capacity * SLOT_SIZE;
  }

  /** The capacity is written down by who makes the memory. */
  constructor(buffer: ArrayBuffer, address: number) {
    this.words = new Int32Array(buffer);
    this.capacity = this.words[Header.Capacity];
    this.#groupsAt = HEADER_WORDS;
    this.#dueAt = HEADER_WORDS + (this.capacity >> GROUP_SHIFT);
    this.#slotsAt = this.#dueAt + this.capacity;
    this.address = address + this.#slotsAt * 4;
  }

  /** Notes what the memory is for; it was zeroed. */
  static prepare(buffer: ArrayBuffer, port: number, capacity: number): void {
    const words = new Int32Array(buffer);
    words[Header.Port] = port;
    words[Header.Capacity] = capacity;
  }

  /** How many sockets memory at an address is for. */
  static capacityOf(header: ArrayBuffer): number {
    return new Int32Array(header)[Header.Capacity];
  }

  /** The completion port. */
  get port(): number {
    return this.words[Header.Port];
  }

  /** Where a slot's words begin. */
  at(slot: number): number {
    return this.#slotsAt + slot * SLOT_WORDS;
  }

  /** Where the word of a slot's driver handle lies; 0 in it: not open yet. */
  groupAt(slot: number): number {
    return this.#groupsAt + (slot >> GROUP_SHIFT);
  }

  /** How many driver handles there may be. */
  get groups(): number {
    return this.capacity >> GROUP_SHIFT;
  }

  /** Where an event's words begin. */
  eventAt(event: number): number {
    return EVENTS_AT + event * EVENT_WORDS;
  }

  /** Takes a free slot for a socket, its state Held. @returns -1 where all are taken. */
  take(socket: number): number {
    const { words, capacity } = this;
    const mask = capacity - 1;
    for (let probe = 0; probe < capacity; probe++) {
      const slot = ((socket >> 2) + probe) & mask;
      const state = this.at(slot) + SlotWord.State;
      const before = Atomics.compareExchange(
        words,
        state,
        SlotState.Free,
        SlotState.Held,
      );
      if (before !== SlotState.Free) continue;
      words[this.at(slot) + SlotWord.Socket] = socket;
      this.#noteProbe(probe);
      return slot;
    }
    return -1;
  }

  /** The slot of a socket that was not given up, or -1. */
  find(socket: number): number {
    const { words, capacity } = this;
    const probes = Atomics.load(words, Header.Probe);
    for (let probe = 0; probe <= probes; probe++) {
      const slot = ((socket >> 2) + probe) & (capacity - 1);
      const at = this.at(slot);
      if (words[at + SlotWord.Socket] !== socket) continue;
      const state = Atomics.load(words, at + SlotWord.State);
      if (state === SlotState.Armed || state === SlotState.Idle) return slot;
    }
    return -1;
  }

  /** Polls a slot again in the next wait. Only for the thread that waits. */
  makeDue(slot: number): void {
    const { words } = this;
    if (words[Header.Due] === this.capacity) return;
    words[this.#dueAt + words[Header.Due]++] = slot;
  }

  /** Takes a due slot out, or gives -1. Only for the thread that waits. */
  takeDue(): number {
    const { words } = this;
    return words[Header.Due] === 0
      ? -1
      : words[this.#dueAt + --words[Header.Due]];
  }

  #noteProbe(probe: number): void {
    const { words } = this;
    let longest = Atomics.load(words, Header.Probe);
    while (probe > longest) {
      longest = Atomics.compareExchange(words, Header.Probe, longest, probe);
    }
  }
}
