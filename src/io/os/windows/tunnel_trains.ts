/**
 * How messages leave the tunnel's socket on Windows: each train with its
 * destination, and with the source address that the remote knows. A source that
 * the system refuses (the host has lost the address) is left to the system.
 */
import {
  in6Pktinfo,
  inPktinfo,
} from "../../../../ffi/windows/layouts/ws2_32.ts";
import { IP, IPPROTO, IPV6, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";
import { isMappedIpv4, writeWords } from "../../../core/wire/address.ts";
import { writeU32be, writeU32le } from "../../../core/wire/bytes.ts";
import { SocketError } from "../../ports/stream_sockets.ts";
import {
  TUNNEL_PATIENCE,
  type TunnelTrainsOptions,
} from "../shared/attached_tunnel_socket.ts";
import type { TunnelDestinations } from "../shared/tunnel_destinations.ts";
import { controlSpace, type MessageBlock } from "./message_block.ts";
import { MessageTrains, type TrainOwner } from "./message_trains.ts";

/** Trains to the destinations of messages. */
export function tunnelTrains(
  ws2: Ws2,
  { family, destinations, ...options }: TunnelTrainsOptions,
): MessageTrains {
  return new MessageTrains(ws2, new TunnelHeads(family, destinations), {
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
  writeHead(block: MessageBlock, destination: number, at: number): number {
    const destinations = this.#destinations;
    const { words, port } = destinations;
    const i = destination * 4;
    block.setDestination(this.#family, words, i, port[destination]);
    return destinations.findSource(destination)
      ? putSource(block, at, destinations.source)
      : at;
  }

  /** Takes a message's source away, where the system may have refused that. */
  relieve(message: number, error: number): boolean {
    return mayBeSource(error) &&
      this.#destinations.refuseSource(message);
  }

  failed(message: number): void {
    this.#destinations.fail(message);
  }
}

function putSource(block: MessageBlock, at: number, local: Int32Array): number {
  const { bytes } = block;
  if (isMappedIpv4(local)) {
    const { size, at: fields } = inPktinfo;
    const data = block.putControl(at, IPPROTO.IP, IP.PKTINFO, size);
    writeU32be(bytes, data + fields.ipi_addr, local[3]);
    writeU32le(bytes, data + fields.ipi_ifindex, 0);
    return at + controlSpace(size);
  }
  const { size, at: fields } = in6Pktinfo;
  const data = block.putControl(at, IPPROTO.IPV6, IPV6.PKTINFO, size);
  writeWords(bytes, data, local, 0);
  writeU32le(bytes, data + fields.ipi6_ifindex, 0);
  return at + controlSpace(size);
}

function mayBeSource(error: number): boolean {
  switch (error) {
    case SocketError.Invalid:
    case SocketError.AddressNotAvailable:
    case SocketError.NetworkUnreachable:
    case SocketError.HostUnreachable:
      return true;
    default:
      return false;
  }
}
