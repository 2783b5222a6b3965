/**
 * UDP of clients through a carrier: a session for each client source (address
 * and port), whatever the remotes, with an association of its own.
 *
 *     Pending  the association is being made; few datagrams wait
 *     Open     datagrams go both ways; each from the client keeps it (RFC 4787, REQ-6)
 *     gone     idle, or the association ended: the next datagram makes a new one
 *
 * Datagrams from any remote reach the client (REQ-8, endpoint-independent): the
 * carrier decides whom it lets in.
 */
import { DeadlineQueue } from "../../core/columns/deadline_queue.ts";
import { isMappedIpv4 } from "../../core/wire/address.ts";
import { copyBytes } from "../../core/wire/bytes.ts";
import type { DialFailure } from "../../io/ports/dialer.ts";
import {
  UDP_PAYLOAD_AT,
  UDP_PAYLOAD_LIMIT,
  type UdpAssociation,
  type UdpCarrier,
} from "../../io/ports/udp_carrier.ts";
import { NO_ROOM } from "./dial_failures.ts";
import { EndpointIndex } from "./endpoint_index.ts";
import { IncomingDatagrams } from "./incoming_datagrams.ts";
import type { RelayHost } from "./relay_guest.ts";
import { UdpCounted, type UdpCounters } from "./udp_counters.ts";
import { type WaitingDatagram, WaitingDatagrams } from "./waiting_datagrams.ts";

/** Limits and times of sessions. */
export interface UdpSessionLimits {
  /** Sessions at once; each has two descriptors. */
  readonly sessions: number;
  /** Associations in the making at once. */
  readonly pending: number;
  /** An idle session ends after this, in ms. */
  readonly idleMs: number;
  /** The same for one that only asked port 53 (RFC 4787, REQ-5). */
  readonly dnsIdleMs: number;
  /** The proxy may take so long to give an association, in ms. */
  readonly associateMs: number;
  /** An association that ends sooner and has brought nothing has failed, in ms. */
  readonly uselessMs: number;
  /** Datagrams that wait for an association, each session. */
  readonly waitingPerSession: number;
  /** Bytes that wait in all. */
  readonly waitingBytes: number;
}

/** What whoever owns the sessions hears of. */
export interface UdpSessionEvents {
  /** An association did not come about, or was of no use; what waited for it. */
  failed(
    failure: DialFailure,
    client: { readonly words: Int32Array; readonly port: number },
    waiting: readonly WaitingDatagram[],
    now: number,
  ): void;
  /** An association stands. */
  opened(): void;
  /** The first datagram came by an association. */
  worked(): void;
}

const DNS_PORT = 53;

const State = { Free: 0, Pending: 1, Open: 2 } as const;

/** What is watched of a session: bits. */
const Watched = { Nothing: 0, Read: 1, Write: 2, Control: 3, Data: 4 } as const;

const TOO_SLOW: DialFailure = {
  kind: "timed-out",
  text: "the proxy gave no UDP association in time",
};
const ENDED: DialFailure = {
  kind: "proxy-closed",
  text: "the proxy ended the UDP association",
};

/** Why {@linkcode UdpSessions.open} gives no row. */
export const NoSession = {
  /** The datagram is to be dropped, and is counted. */
  Dropped: -1,
  /** The association failed at once; the datagram is still the caller's. */
  Failed: -2,
} as const;

/** The sessions of one carrier. */
export class UdpSessions {
  readonly #carrier: UdpCarrier;
  readonly #host: RelayHost;
  readonly #counters: UdpCounters;
  readonly #limits: UdpSessionLimits;
  readonly #events: UdpSessionEvents;
  readonly #index: EndpointIndex;
  readonly #deadlines: DeadlineQueue;
  readonly #waiting: WaitingDatagrams;
  readonly #incoming: IncomingDatagrams;
  readonly #associations: (UdpAssociation | undefined)[];
  readonly #state: Uint8Array;
  readonly #openedAt: Float64Array;
  readonly #lastOutboundAt: Float64Array;
  /** 1 while nothing but port 53 was asked. */
  readonly #dnsOnly: Uint8Array;
  /** 1 once a datagram came. */
  readonly #hasBrought: Uint8Array;
  readonly #watched: Uint8Array;
  #pending = 0;

  /** @param options.seed unpredictable, 32 bits */
  constructor(options: {
    readonly carrier: UdpCarrier;
    readonly host: RelayHost;
    readonly counters: UdpCounters;
    readonly limits: UdpSessionLimits;
    readonly events: UdpSessionEvents;
    readonly seed: number;
  }) {
    const { limits } = options;
    this.#carrier = options.carrier;
    this.#host = options.host;
    this.#counters = options.counters;
    this.#limits = limits;
    this.#events = options.events;
    this.#incoming = new IncomingDatagrams(options);
    this.#index = new EndpointIndex(limits.sessions, options.seed);
    this.#deadlines = new DeadlineQueue(limits.sessions);
    this.#waiting = new WaitingDatagrams({
      perSession: limits.waitingPerSession,
      bytes: limits.waitingBytes,
    });
    this.#associations = new Array(limits.sessions).fill(undefined);
    this.#state = new Uint8Array(limits.sessions);
    this.#openedAt = new Float64Array(limits.sessions);
    this.#lastOutboundAt = new Float64Array(limits.sessions);
    this.#dnsOnly = new Uint8Array(limits.sessions);
    this.#hasBrought = new Uint8Array(limits.sessions);
    this.#watched = new Uint8Array(limits.sessions);
  }

  /** Tags of watched descriptors are below this: two a session. */
  get tags(): number {
    return this.#limits.sessions * 2;
  }

  /** Sessions at the moment. */
  get size(): number {
    return this.#index.size;
  }

  /** The session of a client source, or -1. */
  find(words: Int32Array, port: number): number {
    return this.#index.find(words, 0, port);
  }

  /**
   * Makes a session for a client source that has none.
   * @returns its row, or one of {@linkcode NoSession}
   */
  open(
    words: Int32Array,
    port: number,
    remote: Int32Array,
    remotePort: number,
    now: number,
  ): number {
    if (this.#isOurs(port, remote, remotePort)) {
      this.#counters.add(UdpCounted.droppedLoop);
      return NoSession.Dropped;
    }
    if (this.#pending >= this.#limits.pending) {
      this.#counters.add(UdpCounted.droppedTooManyPending);
      return NoSession.Dropped;
    }
    const row = this.#index.add(words, 0, port);
    if (row < 0) {
      this.#counters.add(UdpCounted.droppedSessionsFull);
      return NoSession.Dropped;
    }
    this.#state[row] = State.Pending;
    this.#pending++;
    this.#dnsOnly[row] = 1;
    this.#hasBrought[row] = 0;
    this.#lastOutboundAt[row] = now;
    this.#deadlines.set(row, now + this.#limits.associateMs);
    this.#counters.add(UdpCounted.sessionsOpen);
    const association = this.#carrier.associate(
      isMappedIpv4(words, 0) ? 4 : 6,
    );
    this.#associations[row] = association;
    this.#advance(row, association, now);
    if (this.#state[row] !== State.Free) return row;
    if (association.failure?.kind !== "no-descriptor") return NoSession.Failed;
    this.#counters.add(UdpCounted.droppedNoDescriptor);
    return NoSession.Dropped;
  }

  /** Sends a client's payload, or lets it wait for the association. */
  send(
    row: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    remote: Int32Array,
    port: number,
    now: number,
  ): void {
    if (length > UDP_PAYLOAD_LIMIT) {
      this.#counters.add(UdpCounted.droppedTooLong);
      return;
    }
    this.#lastOutboundAt[row] = now;
    if (port !== DNS_PORT) this.#dnsOnly[row] = 0;
    if (this.#state[row] === State.Open) {
      const association = this.#associations[row]!;
      copyBytes(this.#carrier.room.bytes, UDP_PAYLOAD_AT, bytes, at, length);
      this.#sendRoom(association, length, remote, port);
      const { failure } = association;
      if (failure !== undefined) this.#end(row, failure, now);
    } else if (
      !this.#waiting.add(row, bytes, at, length, remote, port)
    ) {
      this.#counters.add(UdpCounted.droppedWaiting);
    }
  }

  /** A watched descriptor is ready. */
  ready(tag: number, now: number): void {
    const row = tag >>> 1;
    const association = this.#associations[row];
    if (association === undefined) return;
    if ((tag & 1) === 0) this.#advance(row, association, now);
    else if (this.#state[row] === State.Open) {
      this.#receive(row, association, now);
    }
  }

  /** Ends what is idle, and what waited too long for the proxy. */
  tick(now: number): void {
    for (
      let row = this.#deadlines.popDue(now);
      row >= 0;
      row = this.#deadlines.popDue(now)
    ) {
      if (this.#state[row] === State.Pending) {
        this.#fail(row, TOO_SLOW, now);
        continue;
      }
      const deadline = this.#lastOutboundAt[row] + this.#idleMs(row);
      if (deadline > now) this.#deadlines.set(row, deadline);
      else {
        this.#counters.add(UdpCounted.sessionsExpired);
        this.#close(row);
      }
    }
  }

  /** When {@linkcode tick} is due; Infinity where nothing waits. */
  nextTimeout(): number {
    return this.#deadlines.next();
  }

  /** Ends all sessions. */
  closeAll(): void {
    for (let row = 0; row < this.#state.length; row++) {
      if (this.#state[row] !== State.Free) this.#close(row);
    }
  }

  /** Whether a datagram is one of our own sockets' to its carrier, come back as a client's. */
  #isOurs(port: number, remote: Int32Array, remotePort: number): boolean {
    for (const association of this.#associations) {
      if (association !== undefined && association.localPort === port) {
        if (association.leadsTo(remote, remotePort)) return true;
      }
    }
    return false;
  }

  #idleMs(row: number): number {
    const { idleMs, dnsIdleMs } = this.#limits;
    return this.#dnsOnly[row] === 1 ? Math.min(dnsIdleMs, idleMs) : idleMs;
  }

  /** Brings an association forward, and has its descriptors watched. */
  #advance(row: number, association: UdpAssociation, now: number): void {
    const state = association.advance();
    if (state === "ended") {
      this.#end(row, association.failure ?? ENDED, now);
      return;
    }
    const opens = state === "open" && this.#state[row] === State.Pending;
    if (
      !this.#watchControl(row, association) ||
      (opens && !this.#watchData(row, association))
    ) {
      this.#fail(row, NO_ROOM, now);
    } else if (opens) this.#begin(row, association, now);
  }

  /** @returns false where the poll set has no room. */
  #watchControl(row: number, association: UdpAssociation): boolean {
    const { control, wants } = association;
    const want = wants === "read" ? Watched.Read : Watched.Write;
    const before = this.#watched[row] & Watched.Control;
    if (control < 0 || before === want) return true;
    if (before !== Watched.Nothing) {
      this.#host.change(control, row * 2, wants);
    } else if (!this.#host.watch(control, row * 2, wants)) return false;
    this.#watched[row] = (this.#watched[row] & ~Watched.Control) | want;
    return true;
  }

  /** @returns false where the poll set has no room. */
  #watchData(row: number, { descriptor }: UdpAssociation): boolean {
    if (!this.#host.watch(descriptor, row * 2 + 1, "read")) return false;
    this.#watched[row] |= Watched.Data;
    return true;
  }

  /** The association stands. */
  #begin(row: number, association: UdpAssociation, now: number): void {
    this.#state[row] = State.Open;
    this.#pending--;
    this.#openedAt[row] = now;
    this.#deadlines.set(row, now + this.#idleMs(row));
    this.#counters.add(UdpCounted.sessionsOpened);
    this.#events.opened();
    const room = this.#carrier.room.bytes;
    for (const { payload, words, port } of this.#waiting.take(row)) {
      room.set(payload, UDP_PAYLOAD_AT);
      this.#sendRoom(association, payload.length, words, port);
    }
  }

  #sendRoom(
    association: UdpAssociation,
    length: number,
    words: Int32Array,
    port: number,
  ): void {
    if (association.send(length, words, port) < 0) {
      this.#counters.add(UdpCounted.droppedSendFailed);
      return;
    }
    this.#counters.add(UdpCounted.datagramsOut);
    this.#counters.add(UdpCounted.bytesOut, length);
  }

  #receive(row: number, association: UdpAssociation, now: number): void {
    const { words, port } = this.#index;
    const brought = this.#incoming.take(association, words, row * 4, port[row]);
    if (brought > 0 && this.#hasBrought[row] === 0) {
      this.#hasBrought[row] = 1;
      this.#events.worked();
    }
    const { failure } = association;
    if (failure !== undefined) this.#end(row, failure, now);
  }

  /** The association is over: in the making, at once, or after it was of use. */
  #end(row: number, failure: DialFailure, now: number): void {
    const isOfUse = this.#state[row] === State.Open &&
      (this.#hasBrought[row] === 1 ||
        now - this.#openedAt[row] >= this.#limits.uselessMs);
    if (!isOfUse) return this.#fail(row, failure, now);
    this.#counters.add(UdpCounted.sessionsEnded);
    this.#close(row);
  }

  #fail(row: number, failure: DialFailure, now: number): void {
    const { words, port } = this.#index;
    const client = {
      words: words.slice(row * 4, row * 4 + 4),
      port: port[row],
    };
    const waiting = this.#waiting.take(row);
    this.#counters.add(UdpCounted.associationsFailed);
    this.#close(row);
    this.#events.failed(failure, client, waiting, now);
  }

  #close(row: number): void {
    const association = this.#associations[row]!;
    const watched = this.#watched[row];
    if (watched & Watched.Control) this.#host.forget(association.control);
    if (watched & Watched.Data) this.#host.forget(association.descriptor);
    association[Symbol.dispose]();
    this.#associations[row] = undefined;
    this.#waiting.take(row);
    this.#deadlines.clear(row);
    if (this.#state[row] === State.Pending) this.#pending--;
    this.#state[row] = State.Free;
    this.#watched[row] = Watched.Nothing;
    this.#index.remove(row);
    this.#counters.add(UdpCounted.sessionsOpen, -1);
  }
}
