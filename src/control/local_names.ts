/**
 * Names of peers: `NAME.DOMAIN` answers with the peer's tunnel addresses. The
 * domain is ours: a name that no peer has does not exist, and is not asked
 * outside.
 */
import { type Prefix, writeWords } from "../core/wire/address.ts";
import { writeU16be, writeU32be } from "../core/wire/bytes.ts";
import {
  DNS_HEADER_LENGTH,
  type DnsMessage,
  QUESTION_TAIL,
  RecordType,
  ResponseCode,
} from "../core/wire/dns.ts";
import { type DnsRecord, emitDnsAnswer } from "../core/wire/dns_emit.ts";

/** A name and its addresses. */
export interface NamedHost {
  readonly name: string;
  readonly addresses: readonly Prefix[];
}

const TTL_SECONDS = 60;
/** A peer may be added at any time: nobody should remember for long that it is missing. */
const NEGATIVE_TTL_SECONDS = 10;
const CLASS_IN = 1;

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
    const { name } = query;
    const isDomain = name === this.#domain;
    if (!isDomain && !name.endsWith(`.${this.#domain}`)) return undefined;
    const host = this.#hosts.get(name.slice(0, -this.#domain.length - 1));
    const answers = query.class === CLASS_IN
      ? addressRecords(host?.addresses ?? [], query.type)
      : [];
    return emitDnsAnswer(query, {
      responseCode: isDomain || host !== undefined
        ? ResponseCode.NoError
        : ResponseCode.NameError,
      authoritative: true,
      answers,
      authority: answers.length > 0 ? [] : [this.#startOfAuthority(query)],
    });
  }

  /** What a «no» needs to be remembered (RFC 2308 section 3); names point into the question. */
  #startOfAuthority(query: DnsMessage): DnsRecord {
    const domainLength = this.#domain.length + 2;
    const nameAt = DNS_HEADER_LENGTH + query.question.length - QUESTION_TAIL -
      domainLength;
    const ttl = NEGATIVE_TTL_SECONDS;
    const data = new Uint8Array(24);
    writeU16be(data, 0, 0xc000 | nameAt);
    writeU16be(data, 2, 0xc000 | nameAt);
    // Serial, refresh, retry, expire are for secondary servers; MINIMUM is last.
    for (const [i, value] of [1, 3600, 600, 86400, ttl].entries()) {
      writeU32be(data, 4 + 4 * i, value);
    }
    return { nameAt, type: RecordType.SOA, ttl, data };
  }
}

function addressRecords(
  addresses: readonly Prefix[],
  asked: number,
): DnsRecord[] {
  return addresses.flatMap(({ family, words }) => {
    const type = family === 4 ? RecordType.A : RecordType.AAAA;
    if (asked !== type && asked !== RecordType.ANY) return [];
    const bytes = new Uint8Array(16);
    writeWords(bytes, 0, words, 0);
    const data = family === 4 ? bytes.subarray(12) : bytes;
    return { nameAt: DNS_HEADER_LENGTH, type, ttl: TTL_SECONDS, data };
  });
}
