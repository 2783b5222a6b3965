/**
 * A handful of prefixes, asked by walking all of them: the VPN's own subnets.
 * (Peers' allowed IPs are many and live in a trie.) Families never match each
 * other: ::/0 holds no IPv4, although that is written ::ffff:a.b.c.d.
 */
import { isMappedIpv4, type Prefix } from "../wire/address.ts";

/** Prefixes as words and masks, 4 each. */
export class PrefixList {
  readonly #words: Int32Array;
  readonly #masks: Int32Array;
  readonly #families: Int32Array;

  constructor(prefixes: readonly Prefix[]) {
    this.#words = new Int32Array(prefixes.length * 4);
    this.#masks = new Int32Array(prefixes.length * 4);
    this.#families = Int32Array.from(prefixes, (prefix) => prefix.family);
    prefixes.forEach((prefix, n) => {
      const bits = prefix.family === 4 ? prefix.length + 96 : prefix.length;
      for (let word = 0; word < 4; word++) {
        const left = Math.max(0, Math.min(32, bits - word * 32));
        const mask = left === 0 ? 0 : -1 << (32 - left);
        this.#masks[n * 4 + word] = mask;
        this.#words[n * 4 + word] = prefix.words[word] & mask;
      }
    });
  }

  /** Whether an address (4 words from index `i`) lies in one of them. */
  contains(words: Int32Array, i: number): boolean {
    const all = this.#words;
    const masks = this.#masks;
    const family = isMappedIpv4(words, i) ? 4 : 6;
    for (let at = 0; at < all.length; at += 4) {
      const difference = ((words[i] & masks[at]) ^ all[at]) |
        ((words[i + 1] & masks[at + 1]) ^ all[at + 1]) |
        ((words[i + 2] & masks[at + 2]) ^ all[at + 2]) |
        ((words[i + 3] & masks[at + 3]) ^ all[at + 3]);
      if (difference === 0 && this.#families[at >> 2] === family) return true;
    }
    return false;
  }
}
