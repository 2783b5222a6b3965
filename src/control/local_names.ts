/**
 * Names of peers: `NAME.DOMAIN` answers with the peer's tunnel addresses. The
 * domain is ours: a name that no peer has does not exist, and is not asked
 * outside.
 */
import { encode } from "dns-packet";
import { formatAddress, type Prefix } from "../core/wire/address.ts";
import { type DnsMessage, RecordType } from "../core/wire/dns.ts";

/** A name and its addresses. */
export interface NamedHost {
  readonly name: string;
  readonly addresses: readonly Prefix[];
}

const TTL_SECONDS = 60;
const CLASS_IN = 1;
/** Response, authoritative, recursion desired and available. */
const FLAGS = 0x8580;
const NAME_ERROR = 3;

/** The names of one domain. */
export class LocalNames {
  readonly #domain: string;
  #hosts = new Map<string, NamedHost>();

  /** @param domain lower case, without a dot at the end. */
  constructor(domain: string) {
    this.#domain = domain;
  }

  /** Sets the hosts; later ones of the same name win. */
  set(hosts: readonly NamedHost[]): void {
    this.#hosts = new Map(hosts.map((host) => [host.name.toLowerCase(), host]));
  }

  /** A whole answer to a question about the domain; undefined for other names. */
  answer(query: DnsMessage): Uint8Array | undefined {
    const { name, type } = query;
    if (name !== this.#domain && !name.endsWith(`.${this.#domain}`)) {
      return undefined;
    }
    const label = name.slice(0, -this.#domain.length - 1);
    const host = this.#hosts.get(label);
    const known = host !== undefined || name === this.#domain;
    const addresses = query.class === CLASS_IN ? host?.addresses ?? [] : [];
    return encode({
      id: query.id,
      type: "response",
      flags: FLAGS | (known ? 0 : NAME_ERROR),
      // The proxy writes the client's own question over this one.
      questions: [{ name, type: "A", class: "IN" }],
      answers: addresses
        .filter(({ family }) => asksFor(type, family))
        .map((address) => ({
          name,
          type: address.family === 4 ? "A" as const : "AAAA" as const,
          class: "IN" as const,
          ttl: TTL_SECONDS,
          data: formatAddress(address.words),
        })),
    });
  }
}

function asksFor(type: number, family: 4 | 6): boolean {
  if (type === RecordType.ANY) return true;
  return type === (family === 4 ? RecordType.A : RecordType.AAAA);
}
