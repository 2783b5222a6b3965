/**
 * Rules by destination: prefixes by their length and network, names by the
 * whole and by each of their ends. A look-up costs one step for each length in
 * use and for each label of a name, however many rules there are.
 */
import {
  type AddressWords,
  isMappedIpv4,
  type Prefix,
} from "../../wire/address.ts";
import type { CandidateSet } from "./candidate_set.ts";
import type { RuleDestination } from "./rule.ts";

/** Rules of one family and prefix length by their network. */
type Networks = Map<string, number[]>;

/** Adds a number to the list at a key. */
export function addTo<Key>(
  map: Map<Key, number[]>,
  key: Key,
  index: number,
): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [index]);
  else if (list.at(-1) !== index) list.push(index);
}

/** Adds what a list holds, if there is one. */
export function addAll(
  candidates: CandidateSet,
  list: readonly number[] | undefined,
): void {
  if (list === undefined) return;
  for (const index of list) candidates.add(index);
}

/** Rules that have destinations. */
export class DestinationIndex {
  readonly #networks4 = new Map<number, Networks>();
  readonly #networks6 = new Map<number, Networks>();
  readonly #names = new Map<string, number[]>();
  readonly #below = new Map<string, number[]>();

  add(destinations: readonly RuleDestination[], index: number): void {
    for (const item of destinations) {
      switch (item.kind) {
        case "prefix":
          this.#addPrefix(item.prefix, index);
          break;
        case "name":
          addTo(this.#names, item.name, index);
          break;
        case "below":
          addTo(this.#below, item.name, index);
          break;
      }
    }
  }

  /** Adds every rule that one of its destinations may hold for. */
  collect(
    words: AddressWords,
    names: readonly string[],
    candidates: CandidateSet,
  ): void {
    const isIpv4 = isMappedIpv4(words);
    const lengths = isIpv4 ? this.#networks4 : this.#networks6;
    for (const [length, networks] of lengths) {
      const bits = isIpv4 ? length + 96 : length;
      addAll(candidates, networks.get(networkKey(words, bits)));
    }
    for (const name of names) {
      addAll(candidates, this.#names.get(name));
      if (this.#below.size === 0) continue;
      for (let dot = name.indexOf(".", 1); dot >= 0;) {
        addAll(candidates, this.#below.get(name.slice(dot + 1)));
        dot = name.indexOf(".", dot + 1);
      }
    }
  }

  #addPrefix(prefix: Prefix, index: number): void {
    const lengths = prefix.family === 4 ? this.#networks4 : this.#networks6;
    let networks = lengths.get(prefix.length);
    if (networks === undefined) {
      networks = new Map();
      lengths.set(prefix.length, networks);
    }
    const bits = prefix.family === 4 ? prefix.length + 96 : prefix.length;
    addTo(networks, networkKey(prefix.words, bits), index);
  }
}

/** The leading bits of an address, the rest zero, as text. */
function networkKey(words: AddressWords, bits: number): string {
  let key = "";
  for (let w = 0; w < 4; w++) {
    const left = bits - 32 * w;
    const mask = left >= 32 ? -1 : left <= 0 ? 0 : -1 << (32 - left);
    key += `${words[w] & mask},`;
  }
  return key;
}
