/**
 * Which names a program has resolved to which addresses, so that rules about
 * domains can judge a flow that has an address only. Learned from the answers
 * to the program's own DNS questions, kept by their TTL (RFC 1035 section
 * 3.2.1); one program's names say nothing of another's flows.
 *
 * The name is the one that was asked for: aliases on the way (CNAME) are the
 * operator's affair and not the user's.
 *
 * Bounded: each owner has a share of its own, so that none can push out what
 * others have learned but by being one of many.
 */
import {
  type AddressWords,
  formatAddress,
  parseAddress,
} from "../../wire/address.ts";
import { readDnsAddresses } from "../../wire/dns_addresses.ts";

/** Sizes and times. */
export interface LearnedNamesOptions {
  /** Addresses of all owners. */
  readonly capacity: number;
  /** Addresses of one owner. */
  readonly capacityPerOwner: number;
  /**
   * Names live at least this long: programs keep answers for longer than their
   * TTL says, and connect after it has passed.
   */
  readonly leastMs: number;
  /** Names live no longer than this. */
  readonly mostMs: number;
}

/** Names of one address kept at most; the oldest goes first. */
const NAMES_PER_ADDRESS = 16;

/** Deadline of each name; what was learned last stands last. */
type Names = Map<string, number>;

/** Names by owner and address. */
export class LearnedNames {
  readonly #options: LearnedNamesOptions;
  /** Owners in the order of their last learning, addresses likewise. */
  readonly #owners = new Map<string, Map<string, Names>>();
  #size = 0;

  constructor(options: LearnedNamesOptions) {
    this.#options = options;
  }

  /** Addresses that have names. */
  get size(): number {
    return this.#size;
  }

  /**
   * Learns from the answer to an owner's question.
   * @param owner whatever tells programs apart, such as the executable's path.
   * @param answer a DNS message; a malformed one teaches nothing.
   * @returns the addresses that it names.
   */
  learn(owner: string, answer: Uint8Array, now: number): number {
    const found = readDnsAddresses(answer);
    if (found === undefined || found.name === "") return 0;
    for (const { words, seconds } of found.addresses) {
      this.learnName(owner, { name: found.name, words, seconds }, now);
    }
    return found.addresses.length;
  }

  /**
   * Learns one name.
   * @param entry name in lower case, address words, TTL in seconds.
   */
  learnName(
    owner: string,
    { name, words, seconds }: {
      name: string;
      words: AddressWords;
      seconds: number;
    },
    now: number,
  ): void {
    const { leastMs, mostMs } = this.#options;
    const lifeMs = Math.min(Math.max(seconds * 1000, leastMs), mostMs);
    const names = this.#namesOf(owner, formatAddress(words));
    const deadline = Math.max(names.get(name) ?? 0, now + lifeMs);
    names.delete(name);
    names.set(name, deadline);
    if (names.size > NAMES_PER_ADDRESS) names.delete(firstKey(names)!);
    this.#shrink(owner);
  }

  /** The living names of an address for an owner, the last learned first. */
  names(owner: string, words: AddressWords, now: number): string[] {
    const names = this.#owners.get(owner)?.get(formatAddress(words));
    if (names === undefined) return [];
    const living: string[] = [];
    for (const [name, deadline] of names) {
      if (deadline > now) living.unshift(name);
    }
    return living;
  }

  /** Forgets what one owner has learned. */
  forget(owner: string): void {
    this.#size -= this.#owners.get(owner)?.size ?? 0;
    this.#owners.delete(owner);
  }

  /** Forgets everything: after a change of networks. */
  clear(): void {
    this.#owners.clear();
    this.#size = 0;
  }

  /** Forgets what has expired; now and then is enough. */
  sweep(now: number): void {
    for (const [owner, addresses] of this.#owners) {
      for (const [address, names] of addresses) {
        for (const [name, deadline] of names) {
          if (deadline <= now) names.delete(name);
        }
        if (names.size === 0) this.#drop(owner, address);
      }
    }
  }

  /** What is known, for people. */
  *entries(
    now: number,
  ): Generator<{ owner: string; words: Uint32Array; names: string[] }> {
    for (const [owner, addresses] of this.#owners) {
      for (const address of addresses.keys()) {
        const words = parseAddress(address)!;
        const names = this.names(owner, words, now);
        if (names.length > 0) yield { owner, words, names };
      }
    }
  }

  /** The names of an address, made the last of their owner, and that of all. */
  #namesOf(owner: string, address: string): Names {
    const addresses = this.#owners.get(owner) ?? new Map<string, Names>();
    this.#owners.delete(owner);
    this.#owners.set(owner, addresses);
    const known = addresses.get(address);
    if (known === undefined) this.#size++;
    const names = known ?? new Map<string, number>();
    addresses.delete(address);
    addresses.set(address, names);
    return names;
  }

  /** Back to the bounds: first the owner's own oldest, then that of the quietest owner. */
  #shrink(owner: string): void {
    const { capacity, capacityPerOwner } = this.#options;
    const own = this.#owners.get(owner)!;
    if (own.size > capacityPerOwner) this.#drop(owner, firstKey(own)!);
    while (this.#size > capacity) {
      const quiet = firstKey(this.#owners)!;
      this.#drop(quiet, firstKey(this.#owners.get(quiet)!)!);
    }
  }

  #drop(owner: string, address: string): void {
    const addresses = this.#owners.get(owner);
    if (addresses?.delete(address) !== true) return;
    this.#size--;
    if (addresses.size === 0) this.#owners.delete(owner);
  }
}

function firstKey(map: ReadonlyMap<string, unknown>): string | undefined {
  return map.keys().next().value;
}
