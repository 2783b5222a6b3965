/**
 * The RST by which a program hears that its connection is over although nobody
 * on the other side has said so (RFC 9293 section 3.5.2).
 */
import { isMappedIpv4 } from "../wire/address.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { Protocol } from "../wire/protocol.ts";
import * as tcp from "../wire/tcp.ts";
import type { FlowTable } from "./flow_table.ts";
import { emitIp, pseudoHeaderOf } from "./headers.ts";

/** Bytes of it at most. */
export const FLOW_RESET_LENGTH: number = ipv6.HEADER_LENGTH + tcp.HEADER_LENGTH;

const HOP_LIMIT = 64;

/**
 * Writes it, as from the flow's remote. A program whose handshake is not over
 * takes it by its SYN's number, another one by the number that it expects next.
 * @returns bytes written
 */
export function emitFlowReset(
  b: Uint8Array,
  at: number,
  flows: FlowTable,
  row: number,
): number {
  const { local, remote, progress } = flows;
  const i = row * 4;
  const header = isMappedIpv4(local, i)
    ? ipv4.HEADER_LENGTH
    : ipv6.HEADER_LENGTH;
  emitIp(
    b,
    at,
    remote,
    i,
    local,
    i,
    Protocol.Tcp,
    tcp.HEADER_LENGTH,
    HOP_LIMIT,
    0,
  );
  const tcpAt = at + header;
  tcp.emit(
    b,
    tcpAt,
    flows.remotePort[row],
    flows.localPort[row],
    progress.nextForClient(row) >>> 0,
    (flows.initialSequence[row] + 1) >>> 0,
    progress.hasAnswered(row) ? tcp.Flag.Rst : tcp.Flag.Rst | tcp.Flag.Ack,
    0,
  );
  const length = tcp.HEADER_LENGTH;
  const pseudo = pseudoHeaderOf(b, at, Protocol.Tcp, length);
  tcp.updateChecksum(b, tcpAt, length, pseudo);
  return header + length;
}
