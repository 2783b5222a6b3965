/**
 * A worker that runs pumps: gets a PumpSetup, blocks until it is to end, then
 * answers "ended", or the error that kept it from running.
 */
/// <reference lib="deno.worker" />
import { giveBackMemory } from "./give_back_memory.ts";
import { type PumpSetup, runWorker } from "./pump.ts";

/** What a worker says. */
export type PumpReport =
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string };

self.onmessage = (event: MessageEvent<PumpSetup>) => {
  const report = (report: PumpReport) => self.postMessage(report);
  try {
    giveBackMemory();
    runWorker(event.data);
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
