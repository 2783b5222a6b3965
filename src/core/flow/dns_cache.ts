/**
 * Answers kept for their TTL (RFC 1035 section 7.4; negative ones by the SOA,
 * RFC 2308 section 5), bounded in number and in bytes: the one used longest ago
 * goes first.
 */
import { ageDns } from "../wire/dns_emit.ts";

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
  readonly ttlOffsets: Uint16Array;
  readonly storedAt: number;
  readonly expiresAt: number;
  /** What it counts for, in bytes. */
  readonly size: number;
}

/** Bytes that all kept answers may take together, per entry allowed. */
const BYTES_PER_ENTRY = 2048;

/** A bounded cache of whole answers. */
export class DnsCache {
  readonly #options: DnsCacheOptions;
  /** The one used longest ago is the first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(options: DnsCacheOptions) {
    this.#options = options;
  }

  /** Answers kept now, expired ones included. */
  get size(): number {
    return this.#entries.size;
  }

  /** What they take, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A copy of the answer with its TTLs aged, or undefined. */
  get(key: string, now: number): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAt <= now) {
      this.#remove(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const message = entry.message.slice();
    const seconds = Math.floor((now - entry.storedAt) / 1000);
    ageDns(message, entry.ttlOffsets, seconds);
    return message;
  }

  /** Keeps a copy of an answer; `seconds` below 0 keeps nothing. */
  set(
    key: string,
    message: Uint8Array,
    age: { ttlOffsets: readonly number[]; seconds: number; now: number },
  ): void {
    const { entries, minTtlMs, maxTtlMs } = this.#options;
    this.#remove(key);
    const ttlMs = Math.min(Math.max(age.seconds * 1000, minTtlMs), maxTtlMs);
    if (age.seconds < 0 || ttlMs === 0) return;
    const ttlOffsets = Uint16Array.from(age.ttlOffsets);
    const size = message.length + ttlOffsets.byteLength + key.length;
    this.#entries.set(key, {
      message: message.slice(),
      ttlOffsets,
      storedAt: age.now,
      expiresAt: age.now + ttlMs,
      size,
    });
    this.#bytes += size;
    const limit = entries * BYTES_PER_ENTRY;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= entries && this.#bytes <= limit) break;
      this.#remove(oldest);
    }
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#bytes -= entry.size;
    this.#entries.delete(key);
  }
}
