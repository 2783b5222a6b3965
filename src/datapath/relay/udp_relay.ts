/**
 * UDP of clients in the relay worker: by sessions where the proxy takes UDP.
 * Where it does not, DNS goes over TCP and the rest is dropped and counted; the
 * log hears of it once.
 */
import { RelayMessage } from "../../core/columns/relay_message.ts";
import {
  isMappedIpv4,
  isMulticast,
  isUnspecified,
} from "../../core/wire/address.ts";
import { parsePacket } from "../../core/wire/packet.ts";
import { FragmentKind, PacketView } from "../../core/wire/packet_view.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import * as udp from "../../core/wire/udp.ts";
import type { Dialer, DialFailure } from "../../io/ports/dialer.ts";
import type { StreamSockets } from "../../io/ports/stream_sockets.ts";
import { UDP_PAYLOAD_AT, type UdpCarrier } from "../../io/ports/udp_carrier.ts";
import { DropReason } from "../../core/columns/drop_reason.ts";
import type { DnsClient } from "./dns_connection.ts";
import { DnsOverTcp, type DnsOverTcpLimits } from "./dns_over_tcp.ts";
import type { RelayGuest, RelayHost } from "./relay_guest.ts";
import { buildAnswer } from "./udp_answer.ts";
import { UdpCounted, type UdpCounters } from "./udp_counters.ts";
import { type RefusalTimes, UdpRefusal } from "./udp_refusal.ts";
import {
  NoSession,
  type UdpSessionEvents,
  type UdpSessionLimits,
  UdpSessions,
} from "./udp_sessions.ts";
import type { WaitingDatagram } from "./waiting_datagrams.ts";

/** Limits and times of all parts. */
export interface UdpRelayLimits extends UdpSessionLimits, RefusalTimes {
  readonly dns: DnsOverTcpLimits;
}

/** Limits and times where nobody wants others. */
export const UDP_RELAY_LIMITS: UdpRelayLimits = {
  sessions: 1024,
  pending: 512,
  idleMs: 300_000,
  dnsIdleMs: 20_000,
  associateMs: 10_000,
  uselessMs: 1_000,
  waitingPerSession: 16,
  waitingBytes: 4 * 1024 * 1024,
  refusedMs: 300_000,
  failedMs: 10_000,
  dns: {
    connections: 16,
    queries: 512,
    dialMs: 10_000,
    queryMs: 10_000,
    idleMs: 10_000,
  },
};

/** What UDP in the relay worker is made of. */
export interface UdpRelayOptions {
  readonly carrier: UdpCarrier;
  /** The way out for DNS over TCP. */
  readonly dialer: Dialer;
  readonly sockets: StreamSockets;
  readonly host: RelayHost;
  readonly counters: UdpCounters;
  readonly limits: UdpRelayLimits;
  /** Unpredictable, 32 bits. */
  readonly seed: number;
}

const DNS_PORT = 53;
const BROADCAST = -1;

/** The guest of the relay worker that carries UDP. */
export class UdpRelay implements RelayGuest, UdpSessionEvents {
  readonly #options: UdpRelayOptions;
  readonly #host: RelayHost;
  readonly #counters: UdpCounters;
  readonly #sessions: UdpSessions;
  readonly #refusal: UdpRefusal;
  readonly #dns: DnsOverTcp;
  readonly #view = new PacketView();

  constructor(options: UdpRelayOptions) {
    this.#options = options;
    const { host, counters, limits } = options;
    this.#host = host;
    this.#counters = counters;
    this.#refusal = new UdpRefusal(limits);
    this.#sessions = new UdpSessions({ ...options, events: this });
    this.#dns = new DnsOverTcp({
      ...options,
      limits: limits.dns,
      firstTag: this.#sessions.tags,
      answer: (from, to, payload) => this.#answer(from, to, payload),
    });
  }

  /** A packet of a client; other kinds of messages are not for this guest. */
  message(
    kind: number,
    _a: number,
    _b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    if (kind === RelayMessage.Udp) this.handlePacket(bytes, at, length, now);
  }

  /** Carries a whole UDP packet of a client. */
  handlePacket(
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    const view = this.#view;
    const drop = judge(bytes, at, length, view);
    if (drop >= 0) {
      this.#counters.add(drop);
      return;
    }
    const { sourceWords, sourcePort, destinationWords, destinationPort } = view;
    const payloadAt = view.payloadAt + udp.HEADER_LENGTH;
    const payloadLength = udp.datagramLength(bytes, view.payloadAt) -
      udp.HEADER_LENGTH;
    let row = this.#sessions.find(sourceWords, sourcePort);
    if (row < 0) {
      row = this.#refusal.isActive(now)
        ? NoSession.Failed
        : this.#sessions.open(
          sourceWords,
          sourcePort,
          destinationWords,
          destinationPort,
          now,
        );
    }
    if (row >= 0) {
      this.#sessions.send(
        row,
        bytes,
        payloadAt,
        payloadLength,
        destinationWords,
        destinationPort,
        now,
      );
    } else if (row === NoSession.Failed) {
      this.#without(bytes, payloadAt, payloadLength, now);
    }
  }

  ready(tag: number, _events: number, now: number): void {
    if (tag < this.#sessions.tags) this.#sessions.ready(tag, now);
    else this.#dns.ready(tag, now);
  }

  tick(now: number): void {
    this.#sessions.tick(now);
    this.#dns.tick(now);
  }

  nextTimeout(): number {
    return Math.min(this.#sessions.nextTimeout(), this.#dns.nextTimeout());
  }

  /** Sessions at the moment. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Connections to resolvers at the moment. */
  get dnsConnections(): number {
    return this.#dns.connections;
  }

  /** An association failed: its DNS goes over TCP. See {@linkcode UdpSessionEvents}. */
  failed(
    failure: DialFailure,
    client: DnsClient,
    waiting: readonly WaitingDatagram[],
    now: number,
  ): void {
    const { carrier } = this.#options;
    if (failure.kind === "no-descriptor") {
      // It says nothing of the proxy.
      this.#counters.add(UdpCounted.droppedNoDescriptor, waiting.length);
      return;
    }
    if (this.#refusal.failed(failure, now) === "refused") {
      this.#host.tell(
        `${carrier.name} gives no UDP (${failure.text}): DNS goes over TCP, other UDP is dropped`,
      );
    }
    for (const { payload, words, port } of waiting) {
      if (port === DNS_PORT) {
        this.#dns.ask(payload, client, { words, port }, now);
      } else this.#counters.add(UdpCounted.droppedAssociationFailed);
    }
  }

  /** An association stands. */
  opened(): void {
    this.#refusal.opened();
  }

  /** An association brought something. */
  worked(): void {
    if (this.#refusal.worked() === "works-again") {
      this.#host.tell(`${this.#options.carrier.name} carries UDP again`);
    }
  }

  [Symbol.dispose](): void {
    this.#sessions.closeAll();
    this.#dns.closeAll();
  }

  /** What is left for a datagram that no association will take. */
  #without(bytes: Uint8Array, at: number, length: number, now: number): void {
    const view = this.#view;
    if (view.destinationPort !== DNS_PORT) {
      this.#counters.add(UdpCounted.droppedRefused);
      return;
    }
    this.#dns.ask(
      bytes.slice(at, at + length),
      { words: view.sourceWords.slice(), port: view.sourcePort },
      { words: view.destinationWords.slice(), port: DNS_PORT },
      now,
    );
  }

  /** Sends a payload of ours to a client as if it came from a remote. */
  #answer(from: DnsClient, to: DnsClient, payload: Uint8Array): void {
    const { bytes } = this.#options.carrier.room;
    bytes.set(payload, UDP_PAYLOAD_AT);
    const at = buildAnswer(
      bytes,
      UDP_PAYLOAD_AT,
      payload.length,
      from.words,
      0,
      from.port,
      to.words,
      0,
      to.port,
      0,
    );
    if (!this.#host.answer(bytes, at, UDP_PAYLOAD_AT + payload.length - at)) {
      this.#counters.add(UdpCounted.droppedDeviceFull);
    }
  }
}

/** The count for a packet that can't be carried; -1 where it can. */
function judge(
  bytes: Uint8Array,
  at: number,
  length: number,
  view: PacketView,
): number {
  if (
    parsePacket(bytes, at, length, view) !== DropReason.None ||
    view.protocol !== Protocol.Udp || view.fragment !== FragmentKind.None
  ) return UdpCounted.droppedMalformed;
  const { version, sourceWords: source, destinationWords: to } = view;
  // An IPv6 header must not pass for IPv4 by a mapped address.
  if (version === 6 && (isMappedIpv4(source) || isMappedIpv4(to))) {
    return UdpCounted.droppedMalformed;
  }
  const isForOne = view.destinationPort !== 0 && view.sourcePort !== 0 &&
    !isMulticast(to) && !isUnspecified(to) && !isUnspecified(source) &&
    !(version === 4 && to[3] === BROADCAST);
  return isForOne ? -1 : UdpCounted.droppedNotForwarded;
}
