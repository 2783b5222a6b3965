/**
 * Which sockets an echo may be of, by the lists of /proc/net.
 * Source: net/ipv4/ping.c, net/ipv4/raw.c of Linux.
 *
 *     icmp, icmp6   sockets that the system gives an identifier: their «port»
 *     raw, raw6     sockets that write what they want; their «port» is a protocol
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *      5: 00000000:0005 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34567
 *
 * A raw socket's identifiers are its program's own affair: any of them may have
 * sent any echo.
 */
import { IPPROTO } from "../../../../ffi/linux_socket_constants.ts";
import {
  type AddressWords,
  equalWords,
  isMappedIpv4,
  isUnspecified,
  setMappedIpv4,
} from "../../../core/wire/address.ts";
import type { FlowEnds } from "../../ports.ts";

const LOCAL = 1;
const REMOTE = 2;
const INODE = 9;
/** The protocol of sockets that write IP headers as well. */
const IPPROTO_RAW = 255;

/** A socket of those lists. */
export interface ListedSocket {
  readonly local: AddressWords;
  /** The identifier, or the protocol's number. */
  readonly number: number;
  readonly remote: AddressWords;
  /** Names it under /proc/PID/fd; 0 once its program has closed it. */
  readonly inode: number;
}

/** The sockets that an echo may be of: `localPort` is its identifier. */
export function echoSockets(
  flow: FlowEnds,
  read: (path: string) => string = readList,
): ListedSocket[] {
  const four = isMappedIpv4(flow.local);
  const list = (name: string) =>
    parseSocketList(read(`/proc/net/${name}${four ? "" : "6"}`));
  const protocol = four ? IPPROTO.ICMP : IPPROTO.ICMPV6;
  const isNear = ({ local, remote }: ListedSocket) =>
    fits(local, flow.local) && fits(remote, flow.remote);
  return [
    ...list("icmp").filter(({ number }) => number === flow.localPort),
    ...list("raw").filter(({ number }) =>
      number === protocol || number === IPPROTO_RAW
    ),
  ].filter(isNear);
}

/** Reads one of the lists; lines of another form are passed over. */
export function parseSocketList(text: string): ListedSocket[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const local = parseEnd(fields[LOCAL]);
    const remote = parseEnd(fields[REMOTE]);
    const inode = Number(fields[INODE]);
    if (local === undefined || remote === undefined) return [];
    if (!Number.isSafeInteger(inode)) return [];
    const { words, number } = local;
    return [{ local: words, number, remote: remote.words, inode }];
  });
}

/** An address as the machine's own numbers, little-endian, and a port. */
function parseEnd(
  text: string | undefined,
): { readonly words: Int32Array; readonly number: number } | undefined {
  const match = /^([0-9A-F]{8}(?:[0-9A-F]{24})?):([0-9A-F]{4})$/i.exec(
    text ?? "",
  );
  if (match === null) return undefined;
  const [, address, port] = match;
  const numbers = address.match(/.{8}/g)!.map((word) =>
    Number.parseInt(word.match(/../g)!.reverse().join(""), 16)
  );
  const words = new Int32Array(4);
  if (numbers.length === 1) setMappedIpv4(words, 0, numbers[0]);
  else words.set(numbers);
  return { words, number: Number.parseInt(port, 16) };
}

/** Whether a socket's end leaves open, or is, that address. */
function fits(end: AddressWords, address: AddressWords): boolean {
  return isUnspecified(end) || equalWords(end, 0, address, 0);
}

/** Empty where the system has no such list. */
function readList(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
