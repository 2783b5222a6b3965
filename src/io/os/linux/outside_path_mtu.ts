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
import { OutsideBinding } from "./outside_binding.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { SocketOptions } from "./socket_option.ts";

/** Any port will do where a row has none: that of «discard». */
const ANY_PORT = 9;

/** Asks for path MTUs. */
export class OutsidePathMtu {
  readonly #libc: Libc;
  readonly #options: SocketOptions;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);

  readonly #binding: OutsideBinding;

  /** @param binding where the outside's sockets leave */
  constructor(libc: Libc, binding: SharedArrayBuffer) {
    this.#libc = libc;
    this.#binding = new OutsideBinding(binding);
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
    this.#binding.apply(this.#options, probe, family);
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
