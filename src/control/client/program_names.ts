/**
 * The names that a program's destinations are known by: those that it has
 * resolved itself, and where the system asks by a service for all programs those
 * that the service has: whose question it was, nobody tells.
 */
import type { FlowOwner } from "../../core/route/rules/facts.ts";
import {
  LearnedNames,
  type LearnedNamesOptions,
} from "../../core/route/rules/learned_names.ts";
import type { AddressWords } from "../../core/wire/address.ts";

/** Whose names they are: no path of an executable is empty. */
const EVERYBODY = "";

/** See the module header. */
export class ProgramNames {
  readonly #learned: LearnedNames;
  readonly #service: string | undefined;

  /** @param service the executable that asks for all, where there is one. */
  constructor(options: LearnedNamesOptions, service: string | undefined) {
    this.#learned = new LearnedNames(options);
    this.#service = service?.toLowerCase();
  }

  /** Learns from the answer to a program's question. @returns the addresses that it names. */
  learn(
    { path }: Pick<FlowOwner, "path">,
    answer: Uint8Array,
    now: number,
  ): number {
    const isForAll = this.#service !== undefined &&
      path.toLowerCase() === this.#service;
    return this.#learned.learn(isForAll ? EVERYBODY : path, answer, now);
  }

  /** The living names of a program's destination, its own first, the last learned first. */
  of(
    { path }: Pick<FlowOwner, "path">,
    words: AddressWords,
    now: number,
  ): string[] {
    const own = this.#learned.names(path, words, now);
    if (this.#service === undefined) return own;
    return [
      ...new Set([...own, ...this.#learned.names(EVERYBODY, words, now)]),
    ];
  }

  /** Forgets everything: after a change of networks. */
  clear(): void {
    this.#learned.clear();
  }

  /** Forgets what has expired; now and then is enough. */
  sweep(now: number): void {
    this.#learned.sweep(now);
  }
}
