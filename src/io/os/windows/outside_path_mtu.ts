/**
 * What the system knows of the path to a destination: a UDP socket connected to
 * it tells its path MTU, without sending anything. Windows 10 and later; Wine
 * tells none.
 */
import {
  AF,
  INVALID_SOCKET,
  IP,
  IPPROTO,
  IPV6,
  SOCK,
  type Ws2,
  WSA_FLAGS,
} from "../../../../ffi/windows/ws2_32.ts";
import type { Batch } from "../../../core/columns/batch.ts";
import { isMappedIpv4 } from "../../../core/wire/address.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { SOCKET_ADDRESS_ROOM, writeSocketAddress } from "./socket_address.ts";
import { WinsockOptions } from "./winsock_options.ts";

/** Any port will do where a row has none: that of «discard». */
const ANY_PORT = 9;
/** What the system says where it has not yet asked: no MTU is larger. */
const UNKNOWN = 0xffff_ffff | 0;

/** Asks for path MTUs. */
export class OutsidePathMtu {
  readonly #ws2: Ws2;
  readonly #options: WinsockOptions;
  readonly #binding: OutsideBinding;
  readonly #address = new Uint8Array(SOCKET_ADDRESS_ROOM);

  /** @param binding where the outside's sockets leave */
  constructor(ws2: Ws2, binding: SharedArrayBuffer) {
    this.#ws2 = ws2;
    this.#binding = new OutsideBinding(binding);
    this.#options = new WinsockOptions(ws2);
  }

  /** The path MTU towards a row's destination; 0 unknown. */
  towards(batch: Batch, row: number): number {
    const at = row * 4;
    const family = isMappedIpv4(batch.remote, at) ? 4 : 6;
    const { call } = this.#ws2;
    const domain = family === 4 ? AF.INET : AF.INET6;
    const probe = call
      .WSASocketW(domain, SOCK.DGRAM, IPPROTO.UDP, null, 0, WSA_FLAGS);
    if (probe === INVALID_SOCKET) return 0;
    this.#binding.apply(this.#options, probe, family);
    const length = writeSocketAddress(
      this.#address,
      0,
      family,
      batch.remote,
      at,
      batch.remotePort[row] || ANY_PORT,
    );
    const connected = call.connect(probe, this.#address, length) === 0;
    const mtu = !connected
      ? UNKNOWN
      : family === 4
      ? this.#options.get(probe, IPPROTO.IP, IP.MTU)
      : this.#options.get(probe, IPPROTO.IPV6, IPV6.MTU);
    call.closesocket(probe);
    return mtu > 0 ? mtu : 0;
  }
}
