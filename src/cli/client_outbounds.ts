/**
 * The ways out of a split tunnel that the relay worker has: a dialer for each,
 * and for proxies what carries UDP. They come and go by commands.
 *
 *     outbound 0        direct, TCP alone: its UDP goes by the stack worker's sockets
 *     others            proxies
 */
import { RelayMessage } from "../core/columns/relay_message.ts";
import { type FlowEnd, type FlowTable, Way } from "../core/flow/flow_table.ts";
import { Reader } from "../core/flow/outside_ends.ts";
import { rewriteEnds } from "../core/flow/rewrite_ends.ts";
import { ChecksumForm } from "../core/wire/checksum.ts";
import { parsePacket } from "../core/wire/packet.ts";
import { PacketView } from "../core/wire/packet_view.ts";
import { Protocol } from "../core/wire/protocol.ts";
import * as udp from "../core/wire/udp.ts";
import type { RelayGuest, RelayHost } from "../datapath/relay/relay_guest.ts";
import {
  UdpCounted,
  type UdpCounters,
} from "../datapath/relay/udp_counters.ts";
import { UDP_RELAY_LIMITS, UdpRelay } from "../datapath/relay/udp_relay.ts";
import { decodeRingJson } from "../datapath/ring_json.ts";
import { openDialer } from "../io/outbound/open_dialer.ts";
import { openUdpCarrier } from "../io/outbound/udp_carrier.ts";
import type {
  Dial,
  Dialer,
  DialerSetup,
  DialTarget,
} from "../io/ports/dialer.ts";
import type { DialerParts, DnsNotice } from "./relay.ts";

/** A way out as it is posted: JSON. */
export interface PostedDialer {
  readonly setup: DialerSetup;
}

/** What ways out work with. */
export interface ClientOutboundsOptions extends DialerParts {
  readonly flows: FlowTable;
  readonly counters: UdpCounters;
  /** An idle UDP session ends after this, in ms. */
  readonly udpTimeoutMs: number;
  readonly dnsAnswer: (answer: DnsNotice) => void;
  /** One line for the log. */
  readonly tell: (line: string) => void;
}

/** Tags of watched descriptors that each outbound has. */
const TAG_BITS = 19;
const TAGS = 1 << TAG_BITS;
const DIRECT = 0;
const DNS_PORT = 53;

interface Outbound {
  readonly dialer: Dialer;
  readonly udp: UdpRelay | undefined;
}

/** See the module header. */
export class ClientOutbounds implements Dialer {
  readonly name = "ways out";
  readonly #options: ClientOutboundsOptions;
  readonly #outbounds = new Map<number, Outbound>();
  readonly #view = new PacketView();
  #host: RelayHost | undefined;

  constructor(options: ClientOutboundsOptions) {
    this.#options = options;
  }

  dial({ words, port, connection }: DialTarget): Dial {
    const { table } = this.#options;
    if (connection === undefined) return failedDial("nobody's connection");
    const { row, generation } = connection;
    const outbound = this.#outbounds.get(table.outbound[row]);
    const target = {
      words: table.target.slice(row * 4, row * 4 + 4),
      port: table.targetPort[row],
    };
    // What was read is another connection's where the row has been used again.
    if (table.generationOf(row) !== generation) {
      return failedDial("the connection was given up");
    }
    if (outbound === undefined) return failedDial("its way out is gone");
    return outbound.dialer.dial(
      target.port === 0 ? { words, port } : target,
    );
  }

  /** Makes the guest of the relay's loop. */
  guest(host: RelayHost): RelayGuest {
    this.#host = host;
    return {
      ready: (tag, events, now) =>
        this.#outbounds.get(tag >>> TAG_BITS)?.udp
          ?.ready(tag & (TAGS - 1), events, now),
      message: (kind, a, b, bytes, at, length, now) =>
        this.#message(kind, a, b, bytes, at, length, now),
      tick: (now) => {
        for (const { udp } of this.#outbounds.values()) udp?.tick(now);
      },
      nextTimeout: () => {
        let next = Infinity;
        for (const { udp } of this.#outbounds.values()) {
          next = Math.min(next, udp?.nextTimeout() ?? Infinity);
        }
        return next;
      },
      [Symbol.dispose]: () => {
        for (const outbound of this.#outbounds.keys()) this.#detach(outbound);
      },
    };
  }

  #message(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    switch (kind) {
      case RelayMessage.Attach:
        return this.#attach(
          a,
          decodeRingJson<PostedDialer>(bytes, at, length),
        );
      case RelayMessage.Detach:
        return this.#detach(a);
      case RelayMessage.Udp:
        return this.#datagram(a, b, bytes, at, length, now);
    }
  }

  #attach(number: number, { setup }: PostedDialer): void {
    this.#detach(number);
    const { sockets, bridgeTls, counters, udpTimeoutMs } = this.#options;
    const dialer = openDialer(setup, { sockets, bridgeTls });
    const udp = number === DIRECT ? undefined : new UdpRelay({
      carrier: openUdpCarrier(setup, sockets),
      dialer,
      sockets,
      host: this.#hostOf(number),
      counters,
      limits: { ...UDP_RELAY_LIMITS, idleMs: udpTimeoutMs },
      seed: crypto.getRandomValues(new Int32Array(1))[0],
    });
    this.#outbounds.set(number, { dialer, udp });
  }

  #detach(number: number): void {
    this.#outbounds.get(number)?.udp?.[Symbol.dispose]();
    this.#outbounds.delete(number);
  }

  /** A program's datagram: it goes by what its flow has now, or nowhere. */
  #datagram(
    row: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    const flow = this.#options.flows.snapshot(row);
    if (
      flow === undefined || flow.generation !== generation ||
      flow.way !== Way.Proxy
    ) return;
    const carrier = this.#outbounds.get(flow.outbound)?.udp;
    const view = this.#view;
    if (
      carrier === undefined || parsePacket(bytes, at, length, view) !== 0
    ) return;
    readdress(bytes, view, flow.local, flow.to);
    carrier.handlePacket(bytes, at, length, now);
  }

  /** The relay's host as an outbound sees it: its tags, its answers. */
  #hostOf(number: number): RelayHost {
    const host = this.#host!;
    const first = number << TAG_BITS;
    return {
      watch: (descriptor, tag, wants) =>
        host.watch(descriptor, first + tag, wants),
      change: (descriptor, tag, wants) =>
        host.change(descriptor, first + tag, wants),
      forget: (descriptor) => host.forget(descriptor),
      answer: (bytes, at, length) => {
        if (this.#receive(number, bytes, at, length)) {
          return host.answer(bytes, at, length);
        }
        this.#options.counters.add(UdpCounted.droppedNotForwarded);
        return true;
      },
      tell: (line) => host.tell(line),
    };
  }

  /**
   * Makes an answer one from whom the program asked, and counts it.
   * @returns false where it is for no flow
   */
  #receive(
    outbound: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): boolean {
    const { flows, now, dnsAnswer } = this.#options;
    const view = this.#view;
    if (
      parsePacket(bytes, at, length, view) !== 0 ||
      view.protocol !== Protocol.Udp
    ) return true;
    const row = flows.outside.lookup(
      outbound,
      Protocol.Udp,
      view.destinationWords,
      0,
      view.destinationPort,
      view.sourceWords,
      0,
      view.sourcePort,
      Reader.Other,
    );
    const flow = row < 0 ? undefined : flows.snapshot(row);
    if (flow === undefined) return false;
    flows.traffic.noteReceived(row, length, now());
    readdress(bytes, view, flow.remote, flow.local);
    if (flow.remote.port !== DNS_PORT) return true;
    const from = view.payloadAt + udp.HEADER_LENGTH;
    const payload = bytes.slice(from, view.payloadAt + view.payloadLength);
    dnsAnswer({ row, generation: flow.generation, payload });
    return true;
  }
}

/** Gives a whole UDP packet other ends. */
function readdress(
  bytes: Uint8Array,
  { at, payloadAt, payloadLength, protocol }: PacketView,
  from: FlowEnd,
  to: FlowEnd,
): void {
  rewriteEnds(
    bytes,
    at,
    payloadAt,
    payloadLength,
    protocol,
    from.words,
    0,
    from.port,
    to.words,
    0,
    to.port,
    ChecksumForm.Whole,
  );
}

/** A dial that came to nothing. */
function failedDial(text: string): Dial {
  return {
    descriptor: -1,
    wants: "write",
    failure: { kind: "network-unreachable", text },
    advance: () => "failed",
    take: () => {
      throw new Error(text);
    },
    [Symbol.dispose]: () => {},
  };
}
