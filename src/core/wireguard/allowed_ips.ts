/**
 * Allowed IPs: which peer a destination goes to and which sources a peer may
 * use. Longest prefix wins (WireGuard paper, section 2, cryptokey routing).
 *
 * A path-compressed binary trie in columns. The control thread changes it while
 * workers read it. Keys are 4 address words, most significant first; IPv4 lives
 * in ::ffff:0:0/96 and has a root of its own, so that ::/0 covers no IPv4.
 *
 *     link 0 -> IPv4 root      link 2n   -> child of node n whose next bit is 0
 *     link 1 -> IPv6 root      link 2n+1 -> child of node n whose next bit is 1
 *
 * A change is published by one Atomics.store into one link or one peer cell,
 * and counted before anything is written; a reader that finds the count grown
 * during its walk walks again. So it sees the trie before or after a change,
 * and never a node that was taken out and is filled anew. The walk itself reads
 * plainly: each read follows from the one before it.
 *
 * Each reader keeps its last answers with the count that they were found under.
 * A change is counted once more when all of it is written, so that what was
 * found meanwhile is not kept for longer.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { RecentLookups, UNKNOWN } from "./recent_lookups.ts";

/** Address words of either family: see the module header. */
type Words = Int32Array | Uint32Array;

/** One allowed prefix: words from index 0, length in bits (IPv4: 96 + n). */
export interface AllowedPrefix {
  readonly words: Uint32Array;
  readonly length: number;
}

/** How large the trie may grow. */
export interface AllowedIpsOptions {
  /** Nodes, in all; a prefix takes one or two. */
  readonly nodes: number;
}

const NONE = -1;
const IPV4_ROOT = 0;
const IPV6_ROOT = 1;
// Cells of the header column.
const CHANGES = 0;
const FREE_FIRST = 1;
const FREE_LAST = 2;
/** Nodes in use. */
const USED = 3;
/** Nodes that have ever been used: 1 to this. */
const TOUCHED = 4;
const HEADER_CELLS = 6;

/** The prefixes of all peers. */
export class AllowedIps {
  readonly #nodes: number;
  readonly #header: Int32Array;
  readonly #links: Int32Array;
  readonly #key: Int32Array;
  readonly #bits: Int32Array;
  readonly #peer: Int32Array;
  readonly #recent = new RecentLookups();
  // Touched by the writer alone.
  readonly #parentLink: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #first = new Map<number, number>();
  #size = 0;

  /** Bytes that a trie of this size needs. */
  static byteLength(options: AllowedIpsOptions): number {
    return (HEADER_CELLS + (options.nodes + 1) * 11) * 4 + 8 * 8;
  }

  /** @param buffer zeroed, or one in which another thread has made this trie. */
  constructor(buffer: TableBuffer, options: AllowedIpsOptions) {
    const columns = new ColumnAllocator(buffer);
    const cells = options.nodes + 1;
    this.#nodes = options.nodes;
    this.#header = columns.int32(HEADER_CELLS);
    this.#links = columns.int32(cells * 2);
    this.#key = columns.int32(cells * 4);
    this.#bits = columns.int32(cells);
    this.#peer = columns.int32(cells);
    this.#parentLink = columns.int32(cells);
    this.#next = columns.int32(cells);
    this.#previous = columns.int32(cells);
  }

  /** Prefixes in the trie. Writer's view. */
  get size(): number {
    return this.#size;
  }

  /**
   * The peer of an IPv4 address given by its value.
   * @returns the peer, or -1.
   */
  lookup4(address: number): number {
    const header = this.#header;
    const links = this.#links;
    for (;;) {
      const before = Atomics.load(header, CHANGES);
      let best = NONE;
      let node = links[IPV4_ROOT];
      // A path has at most 33 nodes; the bound ends a walk on nodes in reuse.
      for (let steps = 0; node !== 0 && steps < 34; steps++) {
        const bits = this.#bits[node] - 96;
        const difference = this.#key[node * 4 + 3] ^ address;
        if (bits > 0 && difference >>> (32 - bits) !== 0) break;
        const peer = this.#peer[node];
        if (peer !== NONE) best = peer;
        if (bits >= 32) break;
        node = links[node * 2 + ((address >>> (31 - bits)) & 1)];
      }
      if (Atomics.load(header, CHANGES) === before) return best;
    }
  }

  /**
   * The peer of an address of either family: 4 words from index `i`.
   * @returns the peer, or -1.
   */
  lookup(words: Words, i: number): number {
    const version = Atomics.load(this.#header, CHANGES);
    const known = this.#recent.find(words, i, version);
    if (known !== UNKNOWN) return known;
    const isIpv4 = words[i] === 0 && words[i + 1] === 0 &&
      words[i + 2] === 0xffff;
    const peer = isIpv4 ? this.lookup4(words[i + 3]) : this.#lookup6(words, i);
    this.#recent.note(words, i, version, peer);
    return peer;
  }

  #lookup6(words: Words, i: number): number {
    const header = this.#header;
    const links = this.#links;
    for (;;) {
      const before = Atomics.load(header, CHANGES);
      let best = NONE;
      let node = links[IPV6_ROOT];
      for (let steps = 0; node !== 0 && steps < 130; steps++) {
        const bits = this.#bits[node];
        if (commonBits(this.#key, node * 4, words, i) < bits) break;
        const peer = this.#peer[node];
        if (peer !== NONE) best = peer;
        if (bits >= 128) break;
        node = links[node * 2 + bitAt(words, i, bits)];
      }
      if (Atomics.load(header, CHANGES) === before) return best;
    }
  }

  /**
   * Gives a prefix to a peer, taking it from the peer that had exactly it. Bits
   * behind the length are ignored. Control thread.
   * @param words 4 words from index 0.
   * @param length 0 to 128; for IPv4 (v4-mapped words) 96 + n.
   * @returns false where the trie is full (nothing changed).
   */
  insert(words: Words, length: number, peer: number): boolean {
    this.#countChange();
    const inserted = this.#insert(words, length, peer);
    this.#countChange();
    return inserted;
  }

  #insert(words: Words, length: number, peer: number): boolean {
    let link = rootOf(words, length);
    let node = this.#links[link];
    let common = 0;
    while (node !== 0) {
      common = Math.min(
        commonBits(this.#key, node * 4, words, 0),
        length,
        this.#bits[node],
      );
      if (common < this.#bits[node]) break;
      if (common === length) {
        this.#give(node, peer);
        return true;
      }
      link = node * 2 + bitAt(words, 0, common);
      node = this.#links[link];
    }
    if (this.#available() < 2) return false;
    const leaf = this.#take(words, length);
    if (node === 0) {
      this.#publish(link, leaf, peer);
    } else if (common === length) {
      this.#adopt(leaf, node);
      this.#publish(link, leaf, peer);
    } else {
      const split = this.#take(words, common);
      this.#own(leaf, peer);
      this.#adopt(split, leaf);
      this.#adopt(split, node);
      this.#parentLink[split] = link;
      Atomics.store(this.#links, link, split);
    }
    return true;
  }

  /** Takes all prefixes from a peer. Control thread. */
  remove(peer: number): void {
    for (;;) {
      const node = this.#first.get(peer);
      if (node === undefined) return;
      this.#takeOut(node);
    }
  }

  /**
   * Takes one prefix from a peer. Control thread.
   * @returns false where that peer does not have exactly this prefix.
   */
  removePrefix(words: Words, length: number, peer: number): boolean {
    let node = this.#links[rootOf(words, length)];
    while (node !== 0) {
      const bits = this.#bits[node];
      if (bits > length || commonBits(this.#key, node * 4, words, 0) < bits) {
        return false;
      }
      if (bits === length) break;
      node = this.#links[node * 2 + bitAt(words, 0, bits)];
    }
    if (node === 0 || this.#peer[node] !== peer) return false;
    this.#takeOut(node);
    return true;
  }

  /** The prefixes of a peer, newest first. Control thread. */
  prefixesOf(peer: number): AllowedPrefix[] {
    const prefixes: AllowedPrefix[] = [];
    for (
      let node = this.#first.get(peer) ?? 0;
      node !== 0;
      node = this.#next[node]
    ) {
      const words = Uint32Array.from(
        this.#key.subarray(node * 4, node * 4 + 4),
      );
      prefixes.push({ words, length: this.#bits[node] });
    }
    return prefixes;
  }

  /**
   * Before anything is written, so that readers on their way walk again, and
   * after all is, so that they forget what they found in between.
   */
  #countChange(): void {
    Atomics.add(this.#header, CHANGES, 1);
  }

  /** Takes a prefix from its peer. */
  #takeOut(node: number): void {
    this.#countChange();
    this.#unlist(node);
    Atomics.store(this.#peer, node, NONE);
    this.#reclaim(node);
    this.#countChange();
  }

  #available(): number {
    return this.#nodes - this.#header[USED];
  }

  /** A node that nobody reaches yet, with no peer and no children. */
  #take(words: Words, length: number): number {
    const header = this.#header;
    let node = header[FREE_FIRST];
    if (header[TOUCHED] < this.#nodes) {
      node = ++header[TOUCHED];
    } else {
      header[FREE_FIRST] = this.#next[node];
      if (header[FREE_FIRST] === 0) header[FREE_LAST] = 0;
    }
    header[USED]++;
    for (let i = 0; i < 4; i++) {
      const bits = Math.max(0, Math.min(32, length - i * 32));
      const mask = bits === 0 ? 0 : (-1 << (32 - bits));
      this.#key[node * 4 + i] = words[i] & mask;
    }
    this.#bits[node] = length;
    this.#peer[node] = NONE;
    this.#links[node * 2] = 0;
    this.#links[node * 2 + 1] = 0;
    return node;
  }

  /** Hangs a child under a node that is not published yet. */
  #adopt(node: number, child: number): void {
    const link = node * 2 + bitAt(this.#key, child * 4, this.#bits[node]);
    this.#links[link] = child;
    this.#parentLink[child] = link;
  }

  #publish(link: number, node: number, peer: number): void {
    this.#own(node, peer);
    this.#parentLink[node] = link;
    Atomics.store(this.#links, link, node);
  }

  #give(node: number, peer: number): void {
    if (this.#peer[node] === peer) return;
    if (this.#peer[node] !== NONE) this.#unlist(node);
    this.#own(node, peer);
  }

  #own(node: number, peer: number): void {
    const first = this.#first.get(peer) ?? 0;
    this.#next[node] = first;
    this.#previous[node] = 0;
    if (first !== 0) this.#previous[first] = node;
    this.#first.set(peer, node);
    this.#size++;
    Atomics.store(this.#peer, node, peer);
  }

  #unlist(node: number): void {
    const next = this.#next[node];
    const previous = this.#previous[node];
    if (next !== 0) this.#previous[next] = previous;
    if (previous !== 0) this.#next[previous] = next;
    else if (next !== 0) this.#first.set(this.#peer[node], next);
    else this.#first.delete(this.#peer[node]);
    this.#size--;
  }

  /** Takes out a node without a peer, and its parent where that is left idle. */
  #reclaim(start: number): void {
    let node = start;
    while (node !== 0 && this.#peer[node] === NONE) {
      const zero = this.#links[node * 2];
      const one = this.#links[node * 2 + 1];
      if (zero !== 0 && one !== 0) return;
      const link = this.#parentLink[node];
      const child = zero !== 0 ? zero : one;
      if (child !== 0) this.#parentLink[child] = link;
      Atomics.store(this.#links, link, child);
      this.#giveBack(node);
      node = link >> 1;
    }
  }

  /** Queues a node for reuse, behind all others. */
  #giveBack(node: number): void {
    const header = this.#header;
    const last = header[FREE_LAST];
    this.#next[node] = 0;
    if (last === 0) header[FREE_FIRST] = node;
    else this.#next[last] = node;
    header[FREE_LAST] = node;
    header[USED]--;
  }
}

function rootOf(words: Words, length: number): number {
  const mapped = length >= 96 && words[0] === 0 && words[1] === 0 &&
    words[2] === 0xffff;
  return mapped ? IPV4_ROOT : IPV6_ROOT;
}

/** Leading bits that two addresses share, 0 to 128. */
function commonBits(a: Words, i: number, b: Words, j: number): number {
  for (let word = 0; word < 4; word++) {
    const difference = a[i + word] ^ b[j + word];
    if (difference !== 0) return word * 32 + Math.clz32(difference);
  }
  return 128;
}

/** Bit `n` of an address, the most significant being 0. */
function bitAt(words: Words, i: number, n: number): number {
  return (words[i + (n >> 5)] >>> (31 - (n & 31))) & 1;
}
