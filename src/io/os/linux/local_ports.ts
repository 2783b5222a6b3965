/**
 * Local ports of outgoing connections. The system chooses them well while there
 * are few; where thousands of connections to one place are in TIME_WAIT it looks
 * through all ports for each new one, a millisecond at a time, and finds none in
 * the end, although a port of TIME_WAIT may be taken again by name (RFC 6191).
 */

const RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range";
const USUAL_RANGE: PortRange = { first: 32_768, last: 60_999 };
/** How long the system keeps a connection in TIME_WAIT, in ms. */
const TIME_WAIT_MS = 60_000;
/** Connections in that time from which ports are chosen here. */
const MANY = 8192;

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Chooses local ports for the connections of a thread. */
export class LocalPorts {
  readonly #range = readRange();
  readonly #now: () => number;
  #windowAt = 0;
  #inWindow = 0;
  #before = 0;

  /** @param now a clock, ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The port for the next connection; 0 lets the system choose. */
  next(): number {
    const now = this.#now();
    const windows = Math.floor((now - this.#windowAt) / TIME_WAIT_MS);
    if (windows > 0) {
      this.#before = windows === 1 ? this.#inWindow : 0;
      this.#inWindow = 0;
      this.#windowAt += windows * TIME_WAIT_MS;
    }
    this.#inWindow++;
    return this.#inWindow + this.#before > MANY ? this.any() : 0;
  }

  /** Any port of the system's range for outgoing connections. */
  any(): number {
    const { first, last } = this.#range;
    return first + Math.floor(Math.random() * (last - first + 1));
  }
}

/** The range that the system chooses from, for both families. */
function readRange(): PortRange {
  try {
    const [first, last] = Deno.readTextFileSync(RANGE_FILE).trim()
      .split(/\s+/).map(Number);
    return first > 0 && last >= first ? { first, last } : USUAL_RANGE;
  } catch {
    return USUAL_RANGE;
  }
}
