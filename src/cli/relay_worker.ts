/**
 * A worker that relays TCP: gets a RelaySetup, blocks until it is to end, then
 * answers "ended", or the error that kept it from running.
 */
/// <reference lib="deno.worker" />
import { giveBackMemory } from "./give_back_memory.ts";
import { type RelayReport, type RelaySetup, runRelayWorker } from "./relay.ts";

self.onmessage = (event: MessageEvent<RelaySetup>) => {
  const report = (report: RelayReport) => self.postMessage(report);
  try {
    giveBackMemory();
    runRelayWorker(event.data, report);
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
