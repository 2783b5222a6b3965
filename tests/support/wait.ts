/**
 * Waiting without blind sleeps: a probe is asked again and again until it
 * answers or a deadline passes.
 */

/** How long and how often to ask. */
export interface WaitOptions {
  /** Time until giving up, in ms; 30,000 where left out. */
  readonly timeoutMs?: number;
  /** Pause between two questions, in ms; 50 where left out. */
  readonly intervalMs?: number;
}

/** Resolves after `ms`; for the pauses between two probes. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The promise's value, or undefined where it takes longer than `ms`. */
export async function within<T>(
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const time = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => time.resolve(undefined), ms);
  try {
    return await Promise.race([promise, time.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks `probe` until it gives something other than undefined, null or false.
 * A probe that throws counts as «not yet».
 *
 * @throws Error naming `what` and the probe's last error, when time is up.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const { timeoutMs = 30_000, intervalMs = 50 } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  while (true) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== null && answer !== false) {
        return answer as Exclude<T, undefined | null | false>;
      }
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const detail = lastError instanceof Error ? `: ${lastError.message}` : "";
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}${detail}`);
    }
    await pause(intervalMs);
  }
}

/**
 * Asserts that something stays true: asks `probe` for the whole of `forMs`.
 *
 * @throws Error naming `what` on the first answer that is not true.
 */
export async function staysTrue(
  what: string,
  probe: () => boolean | Promise<boolean>,
  forMs: number,
): Promise<void> {
  const deadline = performance.now() + forMs;
  while (performance.now() < deadline) {
    if (!await probe()) throw new Error(`${what} ceased to hold`);
    await pause(50);
  }
}
