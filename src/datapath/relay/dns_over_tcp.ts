/**
 * DNS queries that can't go by UDP, over TCP through the dialer to the same
 * resolver (RFC 7766): one connection for each resolver, queries pipelined with
 * ids of our own, closed when idle. Answers go back as UDP, truncated where the
 * client could not take them whole.
 *
 * Queries pass as they are: the resolver sees the client's own, EDNS included.
 */
import { equalWords } from "../../core/wire/address.ts";
import {
  type DnsMessage,
  parseDns,
  ResponseCode,
} from "../../core/wire/dns.ts";
import {
  EDNS_UDP_LIMIT,
  emitDnsAnswer,
  readdressDns,
} from "../../core/wire/dns_emit.ts";
import type { Dialer } from "../../io/ports/dialer.ts";
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";
import {
  type DnsClient,
  DnsConnection,
  type DnsConnectionLimits,
  type DnsQuery,
} from "./dns_connection.ts";
import type { RelayHost } from "./relay_guest.ts";
import { UdpCounted, type UdpCounters } from "./udp_counters.ts";

/** Limits and times. */
export interface DnsOverTcpLimits extends DnsConnectionLimits {
  /** Resolvers that have a connection at once. */
  readonly connections: number;
  /** Queries in flight in all. */
  readonly queries: number;
}

/** By UDP a client without EDNS takes no more (RFC 1035 section 2.3.4). */
const PLAIN_UDP_LIMIT = 512;

/** The queries of all clients. */
export class DnsOverTcp {
  readonly #dialer: Dialer;
  readonly #sockets: StreamSockets;
  readonly #host: RelayHost;
  readonly #counters: UdpCounters;
  readonly #limits: DnsOverTcpLimits;
  readonly #firstTag: number;
  readonly #answer: (
    from: DnsClient,
    to: DnsClient,
    payload: Uint8Array,
  ) => void;
  readonly #connections: (DnsConnection | undefined)[];

  constructor(options: {
    readonly dialer: Dialer;
    readonly sockets: StreamSockets;
    readonly host: RelayHost;
    readonly counters: UdpCounters;
    readonly limits: DnsOverTcpLimits;
    /** Tags from here are ours, one a connection. */
    readonly firstTag: number;
    /** Takes an answer for a client. */
    readonly answer: (
      from: DnsClient,
      to: DnsClient,
      payload: Uint8Array,
    ) => void;
  }) {
    this.#dialer = options.dialer;
    this.#sockets = options.sockets;
    this.#host = options.host;
    this.#counters = options.counters;
    this.#limits = options.limits;
    this.#firstTag = options.firstTag;
    this.#answer = options.answer;
    this.#connections = new Array(options.limits.connections).fill(undefined);
  }

  /** Queries in flight. */
  get inFlight(): number {
    let count = 0;
    for (const connection of this.#connections) {
      count += connection?.inFlight ?? 0;
    }
    return count;
  }

  /** Connections at the moment, those in the making included. */
  get connections(): number {
    return this.#connections.filter((one) => one !== undefined).length;
  }

  /**
   * Asks a resolver.
   * @param payload the client's query, kept
   */
  ask(
    payload: Uint8Array,
    client: DnsClient,
    resolver: DnsClient,
    now: number,
  ): void {
    const message = parseDns(payload);
    if (message === undefined || message.response) {
      this.#counters.add(UdpCounted.droppedDnsMalformed);
      return;
    }
    let slot = this.#slotOf(resolver);
    // Asked again by a client that waits: the answer is on its way.
    if (slot >= 0 && this.#connections[slot]!.has(client, message.id)) return;
    if (this.inFlight >= this.#limits.queries) {
      this.#counters.add(UdpCounted.droppedDnsBusy);
      return;
    }
    if (slot < 0) slot = this.#open(resolver, now);
    if (slot < 0) {
      this.#counters.add(UdpCounted.droppedDnsBusy);
      return;
    }
    this.#counters.add(UdpCounted.dnsQueries);
    const query: DnsQuery = {
      client,
      message,
      bytes: payload,
      deadline: now + this.#limits.queryMs,
      tries: 0,
    };
    this.#send(slot, query, now);
  }

  /** A watched descriptor is ready. */
  ready(tag: number, now: number): void {
    const slot = tag - this.#firstTag;
    const connection = this.#connections[slot];
    if (connection === undefined) return;
    this.#settle(slot, connection, connection.advance(now), now);
  }

  /** Ends queries that waited too long, and idle connections. */
  tick(now: number): void {
    for (let slot = 0; slot < this.#connections.length; slot++) {
      const connection = this.#connections[slot];
      if (connection === undefined || connection.nextTimeout() > now) continue;
      this.#settle(slot, connection, connection.handleTimeout(now), now);
    }
  }

  /** When {@linkcode tick} is due; Infinity where nothing waits. */
  nextTimeout(): number {
    let next = Infinity;
    for (const connection of this.#connections) {
      next = Math.min(next, connection?.nextTimeout() ?? Infinity);
    }
    return next;
  }

  /** Ends all connections. */
  closeAll(): void {
    for (const connection of this.#connections) connection?.[Symbol.dispose]();
    this.#connections.fill(undefined);
  }

  #slotOf(resolver: DnsClient): number {
    return this.#connections.findIndex((one) =>
      one !== undefined && one.resolver.port === resolver.port &&
      equalWords(one.resolver.words, 0, resolver.words, 0)
    );
  }

  /** @returns -1 where all connections are busy with other resolvers. */
  #open(resolver: DnsClient, now: number): number {
    let slot = this.#connections.indexOf(undefined);
    if (slot < 0) {
      slot = this.#connections.findIndex((one) => one!.inFlight === 0);
      if (slot < 0) return -1;
      this.#connections[slot]![Symbol.dispose]();
    }
    this.#connections[slot] = new DnsConnection(resolver, {
      dialer: this.#dialer,
      sockets: this.#sockets,
      host: this.#host,
      tag: this.#firstTag + slot,
      limits: this.#limits,
      take: (query, answer) => this.#take(query, resolver, answer),
      now,
    });
    return slot;
  }

  #send(slot: number, query: DnsQuery, now: number): void {
    const connection = this.#connections[slot]!;
    query.tries++;
    if (!connection.send(query)) {
      this.#counters.add(UdpCounted.droppedDnsBusy);
      return;
    }
    this.#settle(slot, connection, connection.advance(now), now);
  }

  /** Deals with what a connection came to. */
  #settle(
    slot: number,
    connection: DnsConnection,
    outcome: "goes-on" | "over",
    now: number,
  ): void {
    const late = connection.takeLate();
    this.#counters.add(UdpCounted.droppedDnsTimeout, late);
    if (outcome === "goes-on") return;
    const left = connection.takeAll();
    const served = connection.served;
    connection[Symbol.dispose]();
    this.#connections[slot] = undefined;
    for (const query of left) {
      // A resolver may close a connection whenever it likes: ask by another.
      if (served && query.tries < 2) {
        this.#again(connection.resolver, query, now);
      } else this.#fail(connection.resolver, query);
    }
  }

  #again(resolver: DnsClient, query: DnsQuery, now: number): void {
    let slot = this.#slotOf(resolver);
    if (slot < 0) slot = this.#open(resolver, now);
    if (slot < 0) this.#fail(resolver, query);
    else this.#send(slot, query, now);
  }

  #take(query: DnsQuery, resolver: DnsClient, answer: Uint8Array): void {
    const { message, client } = query;
    this.#counters.add(UdpCounted.dnsAnswers);
    if (answer.length <= udpLimit(message)) {
      readdressDns(answer, message);
      this.#answer(resolver, client, answer);
      return;
    }
    this.#counters.add(UdpCounted.dnsTruncated);
    const responseCode = answer[3] & 0x0f;
    this.#answer(
      resolver,
      client,
      emitDnsAnswer(message, { responseCode, truncated: true }),
    );
  }

  #fail(resolver: DnsClient, { message, client }: DnsQuery): void {
    this.#counters.add(UdpCounted.dnsFailures);
    this.#answer(
      resolver,
      client,
      emitDnsAnswer(message, { responseCode: ResponseCode.ServerFailure }),
    );
  }
}

function udpLimit({ edns }: DnsMessage): number {
  const limit = Math.max(edns?.udpLimit ?? 0, PLAIN_UDP_LIMIT);
  return Math.min(limit, EDNS_UDP_LIMIT);
}
