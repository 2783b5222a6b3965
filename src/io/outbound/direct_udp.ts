/** UDP straight to its remotes: a socket for each client source. */
import { isMappedIpv4 } from "../../core/wire/address.ts";
import { destinationFailure } from "./dial_failure.ts";
import type { DialFailure, SocketOrigin } from "../ports/dialer.ts";
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

interface Shared {
  readonly sockets: StreamSockets;
  readonly origin: SocketOrigin | undefined;
  readonly fromReceive: Uint8Array<ArrayBuffer>;
  readonly fromPayload: Uint8Array<ArrayBuffer>;
}

/** The host's own way out for UDP. */
export class DirectUdpCarrier implements UdpCarrier {
  readonly name = "direct";
  readonly room: DatagramRoom;
  readonly #shared: Shared;

  constructor(
    options: {
      readonly sockets: StreamSockets;
      readonly room: DatagramRoom;
      readonly origin?: SocketOrigin;
    },
  ) {
    const { sockets, room, origin } = options;
    this.room = room;
    this.#shared = {
      sockets,
      origin,
      fromReceive: room.bytes.subarray(UDP_RECEIVE_AT),
      fromPayload: room.bytes.subarray(UDP_PAYLOAD_AT),
    };
  }

  associate(family: 4 | 6): UdpAssociation {
    return new DirectAssociation(this.#shared, family);
  }
}

class DirectAssociation implements UdpAssociation {
  readonly control = -1;
  readonly wants = "read";
  descriptor = -1;
  localPort = 0;
  failure: DialFailure | undefined;
  readonly #shared: Shared;
  #state: AssociationState = "open";

  constructor(shared: Shared, family: 4 | 6) {
    this.#shared = shared;
    const { sockets, origin } = shared;
    const descriptor = sockets.openDatagram(family, origin);
    if (descriptor < 0) {
      this.#fail(descriptor);
      return;
    }
    this.descriptor = descriptor;
    const words = bindAddress(family, origin);
    const error = sockets.bind(descriptor, { words, port: 0 });
    if (error < 0) this.#fail(error);
    else this.localPort = sockets.localPort(descriptor);
  }

  advance(): AssociationState {
    return this.#state;
  }

  send(length: number, words: Int32Array, port: number): number {
    const { sockets, fromPayload } = this.#shared;
    return sockets.sendTo(this.descriptor, fromPayload, length, words, port);
  }

  receive(into: ReceivedDatagram): number {
    const { sockets, fromReceive } = this.#shared;
    const length = sockets.receiveFrom(
      this.descriptor,
      fromReceive,
      fromReceive.length,
    );
    if (length < 0) {
      return length === -SocketError.WouldBlock
        ? NotReceived.Nothing
        : NotReceived.Error;
    }
    into.payloadAt = UDP_RECEIVE_AT;
    into.port = sockets.peerPort;
    for (let word = 0; word < 4; word++) into.words[word] = sockets.peer[word];
    return length;
  }

  leadsTo(): boolean {
    return false;
  }

  [Symbol.dispose](): void {
    if (this.descriptor >= 0) this.#shared.sockets.close(this.descriptor);
    this.descriptor = -1;
    this.#state = "ended";
  }

  #fail(error: number): void {
    this.#state = "ended";
    this.failure = destinationFailure(this.#shared.sockets, error);
  }
}

/** The origin's address where it has one of the family, else the unspecified one. */
function bindAddress(
  family: 4 | 6,
  origin: SocketOrigin | undefined,
): Int32Array {
  const local = origin?.localAddress;
  if (local !== undefined && isMappedIpv4(local) === (family === 4)) {
    return local;
  }
  return Int32Array.of(0, 0, family === 4 ? 0xffff : 0, 0);
}
