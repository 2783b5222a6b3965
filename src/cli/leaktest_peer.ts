/**
 * The far end of a leak test: answers each probe with the source that it saw,
 * and keeps what it has seen of each run, so that the tester learns of probes
 * whose answers were lost too. Bounded in runs, probes and connections.
 */
import { formatAddress } from "../core/wire/address.ts";
import type { EchoListener } from "../io/ports.ts";
import {
  type Arrival,
  dnsAnswer,
  findPing,
  formatArrivals,
  parseDnsProbe,
  parseQuestion,
  type ProbeName,
  QUESTION_LENGTH,
  REPORT,
} from "./leaktest_message.ts";
import { accepted } from "../io/accepted.ts";

/** Where a peer listens. */
export interface LeakPeerOptions {
  /** Addresses to listen on. */
  readonly addresses: readonly string[];
  /** UDP and TCP; 0 takes any. */
  readonly port: number;
  /** UDP. */
  readonly dnsPort: number;
  /** Undefined where pings can't be seen. */
  readonly pings: EchoListener | undefined;
  /** A probe has arrived; `how` is tcp, udp, dns or icmp. */
  readonly onArrival: (how: string, probe: ProbeName, source: string) => void;
  /** Something can't be listened on. */
  readonly onRefused: (what: string, reason: string) => void;
}

const MOST_RUNS = 1000;
const MOST_ARRIVALS = 256;
const MOST_CONNECTIONS = 64;
const CONNECTION_MS = 5000;
const PING_INTERVAL_MS = 50;

/** What has arrived, by run. */
export class ArrivalBook {
  readonly #runs = new Map<string, Map<string, Arrival>>();

  /** Notes a probe. @returns whether it is new. */
  note({ run, number }: ProbeName, source: string): boolean {
    const seen = this.#runs.get(run) ?? new Map<string, Arrival>();
    // The last used stands last.
    this.#runs.delete(run);
    this.#runs.set(run, seen);
    if (this.#runs.size > MOST_RUNS) {
      this.#runs.delete(this.#runs.keys().next().value!);
    }
    const key = `${number} ${source}`;
    if (seen.has(key) || seen.size >= MOST_ARRIVALS) return false;
    seen.set(key, { number, source });
    return true;
  }

  /** All of a run. */
  report(run: string): Arrival[] {
    return [...this.#runs.get(run)?.values() ?? []];
  }
}

/** A listening peer, until it is disposed of. */
export class LeakPeer implements Disposable {
  /** The port that was taken. */
  readonly port: number;
  readonly #options: LeakPeerOptions;
  readonly #book = new ArrivalBook();
  readonly #resources = new DisposableStack();
  #connections = 0;

  /** @throws what the system says where the port itself can't be had. */
  constructor(options: LeakPeerOptions) {
    this.#options = options;
    let { port } = options;
    for (const hostname of options.addresses) {
      const listener = Deno.listen({ hostname, port });
      port = (listener.addr as Deno.NetAddr).port;
      this.#resources.defer(() => listener.close());
      void this.#accept(listener);
      this.#listenUdp(hostname, port, (bytes, source) => {
        const text = new TextDecoder().decode(bytes);
        if (bytes.length < QUESTION_LENGTH) return undefined;
        return new TextEncoder().encode(this.#answer("udp", text, source));
      });
      this.#listenDns(hostname, options.dnsPort);
    }
    this.port = port;
    this.#watchPings();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #listenDns(hostname: string, port: number): void {
    try {
      this.#listenUdp(hostname, port, (bytes, source) => {
        const parsed = parseDnsProbe(bytes);
        if (parsed === undefined) return undefined;
        this.#note("dns", parsed.probe, source);
        return dnsAnswer(parsed.message, source);
      });
    } catch (error) {
      this.#options.onRefused(
        `DNS at ${hostname} port ${port}`,
        (error as Error).message,
      );
    }
  }

  #listenUdp(
    hostname: string,
    port: number,
    answer: (bytes: Uint8Array, source: string) => Uint8Array | undefined,
  ): void {
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.#resources.defer(() => socket.close());
    void (async () => {
      for await (const [bytes, from] of socket) {
        const reply = answer(bytes, plainAddress(from as Deno.NetAddr));
        // Nobody may be there any more: that is their affair.
        if (reply !== undefined) await socket.send(reply, from).catch(() => {});
      }
    })();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const connection of accepted(listener)) {
      if (this.#connections >= MOST_CONNECTIONS) {
        connection.close();
        continue;
      }
      this.#connections++;
      this.#serve(connection).catch(() => {}).finally(() => {
        this.#connections--;
      });
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    const close = () => {
      try {
        connection.close();
      } catch {
        // Closed already.
      }
    };
    const timer = setTimeout(close, CONNECTION_MS);
    try {
      const source = plainAddress(connection.remoteAddr as Deno.NetAddr);
      const bytes = new Uint8Array(QUESTION_LENGTH);
      let length = 0;
      while (length < bytes.length && !bytes.includes(0x0a)) {
        const count = await connection.read(bytes.subarray(length));
        if (count === null) break;
        length += count;
      }
      const text = new TextDecoder().decode(bytes.subarray(0, length));
      const reply = new TextEncoder().encode(this.#answer("tcp", text, source));
      for (let at = 0; at < reply.length;) {
        at += await connection.write(reply.subarray(at));
      }
    } finally {
      clearTimeout(timer);
      close();
    }
  }

  #answer(how: string, text: string, source: string): string {
    const probe = parseQuestion(text);
    if (probe === undefined) return formatArrivals([]);
    if (probe.number === REPORT) {
      // With the asker's own source first.
      const own = { number: REPORT, source };
      return formatArrivals([own, ...this.#book.report(probe.run)]);
    }
    this.#note(how, probe, source);
    return formatArrivals([{ number: probe.number, source }]);
  }

  #watchPings(): void {
    const { pings } = this.#options;
    if (pings === undefined) return;
    const timer = setInterval(() => {
      for (
        let request = pings.next();
        request !== undefined;
        request = pings.next()
      ) {
        const probe = findPing(request.data);
        if (probe === undefined) continue;
        this.#note("icmp", probe, formatAddress(request.source));
      }
    }, PING_INTERVAL_MS);
    this.#resources.defer(() => clearInterval(timer));
  }

  #note(how: string, probe: ProbeName, source: string): void {
    if (this.#book.note(probe, source)) {
      this.#options.onArrival(how, probe, source);
    }
  }
}

/** The address without its port; an IPv4 one plain. */
function plainAddress({ hostname }: Deno.NetAddr): string {
  return hostname.replace(/^::ffff:(?=\d+\.)/i, "");
}
