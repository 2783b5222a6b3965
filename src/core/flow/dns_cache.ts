/**
 * Answers kept for their TTL (RFC 1035 section 7.4; negative ones by the SOA,
 * RFC 2308 section 5), at most so many: the one used longest ago goes first.
 */
import { ageDns } from "../wire/dns.ts";

/** Bounds of a cache. */
export interface DnsCacheOptions {
  /** Answers kept; 0 keeps none. */
  readonly entries: number;
  /** Answers are kept at least and at most so long, in ms. */
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
}

interface Entry {
  readonly message: Uint8Array;
  readonly ttlOffsets: readonly number[];
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** Bytes that all kept answers may take together, per entry allowed. */
const BYTES_PER_ENTRY = 2048;

/** A bounded cache of whole answers. */
export class DnsCache {
  readonly #options: DnsCacheOptions;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(options: DnsCacheOptions) {
    this.#options = options;
  }

  /** Answers kept now, expired ones included. */
  get size(): number {
    return this.#entries.size;
  }

  /** A copy of the answer with its TTLs aged, or undefined. */
  get(key: string, now: number): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.expiresAt <= now) {
      this.#bytes -= entry.message.length;
      return undefined;
    }
    this.#entries.set(key, entry);
    const message = entry.message.slice();
    const seconds = Math.floor((now - entry.storedAt) / 1000);
    ageDns(message, entry.ttlOffsets, seconds);
    return message;
  }

  /** Keeps an answer; `seconds` below 0 keeps nothing. */
  set(
    key: string,
    message: Uint8Array,
    age: { ttlOffsets: readonly number[]; seconds: number; now: number },
  ): void {
    const { entries, minTtlMs, maxTtlMs } = this.#options;
    if (entries === 0 || age.seconds < 0) return;
    const ttlMs = Math.min(Math.max(age.seconds * 1000, minTtlMs), maxTtlMs);
    if (ttlMs === 0) return;
    this.#remove(key);
    const { ttlOffsets, now: storedAt } = age;
    const expiresAt = storedAt + ttlMs;
    this.#entries.set(key, { message, ttlOffsets, storedAt, expiresAt });
    this.#bytes += message.length;
    while (
      this.#entries.size > entries || this.#bytes > entries * BYTES_PER_ENTRY
    ) {
      const oldest = this.#entries.keys().next().value;
      if (oldest === undefined) break;
      this.#remove(oldest);
    }
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#bytes -= entry.message.length;
    this.#entries.delete(key);
  }
}
