/**
 * Gives memory back that only starting needed. V8 would keep its garbage for as
 * long as little is allocated afterwards, and in steady state next to nothing
 * is; the program's own pages stay for as long as nobody is short of memory.
 * Measured at a server with two workers: 137 MB became 106.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Platform } from "../io/platform.ts";

/**
 * When it is given back: once what starts beside us, such as workers, has
 * started, and once what is busy has been compiled for it.
 */
const STARTED_MS = [1000, 30_000];
/** After that now and then: what seldom runs brings pages back. */
const INTERVAL_MS = 300_000;

/** Collects the calling thread's garbage; takes some milliseconds. */
export function collectGarbage(): void {
  // The flag counts for contexts that are made after it.
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("typeof gc === 'function' ? gc : 0");
  if (typeof collect === "function") collect();
}

/** Gives back the calling thread's garbage and the program's pages, until it is disposed of. */
export function giveBackNowAndThen(
  platform: Pick<Platform, "giveBackPages">,
): Disposable {
  const giveBack = () => {
    collectGarbage();
    platform.giveBackPages();
  };
  const first = STARTED_MS.map((delayMs) => setTimeout(giveBack, delayMs));
  const others = setInterval(giveBack, INTERVAL_MS);
  return {
    [Symbol.dispose]() {
      first.forEach(clearTimeout);
      clearInterval(others);
    },
  };
}
