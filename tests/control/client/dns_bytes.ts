/** DNS messages of one kind, made by dns-packet. */
import {
  aRecord,
  buildAnswer,
  buildQuery,
} from "../../support/dns_messages.ts";

/** A question for the addresses of a name. */
export function dnsQuestion(name: string): Uint8Array {
  return buildQuery({ name });
}

/** Its answer with one address. */
export function dnsAnswer(
  name: string,
  address: string,
  ttl: number,
): Uint8Array {
  return buildAnswer(dnsQuestion(name), {
    answers: [aRecord(name, ttl, address)],
  });
}
