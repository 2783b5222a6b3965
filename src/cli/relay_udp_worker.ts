/**
 * A worker that relays TCP and UDP: gets a RelaySetup with a RelayUdpSetup,
 * blocks until it is to end, then answers "ended", or the error that kept it
 * from running.
 */
/// <reference lib="deno.worker" />
import { type RelayReport, type RelaySetup, runRelayWorker } from "./relay.ts";
import { openRelayUdp, type RelayUdpSetup } from "./relay_udp.ts";

self.onmessage = (event: MessageEvent<RelaySetup & RelayUdpSetup>) => {
  const setup = event.data;
  const report = (report: RelayReport) => self.postMessage(report);
  try {
    runRelayWorker(setup, report, (parts) => openRelayUdp(setup, parts));
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
