/**
 * Waiting for many sockets and a few events by one completion port.
 *
 * A socket's readiness is asked of the socket driver by a poll that ends once:
 * what is reported is not polled again before {@linkcode AfdPoll.arm} or, in
 * the next wait, {@linkcode AfdPoll.armLater}. Each thread attaches by the
 * address; any of them adds and removes, one at a time waits.
 *
 * Events report by wait completion packets (Windows 8 and later). A kernel may
 * not be asked to wait for a port as for an event; where there are no packets
 * (Wine) that is how it goes.
 */
import { AFD_POLL, STATUS } from "../../../../ffi/windows/ntdll.ts";
import { INFINITE, WAIT } from "../../../../ffi/windows/kernel32.ts";
import { AfdDevices, ALWAYS } from "./afd_devices.ts";
import { AfdEvents, EVENT_KEY } from "./afd_events.ts";
import {
  AfdSlots,
  EVENTS,
  EventWord,
  PollWord,
  SLOT_SIZE,
  SlotState,
  SlotWord,
} from "./afd_slots.ts";
import {
  CompletionPort,
  INTERRUPT_KEY,
  PORT_ENTRIES,
} from "./completion_port.ts";
import { allocateNative, releaseNative, viewNative } from "./native_memory.ts";
import type { SocketLibraries } from "./socket_libraries.ts";

/** As it lies in a signed word. */
const CANCELLED = STATUS.CANCELLED | 0;
/** How long closing waits for polls to end, and how often. */
const END_WAIT_MS = 20;
const END_WAITS = 50;

/** A poll set as the thread that made it holds it; disposing of it ends it. */
export interface OpenedAfdPoll extends Disposable {
  /** Address of what threads share: what {@linkcode AfdPoll} attaches to. */
  readonly address: number;
}

/**
 * Makes a poll set.
 * @param capacity sockets, a power of two from 32 on
 * @throws {Win32Error}
 */
export function openAfdPoll(
  libraries: SocketLibraries,
  capacity: number,
): OpenedAfdPoll {
  const { kernel32 } = libraries;
  const port = kernel32.call.CreateIoCompletionPort(-1n, 0n, 0n, 1);
  if (port === 0) throw kernel32.error("CreateIoCompletionPort");
  const byteLength = AfdSlots.byteLength(capacity);
  const { address, buffer } = allocateNative(kernel32, byteLength);
  AfdSlots.prepare(buffer, port, capacity);
  return {
    address,
    [Symbol.dispose]: () => {
      const poll = new AfdPoll(libraries, address);
      // Memory that the system may still write into is never given back.
      if (poll.end()) releaseNative(kernel32, address);
      kernel32.call.CloseHandle(port);
    },
  };
}

/** A poll set as one thread uses it. */
export class AfdPoll {
  readonly #slots: AfdSlots;
  readonly #devices: AfdDevices;
  readonly #events: AfdEvents;
  readonly #port: CompletionPort;
  readonly #words: Int32Array;
  /** What the last wait reported: slots, and events as -1 - event. */
  readonly #ready = new Int32Array(2 * PORT_ENTRIES + EVENTS);
  readonly #happened = new Int32Array(2 * PORT_ENTRIES + EVENTS);
  #count = 0;
  #timedOut = false;

  constructor(libraries: SocketLibraries, address: number) {
    const capacity = AfdSlots.capacityOf(viewNative(address, 64));
    const buffer = viewNative(address, AfdSlots.byteLength(capacity));
    this.#slots = new AfdSlots(buffer, address);
    this.#words = this.#slots.words;
    this.#port = new CompletionPort(libraries.kernel32, this.#slots.port);
    this.#devices = new AfdDevices(libraries, this.#slots);
    this.#events = new AfdEvents(libraries, this.#slots);
  }

  /**
   * Polls a socket.
   * @param wants bits of AFD_POLL
   * @param key of the caller's own
   * @param tag of the caller's own, too
   * @returns its slot; -1 where there is no room or the system refuses
   */
  add(socket: number, wants: number, key: number, tag: number): number {
    const base = this.#devices.baseSocket(socket);
    const slot = base < 0 ? -1 : this.#slots.take(socket);
    if (slot < 0) return -1;
    const words = this.#words;
    const at = this.#slots.at(slot);
    words[at + SlotWord.Base] = base;
    words[at + SlotWord.Key] = key;
    words[at + SlotWord.Tag] = tag;
    words[at + SlotWord.Wants] = wants;
    if (this.#devices.poll(slot)) return slot;
    Atomics.store(words, at + SlotWord.State, SlotState.Free);
    return -1;
  }

  /** The slot of a socket, or -1. */
  find(socket: number): number {
    return this.#slots.find(socket);
  }

  /** Changes what to wait for and the caller's key; what holds now is reported anew. */
  change(slot: number, wants: number, key: number): void {
    const words = this.#words;
    const at = this.#slots.at(slot);
    words[at + SlotWord.Key] = key;
    words[at + SlotWord.Wants] = wants;
    this.arm(slot);
    // A poll for too little is cancelled; the end of it makes one for what is wanted.
    const armed = words[at + SlotWord.Armed];
    if ((wants & ~armed) !== 0) this.#devices.cancel(slot);
  }

  /** Polls a reported socket again. @returns false where the system refuses. */
  arm(slot: number): boolean {
    const state = this.#slots.at(slot) + SlotWord.State;
    const { Idle, Held } = SlotState;
    if (Atomics.compareExchange(this.#words, state, Idle, Held) !== Idle) {
      return true;
    }
    if (this.#devices.poll(slot)) return true;
    Atomics.store(this.#words, state, Idle);
    return false;
  }

  /** Polls a reported socket again when the next wait begins; for the waiting thread. */
  armLater(slot: number): void {
    this.#slots.makeDue(slot);
  }

  /** Waits for a socket no more. @returns whether it was there. */
  remove(socket: number): boolean {
    const slot = this.#slots.find(socket);
    if (slot < 0) return false;
    const words = this.#words;
    const state = this.#slots.at(slot) + SlotWord.State;
    const { Armed, Ending, Idle, Free } = SlotState;
    if (Atomics.compareExchange(words, state, Armed, Ending) === Armed) {
      this.#devices.cancel(slot);
      return true;
    }
    return Atomics.compareExchange(words, state, Idle, Free) === Idle;
  }

  /**
   * Waits for an event, too. It is reported in each wait while it is set; one
   * that resets itself is to be set again by who finds more to do.
   * @returns false where it is there already
   * @throws {Error} where there is no room
   */
  addEvent(handle: number, key: number): boolean {
    return this.#events.add(handle, key);
  }

  /** Waits for an event no more. */
  removeEvent(handle: number): void {
    this.#events.remove(handle);
  }

  /**
   * Waits until something is ready or the time is over.
   * @param timeoutMs -1 waits without end
   * @returns how many sockets and events are reported
   */
  wait(timeoutMs: number): number {
    this.#count = 0;
    this.#armDue();
    const time = this.#count > 0 ? 0 : timeoutMs < 0 ? INFINITE : timeoutMs;
    if (this.#events.arm()) {
      this.#takeAll(time);
      return this.#count;
    }
    const first = this.#events.waitWithPort(time);
    this.#timedOut = first === WAIT.TIMEOUT;
    if (this.#timedOut) return this.#count;
    this.#takeAll(0);
    for (let event = 0; event < EVENTS; event++) {
      if (this.#events.isSet(event, first)) this.#report(-1 - event, 0);
    }
    return this.#count;
  }

  /**
   * Waits for sockets without end, on a thread of its own that blocks in place
   * of the caller; one at a time.
   * @returns how many are reported; 0 after {@linkcode interrupt}
   */
  async waitElsewhere(): Promise<number> {
    this.#count = 0;
    this.#armDue();
    if (this.#count > 0) return this.#count;
    this.#takeEntries(await this.#port.takeElsewhere());
    return this.#count;
  }

  /** Ends a {@linkcode waitElsewhere}. */
  interrupt(): void {
    this.#port.interrupt();
  }

  /** Whether the last {@linkcode wait} ended with its time. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** The slot of the i-th that is reported; negative for an event. */
  slot(i: number): number {
    return this.#ready[i];
  }

  /** The bits of AFD_POLL that the i-th is reported for. */
  happened(i: number): number {
    return this.#happened[i];
  }

  /** The caller's key of the i-th. */
  key(i: number): number {
    const slot = this.#ready[i];
    return slot < 0
      ? this.#words[this.#slots.eventAt(-1 - slot) + EventWord.Key]
      : this.#words[this.#slots.at(slot) + SlotWord.Key];
  }

  /** The handle of the i-th, an event. */
  event(i: number): number {
    const at = this.#slots.eventAt(-1 - this.#ready[i]);
    return this.#words[at + EventWord.Handle];
  }

  /** The socket of the i-th. */
  socket(i: number): number {
    return this.#words[this.#slots.at(this.#ready[i]) + SlotWord.Socket];
  }

  /** The caller's tag of the i-th, a socket's. */
  tag(i: number): number {
    return this.#words[this.#slots.at(this.#ready[i]) + SlotWord.Tag];
  }

  /**
   * Cancels all polls and takes their ends out of the port.
   * @returns whether none is left
   */
  end(): boolean {
    const words = this.#words;
    const { capacity } = this.#slots;
    let left = 0;
    for (let slot = 0; slot < capacity; slot++) {
      const state = words[this.#slots.at(slot) + SlotWord.State];
      if (state !== SlotState.Armed && state !== SlotState.Ending) continue;
      left++;
      words[this.#slots.at(slot) + SlotWord.State] = SlotState.Ending;
      this.#devices.cancel(slot);
    }
    for (let waits = 0; left > 0 && waits < END_WAITS; waits++) {
      left -= this.#take(END_WAIT_MS);
    }
    this.#events.end();
    this.#devices.close();
    return left <= 0;
  }

  /** Polls again what is due. */
  #armDue(): void {
    while (this.#count < PORT_ENTRIES) {
      const slot = this.#slots.takeDue();
      if (slot < 0) break;
      this.#armOrReport(slot);
    }
  }

  /** Takes what waits in the port, beyond the ends of polls that nobody wants. */
  #takeAll(time: number): void {
    let ended = this.#take(time);
    while (ended === PORT_ENTRIES && this.#count === 0) ended = this.#take(0);
  }

  /** Takes what waits in the port. @returns how many polls have ended. */
  #take(time: number): number {
    const count = this.#port.take(time);
    this.#timedOut = count === 0;
    return this.#takeEntries(count);
  }

  /** Looks at what came out of the port. @returns how many polls have ended. */
  #takeEntries(count: number): number {
    const port = this.#port;
    let polls = 0;
    for (let i = 0; i < count; i++) {
      const key = port.key(i);
      if (key === INTERRUPT_KEY) continue;
      if (key >= EVENT_KEY) {
        const event = key - EVENT_KEY;
        if (this.#events.came(event)) this.#report(-1 - event, 0);
        continue;
      }
      polls++;
      // Below 2^32 apart: the low words tell the distance.
      const distance = port.overlapped(i) - this.#slots.address;
      this.#ended((distance >>> 0) / SLOT_SIZE, port.status(i));
    }
    return polls;
  }

  /** A socket's poll came out of the port. */
  #ended(slot: number, status: number): void {
    const words = this.#words;
    const at = this.#slots.at(slot);
    const { Armed, Free, Idle } = SlotState;
    const state = at + SlotWord.State;
    if (Atomics.compareExchange(words, state, Armed, Idle) !== Armed) {
      Atomics.store(words, state, Free);
      return;
    }
    const events = status === STATUS.SUCCESS
      ? words[at + PollWord.Events]
      : status === CANCELLED
      ? 0
      : AFD_POLL.ABORT;
    if ((events & AFD_POLL.LOCAL_CLOSE) !== 0) {
      Atomics.store(words, state, Free);
      return;
    }
    const happened = events & (words[at + SlotWord.Wants] | ALWAYS);
    if (happened === 0) this.#armOrReport(slot);
    else this.#report(slot, happened);
  }

  /** A socket that the system polls no more is reported, so that its owner looks. */
  #armOrReport(slot: number): void {
    if (!this.arm(slot)) this.#report(slot, AFD_POLL.ABORT);
  }

  #report(ready: number, happened: number): void {
    this.#ready[this.#count] = ready;
    this.#happened[this.#count++] = happened;
  }
}
