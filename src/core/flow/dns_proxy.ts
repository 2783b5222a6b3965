/**
 * A forwarding DNS proxy, sans-I/O: questions of clients in, questions to
 * upstreams and answers to clients out.
 *
 * - The same question in flight is asked once; all who asked get the answer.
 * - An upstream that is silent, fails or refuses is followed by the next one,
 *   and is asked last for a while.
 * - A truncated answer is asked for again by TCP, of the same upstream.
 * - An answer that a client cannot take by UDP is sent truncated.
 */
import {
  DNS_UDP_LIMIT,
  type DnsMessage,
  emptyDnsAnswer,
  parseDns,
  ResponseCode,
  setDnsId,
} from "../wire/dns.ts";
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
  readonly local: (query: DnsMessage, bytes: Uint8Array) =>
    | Uint8Array
    | undefined;
}

/** What a proxy asks of the world. */
export type DnsOutput =
  | {
    readonly kind: "ask";
    /** Names the question in handleAnswer and handleFailure. */
    readonly question: number;
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
  queries: number;
  answeredFromCache: number;
  joined: number;
  upstreamFailures: number;
  refused: number;
}

interface Client {
  readonly token: number;
  readonly transport: DnsTransport;
  readonly query: Uint8Array;
  readonly message: DnsMessage;
}

interface Question {
  readonly number: number;
  readonly key: string;
  readonly query: Uint8Array;
  readonly message: DnsMessage;
  readonly clients: Client[];
  /** Upstreams still to be tried. */
  readonly left: number[];
  id: number;
  upstream: number;
  transport: DnsTransport;
  deadline: number;
}

/** Questions in flight, and clients that wait for one of them. */
const MAX_QUESTIONS = 2048;
const MAX_CLIENTS = 128;
/** An upstream that failed is asked last for so long, in ms. */
const PENALTY_MS = 30_000;
/** By UDP we give no more, whatever a client says (no fragments: RFC 9715). */
const UDP_ANSWER_LIMIT = 1232;
const OPCODE_QUERY = 0;

/** One proxy for all clients. */
export class DnsProxy {
  readonly statistics: DnsStatistics = {
    queries: 0,
    answeredFromCache: 0,
    joined: 0,
    upstreamFailures: 0,
    refused: 0,
  };
  readonly #options: DnsProxyOptions;
  readonly #cache: DnsCache;
  readonly #byKey = new Map<string, Question>();
  readonly #byNumber = new Map<number, Question>();
  readonly #penaltyUntil: number[];
  readonly #outputs: DnsOutput[] = [];
  #nextNumber = 1;

  constructor(options: DnsProxyOptions) {
    this.#options = options;
    this.#cache = new DnsCache(options.cache);
    this.#penaltyUntil = new Array(options.upstreams).fill(0);
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
    if (message === undefined || message.response) return false;
    this.statistics.queries++;
    const waiting = { ...client, query, message };
    if (message.opcode === OPCODE_QUERY) this.#resolve(waiting, now);
    else this.#fail(waiting, ResponseCode.NotImplemented);
    return true;
  }

  #resolve(client: Client, now: number): void {
    const { message, query } = client;
    const local = this.#options.local(message, query);
    if (local !== undefined) return this.#answer(client, local);
    const key = questionKey(message);
    const kept = this.#cache.get(key, now);
    if (kept !== undefined) {
      this.statistics.answeredFromCache++;
      return this.#answer(client, kept);
    }
    this.#forward(client, key, now);
  }

  /** An upstream's answer to the question of that number. */
  handleAnswer(number: number, bytes: Uint8Array, now: number): void {
    const question = this.#byNumber.get(number);
    const answer = parseDns(bytes);
    if (question === undefined || answer === undefined) return;
    if (!answer.response || answer.id !== question.id) return;
    if (questionName(answer) !== questionName(question.message)) return;
    if (answer.truncated && question.transport === "udp") {
      return this.#ask(question, question.upstream, "tcp", now);
    }
    if (
      answer.responseCode === ResponseCode.ServerFailure ||
      answer.responseCode === ResponseCode.Refused
    ) {
      return this.#next(question, now, bytes);
    }
    const { ttlOffsets, cacheSeconds: seconds } = answer;
    this.#cache.set(question.key, bytes, { ttlOffsets, seconds, now });
    this.#finish(question, bytes);
  }

  /** The upstream could not be asked, or did not answer. */
  handleFailure(
    number: number,
    asked: { upstream: number; now: number },
  ): void {
    const question = this.#byNumber.get(number);
    // Somebody else may be asked by now: the proxy has a timeout of its own.
    if (question?.upstream !== asked.upstream) return;
    this.#next(question, asked.now, undefined);
  }

  /** What to do next; call it until it gives undefined. */
  poll(): DnsOutput | undefined {
    return this.#outputs.shift();
  }

  /** When handleTimeout is due; Infinity where nothing waits. */
  nextTimeout(): number {
    let next = Infinity;
    for (const question of this.#byNumber.values()) {
      next = Math.min(next, question.deadline);
    }
    return next;
  }

  /** Gives up on upstreams that were silent too long. */
  handleTimeout(now: number): void {
    for (const question of [...this.#byNumber.values()]) {
      if (question.deadline <= now) this.#next(question, now, undefined);
    }
  }

  #forward(client: Client, key: string, now: number): void {
    const same = this.#byKey.get(key);
    if (same !== undefined) {
      this.statistics.joined++;
      if (same.clients.length < MAX_CLIENTS) same.clients.push(client);
      else this.#fail(client, ResponseCode.ServerFailure);
      return;
    }
    if (this.#byNumber.size >= MAX_QUESTIONS) {
      this.statistics.refused++;
      return this.#fail(client, ResponseCode.ServerFailure);
    }
    const question: Question = {
      number: this.#nextNumber++,
      key,
      query: client.query,
      message: client.message,
      clients: [client],
      left: this.#order(now),
      id: 0,
      upstream: -1,
      transport: "udp",
      deadline: Infinity,
    };
    this.#byKey.set(key, question);
    this.#byNumber.set(question.number, question);
    this.#ask(question, question.left.shift() ?? 0, "udp", now);
  }

  /** Upstreams by preference, those that failed lately last. */
  #order(now: number): number[] {
    const all = this.#penaltyUntil.map((_, upstream) => upstream);
    const penalty = (upstream: number) =>
      this.#penaltyUntil[upstream] > now ? 1 : 0;
    return all.sort((a, b) => penalty(a) - penalty(b) || a - b);
  }

  #ask(
    question: Question,
    upstream: number,
    transport: DnsTransport,
    now: number,
  ): void {
    question.upstream = upstream;
    question.transport = transport;
    question.id = this.#options.random16();
    question.deadline = now + this.#options.timeoutMs;
    const message = question.query.slice();
    setDnsId(message, question.id);
    const { number } = question;
    this.#outputs.push({
      kind: "ask",
      question: number,
      upstream,
      transport,
      message,
    });
  }

  /** The upstream failed: the next one, or the failure itself, to the clients. */
  #next(question: Question, now: number, answer: Uint8Array | undefined): void {
    this.statistics.upstreamFailures++;
    this.#penaltyUntil[question.upstream] = now + PENALTY_MS;
    const upstream = question.left.shift();
    if (upstream !== undefined) {
      this.#ask(question, upstream, "udp", now);
    } else if (answer !== undefined) {
      this.#finish(question, answer);
    } else {
      this.#forget(question);
      for (const client of question.clients) {
        this.#fail(client, ResponseCode.ServerFailure);
      }
    }
  }

  #finish(question: Question, answer: Uint8Array): void {
    this.#forget(question);
    for (const client of question.clients) this.#answer(client, answer.slice());
  }

  #forget(question: Question): void {
    this.#byKey.delete(question.key);
    this.#byNumber.delete(question.number);
  }

  /** Sends an answer, the client's own id and spelling of the name in it. */
  #answer(client: Client, answer: Uint8Array): void {
    const { message, query, transport, token } = client;
    if (transport === "udp" && answer.length > udpLimit(message)) {
      const truncated = { responseCode: ResponseCode.NoError, truncated: true };
      answer = emptyDnsAnswer(query, message, truncated);
    }
    setDnsId(answer, message.id);
    answer.set(query.subarray(12, message.questionEnd), 12);
    this.#outputs.push({ kind: "answer", client: token, message: answer });
  }

  #fail(client: Client, responseCode: number): void {
    const answer = emptyDnsAnswer(client.query, client.message, {
      responseCode,
      truncated: false,
    });
    this.#answer(client, answer);
  }
}

function udpLimit(message: DnsMessage): number {
  return Math.min(Math.max(message.udpLimit, DNS_UDP_LIMIT), UDP_ANSWER_LIMIT);
}

function questionName(message: DnsMessage): string {
  return `${message.name} ${message.type} ${message.class}`;
}

/** What makes two questions the same: also the flags that change the answer. */
function questionKey(message: DnsMessage): string {
  const flags = (message.recursionDesired ? 1 : 0) |
    (message.checkingDisabled ? 2 : 0) | (message.dnssec ? 4 : 0) |
    (message.udpLimit > 0 ? 8 : 0);
  return `${questionName(message)} ${flags}`;
}
