/**
 * Where a tunnel's hosts are, and where its way out leads. Of several addresses
 * of a host each try takes the next.
 */
import { equalWords } from "../../core/wire/address.ts";

/** One address for each host. */
export type Destination = readonly Int32Array[];

/** See the module header. */
export class TunnelAddresses {
  /** For each host, as last looked up; undefined before. */
  #known: readonly (readonly Int32Array[])[] | undefined;
  /** Where the way out leads; undefined where there is none. */
  #connected: Destination | undefined;
  #tries = 0;

  /** Whether the names have ever been looked up. */
  get areKnown(): boolean {
    return this.#known !== undefined;
  }

  /** The addresses of each host, as looked up. */
  learn(known: readonly (readonly Int32Array[])[]): void {
    this.#known = known;
  }

  /** Leads to what is to be tried next. @returns where, if that is another way than now. */
  next(): Destination | undefined {
    const turn = this.#tries++;
    const known = this.#known ?? [];
    return this.#lead(known.map((some) => some[turn % some.length]));
  }

  /** The address that was tried last is a good one: the next try takes it again. */
  keep(): void {
    this.#tries--;
  }

  /** The next try takes another address. */
  pass(): void {
    this.#tries++;
  }

  /**
   * Leads to where the names are, if the way out leads to an address that is no
   * longer one of theirs. @returns where; undefined where it stays.
   */
  follow(): Destination | undefined {
    const known = this.#known ?? [];
    const stays = this.#connected?.every((words, host) =>
      known[host].some((other) => equalWords(words, 0, other, 0))
    );
    return stays === true ? undefined : this.#lead(known.map(([one]) => one));
  }

  /** There is no way out any more. @returns whether there was one. */
  leave(): boolean {
    const was = this.#connected !== undefined;
    this.#connected = undefined;
    return was;
  }

  #lead(to: Destination): Destination | undefined {
    if (this.#connected !== undefined && same(this.#connected, to)) {
      return undefined;
    }
    this.#connected = to;
    return to;
  }
}

function same(some: Destination, others: Destination): boolean {
  return some.length === others.length &&
    some.every((words, i) => equalWords(words, 0, others[i], 0));
}
