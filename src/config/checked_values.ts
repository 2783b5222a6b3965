/** Values of a document that has passed its checks, as the program uses them. */
import { parseAddress } from "../core/wire/address.ts";
import { parseDuration } from "./duration.ts";
import { parseHostPort } from "./endpoint.ts";

/** A DNS server: 4 address words and a port. */
export interface DnsUpstream {
  readonly words: Uint32Array;
  readonly port: number;
}

/** A duration in milliseconds. */
export function milliseconds(duration: string | number): number {
  return sure(parseDuration(duration));
}

/** A DNS server; without a port it has the usual one. */
export function dnsUpstream(text: string): DnsUpstream {
  return sure(readDnsUpstream(text));
}

/** A DNS server of an unchecked text; undefined where it is none. */
export function readDnsUpstream(text: string): DnsUpstream | undefined {
  const place = parseHostPort(text, 53);
  const words = place && parseAddress(place.host);
  return place && words && { words, port: place.port };
}

/**
 * What a check has accepted, so its parser has too.
 * @throws TypeError where the document was not checked.
 */
export function sure<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TypeError("document not checked");
  return value;
}
