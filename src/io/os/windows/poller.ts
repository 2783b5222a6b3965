/**
 * Waiting for any of a pump's descriptors: sockets by polls of the socket
 * driver, the wake and a TUN by events. What a pump leaves unread is reported
 * again, since each wait begins by polling again what the last one reported.
 */
import { WAIT } from "../../../../ffi/windows/kernel32.ts";
import {
  type OpenedPoller,
  type PollerAttachment,
  Ready,
  type TunnelsPoller,
} from "../../ports.ts";
import { AfdPoll, openAfdPoll } from "./afd_poll.ts";
import { PollSet, PollTag, RawSocket } from "./poller_set.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import { attachWake } from "./wake.ts";

/** Sockets of a pump: one for each mapping, and its tunnels'. */
const CAPACITY = 65_536;
/** Sockets and events that one wait can report. */
const REPORTED = 1024;

/**
 * Makes an empty poll set; its descriptor is an address.
 * @throws {Win32Error}
 */
export function openPoller(libraries: SocketLibraries): OpenedPoller {
  const poll = openAfdPoll(libraries, CAPACITY);
  return {
    descriptor: poll.address,
    [Symbol.dispose]: () => poll[Symbol.dispose](),
  };
}

/**
 * Puts a pump's descriptors into a poll set and waits on it; that of a TUN is
 * the handle of an event which is set while packets wait. Several threads may
 * attach to one set with the same descriptors, one of them waiting at a time.
 * Disposing of it takes them out again.
 * @throws {Error} where a descriptor cannot be waited for.
 */
export function attachPoller(
  libraries: SocketLibraries,
  attachment: PollerAttachment,
): TunnelsPoller {
  return new WindowsPoller(libraries, attachment);
}

class WindowsPoller implements TunnelsPoller {
  readonly #libraries: SocketLibraries;
  readonly #poll: AfdPoll;
  readonly #set: PollSet;
  readonly #wake;
  readonly #outside = new Int32Array(REPORTED);
  readonly #tunnels = new Int32Array(REPORTED);
  readonly #ownEvents: number[] = [];
  readonly #ownSockets: number[] = [];
  #outsideCount = 0;
  #tunnelCount = 0;

  constructor(libraries: SocketLibraries, attachment: PollerAttachment) {
    const { descriptor, wake, tun, tunnel } = attachment;
    this.#libraries = libraries;
    this.#poll = new AfdPoll(libraries, descriptor);
    this.#set = new PollSet(this.#poll);
    this.#wake = attachWake(libraries.kernel32, wake);
    this.#addEvent(wake, PollTag.Wake);
    if (tun !== undefined) this.#addEvent(tun, PollTag.Tun);
    // Another thread of the same pump may have added it.
    if (tunnel !== undefined && !this.#set.has(tunnel)) {
      if (!this.#set.add(tunnel, PollTag.Tunnel, 0)) {
        throw new Error("the system does not wait for the tunnel's socket");
      }
      this.#ownSockets.push(tunnel);
    }
  }

  get outsideCount(): number {
    return this.#outsideCount;
  }

  get tunnelCount(): number {
    return this.#tunnelCount;
  }

  tunnel(i: number): number {
    return this.#poll.tag(this.#tunnels[i]);
  }

  watchTunnel(descriptor: number, tunnel: number): boolean {
    return this.#set.add(descriptor, PollTag.Tunnel, tunnel);
  }

  forgetTunnel(descriptor: number): void {
    this.#set.remove(descriptor);
  }

  wait(timeoutMs: number): number {
    this.#outsideCount = 0;
    this.#tunnelCount = 0;
    const poll = this.#poll;
    const count = poll.wait(timeoutMs);
    let ready = 0;
    for (let i = 0; i < count; i++) {
      const slot = poll.slot(i);
      if (slot >= 0) poll.armLater(slot);
      switch (poll.key(i)) {
        case PollTag.Wake:
          // It may have been drained since it reported.
          if (this.#isSet(poll.event(i))) ready |= Ready.Wake;
          this.#wake.drain();
          break;
        case PollTag.Tun:
          // It resets itself with the wait, and is to stay until all is read.
          this.#libraries.kernel32.call.SetEvent(poll.event(i));
          ready |= Ready.Tun;
          break;
        case PollTag.Tunnel:
          this.#tunnels[this.#tunnelCount++] = i;
          ready |= Ready.Tunnel;
          break;
        default:
          this.#outside[this.#outsideCount++] = i;
          ready |= Ready.Outside;
      }
    }
    return ready;
  }

  outsideRow(i: number): number {
    return this.#poll.key(this.#outside[i]);
  }

  outsideHandle(i: number): number {
    return this.#poll.tag(this.#outside[i]);
  }

  outsideError(i: number): boolean {
    return this.outsideHandle(i) === RawSocket.Errors;
  }

  [Symbol.dispose](): void {
    for (const handle of this.#ownEvents) this.#poll.removeEvent(handle);
    for (const socket of this.#ownSockets) this.#poll.remove(socket);
  }

  #isSet(event: number): boolean {
    const { call } = this.#libraries.kernel32;
    return call.WaitForSingleObject(event, 0) === WAIT.OBJECT_0;
  }

  #addEvent(handle: number, tag: number): void {
    if (this.#poll.addEvent(handle, tag)) this.#ownEvents.push(handle);
  }
}
