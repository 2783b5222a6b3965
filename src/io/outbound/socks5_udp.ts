/**
 * UDP through a SOCKS5 proxy (RFC 1928 sections 4 and 7). Each association has a
 * TCP connection to the proxy, which it lives as long as, and a UDP socket that
 * is connected to the relay that the proxy names: the system drops what comes
 * from anywhere else.
 */
import { Socks5Handshake } from "../../core/proxy/socks5.ts";
import {
  DATAGRAM_HEADER_4,
  DATAGRAM_HEADER_6,
  DatagramFault,
  datagramHeaderLength,
  emitDatagramHeader,
  parseDatagram,
  SocksDatagram,
} from "../../core/proxy/socks5_datagram.ts";
import {
  equalWords,
  formatEndpoint,
  isMappedIpv4,
  isMulticast,
  isUnspecified,
} from "../../core/wire/address.ts";
import type { DialerSetup, DialFailure } from "../ports/dialer.ts";
import { SocketError, type StreamSockets } from "../ports/stream_sockets.ts";
import {
  type AssociationState,
  type DatagramRoom,
  NotReceived,
  type ReceivedDatagram,
  UDP_PAYLOAD_AT,
  UDP_RECEIVE_AT,
  type UdpAssociation,
  type UdpCarrier,
} from "../ports/udp_carrier.ts";
import { proxyFailure } from "./dial_failure.ts";
import { EXCHANGE_ROOM, HandshakeExchange } from "./handshake_exchange.ts";

/** What is needed to reach the proxy. */
export type Socks5UdpSetup = Extract<DialerSetup, { kind: "socks5" }>;

/** Seconds of silence, seconds between probes, probes: gone is told in 2 minutes. */
const KEEP_ALIVE = [60, 15, 4] as const;
/** So many datagrams in a row may find nobody at the relay. */
const MOST_REFUSED = 3;
/** Where our datagrams will come from is not known: 0.0.0.0 or ::. */
const UNKNOWN_SOURCE = {
  ipv4: { words: Int32Array.of(0, 0, 0xffff, 0), port: 0 },
  ipv6: { words: new Int32Array(4), port: 0 },
} as const;

/** What all associations of a carrier use, one at a time. */
interface Shared {
  readonly setup: Socks5UdpSetup;
  readonly sockets: StreamSockets;
  readonly room: DatagramRoom;
  /** The room from where datagrams are received. */
  readonly fromReceive: Uint8Array<ArrayBuffer>;
  /** The room by length of header: from where a datagram to send begins. */
  readonly fromHeader: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;
  readonly control: Uint8Array<ArrayBuffer>;
  readonly view: SocksDatagram;
}

/** A SOCKS5 proxy as a way out for UDP. */
export class Socks5UdpCarrier implements UdpCarrier {
  readonly name: string;
  readonly room: DatagramRoom;
  readonly #shared: Shared;

  constructor(
    setup: Socks5UdpSetup,
    options: { readonly sockets: StreamSockets; readonly room: DatagramRoom },
  ) {
    const { sockets, room } = options;
    const { words, port } = setup.proxy;
    this.name = `socks5 ${formatEndpoint(words, 0, port)}`;
    this.room = room;
    this.#shared = {
      setup,
      sockets,
      room,
      fromReceive: room.bytes.subarray(UDP_RECEIVE_AT),
      fromHeader: new Map(
        [DATAGRAM_HEADER_4, DATAGRAM_HEADER_6].map((length) => [
          length,
          room.bytes.subarray(UDP_PAYLOAD_AT - length),
        ]),
      ),
      control: new Uint8Array(EXCHANGE_ROOM),
      view: new SocksDatagram(),
    };
  }

  associate(): UdpAssociation {
    return new Socks5Association(this.#shared);
  }
}

class Socks5Association implements UdpAssociation {
  control: number;
  wants: "read" | "write" = "write";
  descriptor = -1;
  localPort = 0;
  failure: DialFailure | undefined;
  readonly #shared: Shared;
  readonly #handshake: Socks5Handshake;
  #exchange: HandshakeExchange | undefined;
  #stage: "connecting" | "talking" | "open" | "ended" = "connecting";
  /** Where the proxy takes and gives datagrams. */
  readonly #relay = new Int32Array(4);
  #relayPort = 0;
  /** Datagrams that found nobody at the relay, since the last one from it. */
  #refused = 0;

  constructor(shared: Shared) {
    this.#shared = shared;
    const { proxy, credentials, origin } = shared.setup;
    this.#handshake = new Socks5Handshake({
      command: "udp-associate",
      target: UNKNOWN_SOURCE[isMappedIpv4(proxy.words) ? "ipv4" : "ipv6"],
      credentials,
    });
    this.control = shared.sockets.connect(proxy.words, proxy.port, origin);
    if (this.control < 0) this.#failBySystem(this.control);
  }

  advance(): AssociationState {
    if (this.#stage === "connecting") this.#connect();
    if (this.#stage === "talking") this.#talk();
    if (this.#stage === "open") this.#listen();
    return this.#stage === "connecting" || this.#stage === "talking"
      ? "pending"
      : this.#stage;
  }

  send(length: number, words: Int32Array, port: number): number {
    const { room, sockets, fromHeader } = this.#shared;
    const header = datagramHeaderLength(words, 0);
    emitDatagramHeader(room.bytes, UDP_PAYLOAD_AT - header, words, 0, port);
    const bytes = fromHeader.get(header)!;
    const sent = sockets.send(this.descriptor, bytes, header + length);
    if (sent !== -SocketError.ConnectionRefused) return sent;
    // The error of an earlier datagram, told now: this one has not gone.
    this.#relayRefused();
    return sockets.send(this.descriptor, bytes, header + length);
  }

  receive(into: ReceivedDatagram): number {
    const { room, sockets, view, fromReceive } = this.#shared;
    const length = sockets.receive(
      this.descriptor,
      fromReceive,
      fromReceive.length,
    );
    if (length === -SocketError.WouldBlock) return NotReceived.Nothing;
    if (length < 0) {
      this.#relayRefused();
      return NotReceived.Error;
    }
    this.#refused = 0;
    const fault = parseDatagram(room.bytes, UDP_RECEIVE_AT, length, view);
    if (fault === DatagramFault.Fragment) return NotReceived.Fragment;
    if (fault !== DatagramFault.None) return NotReceived.Malformed;
    if (view.nameLength > 0) return NotReceived.Domain;
    into.payloadAt = view.payloadAt;
    into.port = view.port;
    for (let word = 0; word < 4; word++) into.words[word] = view.words[word];
    return view.payloadLength;
  }

  leadsTo(words: Int32Array, port: number): boolean {
    return port === this.#relayPort && equalWords(this.#relay, 0, words, 0);
  }

  [Symbol.dispose](): void {
    const { sockets } = this.#shared;
    if (this.control >= 0) sockets.close(this.control);
    if (this.descriptor >= 0) sockets.close(this.descriptor);
    this.control = -1;
    this.descriptor = -1;
    this.#stage = "ended";
  }

  #connect(): void {
    const result = this.#shared.sockets.connectResult(this.control);
    if (result === -SocketError.InProgress) return;
    if (result < 0) return this.#failBySystem(result);
    this.#stage = "talking";
    this.#exchange = new HandshakeExchange(this.#handshake, {
      sockets: this.#shared.sockets,
      descriptor: this.control,
      scratch: this.#shared.control,
    });
  }

  #talk(): void {
    const state = this.#exchange!.advance();
    this.wants = this.#exchange!.wants;
    if (state === "established") this.#open();
    else if (state === "failed") this.#fail(this.#handshake.failure!);
  }

  #open(): void {
    const { sockets, setup } = this.#shared;
    if (!this.#takeRelay()) {
      const relay = formatEndpoint(this.#relay, 0, this.#relayPort);
      this.#fail({
        kind: "proxy-garbage",
        text: `the proxy names ${relay} as its relay for datagrams`,
      });
      return;
    }
    const family = isMappedIpv4(this.#relay) ? 4 : 6;
    const descriptor = sockets.openDatagram(family, setup.origin);
    if (descriptor < 0) return this.#failBySystem(descriptor);
    this.descriptor = descriptor;
    const error = this.#join(descriptor, family);
    if (error < 0) return this.#failBySystem(error);
    this.localPort = sockets.localPort(descriptor);
    // Nothing else is ever said over it: a proxy that is gone would not be missed.
    sockets.keepAlive(this.control, ...KEEP_ALIVE);
    this.wants = "read";
    this.#stage = "open";
  }

  /** Binds the socket where it should start, and to the relay as its only other end. */
  #join(descriptor: number, family: 4 | 6): number {
    const { sockets, setup } = this.#shared;
    const local = setup.origin?.localAddress;
    if (local !== undefined && (isMappedIpv4(local) ? 4 : 6) === family) {
      const error = sockets.bind(descriptor, { words: local, port: 0 });
      if (error < 0) return error;
    }
    return sockets.connectDatagram(descriptor, this.#relay, this.#relayPort);
  }

  /**
   * The relay's address: the proxy's own where it names none, and where it
   * names its loopback to us who are elsewhere.
   * @returns false where it can't be one.
   */
  #takeRelay(): boolean {
    const { bound, boundPort } = this.#handshake;
    const { words } = this.#shared.setup.proxy;
    const isOwn = isUnspecified(bound) ||
      (isLoopback(bound) && !isLoopback(words));
    this.#relay.set(isOwn ? words : bound);
    this.#relayPort = boundPort;
    return boundPort !== 0 && !isMulticast(this.#relay);
  }

  /** Hears of the end of the control connection; what the proxy says is nothing. */
  #listen(): void {
    const { sockets, control } = this.#shared;
    for (;;) {
      const count = sockets.receive(this.control, control, EXCHANGE_ROOM);
      if (count > 0) continue;
      if (count === -SocketError.WouldBlock) return;
      this.#fail({
        kind: "proxy-closed",
        text: "the proxy ended the association",
      });
      return;
    }
  }

  /** The proxy's host says that nobody has the relay's port. */
  #relayRefused(): void {
    if (++this.#refused < MOST_REFUSED) return;
    this.#fail({
      kind: "proxy-closed",
      text: "the proxy takes no datagrams at its relay any more",
    });
  }

  #failBySystem(error: number): void {
    this.#fail(proxyFailure(this.#shared.sockets, error));
  }

  #fail(failure: DialFailure): void {
    this.#stage = "ended";
    this.failure = failure;
  }
}

function isLoopback(words: Int32Array): boolean {
  return isMappedIpv4(words)
    ? words[3] >>> 24 === 127
    : (words[0] | words[1] | words[2]) === 0 && words[3] === 1;
}
