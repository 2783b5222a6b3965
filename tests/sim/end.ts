/**
 * One end of a tunnel for simulations: a Device with its tables and a slow,
 * obvious data path in one thread, where the product has workers.
 */
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { AllowedIps } from "../../src/core/wireguard/allowed_ips.ts";
import type { AmneziaParameters } from "../../src/core/wireguard/amnezia.ts";
import {
  classify,
  drawHeader,
  MessageKind,
} from "../../src/core/wireguard/classify.ts";
import { Device } from "../../src/core/wireguard/device.ts";
import {
  paddedLength,
  TAG_LENGTH,
  TRANSPORT_HEADER_LENGTH,
  transportCounter,
  transportReceiver,
  writeTransportHeader,
} from "../../src/core/wireguard/messages.ts";
import {
  PeerEvent,
  PeerTable,
  TrafficWriter,
} from "../../src/core/wireguard/peer_table.ts";
import type { NoisePrimitives } from "../../src/core/wireguard/primitives.ts";
import { SessionTable } from "../../src/core/wireguard/session_table.ts";
import {
  PROTOCOL_TIMERS,
  type TimerConstants,
} from "../../src/core/wireguard/timers.ts";
import { readU16be, readU32be } from "../../src/core/wire/bytes.ts";
import type { Random } from "../core/wireguard/hex.ts";

const MTU = 1420;
const EMPTY = new Uint8Array(0);

/** What an end is made of. */
export interface EndOptions {
  readonly privateKey: Uint8Array;
  readonly primitives: NoisePrimitives;
  readonly random: Random;
  readonly wallTime: () => number;
  /** Puts a datagram on the network. */
  readonly transmit: (
    bytes: Uint8Array,
    remote: Int32Array,
    port: number,
  ) => void;
  /** Takes an inner IP packet that was let in. */
  readonly deliver: (packet: Uint8Array, peer: number) => void;
  readonly amnezia?: AmneziaParameters;
  readonly timers?: TimerConstants;
  readonly peerCapacity?: number;
}

/** See the module header. */
export class End {
  readonly peers: PeerTable;
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  readonly device: Device;
  /** Log entries: `established` and `abandoned`, in order. */
  readonly handshakes: string[] = [];
  /** Every index and counter that was sealed under, to find a nonce used twice. */
  readonly sealed = new Set<string>();
  keepalivesSent = 0;
  readonly #options: EndOptions;
  readonly #timers: TimerConstants;

  constructor(options: EndOptions) {
    this.#options = options;
    this.#timers = options.timers ?? PROTOCOL_TIMERS;
    const capacity = options.peerCapacity ?? 4;
    this.peers = new PeerTable(
      new ArrayBuffer(PeerTable.byteLength(capacity)),
      capacity,
    );
    const slots = 4 * capacity;
    this.sessions = new SessionTable(
      new ArrayBuffer(SessionTable.byteLength(slots)),
      slots,
    );
    const nodes = 8 * capacity;
    this.allowedIps = new AllowedIps(
      new ArrayBuffer(AllowedIps.byteLength({ nodes })),
      { nodes },
    );
    this.device = new Device({
      privateKey: options.privateKey,
      peers: this.peers,
      sessions: this.sessions,
      allowedIps: this.allowedIps,
      primitives: options.primitives,
      random: options.random.fill,
      wallTime: options.wallTime,
      amnezia: options.amnezia,
      timers: options.timers,
    });
  }

  /** Does what the device wants done. */
  drain(): void {
    for (;;) {
      const output = this.device.poll();
      if (output === undefined) return;
      switch (output.kind) {
        case "datagram":
          this.#options.transmit(output.bytes, output.remote, output.port);
          break;
        case "seal":
          this.#seal(output.peer, output.packet ?? EMPTY);
          break;
        case "handshake":
          this.handshakes.push(output.result);
          break;
      }
    }
  }

  /** Lets the device do what is due. */
  timeout(now: number): void {
    this.device.handleTimeout(now);
    this.drain();
  }

  /** Takes a datagram from the network. */
  receive(
    bytes: Uint8Array,
    remote: Int32Array,
    port: number,
    now: number,
  ): DropReason {
    const { format } = this.device;
    const kind = classify(bytes, 0, bytes.length, format);
    const result = kind === MessageKind.Transport
      ? this.#open(bytes, format.prefix[3], { remote, port, now })
      : this.device.handleDatagram(bytes, remote, port, now);
    this.drain();
    return result;
  }

  /** Sends an inner IP packet to the peer that its destination belongs to. */
  send(packet: Uint8Array, now: number): DropReason {
    const peer = this.allowedIps.lookup4(readU32be(packet, 16));
    if (peer < 0) return DropReason.NoPeer;
    const slot = this.peers.currentSession(peer);
    const usable = slot >= 0 &&
      now - this.sessions.createdAt[slot] < this.#timers.rejectAfterMs;
    if (!usable) {
      this.device.stagePacket(peer, packet, now);
    } else {
      this.#seal(peer, packet);
      if (this.peers.noteDataSent(peer, now)) {
        this.device.handlePeerEvents(peer, PeerEvent.DataSent, now);
      }
    }
    this.drain();
    return DropReason.None;
  }

  #seal(peer: number, packet: Uint8Array): void {
    const { sessions, peers, device } = this;
    const slot = peers.currentSession(peer);
    const counter = sessions.reserveCounters(slot, 1);
    const nonce = `${sessions.receiverIndex[slot]}:${counter}`;
    if (this.sealed.has(nonce)) throw new Error("a nonce was used twice");
    this.sealed.add(nonce);
    if (packet.length === 0) this.keepalivesSent++;
    const prefix = device.format.prefix[3];
    const length = paddedLength(packet.length, MTU);
    const plain = new Uint8Array(length);
    plain.set(packet);
    const datagram = new Uint8Array(
      prefix + TRANSPORT_HEADER_LENGTH + length + TAG_LENGTH,
    );
    this.#options.random.fill(datagram.subarray(0, prefix));
    const type = drawHeader(
      device.format,
      MessageKind.Transport,
      this.#options.random.next(),
    );
    writeTransportHeader(
      datagram,
      prefix,
      type,
      sessions.remoteIndex[slot],
      counter,
    );
    const sealed = this.#options.primitives.seal(
      sessions.sendKey(slot),
      counter,
      plain,
      EMPTY,
    );
    datagram.set(sealed, prefix + TRANSPORT_HEADER_LENGTH);
    const remote = new Int32Array(4);
    const port = peers.readEndpoint(peer, remote, 0);
    if (port === 0) return;
    peers.addSent(TrafficWriter.SealPump, peer, 1, datagram.length);
    this.#options.transmit(datagram, remote, port);
  }

  #open(
    bytes: Uint8Array,
    at: number,
    arrival: { remote: Int32Array; port: number; now: number },
  ): DropReason {
    const { sessions, peers, device } = this;
    const { now } = arrival;
    const slot = sessions.lookup(transportReceiver(bytes, at));
    if (slot < 0) return DropReason.UnknownSession;
    if (now - sessions.createdAt[slot] >= this.#timers.rejectAfterMs) {
      return DropReason.SessionExpired;
    }
    const counter = transportCounter(bytes, at);
    if (counter < 0) return DropReason.Replayed;
    const packet = this.#options.primitives.open(
      sessions.receiveKey(slot),
      counter,
      bytes.subarray(at + TRANSPORT_HEADER_LENGTH),
      EMPTY,
    );
    if (packet === undefined) return DropReason.AuthenticationFailed;
    if (!sessions.acceptCounter(slot, counter)) return DropReason.Replayed;
    const peer = sessions.peer[slot];
    peers.addReceived(TrafficWriter.OpenPump, peer, 1, bytes.length);
    let flags = 0;
    if (sessions.confirm(slot)) {
      peers.notePeerEvent(peer, PeerEvent.SessionConfirmed);
      flags |= PeerEvent.SessionConfirmed;
    }
    if (peers.setEndpoint(peer, arrival.remote, 0, arrival.port)) {
      peers.notePeerEvent(peer, PeerEvent.EndpointChanged);
      flags |= PeerEvent.EndpointChanged;
    }
    let result: DropReason = DropReason.None;
    if (packet.length === 0) {
      if (peers.noteKeepaliveReceived(peer, now)) {
        flags |= PeerEvent.KeepaliveReceived;
      }
    } else {
      if (peers.noteDataReceived(peer, now)) flags |= PeerEvent.DataReceived;
      result = this.#accept(packet, peer);
    }
    if (flags !== 0) device.handlePeerEvents(peer, flags, now);
    return result;
  }

  #accept(packet: Uint8Array, peer: number): DropReason {
    const length = readU16be(packet, 2);
    if (length > packet.length) return DropReason.BadTotalLength;
    if (this.allowedIps.lookup4(readU32be(packet, 12)) !== peer) {
      return DropReason.SpoofedSource;
    }
    this.#options.deliver(packet.subarray(0, length), peer);
    return DropReason.None;
  }
}

/** An IPv4 packet that carries a number. */
export function numberedPacket(
  source: number,
  destination: number,
  id: number,
  length = 40,
): Uint8Array {
  const packet = new Uint8Array(length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, length);
  view.setUint32(12, source);
  view.setUint32(16, destination);
  view.setUint32(20, id);
  return packet;
}

/** The number in such a packet. */
export function packetNumber(packet: Uint8Array): number {
  return readU32be(packet, 20);
}
