/** A DNS question of our own. */
import { DNS_HEADER_LENGTH, RecordType } from "../core/wire/dns.ts";

const RECURSION_DESIRED = 1;
const CLASS_INTERNET = 1;

/** A query for the IPv4 addresses of a name, with a random id. */
export function emitDnsQuestion(name: string): Uint8Array<ArrayBuffer> {
  return emitQuestion(name.split("."), RecordType.A);
}

/** A query with a random id for labels of at most 63 ASCII characters. */
export function emitQuestion(
  labels: readonly string[],
  type: number,
): Uint8Array<ArrayBuffer> {
  const length = labels.reduce((sum, label) => sum + 1 + label.length, 1);
  const bytes = new Uint8Array(DNS_HEADER_LENGTH + length + 4);
  const encoder = new TextEncoder();
  bytes.set(crypto.getRandomValues(new Uint8Array(2)));
  bytes.set([RECURSION_DESIRED, 0, 0, 1], 2);
  let at = DNS_HEADER_LENGTH;
  for (const label of labels) {
    bytes[at++] = label.length;
    at += encoder.encodeInto(label, bytes.subarray(at)).written;
  }
  bytes.set([0, type, 0, CLASS_INTERNET], at + 1);
  return bytes;
}
