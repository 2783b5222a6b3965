/**
 * Whether resolvers answer, by the questions that programs ask them and the
 * answers that come back. One that was asked twice and said nothing for the
 * whole time-out is unreachable: the next one of its list is asked, and it again
 * when some time has passed or nobody else is left.
 */
import { formatAddress } from "../../core/wire/address.ts";
import type { Resolver } from "./client_plan.ts";

/** A resolver as it is reached: by a tunnel, or direct. */
export interface ReachedResolver {
  readonly resolver: Resolver;
  /** Undefined for direct. */
  readonly tunnel: string | undefined;
}

/** What the watch works with. */
export interface ResolverWatchOptions {
  readonly onChange: (
    reached: ReachedResolver,
    now: "unreachable" | "answers",
  ) => void;
}

/** So long an unreachable resolver is passed over. */
const RETRY_MS = 30_000;
/** One question can be lost by chance. */
const LEAST_QUESTIONS = 2;

interface Standing {
  readonly reached: ReachedResolver;
  /** Questions since the last answer. */
  questions: number;
  /** When the first of those was asked. */
  askedAt: number;
  /** Undefined while it is reachable. */
  unreachableSince: number | undefined;
  /** Passed over until then. */
  retryAt: number;
}

/** The resolvers that were asked. */
export class ResolverWatch {
  readonly #options: ResolverWatchOptions;
  readonly #standings = new Map<string, Standing>();
  /** In ms; set with the plan. */
  timeoutMs: number;

  constructor(timeoutMs: number, options: ResolverWatchOptions) {
    this.timeoutMs = timeoutMs;
    this.#options = options;
  }

  /** The first of a list that answers, as far as is known. */
  choose(
    resolvers: readonly Resolver[],
    tunnel: string | undefined,
    now: number,
  ): Resolver | undefined {
    return resolvers.find((resolver) => {
      const standing = this.#standings.get(keyOf({ resolver, tunnel }));
      return standing?.unreachableSince === undefined ||
        standing.retryAt <= now;
    }) ?? resolvers[0];
  }

  /** A question goes out to a resolver. */
  noteQuestion(reached: ReachedResolver, now: number): void {
    const key = keyOf(reached);
    const standing = this.#standings.get(key) ?? {
      reached,
      questions: 0,
      askedAt: now,
      unreachableSince: undefined,
      retryAt: 0,
    };
    if (standing.questions++ === 0) standing.askedAt = now;
    this.#standings.set(key, standing);
  }

  /** An answer came from a resolver. */
  noteAnswer(reached: ReachedResolver): void {
    const key = keyOf(reached);
    const standing = this.#standings.get(key);
    this.#standings.delete(key);
    if (standing?.unreachableSince !== undefined) {
      this.#options.onChange(reached, "answers");
    }
  }

  /** Those that do not answer. */
  unreachable(): ReachedResolver[] {
    return [...this.#standings.values()]
      .filter(({ unreachableSince }) => unreachableSince !== undefined)
      .map(({ reached }) => reached);
  }

  /** Forgets everything: the network is another one. */
  clear(): void {
    this.#standings.clear();
  }

  /** When {@linkcode handleTimeout} is due; Infinity where it isn't. */
  nextTimeout(): number {
    let next = Infinity;
    for (const standing of this.#standings.values()) {
      if (isSuspect(standing)) {
        next = Math.min(next, standing.askedAt + this.timeoutMs);
      }
    }
    return next;
  }

  /** Time has passed. */
  handleTimeout(now: number): void {
    for (const standing of [...this.#standings.values()]) {
      if (!isSuspect(standing)) continue;
      if (now - standing.askedAt < this.timeoutMs) continue;
      const isNews = standing.unreachableSince === undefined;
      standing.unreachableSince ??= now;
      standing.retryAt = now + RETRY_MS;
      standing.questions = 0;
      if (isNews) this.#options.onChange(standing.reached, "unreachable");
    }
  }
}

function isSuspect({ questions, unreachableSince }: Standing): boolean {
  // Of one that is known to be silent a single question more says the same.
  return questions >= (unreachableSince === undefined ? LEAST_QUESTIONS : 1);
}

function keyOf({ resolver, tunnel }: ReachedResolver): string {
  return `${tunnel ?? ""}|${formatAddress(resolver.words)}|${resolver.port}`;
}
