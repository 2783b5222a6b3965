/**
 * What the system knows of the path to a destination: a UDP socket connected to
 * it tells its path MTU, without sending anything. Source: ip(7), ipv6(7).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  IP,
  IPPROTO,
  IPV6,
  SOCK,
} from "../../../../ffi/linux_socket_constants.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import { bindToInterface } from "./outside_sockets.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

/** Any port will do where a row has none: that of «discard». */
const ANY_PORT = 9;

/** Asks for path MTUs. */
export class OutsidePathMtu {
  readonly #libc: Libc;
  readonly #options: SocketOptions;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);

  readonly #interfaceIndex: number;

  /** @param interfaceIndex what the outside's sockets are bound to; 0 for nothing. */
  constructor(libc: Libc, interfaceIndex: number) {
    this.#libc = libc;
    this.#interfaceIndex = interfaceIndex;
    this.#options = new SocketOptions(libc);
  }

  /** The path MTU towards a row's destination; 0 unknown. */
  towards(batch: Batch, row: number): number {
    const at = row * 4;
    const family = isMappedIpv4(batch.remote, at) ? 4 : 6;
    const { call } = this.#libc;
    const probe = call.socket(
      family === 4 ? AF.INET : AF.INET6,
      SOCK.DGRAM | SOCK.CLOEXEC,
      0,
    );
    if (probe < 0) return 0;
    bindToInterface(this.#options, probe, this.#interfaceIndex);
    const address = this.#address;
    const port = batch.remotePort[row] || ANY_PORT;
    const length = writeSocketAddress(
      address,
      0,
      family,
      batch.remote,
      at,
      port,
    );
    const connected = call.connect(probe, address, length) === 0;
    const mtu = !connected
      ? -1
      : family === 4
      ? this.#options.get(probe, IPPROTO.IP, IP.MTU)
      : this.#options.get(probe, IPPROTO.IPV6, IPV6.MTU);
    call.close(probe);
    return Math.max(0, mtu);
  }
}
