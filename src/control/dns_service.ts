/**
 * The gateway's DNS: queries that came as packets through the tunnel or by TCP
 * from the gateway's own address go into the proxy; its questions go to the
 * upstreams.
 */
import { buildDatagram } from "../core/flow/datagram.ts";
import {
  type DnsOutput,
  DnsProxy,
  type DnsProxyOptions,
  type DnsTransport,
} from "../core/flow/dns_proxy.ts";
import { DropReason } from "../core/columns/drop_reason.ts";
import { parsePacket } from "../core/wire/packet.ts";
import { PacketView } from "../core/wire/packet_view.ts";
import { verifyTransport } from "../core/wire/transport_checksum.ts";
import { Protocol } from "../core/wire/protocol.ts";
import * as udp from "../core/wire/udp.ts";

/** Asks one upstream. */
export interface DnsUpstreams {
  readonly count: number;
  /** @returns the answer; undefined where there was none in time. */
  ask(
    upstream: number,
    transport: DnsTransport,
    message: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array | undefined>;
}

/** What the service is made of. */
export interface DnsServiceOptions {
  readonly proxy: Omit<DnsProxyOptions, "upstreams">;
  readonly upstreams: DnsUpstreams;
  /** Sends a packet of the gateway itself to a peer. */
  readonly sendPacket: (peer: number, packet: Uint8Array) => void;
  readonly now: () => number;
}

/** Takes the answer. */
type AnswerHandler = (message: Uint8Array) => void;

/** Clients that may wait at once; more are not answered. */
const MAX_WAITING = 8192;

/** One DNS proxy with its clients and upstreams. */
export class DnsService {
  readonly #options: DnsServiceOptions;
  readonly #proxy: DnsProxy;
  readonly #waiting = new Map<number, AnswerHandler>();
  readonly #view = new PacketView();
  #nextToken = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: DnsServiceOptions) {
    this.#options = options;
    const upstreams = options.upstreams.count;
    this.#proxy = new DnsProxy({ ...options.proxy, upstreams });
  }

  /** Queries, cache hits and failures since the start. */
  get statistics(): DnsProxy["statistics"] {
    return this.#proxy.statistics;
  }

  /**
   * A query as a whole IP packet from a peer.
   * @returns why it was dropped, or DropReason.None.
   */
  handlePacket(peer: number, packet: Uint8Array): DropReason {
    const view = this.#view;
    const reason = parsePacket(packet, 0, packet.length, view) ||
      verifyTransport(packet, view);
    if (reason !== DropReason.None) return reason;
    if (view.protocol !== Protocol.Udp) return DropReason.ProtocolNotForwarded;
    const client = { words: view.sourceWords.slice(), port: view.sourcePort };
    const gateway = {
      words: view.destinationWords.slice(),
      port: view.destinationPort,
    };
    const end = view.payloadAt + udp.datagramLength(packet, view.payloadAt);
    const query = packet.slice(view.payloadAt + udp.HEADER_LENGTH, end);
    this.#query("udp", query, (answer) => {
      this.#options.sendPacket(peer, buildDatagram(gateway, client, answer));
    });
    return DropReason.None;
  }

  /** A query that came by TCP. @returns the answer; undefined where there is none. */
  handleStream(query: Uint8Array): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      if (!this.#query("tcp", query, resolve)) resolve(undefined);
    });
  }

  /** Ends timers; what is in flight is not answered. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #query(
    transport: DnsTransport,
    query: Uint8Array,
    answer: AnswerHandler,
  ): boolean {
    if (this.#waiting.size >= MAX_WAITING || this.#stopped) return false;
    const token = this.#nextToken++;
    this.#waiting.set(token, answer);
    const accepted = this.#proxy.handleQuery(
      { token, transport },
      query,
      this.#options.now(),
    );
    if (!accepted) this.#waiting.delete(token);
    this.#drain();
    return accepted;
  }

  /** Carries out what the proxy wants, then waits for its next timeout. */
  #drain(): void {
    for (;;) {
      const output = this.#proxy.poll();
      if (output === undefined) break;
      if (output.kind === "ask") {
        this.#ask(output);
      } else {
        const answer = this.#waiting.get(output.client);
        this.#waiting.delete(output.client);
        answer?.(output.message);
      }
    }
    clearTimeout(this.#timer);
    const next = this.#proxy.nextTimeout();
    if (next === Infinity || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#proxy.handleTimeout(this.#options.now());
      this.#drain();
    }, Math.max(1, next - this.#options.now()));
  }

  async #ask(output: DnsOutput & { kind: "ask" }): Promise<void> {
    const { ask, upstream, transport, message } = output;
    const { timeoutMs } = this.#options.proxy;
    const answer = await this.#options.upstreams
      .ask(upstream, transport, message, timeoutMs)
      .catch(() => undefined);
    if (this.#stopped) return;
    const now = this.#options.now();
    if (answer !== undefined) this.#proxy.handleAnswer(ask, answer, now);
    else this.#proxy.handleFailure(ask, now);
    this.#drain();
  }
}
