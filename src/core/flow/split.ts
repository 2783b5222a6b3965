/**
 * Splits a packet that is larger than the tunnel's MTU into fragments: IPv4 as
 * a router does (RFC 791 section 3.2), IPv6 as the source that the gateway is
 * for packets it has built itself (RFC 8200 section 4.5).
 */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { copyBytes } from "../wire/bytes.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { Protocol } from "../wire/protocol.ts";

/**
 * Splits a decided row. The row becomes the first fragment, the others are
 * appended with the same verdict, target and peer. Where the batch has no room
 * for all of them, all are dropped (BatchFull).
 * @param row a whole IP packet longer than `mtu`; IPv6 without extension headers
 * @param identification of IPv6 fragments; IPv4 keeps the packet's own
 */
export function splitRow(
  batch: Batch,
  row: number,
  mtu: number,
  identification: number,
): void {
  const { bytes } = batch;
  const at = batch.offset[row];
  const isIpv4 = bytes[at] >>> 4 === 4;
  const header = isIpv4 ? ipv4.headerLength(bytes, at) : ipv6.HEADER_LENGTH;
  const inserted = isIpv4 ? 0 : ipv6.FRAGMENT_HEADER_LENGTH;
  const chunk = (mtu - header - inserted) & ~7;
  const payload = batch.length[row] - header;
  const last = Math.ceil(payload / chunk) - 1;
  const first = batch.count;

  for (let n = 1; n <= last; n++) {
    const start = n * chunk;
    const length = Math.min(chunk, payload - start);
    const fragment = batch.append(header + inserted + length, batch.peer[row]);
    if (fragment < 0) {
      for (let other = first; other < batch.count; other++) {
        batch.drop(other, DropReason.BatchFull);
      }
      batch.drop(row, DropReason.BatchFull);
      return;
    }
    const to = batch.offset[fragment];
    copyBytes(bytes, to, bytes, at, header);
    copyBytes(
      bytes,
      to + header + inserted,
      bytes,
      at + header + start,
      length,
    );
    const more = n < last ? 1 : 0;
    if (isIpv4) markIpv4(bytes, to, bytes, at, header + length, start, more);
    else markIpv6(bytes, to, length, start, more, identification);
    batch.verdict[fragment] = batch.verdict[row];
    batch.target[fragment] = batch.target[row];
  }

  batch.length[row] = header + inserted + chunk;
  if (isIpv4) {
    markIpv4(bytes, at, bytes, at, header + chunk, 0, 1);
  } else {
    bytes.copyWithin(at + header + inserted, at + header, at + header + chunk);
    markIpv6(bytes, at, chunk, 0, 1, identification);
  }
}

/** The packet may be a fragment itself: offsets add up, its last part keeps its flag. */
function markIpv4(
  b: Uint8Array,
  at: number,
  original: Uint8Array,
  originalAt: number,
  totalLength: number,
  start: number,
  more: number,
): void {
  const offset = ipv4.fragmentOffset(original, originalAt) + start;
  const stillMore = more === 1 || ipv4.moreFragments(original, originalAt)
    ? 1
    : 0;
  ipv4.setTotalLength(b, at, totalLength);
  ipv4.setFragment(b, at, offset, stillMore, 0);
  ipv4.updateHeaderChecksum(b, at);
}

function markIpv6(
  b: Uint8Array,
  at: number,
  length: number,
  start: number,
  more: number,
  identification: number,
): void {
  const protocol = ipv6.nextHeader(b, at);
  ipv6.setPayloadLength(b, at, ipv6.FRAGMENT_HEADER_LENGTH + length);
  b[at + ipv6.NEXT_HEADER_AT] = Protocol.Fragment;
  ipv6.emitFragmentHeader(
    b,
    at + ipv6.HEADER_LENGTH,
    protocol,
    start,
    more,
    identification,
  );
}
