/**
 * Waiting for many sockets by polls of the socket driver, which end once and
 * know levels only. A level is polled again in each wait. Of an edge only that
 * is polled which was not told since a read found the socket empty, or a write
 * found it full ({@linkcode SocketReadiness}): what a caller leaves unread is
 * not told again, new bytes behind it or not.
 */
import { AFD_POLL } from "../../../../ffi/windows/ntdll.ts";
import { SO, SOL_SOCKET, WSA } from "../../../../ffi/windows/ws2_32.ts";
import {
  SocketEvent,
  type SocketEvents,
  SocketTrigger,
} from "../../ports/socket_events.ts";
import { SocketError } from "../../ports/stream_sockets.ts";
import { AfdPoll, openAfdPoll } from "./afd_poll.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import type { ReadinessListener, SocketReadiness } from "./socket_readiness.ts";

/** Sockets that one set may have: two for each connection of a relay, and room. */
const CAPACITY = 65_536;

const READ = AFD_POLL.RECEIVE | AFD_POLL.ACCEPT | AFD_POLL.DISCONNECT;
const ENDS = AFD_POLL.ABORT | AFD_POLL.CONNECT_FAIL;
/** What is told whether wanted or not. */
const ALWAYS = SocketEvent.Error | SocketEvent.HangUp;
/** A connection that broke: reads and writes tell why. */
const ENDED = ALWAYS | SocketEvent.Readable | SocketEvent.Writable |
  SocketEvent.ReadFinished;

/** A socket that is waited for. */
interface Watch {
  readonly socket: number;
  readonly slot: number;
  key: number;
  /** Bits of SocketEvent. */
  wants: number;
  trigger: "level" | "edge";
  /** Bits of AFD_POLL that were told since they were last used up. */
  told: number;
  /** Whether the last wait told something: it is polled again in the next one. */
  isTold: boolean;
}

/**
 * Opens an empty set.
 * @throws {Win32Error}
 */
export function openSocketEvents(
  libraries: SocketLibraries,
  readiness: SocketReadiness,
): WindowsSocketEvents {
  return new DriverSocketEvents(libraries, readiness);
}

/** A set that a thread with an event loop can wait for, too: for sockets, without wakes. */
export interface WindowsSocketEvents extends SocketEvents {
  /** As `wait` without end, and the thread goes on meanwhile; 0 after `interrupt`. */
  waitElsewhere(): Promise<number>;
  /** Ends a `waitElsewhere`. */
  interrupt(): void;
}

class DriverSocketEvents implements WindowsSocketEvents, ReadinessListener {
  readonly #libraries: SocketLibraries;
  readonly #readiness: SocketReadiness;
  readonly #poll: AfdPoll;
  readonly #resources = new DisposableStack();
  /** By slot of the poll set. */
  readonly #watches: (Watch | undefined)[] = [];
  /** Handles of events that are waited for. */
  readonly #handles = new Set<number>();
  /** What the last wait told: keys, bits of SocketEvent, and whose they are. */
  readonly #keys: number[] = [];
  readonly #happened: number[] = [];
  readonly #told: Watch[] = [];
  #toldCount = 0;
  #count = 0;

  constructor(libraries: SocketLibraries, readiness: SocketReadiness) {
    this.#libraries = libraries;
    this.#readiness = readiness;
    const opened = this.#resources.use(openAfdPoll(libraries, CAPACITY));
    this.#poll = new AfdPoll(libraries, opened.address);
    readiness.join(this);
  }

  add(descriptor: number, wants: number, key: number): number {
    const poll = this.#poll;
    // A socket that was closed elsewhere has left its number here.
    if (poll.find(descriptor) >= 0) this.remove(descriptor);
    const mask = maskOf(wants);
    const slot = poll.add(descriptor, mask, key, 0);
    if (slot < 0) return this.#addEvent(descriptor, key);
    this.#watches[slot] = {
      socket: descriptor,
      slot,
      key,
      wants,
      trigger: triggerOf(wants),
      told: 0,
      isTold: false,
    };
    return 0;
  }

  change(descriptor: number, wants: number, key: number): number {
    const watch = this.#find(descriptor);
    if (watch === undefined) {
      return this.#handles.has(descriptor) ? 0 : -SocketError.Invalid;
    }
    watch.key = key;
    watch.wants = wants;
    watch.trigger = triggerOf(wants);
    watch.told = 0;
    this.#arm(watch);
    return 0;
  }

  remove(descriptor: number): number {
    if (this.#handles.delete(descriptor)) {
      this.#poll.removeEvent(descriptor);
      return 0;
    }
    const watch = this.#find(descriptor);
    if (watch === undefined) return -SocketError.Invalid;
    this.#watches[watch.slot] = undefined;
    this.#poll.remove(descriptor);
    return 0;
  }

  wait(timeoutMs: number): number {
    this.#begin();
    const poll = this.#poll;
    // Polls that were called off come out, too, and are nothing to tell.
    do {
      const count = poll.wait(timeoutMs);
      for (let i = 0; i < count; i++) this.#take(i);
    } while (this.#count === 0 && timeoutMs !== 0 && !poll.timedOut);
    return this.#count;
  }

  async waitElsewhere(): Promise<number> {
    this.#begin();
    const count = await this.#poll.waitElsewhere();
    for (let i = 0; i < count; i++) this.#take(i);
    return this.#count;
  }

  interrupt(): void {
    this.#poll.interrupt();
  }

  key(i: number): number {
    return this.#keys[i];
  }

  happened(i: number): number {
    return this.#happened[i];
  }

  emptied(socket: number): void {
    this.#beginAnew(socket, READ);
  }

  filled(socket: number): void {
    this.#beginAnew(socket, AFD_POLL.SEND);
  }

  closing(socket: number): void {
    const watch = this.#find(socket);
    if (watch === undefined) return;
    this.#watches[watch.slot] = undefined;
    this.#poll.remove(socket);
  }

  [Symbol.dispose](): void {
    this.#readiness.leave(this);
    this.#resources.dispose();
  }

  /** Polls again what the last wait told. */
  #begin(): void {
    for (let i = 0; i < this.#toldCount; i++) {
      const watch = this.#told[i];
      if (this.#watches[watch.slot] !== watch) continue;
      watch.isTold = false;
      this.#arm(watch);
    }
    this.#toldCount = 0;
    this.#count = 0;
  }

  #find(socket: number): Watch | undefined {
    const slot = this.#poll.find(socket);
    return slot < 0 ? undefined : this.#watches[slot];
  }

  /** Waits for an event of the system, such as a wake's, if it is one. */
  #addEvent(handle: number, key: number): number {
    const { call } = this.#libraries.ws2;
    const room = new Uint8Array(8);
    const failed = call.getsockopt(
      handle,
      SOL_SOCKET,
      SO.TYPE,
      room,
      Uint8Array.of(4, 0, 0, 0),
    );
    if (failed === 0) return -SocketError.NoBuffers;
    if (call.WSAGetLastError() !== WSA.ENOTSOCK) return -SocketError.Invalid;
    this.#poll.addEvent(handle, key);
    this.#handles.add(handle);
    return 0;
  }

  /** Polls for what is not yet told; of an edge that has come to its end there is no more. */
  #arm(watch: Watch): void {
    if ((watch.told & ENDS) !== 0) return;
    const mask = maskOf(watch.wants) & ~watch.told;
    this.#poll.change(watch.slot, mask, watch.key);
  }

  /** An edge may be told again. */
  #beginAnew(socket: number, events: number): void {
    const watch = this.#find(socket);
    if (watch === undefined || (watch.told & events) === 0) return;
    watch.told &= ~events;
    if (!watch.isTold) this.#arm(watch);
  }

  /** Takes over what the i-th of the poll set's reports says. */
  #take(i: number): void {
    const poll = this.#poll;
    const slot = poll.slot(i);
    if (slot < 0) return this.#tell(poll.key(i), SocketEvent.Readable);
    const watch = this.#watches[slot];
    if (watch === undefined) return;
    const events = poll.happened(i);
    if (watch.trigger === "edge") {
      watch.told |= (events & READ) === 0 ? events : events | READ;
    }
    if (!watch.isTold) {
      watch.isTold = true;
      this.#told[this.#toldCount++] = watch;
    }
    const happened = happenedBy(events) & (watch.wants | ALWAYS);
    if (happened !== 0) this.#tell(watch.key, happened);
  }

  #tell(key: number, happened: number): void {
    this.#keys[this.#count] = key;
    this.#happened[this.#count++] = happened;
  }
}

/** What the driver is to look for. */
function maskOf(wants: number): number {
  let mask = 0;
  if ((wants & SocketEvent.Readable) !== 0) mask |= READ;
  if ((wants & SocketEvent.ReadFinished) !== 0) mask |= AFD_POLL.DISCONNECT;
  if ((wants & SocketEvent.Urgent) !== 0) mask |= AFD_POLL.RECEIVE_EXPEDITED;
  if ((wants & SocketEvent.Writable) !== 0) mask |= AFD_POLL.SEND;
  return mask;
}

/** What the driver's events are to a caller. */
function happenedBy(events: number): number {
  let happened = 0;
  if ((events & READ) !== 0) happened |= SocketEvent.Readable;
  if ((events & AFD_POLL.DISCONNECT) !== 0) {
    happened |= SocketEvent.ReadFinished;
  }
  if ((events & AFD_POLL.RECEIVE_EXPEDITED) !== 0) {
    happened |= SocketEvent.Urgent;
  }
  if ((events & AFD_POLL.SEND) !== 0) happened |= SocketEvent.Writable;
  return (events & ENDS) === 0 ? happened : happened | ENDED;
}

function triggerOf(wants: number): Watch["trigger"] {
  return (wants & SocketTrigger.Edge) === 0 ? "level" : "edge";
}
