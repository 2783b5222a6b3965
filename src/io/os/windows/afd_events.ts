/**
 * Events beside the sockets of a poll set: a wake, a TUN's. Each has a wait
 * completion packet that reports to the port once and is then made again; where
 * the system has none, all are waited for together with the port.
 */
import { STATUS } from "../../../../ffi/windows/ntdll.ts";
import { WAIT } from "../../../../ffi/windows/kernel32.ts";
import { type AfdSlots, EVENTS, EventState, EventWord } from "./afd_slots.ts";
import type { SocketLibraries } from "./socket_libraries.ts";

/** Completion keys from here on are events; the sockets' is 0. */
export const EVENT_KEY = 1;

/** GENERIC_ALL */
const PACKET_ACCESS = 0x1000_0000;

/** The events of a poll set, as one thread uses them. */
export class AfdEvents {
  readonly #libraries: SocketLibraries;
  readonly #slots: AfdSlots;
  readonly #packets: "known" | "unknown";
  readonly #packet = new Uint32Array(2);
  readonly #packetBytes = new Uint8Array(this.#packet.buffer);
  /** What is waited for with the port: handles, and the event of each. */
  readonly #handles = new Uint32Array((1 + EVENTS) * 2);
  readonly #handleBytes = new Uint8Array(this.#handles.buffer);
  readonly #waited = new Int32Array(EVENTS);

  constructor(libraries: SocketLibraries, slots: AfdSlots) {
    this.#libraries = libraries;
    this.#slots = slots;
    const { NtAssociateWaitCompletionPacket } = libraries.ntdll.call;
    this.#packets = NtAssociateWaitCompletionPacket === null
      ? "unknown"
      : "known";
  }

  /** Waits for an event. @returns false where it is there already. */
  add(handle: number, key: number): boolean {
    const { words } = this.#slots;
    if (this.#find(handle) >= 0) return false;
    for (let event = 0; event < EVENTS; event++) {
      const at = this.#slots.eventAt(event);
      const state = at + EventWord.State;
      const { Free, Held, Idle } = EventState;
      if (Atomics.compareExchange(words, state, Free, Held) !== Free) continue;
      words[at + EventWord.Handle] = handle;
      words[at + EventWord.Key] = key;
      words[at + EventWord.Packet] = this.#createPacket();
      Atomics.store(words, state, Idle);
      return true;
    }
    throw new Error(`more than ${EVENTS} events to wait for`);
  }

  /** Waits for it no more. */
  remove(handle: number): void {
    const event = this.#find(handle);
    if (event >= 0) this.#free(event);
  }

  /** Waits for none any more. */
  end(): void {
    const { words } = this.#slots;
    for (let event = 0; event < EVENTS; event++) {
      const state = words[this.#slots.eventAt(event) + EventWord.State];
      if (state !== EventState.Free) this.#free(event);
    }
  }

  /** Makes all report to the port. @returns false where the system has no way to. */
  arm(): boolean {
    if (this.#packets === "unknown") return false;
    const { words } = this.#slots;
    const { Idle, Armed } = EventState;
    for (let event = 0; event < EVENTS; event++) {
      const at = this.#slots.eventAt(event);
      const state = at + EventWord.State;
      if (Atomics.compareExchange(words, state, Idle, Armed) !== Idle) continue;
      const status = this.#libraries.ntdll.call
        .NtAssociateWaitCompletionPacket!(
          words[at + EventWord.Packet],
          this.#slots.port,
          words[at + EventWord.Handle],
          BigInt(EVENT_KEY + event),
          0n,
          STATUS.SUCCESS,
          0n,
          null,
        );
      // The next wait tries it again.
      if (status !== STATUS.SUCCESS) Atomics.store(words, state, Idle);
    }
    return true;
  }

  /** An event came out of the port. @returns whether it is still waited for. */
  came(event: number): boolean {
    const { words } = this.#slots;
    const state = this.#slots.eventAt(event) + EventWord.State;
    const { Armed, Idle } = EventState;
    return Atomics.compareExchange(words, state, Armed, Idle) === Armed;
  }

  /**
   * Waits for the port and all events.
   * @returns WAIT.TIMEOUT, or which of them ended the wait
   */
  waitWithPort(time: number): number {
    const { words } = this.#slots;
    const handles = this.#handles;
    handles[0] = this.#slots.port;
    let count = 1;
    for (let event = 0; event < EVENTS; event++) {
      const at = this.#slots.eventAt(event);
      this.#waited[event] = -1;
      if (words[at + EventWord.State] < EventState.Armed) continue;
      handles[count * 2] = words[at + EventWord.Handle];
      this.#waited[event] = count++;
    }
    const first = this.#libraries.kernel32.call.WaitForMultipleObjects(
      count,
      this.#handleBytes,
      0,
      time,
    );
    return first === WAIT.FAILED ? WAIT.TIMEOUT : first;
  }

  /** Whether an event is set, `first` having ended the wait. */
  isSet(event: number, first: number): boolean {
    const place = this.#waited[event];
    if (place < first) return false;
    if (place === first) return true;
    const handle = this.#handles[place * 2];
    const { call } = this.#libraries.kernel32;
    return call.WaitForSingleObject(handle, 0) === WAIT.OBJECT_0;
  }

  #find(handle: number): number {
    const { words } = this.#slots;
    for (let event = 0; event < EVENTS; event++) {
      const at = this.#slots.eventAt(event);
      if (
        words[at + EventWord.State] >= EventState.Armed &&
        words[at + EventWord.Handle] === handle
      ) return event;
    }
    return -1;
  }

  #free(event: number): void {
    const { words } = this.#slots;
    const at = this.#slots.eventAt(event);
    Atomics.store(words, at + EventWord.State, EventState.Held);
    const packet = words[at + EventWord.Packet];
    if (packet !== 0) {
      this.#libraries.ntdll.call.NtCancelWaitCompletionPacket?.(packet, 1);
      this.#libraries.kernel32.call.CloseHandle(packet);
    }
    Atomics.store(words, at + EventWord.State, EventState.Free);
  }

  #createPacket(): number {
    const create = this.#libraries.ntdll.call.NtCreateWaitCompletionPacket;
    if (create === null) return 0;
    const status = create(this.#packetBytes, PACKET_ACCESS, null);
    if (status === STATUS.SUCCESS) return this.#packet[0];
    throw new Error(
      `NtCreateWaitCompletionPacket failed: ${status.toString(16)}`,
    );
  }
}
