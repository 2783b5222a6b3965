/**
 * Which local address each remote last wrote to, so that a host with several
 * addresses answers from the one that the client knows: a NAT in front of the
 * client lets nothing else in.
 *
 * A direct-mapped cache over a shared buffer. The receiving worker alone writes;
 * a row is odd in its first cell while it changes (a seqlock), and cells are
 * touched through Atomics, so that readers take a whole row or none. Two remotes
 * that meet in one row displace each other; the loser's answers leave from the
 * address that the system chooses.
 *
 *     sequence | remote 4 | port | local 4 | unused 2
 */
import { equalWords } from "../../../core/wire/address.ts";

const ROWS = 4096;
const CELLS = 12;
const REMOTE = 1;
const PORT = 5;
const LOCAL = 6;

/** The cache as one thread uses it. */
export class TunnelSocketSources {
  /** Bytes of the buffer that threads share. */
  static readonly BYTE_LENGTH = ROWS * CELLS * 4;

  readonly #cells: Int32Array;
  /** Per row, the sequence of what the system refused to send from; -1 nothing. */
  readonly #refused = new Int32Array(ROWS).fill(-1);

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  /** Notes that `remote` wrote to `local`. Receiving worker only. */
  learn(
    remote: Int32Array,
    r: number,
    port: number,
    local: Int32Array,
    l: number,
  ): void {
    const cells = this.#cells;
    const at = rowOf(remote, r, port) * CELLS;
    if (
      cells[at + PORT] === port &&
      equalWords(cells, at + REMOTE, remote, r) &&
      equalWords(cells, at + LOCAL, local, l)
    ) return;
    Atomics.add(cells, at, 1);
    for (let w = 0; w < 4; w++) {
      Atomics.store(cells, at + REMOTE + w, remote[r + w]);
      Atomics.store(cells, at + LOCAL + w, local[l + w]);
    }
    Atomics.store(cells, at + PORT, port);
    Atomics.add(cells, at, 1);
  }

  /**
   * Looks up where `remote` last wrote to.
   * @returns whether it is known; `local` then holds the address.
   */
  find(
    remote: Int32Array,
    r: number,
    port: number,
    local: Int32Array,
    l: number,
  ): boolean {
    const cells = this.#cells;
    const row = rowOf(remote, r, port);
    const at = row * CELLS;
    const sequence = Atomics.load(cells, at);
    if ((sequence & 1) !== 0 || sequence === this.#refused[row]) return false;
    if (Atomics.load(cells, at + PORT) !== port) return false;
    for (let w = 0; w < 4; w++) {
      if (Atomics.load(cells, at + REMOTE + w) !== remote[r + w]) return false;
      local[l + w] = Atomics.load(cells, at + LOCAL + w);
    }
    return sequence !== 0 && Atomics.load(cells, at) === sequence;
  }

  /** Forgets, for this thread, an address that the host seems to have lost. */
  refuse(remote: Int32Array, r: number, port: number): void {
    const row = rowOf(remote, r, port);
    this.#refused[row] = Atomics.load(this.#cells, row * CELLS);
  }

  /** Takes {@linkcode refuse} back. */
  allow(remote: Int32Array, r: number, port: number): void {
    this.#refused[rowOf(remote, r, port)] = -1;
  }
}

function rowOf(words: Int32Array, i: number, port: number): number {
  let hash = Math.imul(port, 0x9e3779b1);
  for (let w = i; w < i + 4; w++) {
    hash = Math.imul(hash ^ words[w], 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return (hash ^ (hash >>> 16)) & (ROWS - 1);
}
