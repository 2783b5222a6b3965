/** The relay worker of `tun2socks`: as relay_worker.ts, and it carries UDP. */
import { type RelayNotice, type RelaySetup, runRelayWorker } from "./relay.ts";
import { relayUdp, type RelayUdpSetup } from "./relay_udp.ts";
import { serveWorker } from "./worker_thread.ts";

/** All that the worker needs; survives structured cloning. */
export interface TunRelaySetup extends RelaySetup {
  readonly udp: RelayUdpSetup;
}

serveWorker<TunRelaySetup, RelayNotice>((setup, platform, tell) =>
  runRelayWorker(setup, platform, tell, {
    openGuest: ({ host, sockets, dialer }) =>
      relayUdp(setup.udp, { sockets, dialer })(host),
  })
);
