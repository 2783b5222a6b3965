/**
 * A worker that runs one pump: gets a PumpSetup, answers "ready" before it
 * blocks and "ended" after, or the error that kept it from running.
 */
/// <reference lib="deno.worker" />
import { type PumpSetup, runPump } from "./pump.ts";

/** What a pump's worker says. */
export type PumpReport =
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string };

self.onmessage = (event: MessageEvent<PumpSetup>) => {
  const report = (report: PumpReport) => self.postMessage(report);
  try {
    runPump(event.data);
    report({ kind: "ended" });
  } catch (error) {
    report({
      kind: "failed",
      message: error instanceof Error
        ? error.stack ?? error.message
        : String(error),
    });
  }
  self.close();
};
