/**
 * The relay worker of `tun2socks`: as relay_worker.ts, and it carries UDP.
 */
/// <reference lib="deno.worker" />
import { type RelayReport, type RelaySetup, runRelayWorker } from "./relay.ts";
import { relayUdp, type RelayUdpSetup } from "./relay_udp.ts";

/** All that the worker needs; survives structured cloning. */
export interface TunRelaySetup extends RelaySetup {
  readonly udp: RelayUdpSetup;
}

self.onmessage = ({ data: setup }: MessageEvent<TunRelaySetup>) => {
  const report = (report: RelayReport) => self.postMessage(report);
  try {
    runRelayWorker(
      setup,
      report,
      ({ host, sockets, dialer }) =>
        relayUdp(setup.udp, { sockets, dialer })(host),
    );
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
