/** A relay worker and a proxy that a test plays by hand, without sockets. */
import { formatEndpoint } from "../../../src/core/wire/address.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import type {
  RelayGuest,
  RelayHost,
} from "../../../src/datapath/relay/relay_guest.ts";
import type { DialFailure } from "../../../src/io/ports/dialer.ts";
import {
  type AssociationState,
  DatagramRoom,
  NotReceived,
  type ReceivedDatagram,
  UDP_PAYLOAD_AT,
  UDP_RECEIVE_AT,
  type UdpAssociation,
  type UdpCarrier,
} from "../../../src/io/ports/udp_carrier.ts";

/** What a client got. */
export interface Answer {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
}

/** Reads a packet to a client; throws where anything about it is wrong. */
export function readAnswer(packet: Uint8Array): Answer {
  const view = new PacketView();
  const reason = parsePacket(packet, 0, packet.length, view) ||
    verifyTransport(packet, view);
  if (reason !== 0 || view.totalLength !== packet.length) {
    throw new Error(`a bad packet: reason ${reason}`);
  }
  return {
    from: formatEndpoint(view.sourceWords, 0, view.sourcePort),
    to: formatEndpoint(view.destinationWords, 0, view.destinationPort),
    payload: packet.slice(view.payloadAt + 8),
  };
}

/** The relay worker as its guests see it; remembers all. */
export class FakeHost implements RelayHost {
  readonly watched = new Map<
    number,
    { tag: number; wants: "read" | "write" }
  >();
  readonly answers: Answer[] = [];
  readonly lines: string[] = [];
  /** What `answer` says. */
  takes = true;
  /** How many descriptors can be watched. */
  room = Infinity;

  watch(descriptor: number, tag: number, wants: "read" | "write"): boolean {
    if (this.watched.has(descriptor)) throw new Error("watched twice");
    if (this.watched.size >= this.room) return false;
    this.watched.set(descriptor, { tag, wants });
    return true;
  }

  change(descriptor: number, tag: number, wants: "read" | "write"): void {
    if (!this.watched.has(descriptor)) throw new Error("not watched");
    this.watched.set(descriptor, { tag, wants });
  }

  forget(descriptor: number): void {
    if (!this.watched.delete(descriptor)) throw new Error("not watched");
  }

  answer(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.takes) this.answers.push(readAnswer(bytes.slice(at, at + length)));
    return this.takes;
  }

  tell(line: string): void {
    this.lines.push(line);
  }

  /** Tells the guest that a descriptor is ready. */
  wake(guest: RelayGuest, descriptor: number, now: number): void {
    const watch = this.watched.get(descriptor);
    if (watch === undefined) throw new Error(`${descriptor} is not watched`);
    guest.ready(watch.tag, 1, now);
  }
}

/** A datagram that was sent through a fake association. */
export interface SentDatagram {
  readonly to: string;
  readonly payload: Uint8Array;
}

/** What comes in by a fake association. */
export type Incoming =
  | {
    readonly from: Int32Array;
    readonly port: number;
    readonly payload: Uint8Array;
  }
  | number;

/** An association whose states a test sets. */
export class FakeAssociation implements UdpAssociation {
  readonly control: number;
  wants: "read" | "write" = "write";
  descriptor = -1;
  localPort = 0;
  failure: DialFailure | undefined;
  state: AssociationState = "pending";
  readonly family: 4 | 6;
  readonly sent: SentDatagram[] = [];
  readonly incoming: Incoming[] = [];
  /** What `send` gives in place of the count. */
  sendError = 0;
  leadsToPort = 0;
  isClosed = false;
  readonly #room: DatagramRoom;

  constructor(room: DatagramRoom, control: number, family: 4 | 6) {
    this.#room = room;
    this.control = control;
    this.family = family;
  }

  /** The next `advance` finds it open. */
  open(): void {
    this.state = "open";
    this.wants = "read";
    this.descriptor = this.control + 1;
    this.localPort = 40_000 + this.control;
  }

  /** The next `advance` finds it over. */
  end(kind: DialFailure["kind"], text = "over"): void {
    this.state = "ended";
    this.failure = { kind, text };
  }

  advance(): AssociationState {
    return this.state;
  }

  send(length: number, words: Int32Array, port: number): number {
    if (this.sendError < 0) return this.sendError;
    this.sent.push({
      to: formatEndpoint(words, 0, port),
      payload: this.#room.bytes.slice(UDP_PAYLOAD_AT, UDP_PAYLOAD_AT + length),
    });
    return length;
  }

  receive(into: ReceivedDatagram): number {
    const next = this.incoming.shift();
    if (next === undefined) return NotReceived.Nothing;
    if (typeof next === "number") return next;
    into.payloadAt = UDP_RECEIVE_AT + 10;
    this.#room.bytes.set(next.payload, into.payloadAt);
    into.words.set(next.from);
    into.port = next.port;
    return next.payload.length;
  }

  leadsTo(_words: Int32Array, port: number): boolean {
    return port === this.leadsToPort;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}

/** A carrier of fake associations. */
export class FakeCarrier implements UdpCarrier {
  readonly name = "fake";
  readonly room: DatagramRoom = new DatagramRoom();
  readonly associations: FakeAssociation[] = [];
  /** What becomes of new associations before anybody looks. */
  prepare: (association: FakeAssociation) => void = () => {};

  associate(family: 4 | 6): UdpAssociation {
    const control = 100 + this.associations.length * 2;
    const association = new FakeAssociation(this.room, control, family);
    this.prepare(association);
    this.associations.push(association);
    return association;
  }

  /** The one that was made last. */
  get last(): FakeAssociation {
    return this.associations[this.associations.length - 1];
  }
}
