/**
 * Waiting for any of a pump's descriptors: a level-triggered epoll set, so that
 * what a pump leaves unread is reported again. Source: epoll(7).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { EPOLL, ERRNO, POLL } from "../../../../ffi/linux_socket_constants.ts";
import {
  type OpenedPoller,
  type PollerAttachment,
  Ready,
  type TunnelsPoller,
} from "../../ports.ts";
import { PollEvents, PollSet, PollTag } from "./poller_set.ts";
import { attachWake } from "./wake.ts";

/** Events that one wait can report; the rest comes with the next one. */
const EVENTS = 256;

/**
 * Makes an empty poll set.
 * @throws {LibcError}
 */
export function openPoller(libc: Libc): OpenedPoller {
  const descriptor = libc.call.epoll_create1(EPOLL.CLOEXEC);
  if (descriptor < 0) throw libc.error("epoll_create1");
  return {
    descriptor,
    [Symbol.dispose]: () => void libc.call.close(descriptor),
  };
}

/**
 * Puts a pump's descriptors into a poll set and waits on it. Several threads
 * may attach to one set with the same descriptors, one of them waiting at a
 * time. Disposing of it takes them out again.
 * @throws {LibcError} where a descriptor cannot be waited for.
 */
export function attachPoller(
  libc: Libc,
  attachment: PollerAttachment,
): TunnelsPoller {
  return new LinuxPoller(libc, attachment);
}

class LinuxPoller implements TunnelsPoller {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #events = new PollEvents(EVENTS);
  readonly #outside = new Int32Array(EVENTS);
  readonly #tunnels = new Int32Array(EVENTS);
  readonly #set: PollSet;
  readonly #own: number[] = [];
  readonly #wake;
  #outsideCount = 0;
  #tunnelCount = 0;

  constructor(libc: Libc, attachment: PollerAttachment) {
    this.#libc = libc;
    this.#descriptor = attachment.descriptor;
    this.#set = new PollSet(libc, attachment.descriptor);
    this.#wake = attachWake(libc, attachment.wake);
    this.#add(attachment.wake, PollTag.Wake);
    if (attachment.tun !== undefined) this.#add(attachment.tun, PollTag.Tun);
    if (attachment.tunnel !== undefined) {
      this.#add(attachment.tunnel, PollTag.Tunnel);
    }
  }

  get outsideCount(): number {
    return this.#outsideCount;
  }

  get tunnelCount(): number {
    return this.#tunnelCount;
  }

  tunnel(i: number): number {
    return this.#events.handle(this.#tunnels[i]);
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
    const events = this.#events;
    const count = this.#libc.call.epoll_wait(
      this.#descriptor,
      events.bytes,
      EVENTS,
      timeoutMs,
    );
    let ready = 0;
    // A signal (EINTR) gives -1: as good as the time being over.
    for (let i = 0; i < count; i++) {
      switch (events.row(i)) {
        case PollTag.Wake:
          this.#wake.drain();
          ready |= Ready.Wake;
          break;
        case PollTag.Tun:
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
    return this.#events.row(this.#outside[i]);
  }

  outsideHandle(i: number): number {
    return this.#events.handle(this.#outside[i]);
  }

  outsideError(i: number): boolean {
    return (this.#events.events(this.#outside[i]) & POLL.ERR) !== 0;
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#own) this.#set.remove(descriptor);
  }

  #add(descriptor: number, tag: number): void {
    if (this.#set.add(descriptor, tag, 0)) this.#own.push(descriptor);
    // Another thread of the same pump has added it.
    else if (this.#libc.errno() !== ERRNO.EEXIST) {
      throw this.#libc.error("epoll_ctl(EPOLL_CTL_ADD)");
    }
  }
}
