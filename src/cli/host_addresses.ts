/**
 * The host's own addresses outside as a shared column: those that it has now,
 * also those that came after the start. Whoever asks for one of them asks the
 * host, which `forward.host` may deny.
 */
import { parseAddress } from "../core/wire/address.ts";
import { sharedBuffer } from "../core/columns/columns.ts";

/** Addresses that are looked at; more than a host has. */
const CAPACITY = 256;
/** Loopback and link-local. */
const LOCAL = /^(?:127\.|fe80:|::1$)/;
/** How late an address may be noticed, in ms. */
const INTERVAL_MS = 2000;

/** See the module header; disposing of it stops looking. */
export class HostAddresses implements Disposable {
  /** 4 words an address; the first that is all zeros ends them. */
  readonly column: Int32Array = new Int32Array(sharedBuffer(CAPACITY * 16));
  readonly #tunnelName: string;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param tunnelName the interface of our own, which does not count. */
  constructor(tunnelName: string) {
    this.#tunnelName = tunnelName;
    this.refresh();
    this.#timer = setInterval(() => this.refresh(), INTERVAL_MS);
  }

  /** Reads them anew. */
  refresh(): void {
    const words = readAddresses(this.#tunnelName).slice(0, CAPACITY)
      .flatMap((address) => [...address]);
    // Only what differs is written: workers read meanwhile.
    for (let i = 0; i < this.column.length; i++) {
      const word = (words[i] ?? 0) | 0;
      if (this.column[i] !== word) Atomics.store(this.column, i, word);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Address words of all but loopback, link-local and the tunnel's own. */
function readAddresses(tunnelName: string): Uint32Array[] {
  return Deno.networkInterfaces()
    .filter(({ name, address }) => name !== tunnelName && !LOCAL.test(address))
    .flatMap(({ address }) => parseAddress(address) ?? []);
}
