/** The relay worker of a split tunnel: many ways out, and UDP of those that are proxies. */
import { FlowTable, type FlowTableOptions } from "../core/flow/flow_table.ts";
import { UdpCounters } from "../datapath/relay/udp_counters.ts";
import { ClientOutbounds } from "./client_outbounds.ts";
import { type RelayNotice, type RelaySetup, runRelayWorker } from "./relay.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface ClientRelaySetup extends RelaySetup {
  readonly flows: {
    readonly buffer: SharedArrayBuffer;
    readonly options: FlowTableOptions;
  };
  /** UdpCounters, of all ways out. */
  readonly udpCounters: SharedArrayBuffer;
  /** An idle UDP session of a proxy ends after this, in ms. */
  readonly udpTimeoutMs: number;
}

serveWorker<ClientRelaySetup, RelayNotice>((setup, platform, tell) => {
  const { flows, udpCounters, udpTimeoutMs } = setup;
  let outbounds: ClientOutbounds | undefined;
  runRelayWorker(setup, platform, tell, {
    openDialer: (parts) =>
      outbounds = new ClientOutbounds({
        ...parts,
        flows: new FlowTable(flows.buffer, flows.options),
        counters: new UdpCounters(udpCounters),
        udpTimeoutMs,
        dnsAnswer: (answer) => tell({ kind: "dns", answer }),
        tell: (text) => tell({ kind: "line", text }),
      }),
    openGuest: ({ host }) => outbounds!.guest(host),
  });
});
