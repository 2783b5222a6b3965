/**
 * How messages leave the tunnel's socket on Linux: each train with its
 * destination, and with the source address that the remote knows. A source that
 * the system refuses (the host has lost the address) is left to the system.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { in6Pktinfo, inPktinfo } from "../../../../ffi/linux_layouts.ts";
import {
  ERRNO,
  IP,
  IPPROTO,
  IPV6,
} from "../../../../ffi/linux_socket_constants.ts";
import { writeWords } from "../../../core/wire/address.ts";
import { writeU32be, writeU32le } from "../../../core/wire/bytes.ts";
import {
  TUNNEL_PATIENCE,
  type TunnelTrainsOptions,
} from "../shared/attached_tunnel_socket.ts";
import type { TunnelDestinations } from "../shared/tunnel_destinations.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";
import { controlSpace, type MessageVector } from "./message_vector.ts";

/** Trains to the destinations of messages. */
export function tunnelTrains(
  libc: Libc,
  { family, destinations, ...options }: TunnelTrainsOptions,
): MessageTrains {
  return new MessageTrains(libc, new TunnelHeads(family, destinations), {
    ...TUNNEL_PATIENCE,
    ...options,
    controlRoom: controlSpace(in6Pktinfo.size),
  });
}

class TunnelHeads implements TrainOwner {
  readonly #family: 4 | 6;
  readonly #destinations: TunnelDestinations;

  constructor(family: 4 | 6, destinations: TunnelDestinations) {
    this.#family = family;
    this.#destinations = destinations;
  }

  /** Gives a train its destination and its source. */
  writeHead(
    vector: MessageVector,
    train: number,
    destination: number,
    at: number,
  ): number {
    const destinations = this.#destinations;
    const { words, port } = destinations;
    vector.setDestination(
      train,
      this.#family,
      words,
      destination * 4,
      port[destination],
    );
    return destinations.findSource(destination)
      ? this.#putSource(vector, at)
      : at;
  }

  /** Takes a message's source away, where the system may have refused that. */
  relieve(message: number, errno: number): boolean {
    return (errno === ERRNO.EINVAL || errno === ERRNO.ENETUNREACH) &&
      this.#destinations.refuseSource(message);
  }

  failed(message: number): void {
    this.#destinations.fail(message);
  }

  #putSource(vector: MessageVector, at: number): number {
    const { bytes } = vector;
    const local = this.#destinations.source;
    if (this.#family === 4) {
      const { size, at: fields } = inPktinfo;
      const data = vector.putControl(at, IPPROTO.IP, IP.PKTINFO, size);
      writeU32le(bytes, data + fields.ipi_ifindex, 0);
      writeU32be(bytes, data + fields.ipi_spec_dst, local[3]);
      writeU32be(bytes, data + fields.ipi_addr, 0);
      return at + controlSpace(size);
    }
    const { size, at: fields } = in6Pktinfo;
    const data = vector.putControl(at, IPPROTO.IPV6, IPV6.PKTINFO, size);
    writeWords(bytes, data, local, 0);
    writeU32le(bytes, data + fields.ipi6_ifindex, 0);
    return at + controlSpace(size);
  }
}
