/**
 * The error queue of a socket with IP_RECVERR: ICMP errors with the start of the
 * datagram that they are about. Source: ip(7), recv(2) on MSG_ERRQUEUE.
 *
 *     name     where the datagram was going
 *     data     what the error quotes of it behind the UDP header, or from the
 *              ICMP header on at echo sockets
 *     control  sock_extended_err 16 | sockaddr of who reported
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { sockExtendedErr } from "../../../../ffi/linux_layouts.ts";
import {
  IP,
  IPPROTO,
  IPV6,
  MSG,
  SO,
  SO_EE_ORIGIN,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import { Type as IcmpType, Unreachable } from "../../../core/wire/icmp.ts";
import { Type as Icmpv6Type } from "../../../core/wire/icmpv6.ts";
import type { OutsideErrorReport } from "../../ports.ts";
import { MessageVector } from "./message_vector.ts";
import {
  readSocketAddress,
  readSocketPort,
  SOCKET_ADDRESS_ROOM,
} from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

/** Bytes of the datagram that are kept: more than any ICMP error quotes. */
export const ERROR_PAYLOAD_ROOM = 2048;

/** Reports that are skipped in one call, so that it ends. */
const MAX_SKIPPED = 64;
const CONTROL_ROOM = 256;

/** Reads error queues. */
export class ErrorQueue {
  readonly #libc: Libc;
  readonly #options: SocketOptions;
  readonly #vector: MessageVector;
  readonly #payloadAt: number;

  /** @param options.payloadAt where {@linkcode ERROR_PAYLOAD_ROOM} bytes are free. */
  constructor(
    libc: Libc,
    options: { bytes: Uint8Array<ArrayBuffer>; payloadAt: number },
  ) {
    this.#libc = libc;
    this.#options = new SocketOptions(libc);
    this.#payloadAt = options.payloadAt;
    this.#vector = new MessageVector({
      bytes: options.bytes,
      capacity: 1,
      pieces: 1,
      controlRoom: CONTROL_ROOM,
    });
    this.#vector.setPiece(0, options.payloadAt, ERROR_PAYLOAD_ROOM);
    this.#vector.setPieces(0, 0, 1);
  }

  /**
   * Takes one ICMP error out of the queue of a mapping's socket. What the host
   * itself said («message too long») is skipped: the sender knows it already.
   * @returns false where no error is left; the socket then has no pending one.
   */
  read(descriptor: number, report: OutsideErrorReport): boolean {
    for (let skipped = 0; skipped < MAX_SKIPPED; skipped++) {
      const length = this.#receive(descriptor);
      if (length < 0) return false;
      if (this.#fill(report, length)) return true;
    }
    return false;
  }

  /**
   * Takes one ICMP error about an echo request out of the queue of a raw socket,
   * which also hears of those that other programs of the host have sent.
   */
  readEcho(descriptor: number, report: OutsideErrorReport): boolean {
    for (let skipped = 0; skipped < MAX_SKIPPED; skipped++) {
      if (!this.read(descriptor, report)) return false;
      const request = report.family === 4
        ? IcmpType.EchoRequest
        : Icmpv6Type.EchoRequest;
      if (
        report.payloadLength >= 8 &&
        this.#vector.arena[report.payloadAt] === request
      ) return true;
    }
    return false;
  }

  /** @returns bytes of the payload, or -1 where the queue is empty. */
  #receive(descriptor: number): number {
    this.#vector.setRooms(0, SOCKET_ADDRESS_ROOM, CONTROL_ROOM);
    const length = this.#libc.call.recvmsg(
      descriptor,
      this.#vector.from(0),
      MSG.ERRQUEUE | MSG.DONTWAIT,
    );
    if (length >= 0) return length;
    // An error whose report found no room in the queue stays pending: it would
    // fail the next send, and wake the poller without end.
    this.#options.get(descriptor, SOL.SOCKET, SO.ERROR);
    return -1;
  }

  /** @returns whether it was an ICMP error. */
  #fill(report: OutsideErrorReport, length: number): boolean {
    const vector = this.#vector;
    const bytes = vector.bytes;
    const at4 = vector.findControl(0, IPPROTO.IP, IP.RECVERR);
    const at = at4 >= 0
      ? at4
      : vector.findControl(0, IPPROTO.IPV6, IPV6.RECVERR);
    if (at < 0) return false;
    const origin = bytes[at + sockExtendedErr.at.ee_origin];
    if (origin !== SO_EE_ORIGIN.ICMP && origin !== SO_EE_ORIGIN.ICMP6) {
      return false;
    }
    report.family = origin === SO_EE_ORIGIN.ICMP ? 4 : 6;
    report.type = bytes[at + sockExtendedErr.at.ee_type];
    report.code = bytes[at + sockExtendedErr.at.ee_code];
    report.extra = isTooBig(report)
      ? vector.word(at + sockExtendedErr.at.ee_info)
      : 0;
    readSocketAddress(bytes, at + sockExtendedErr.size, report.offender, 0);
    readSocketAddress(bytes, vector.nameAt(0), report.destination, 0);
    report.destinationPort = readSocketPort(bytes, vector.nameAt(0));
    report.payloadAt = this.#payloadAt;
    report.payloadLength = Math.min(length, ERROR_PAYLOAD_ROOM);
    return true;
  }
}

function isTooBig(report: OutsideErrorReport): boolean {
  return report.family === 4
    ? report.type === IcmpType.DestinationUnreachable &&
      report.code === Unreachable.FragmentationNeeded
    : report.type === Icmpv6Type.PacketTooBig;
}
