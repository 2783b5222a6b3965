/** The largest segments (MSS, RFC 9293 section 3.7.1) that fit an MTU, in SYNs of both families. */
import type { ChecksumForm } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";

/** See the module header. */
export class LargestSegment {
  readonly #mss4: number;
  readonly #mss6: number;

  /** @param mtu largest packet, in bytes */
  constructor(mtu: number) {
    this.#mss4 = mtu - ipv4.HEADER_LENGTH - tcp.HEADER_LENGTH;
    this.#mss6 = mtu - ipv6.HEADER_LENGTH - tcp.HEADER_LENGTH;
  }

  /**
   * Lets a SYN ask for no more than fits.
   * @param at of the IP packet
   * @param length of the TCP segment at `tcpAt`
   */
  clamp(
    b: Uint8Array,
    at: number,
    tcpAt: number,
    length: number,
    form: ChecksumForm,
  ): void {
    const mss = b[at] >>> 4 === 4 ? this.#mss4 : this.#mss6;
    tcp.clampMss(b, tcpAt, length, mss, form);
  }
}
