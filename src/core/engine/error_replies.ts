/**
 * ICMP errors that the gateway sends to its own clients about packets that it
 * did not forward (RFC 792, RFC 1812 section 5.2.7, RFC 4443 section 3): only
 * about packets that may be answered, and so many per second and peer.
 */
import type { Batch } from "../columns/batch.ts";
import type { ColumnAllocator } from "../columns/columns.ts";
import { Verdict } from "../columns/verdict.ts";
import { RateLimiter } from "../flow/rate_limiter.ts";
import * as icmp from "../wire/icmp.ts";
import {
  emitError4,
  emitError6,
  MAX_ERROR_4,
  MAX_ERROR_6,
  mayAnswerWithError,
} from "../wire/icmp_error.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import type { PacketView } from "../wire/packet_view.ts";

/** What an error says; type and code in either family, packed by {@linkcode pack}. */
export const ErrorKind = {
  /** Nobody has the address. */
  HostUnreachable: pack(
    icmp.Type.DestinationUnreachable,
    icmp.Unreachable.Host,
    icmpv6.Type.DestinationUnreachable,
    icmpv6.Unreachable.Address,
  ),
  /** No way to the network; IPv6 is refused. */
  NetworkUnreachable: pack(
    icmp.Type.DestinationUnreachable,
    icmp.Unreachable.Network,
    icmpv6.Type.DestinationUnreachable,
    icmpv6.Unreachable.NoRoute,
  ),
  /** No mapping can be made (RFC 5508 REQ-8), or a firewall forbids it. */
  Prohibited: pack(
    icmp.Type.DestinationUnreachable,
    icmp.Unreachable.AdministrativelyProhibited,
    icmpv6.Type.DestinationUnreachable,
    icmpv6.Unreachable.AdministrativelyProhibited,
  ),
  /** The hop limit is used up. */
  TimeExceeded: pack(icmp.Type.TimeExceeded, 0, icmpv6.Type.TimeExceeded, 0),
  /** Too big, and it must not be fragmented (RFC 1191, RFC 8201). */
  TooBig: pack(
    icmp.Type.DestinationUnreachable,
    icmp.Unreachable.FragmentationNeeded,
    icmpv6.Type.PacketTooBig,
    0,
  ),
} as const;

/** One of the values of {@linkcode ErrorKind}. */
export type ErrorKind = number;

/** Who answers, and how often. */
export interface ErrorRepliesOptions {
  /** The gateway's IPv4 address; 0: no IPv4 errors. */
  readonly address4: number;
  /** The gateway's IPv6 address; all zero: no IPv6 errors. */
  readonly address6: Int32Array;
  /** Per peer. */
  readonly errorsPerSecond: number;
  readonly errorBurst: number;
}

const LANES = 256;

/** Appends ICMP errors to batches. */
export class ErrorReplies {
  /** Bytes of its columns. */
  static readonly byteLength = RateLimiter.byteLength(LANES);

  readonly #address4: number;
  readonly #address6: Int32Array;
  readonly #hasAddress6: boolean;
  readonly #limiter: RateLimiter;

  /** @param columns as {@linkcode RateLimiter} takes them. */
  constructor(options: ErrorRepliesOptions, columns?: ColumnAllocator) {
    this.#address4 = options.address4;
    this.#address6 = options.address6;
    this.#hasAddress6 = options.address6.some((word) => word !== 0);
    this.#limiter = new RateLimiter({
      lanes: LANES,
      perSecond: options.errorsPerSecond,
      burst: options.errorBurst,
    }, columns);
  }

  /**
   * Tells a peer why its packet goes no further, by an appended row. Does
   * nothing where no error is due or allowed, or the batch is full.
   * @param view the packet, parsed from the batch's bytes and unchanged since
   * @param mtu of TooBig, else 0
   */
  reply(
    batch: Batch,
    view: PacketView,
    peer: number,
    kind: ErrorKind,
    mtu: number,
    now: number,
  ): void {
    const { bytes } = batch;
    const isIpv4 = view.version === 4;
    if (peer < 0 || !(isIpv4 ? this.#address4 !== 0 : this.#hasAddress6)) {
      return;
    }
    if (!mayAnswerWithError(bytes, view)) return;
    if (!this.#limiter.take(peer, now)) return;
    const row = batch.append(isIpv4 ? MAX_ERROR_4 : MAX_ERROR_6, peer);
    if (row < 0) return;
    const at = batch.offset[row];
    batch.length[row] = isIpv4
      ? emitError4(
        bytes,
        at,
        this.#address4,
        kind >>> 24,
        (kind >>> 16) & 255,
        mtu,
        bytes,
        view.at,
        view.totalLength,
      )
      : emitError6(
        bytes,
        at,
        this.#address6,
        (kind >>> 8) & 255,
        kind & 255,
        mtu,
        bytes,
        view.at,
        view.totalLength,
      );
    batch.decide(row, Verdict.ToPeer, peer);
  }
}

function pack(
  type4: number,
  code4: number,
  type6: number,
  code6: number,
): number {
  return ((type4 << 24) | (code4 << 16) | (type6 << 8) | code6) >>> 0;
}
