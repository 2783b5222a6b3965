/**
 * rtnetlink: the kernel's links, addresses and routes, without the `ip` program.
 *
 * Requests are answered while they are sent, so the calls block for no longer
 * than the kernel needs; a time-out guards against an answer that never comes.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { sockaddrNl, timeval } from "../../../../ffi/linux_layouts.ts";
import { type AddressWords, formatPrefix } from "../../../core/wire/address.ts";
import { readU32le, writeU16le, writeU32le } from "../../../core/wire/bytes.ts";
import {
  addressDump,
  addressRequest,
  type Link,
  type LinkAddress,
  type LinkChange,
  linkDump,
  linkRequest,
  parseAddressMessage,
  parseLink,
  parseRoute,
  type Route,
  routeDump,
  routeLookup,
  type RouteRequest,
  routeRequest,
  Rtm,
} from "./netlink_entities.ts";
import {
  Control,
  Flag,
  type NetlinkMessage,
  parseMessages,
  parseOutcome,
  type RequestWriter,
} from "./netlink_message.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;

const EINTR = 4;
const ENETUNREACH = 101;
const EHOSTUNREACH = 113;

const BUFFER_LENGTH = 64 * 1024;
const TIMEOUT_SECONDS = 5;
const DUMP_ATTEMPTS = 5;

/** A request that the kernel refused. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  constructor(
    /** What was asked, e.g. `RTM_NEWADDR 10.8.0.1/24`. */
    readonly request: string,
    /** The errno; 0 where the answer made no sense. */
    readonly code: number,
    text: string,
    /** The kernel's own words, where it has some. */
    readonly detail: string | undefined = undefined,
  ) {
    super(`${request}: ${text}${detail === undefined ? "" : ` (${detail})`}`);
  }
}

/** A connection to the kernel's network configuration, for one thread. */
export class Netlink implements Disposable {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(BUFFER_LENGTH);
  readonly #sender = new Uint8Array(sockaddrNl.size);
  readonly #senderLength = new Uint8Array(4);
  #sequence = 0;

  /** @throws {LibcError} where the socket cannot be made. */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#descriptor = libc.call.socket(
      AF_NETLINK,
      SOCK_RAW | SOCK_CLOEXEC,
      NETLINK_ROUTE,
    );
    if (this.#descriptor < 0) throw libc.error("socket(AF_NETLINK)");
    const address = new Uint8Array(sockaddrNl.size);
    writeU16le(address, sockaddrNl.at.nl_family, AF_NETLINK);
    if (libc.call.bind(this.#descriptor, address, address.length) !== 0) {
      const error = libc.error("bind(AF_NETLINK)");
      libc.call.close(this.#descriptor);
      throw error;
    }
    this.#setOptions();
  }

  /** All interfaces. */
  links(): Link[] {
    return this.#dump("RTM_GETLINK", linkDump(DUMP_FLAGS), parseLink);
  }

  /** The interface of that name. */
  link(name: string): Link | undefined {
    return this.links().find((link) => link.name === name);
  }

  /** Changes an interface. */
  setLink(index: number, change: LinkChange): void {
    this.#change(
      `RTM_NEWLINK ${JSON.stringify(change)}`,
      linkRequest(index, change, CHANGE_FLAGS),
    );
  }

  /** All addresses of all interfaces. */
  addresses(): LinkAddress[] {
    return this.#dump(
      "RTM_GETADDR",
      addressDump(DUMP_FLAGS),
      parseAddressMessage,
    );
  }

  /** Adds an address; one that is there already gives EEXIST. */
  addAddress(address: LinkAddress): void {
    this.#change(
      `RTM_NEWADDR ${networkText(address)}`,
      addressRequest(Rtm.NewAddress, address, ADD_FLAGS),
    );
  }

  /** Removes an address; one that is not there gives EADDRNOTAVAIL. */
  removeAddress(address: LinkAddress): void {
    this.#change(
      `RTM_DELADDR ${networkText(address)}`,
      addressRequest(Rtm.DeleteAddress, address, CHANGE_FLAGS),
    );
  }

  /** The unicast routes of the main table. */
  routes(): Route[] {
    return this.#dump("RTM_GETROUTE", routeDump(DUMP_FLAGS), parseRoute);
  }

  /** Adds a route; one with that prefix and metric gives EEXIST. */
  addRoute(route: RouteRequest): void {
    this.#change(
      `RTM_NEWROUTE ${networkText(route)}`,
      routeRequest(Rtm.NewRoute, route, ADD_FLAGS),
    );
  }

  /** Removes a route of ours; one that is not there gives ESRCH. */
  removeRoute(route: RouteRequest): void {
    this.#change(
      `RTM_DELROUTE ${networkText(route)}`,
      routeRequest(Rtm.DeleteRoute, route, CHANGE_FLAGS),
    );
  }

  /** The route that a packet to an address would take; undefined without one. */
  lookup(words: AddressWords): Route | undefined {
    try {
      const request = routeLookup(words, Flag.Request);
      return this.#exchange("RTM_GETROUTE", request)
        .map(parseRoute).find((route) => route !== undefined);
    } catch (error) {
      const unreachable = error instanceof NetlinkError &&
        (error.code === ENETUNREACH || error.code === EHOSTUNREACH);
      if (unreachable) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#libc.call.close(this.#descriptor);
  }

  /** Extended errors are a comfort: a kernel without them still works. */
  #setOptions(): void {
    const one = Uint8Array.of(1, 0, 0, 0);
    const set = (
      level: number,
      option: number,
      value: Uint8Array<ArrayBuffer>,
    ) =>
      this.#libc.call.setsockopt(
        this.#descriptor,
        level,
        option,
        value,
        value.length,
      );
    set(SOL_NETLINK, NETLINK_CAP_ACK, one);
    set(SOL_NETLINK, NETLINK_EXT_ACK, one);
    const limit = new Uint8Array(timeval.size);
    writeU32le(limit, timeval.at.tv_sec, TIMEOUT_SECONDS);
    set(SOL_SOCKET, SO_RCVTIMEO, limit);
  }

  #change(request: string, writer: RequestWriter): void {
    this.#exchange(request, writer);
  }

  #dump<T>(
    request: string,
    writer: RequestWriter,
    parse: (message: NetlinkMessage) => T | undefined,
  ): T[] {
    let messages: NetlinkMessage[] = [];
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      messages = this.#exchange(request, writer);
      const interrupted = messages.some((message) =>
        (message.flags & Flag.DumpInterrupted) !== 0
      );
      if (!interrupted) break;
    }
    return messages.map(parse).filter((entry) => entry !== undefined);
  }

  /** Sends a request and collects its answer up to the message that ends it. */
  #exchange(request: string, writer: RequestWriter): NetlinkMessage[] {
    const sequence = this.#sequence = (this.#sequence + 1) >>> 0;
    this.#send(request, writer.finish(sequence));
    const answer: NetlinkMessage[] = [];
    for (;;) {
      for (const message of this.#receive(request)) {
        // An answer to a request that timed out earlier.
        if (message.sequence !== sequence) continue;
        if (message.type === Control.Done || message.type === Control.Error) {
          this.#checkOutcome(request, message);
          return answer;
        }
        if (message.type === Control.Overrun) {
          throw new NetlinkError(request, 0, "the answer was lost");
        }
        answer.push(message);
        if ((message.flags & Flag.Multi) === 0) return answer;
      }
    }
  }

  #send(request: string, bytes: Uint8Array<ArrayBuffer>): void {
    const { call } = this.#libc;
    let sent: number;
    do {
      sent = call.sendto(this.#descriptor, bytes, bytes.length, 0, null, 0);
    } while (sent < 0 && this.#libc.errno() === EINTR);
    if (sent < 0) throw this.#failure(request, this.#libc.errno());
  }

  /** Reads one datagram of the kernel's; others may write to the socket too. */
  #receive(request: string): readonly NetlinkMessage[] {
    const { call } = this.#libc;
    for (;;) {
      writeU32le(this.#senderLength, 0, sockaddrNl.size);
      const length = call.recvfrom(
        this.#descriptor,
        this.#buffer,
        this.#buffer.length,
        MSG_TRUNC,
        this.#sender,
        this.#senderLength,
      );
      if (length < 0) {
        if (this.#libc.errno() === EINTR) continue;
        throw this.#failure(request, this.#libc.errno());
      }
      if (readU32le(this.#sender, sockaddrNl.at.nl_pid) !== 0) continue;
      if (length > this.#buffer.length) {
        throw new NetlinkError(request, 0, `an answer of ${length} bytes`);
      }
      // A copy: messages outlive the buffer's next use.
      const { messages, whole } = parseMessages(this.#buffer.slice(0, length));
      if (!whole) {
        throw new NetlinkError(request, 0, "the answer is malformed");
      }
      return messages;
    }
  }

  #checkOutcome(request: string, message: NetlinkMessage): void {
    const outcome = parseOutcome(message);
    if (outcome === undefined) {
      throw new NetlinkError(request, 0, "the answer is malformed");
    }
    if (outcome.code === 0) return;
    throw this.#failure(request, outcome.code, outcome.detail);
  }

  #failure(request: string, code: number, detail?: string): NetlinkError {
    const text = this.#libc.error(request, code).message;
    const bare = text.slice(request.length + 2);
    return new NetlinkError(request, code, bare, detail);
  }
}

function networkText(
  network: { family: 4 | 6; words: AddressWords; prefixLength: number },
): string {
  const { family, words, prefixLength } = network;
  return formatPrefix({
    family,
    words: Uint32Array.from(words),
    length: prefixLength,
  });
}

const DUMP_FLAGS = Flag.Request | Flag.Dump;
const CHANGE_FLAGS = Flag.Request | Flag.Acknowledge;
const ADD_FLAGS = CHANGE_FLAGS | Flag.Create | Flag.Exclusive;
