/**
 * A forwarding DNS proxy, sans-I/O: questions of clients in, questions to
 * upstreams and answers to clients out.
 *
 * - The same question in flight is asked once; all who asked get the answer.
 * - An upstream that is silent, fails or refuses is followed by the next one.
 *   One that was silent is asked last for a while.
 * - A truncated answer is asked for again by TCP, of the same upstream.
 * - An answer that a client cannot take by UDP is sent truncated.
 */
import {
  type DnsMessage,
  isAnswerTo,
  parseDns,
  RecordType,
  ResponseCode,
} from "../wire/dns.ts";
import {
  EDNS_UDP_LIMIT,
  emitDnsAnswer,
  emitDnsQuery,
  readdressDns,
} from "../wire/dns_emit.ts";
import { DnsCache, type DnsCacheOptions } from "./dns_cache.ts";

/** How a question or an answer travels. */
export type DnsTransport = "udp" | "tcp";

/** What a proxy is told once. */
export interface DnsProxyOptions {
  /** How many upstreams there are, in order of preference. */
  readonly upstreams: number;
  /** How long one upstream may take, in ms. */
  readonly timeoutMs: number;
  readonly cache: DnsCacheOptions;
  /** An unpredictable number below 65,536: ids of questions (RFC 5452). */
  readonly random16: () => number;
  /**
   * Answers that need no upstream: names of peers.
   * @returns a whole answer to the query, or undefined to forward it.
   */
  readonly local: (query: DnsMessage) => Uint8Array | undefined;
}

/** What a proxy asks of the world. */
export type DnsOutput =
  | {
    readonly kind: "ask";
    /** Names this asking in handleAnswer and handleFailure. */
    readonly ask: number;
    readonly upstream: number;
    readonly transport: DnsTransport;
    readonly message: Uint8Array;
  }
  | {
    readonly kind: "answer";
    /** The token that came with the query. */
    readonly client: number;
    readonly message: Uint8Array;
  };

/** Counts since the start. */
export interface DnsStatistics {
  /** Well-formed queries. */
  queries: number;
  /** Messages of clients that are none. */
  malformed: number;
  answeredFromCache: number;
  joined: number;
  /** Upstreams that were silent, failed or refused. */
  upstreamFailures: number;
  /** Queries beyond a limit: told «server failure». */
  refused: number;
}

interface Client {
  readonly token: number;
  readonly transport: DnsTransport;
  readonly message: DnsMessage;
}

/** What clients wait for. */
interface Question {
  readonly key: string;
  readonly message: DnsMessage;
  readonly clients: Client[];
  /** Upstreams still to be asked. */
  left: readonly number[];
}

/** One question at one upstream. */
interface Ask {
  readonly question: Question;
  readonly upstream: number;
  readonly transport: DnsTransport;
  readonly query: Uint8Array;
  readonly deadline: number;
}

/** Questions in flight, and clients that wait for one of them. */
const MAX_QUESTIONS = 2048;
const MAX_CLIENTS = 128;
/** An upstream that was silent is asked last for so long, in ms. */
const PENALTY_MS = 30_000;
/** By UDP a client without EDNS takes no more (RFC 1035 section 2.3.4). */
const PLAIN_UDP_LIMIT = 512;
const OPCODE_QUERY = 0;

/** One proxy for all clients. */
export class DnsProxy {
  readonly statistics: DnsStatistics = {
    queries: 0,
    malformed: 0,
    answeredFromCache: 0,
    joined: 0,
    upstreamFailures: 0,
    refused: 0,
  };
  readonly #options: DnsProxyOptions;
  readonly #cache: DnsCache;
  readonly #questions = new Map<string, Question>();
  /** All wait equally long: in the order of their deadlines. */
  readonly #asks = new Map<number, Ask>();
  readonly #penaltyUntil: number[];
  readonly #outputs: DnsOutput[] = [];
  #nextAsk = 1;

  constructor(options: DnsProxyOptions) {
    this.#options = options;
    this.#cache = new DnsCache(options.cache);
    this.#penaltyUntil = new Array(options.upstreams).fill(0);
  }

  /** Questions in flight. */
  get inFlight(): number {
    return this.#questions.size;
  }

  /**
   * A client's query.
   * @returns whether it is one; then an answer to the client follows.
   */
  handleQuery(
    client: { token: number; transport: DnsTransport },
    query: Uint8Array,
    now: number,
  ): boolean {
    const message = parseDns(query);
    if (message === undefined || message.response) {
      this.statistics.malformed++;
      return false;
    }
    this.statistics.queries++;
    const waiting = { ...client, message };
    if (isForwardable(message)) this.#resolve(waiting, now);
    else this.#fail(waiting, ResponseCode.NotImplemented);
    return true;
  }

  /** What came as the answer to an asking; anything else is ignored. */
  handleAnswer(number: number, bytes: Uint8Array, now: number): void {
    const ask = this.#asks.get(number);
    if (ask === undefined || !isAnswerTo(bytes, ask.query)) return;
    const answer = parseDns(bytes);
    if (answer === undefined) return this.handleFailure(number, now);
    this.#asks.delete(number);
    const { question, upstream } = ask;
    this.#penaltyUntil[upstream] = 0;
    if (answer.truncated && ask.transport === "udp") {
      return this.#ask(question, upstream, "tcp", now);
    }
    if (
      answer.responseCode === ResponseCode.ServerFailure ||
      answer.responseCode === ResponseCode.Refused
    ) {
      this.statistics.upstreamFailures++;
      // It would say the same again.
      question.left = question.left.filter((other) => other !== upstream);
      return this.#next(question, now, bytes);
    }
    const { ttlOffsets, cacheSeconds: seconds } = answer;
    this.#cache.set(question.key, bytes, { ttlOffsets, seconds, now });
    this.#finish(question, bytes);
  }

  /** The upstream could not be asked, or gave no answer. */
  handleFailure(number: number, now: number): void {
    const ask = this.#asks.get(number);
    if (ask === undefined) return;
    this.#asks.delete(number);
    this.statistics.upstreamFailures++;
    this.#penaltyUntil[ask.upstream] = now + PENALTY_MS;
    this.#next(ask.question, now, undefined);
  }

  /** What to do next; call it until it gives undefined. */
  poll(): DnsOutput | undefined {
    return this.#outputs.shift();
  }

  /** When handleTimeout is due; Infinity where nothing waits. */
  nextTimeout(): number {
    for (const { deadline } of this.#asks.values()) return deadline;
    return Infinity;
  }

  /** Gives up on upstreams that were silent too long. */
  handleTimeout(now: number): void {
    for (const [number, { deadline }] of this.#asks) {
      if (deadline > now) return;
      this.handleFailure(number, now);
    }
  }

  #resolve(client: Client, now: number): void {
    const { message } = client;
    const local = this.#options.local(message);
    if (local !== undefined) return this.#answer(client, local);
    const key = questionKey(message);
    const kept = this.#cache.get(key, now);
    if (kept !== undefined) {
      this.statistics.answeredFromCache++;
      return this.#answer(client, kept);
    }
    const same = this.#questions.get(key);
    if (same === undefined) this.#open(client, key, now);
    else this.#join(client, same);
  }

  #join(client: Client, question: Question): void {
    if (question.clients.length >= MAX_CLIENTS) return this.#refuse(client);
    this.statistics.joined++;
    question.clients.push(client);
  }

  #open(client: Client, key: string, now: number): void {
    if (this.#questions.size >= MAX_QUESTIONS) return this.#refuse(client);
    const { message } = client;
    const left = this.#order(now);
    const question: Question = { key, message, clients: [client], left };
    this.#questions.set(key, question);
    this.#next(question, now, undefined);
  }

  /** Upstreams by preference; those that were silent lately last, the longest ago first. */
  #order(now: number): number[] {
    const penalty = this.#penaltyUntil.map((until) => until > now ? until : 0);
    const order = [...penalty.keys()];
    order.sort((a, b) => penalty[a] - penalty[b] || a - b);
    // A datagram may be lost: a single upstream gets a second chance.
    return order.length === 1 ? [...order, ...order] : order;
  }

  /** Asks the next upstream; after the last one the clients get what the last one said. */
  #next(
    question: Question,
    now: number,
    refusal: Uint8Array | undefined,
  ): void {
    const [upstream, ...left] = question.left;
    if (upstream !== undefined) {
      question.left = left;
      return this.#ask(question, upstream, "udp", now);
    }
    if (refusal !== undefined) return this.#finish(question, refusal);
    this.#questions.delete(question.key);
    for (const client of question.clients) {
      this.#fail(client, ResponseCode.ServerFailure);
    }
  }

  #ask(
    question: Question,
    upstream: number,
    transport: DnsTransport,
    now: number,
  ): void {
    const ask = this.#nextAsk++;
    const message = emitDnsQuery(question.message, this.#options.random16());
    const deadline = now + this.#options.timeoutMs;
    this.#asks.set(ask, {
      question,
      upstream,
      transport,
      query: message,
      deadline,
    });
    this.#outputs.push({ kind: "ask", ask, upstream, transport, message });
  }

  #finish(question: Question, answer: Uint8Array): void {
    this.#questions.delete(question.key);
    for (const client of question.clients) this.#answer(client, answer.slice());
  }

  #answer(client: Client, answer: Uint8Array): void {
    const { message, transport, token } = client;
    if (transport === "udp" && answer.length > udpLimit(message)) {
      answer = emitDnsAnswer(message, {
        responseCode: ResponseCode.NoError,
        truncated: true,
      });
    }
    readdressDns(answer, message);
    this.#outputs.push({ kind: "answer", client: token, message: answer });
  }

  #refuse(client: Client): void {
    this.statistics.refused++;
    this.#fail(client, ResponseCode.ServerFailure);
  }

  #fail(client: Client, responseCode: number): void {
    this.#answer(client, emitDnsAnswer(client.message, { responseCode }));
  }
}

/** Zone transfers are many messages; we pass on one. */
function isForwardable({ opcode, type }: DnsMessage): boolean {
  return opcode === OPCODE_QUERY &&
    type !== RecordType.AXFR && type !== RecordType.IXFR;
}

function udpLimit({ edns }: DnsMessage): number {
  const limit = Math.max(edns?.udpLimit ?? 0, PLAIN_UDP_LIMIT);
  return Math.min(limit, EDNS_UDP_LIMIT);
}

/** What makes two questions the same: also what else changes the answer. */
function questionKey(message: DnsMessage): string {
  const { name, type, requestFlags, edns } = message;
  const extension = edns === undefined ? "" : edns.dnssec ? "DO" : "EDNS";
  return `${name} ${type} ${message.class} ${requestFlags} ${extension}`;
}
