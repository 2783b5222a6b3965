/**
 * Where the messages go that wait to leave through the tunnel's socket, and from
 * which address: the one that the remote knows, as long as the system takes it.
 * Messages that follow each other to one remote have one destination.
 */
import type { TunnelSocketSources } from "./tunnel_socket_sources.ts";

/** See the module header. */
export class TunnelDestinations {
  /** Per destination: its address words, 4 each. */
  readonly words: Int32Array;
  /** Per destination: its port. */
  readonly port: Int32Array;
  /** The address words that {@linkcode findSource} found. */
  readonly source: Int32Array = new Int32Array(4);
  readonly #sources: TunnelSocketSources | undefined;
  /** Per message: its destination. */
  readonly #destination: Int32Array;
  #count = 0;
  /** The message that goes without its source, or -1. */
  #sourceless = -1;
  #failed = 0;

  /** @param capacity messages that can wait */
  constructor(capacity: number, sources: TunnelSocketSources | undefined) {
    this.words = new Int32Array(capacity * 4);
    this.port = new Int32Array(capacity);
    this.#sources = sources;
    this.#destination = new Int32Array(capacity);
  }

  /** The destination of a next message. */
  of(words: Int32Array, i: number, port: number): number {
    const last = this.#count - 1;
    const known = this.words;
    const k = last * 4;
    if (
      last >= 0 && this.port[last] === port && known[k + 3] === words[i + 3] &&
      known[k + 2] === words[i + 2] && known[k + 1] === words[i + 1] &&
      known[k] === words[i]
    ) return last;
    const destination = this.#count++;
    for (let w = 0; w < 4; w++) known[destination * 4 + w] = words[i + w];
    this.port[destination] = port;
    return destination;
  }

  /** Notes which destination a message has. */
  note(message: number, destination: number): void {
    this.#destination[message] = destination;
  }

  /** Looks up the address that a destination knows. @returns whether it is in `source`. */
  findSource(destination: number): boolean {
    const { words, port, source } = this;
    const sources = this.#sources;
    return sources !== undefined &&
      sources.find(words, destination * 4, port[destination], source, 0);
  }

  /** Lets a message go without its source. @returns whether it had one. */
  refuseSource(message: number): boolean {
    const destination = this.#destination[message];
    if (!this.findSource(destination)) return false;
    this.#sources!.refuse(
      this.words,
      destination * 4,
      this.port[destination],
    );
    this.#sourceless = message;
    return true;
  }

  /** Counts a message that failed; where it went without its source, that was not the reason. */
  fail(message: number): void {
    this.#failed++;
    if (this.#sourceless !== message) return;
    const destination = this.#destination[message];
    this.#sources?.allow(this.words, destination * 4, this.port[destination]);
  }

  /** Messages that failed since the last call. */
  takeFailed(): number {
    const failed = this.#failed;
    this.#failed = 0;
    return failed;
  }

  /** Messages are about to leave: none goes without its source yet. */
  begin(): void {
    this.#sourceless = -1;
  }

  /** Nothing waits any more. */
  clear(): void {
    this.#count = 0;
  }
}
