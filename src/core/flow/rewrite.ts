/**
 * Other addresses and ports for one TCP packet, in place, with the checksums
 * brought up to date (RFC 1624): the IPv4 header's, and TCP's, whole or partial.
 * The payload is not looked at, so super-packets cost what small ones do.
 *
 *     | IP: source, destination ... | TCP: source port, destination port ... |
 *     ^ at                          ^ tcpAt
 */
import { type AddressWords, writeWords } from "../wire/address.ts";
import { readU16be, writeU16be, writeU32be } from "../wire/bytes.ts";
import { ChecksumForm, fold, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";

/** The sum of two words' complements is this, less the words. */
const TWO_WORDS = 2 * 0xffff;

/**
 * Gives an IPv4 packet other ends.
 * @param source address as its value or as a signed word; so is `destination`
 * @param form of the TCP checksum
 */
export function rewriteIpv4(
  b: Uint8Array,
  at: number,
  tcpAt: number,
  source: number,
  sourcePort: number,
  destination: number,
  destinationPort: number,
  form: ChecksumForm,
): void {
  const change = rewriteAddresses4(b, at, source, destination);
  rewriteTcp(b, tcpAt, sourcePort, destinationPort, change, form);
}

/**
 * Gives an IPv6 packet other ends.
 * @param source address words at `source[i]`, `destination` at `destination[j]`
 * @param form of the TCP checksum
 */
export function rewriteIpv6(
  b: Uint8Array,
  at: number,
  tcpAt: number,
  source: AddressWords,
  i: number,
  sourcePort: number,
  destination: AddressWords,
  j: number,
  destinationPort: number,
  form: ChecksumForm,
): void {
  const change = rewriteAddresses6(b, at, source, i, destination, j);
  rewriteTcp(b, tcpAt, sourcePort, destinationPort, change, form);
}

/**
 * Gives an IPv4 header other addresses, its checksum kept right.
 * @returns what that adds to a pseudo-header's sum
 */
export function rewriteAddresses4(
  b: Uint8Array,
  at: number,
  source: number,
  destination: number,
): number {
  const addressesAt = at + ipv4.SOURCE_AT;
  const before = halves(b, addressesAt) + halves(b, addressesAt + 4);
  const change = 2 * TWO_WORDS - before + (source >>> 16) +
    (source & 0xffff) + (destination >>> 16) + (destination & 0xffff);
  const header = ~ipv4.headerChecksum(b, at) & 0xffff;
  writeU16be(b, at + ipv4.CHECKSUM_AT, ~fold(header + change));
  writeU32be(b, at + ipv4.SOURCE_AT, source);
  writeU32be(b, at + ipv4.DESTINATION_AT, destination);
  return change;
}

/** Gives an IPv6 header other addresses; parameters and result as above. */
export function rewriteAddresses6(
  b: Uint8Array,
  at: number,
  source: AddressWords,
  i: number,
  destination: AddressWords,
  j: number,
): number {
  const sourceAt = at + ipv6.SOURCE_AT;
  const change = 8 * TWO_WORDS - sum(b, sourceAt, 32) + wordsSum(source, i) +
    wordsSum(destination, j);
  writeWords(b, sourceAt, source, i);
  writeWords(b, at + ipv6.DESTINATION_AT, destination, j);
  return change;
}

/** @param change what the addresses add to the pseudo-header's sum. */
export function rewriteTcp(
  b: Uint8Array,
  at: number,
  sourcePort: number,
  destinationPort: number,
  change: number,
  form: ChecksumForm,
): void {
  const field = tcp.headerChecksum(b, at);
  if (form === ChecksumForm.Partial) {
    writeU16be(b, at + tcp.CHECKSUM_AT, fold(field + change));
  } else {
    const ports = TWO_WORDS - halves(b, at) + sourcePort + destinationPort;
    writeU16be(
      b,
      at + tcp.CHECKSUM_AT,
      ~fold((~field & 0xffff) + change + ports),
    );
  }
  writeU16be(b, at + tcp.SOURCE_PORT_AT, sourcePort);
  writeU16be(b, at + tcp.DESTINATION_PORT_AT, destinationPort);
}

/** Two words of the sum. */
function halves(b: Uint8Array, at: number): number {
  return readU16be(b, at) + readU16be(b, at + 2);
}

/** What an address adds to a sum. */
function wordsSum(words: AddressWords, i: number): number {
  return (words[i] >>> 16) + (words[i] & 0xffff) +
    (words[i + 1] >>> 16) + (words[i + 1] & 0xffff) +
    (words[i + 2] >>> 16) + (words[i + 2] & 0xffff) +
    (words[i + 3] >>> 16) + (words[i + 3] & 0xffff);
}
