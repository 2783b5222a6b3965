/** Opens the way out that a setup describes, in the thread that will use it. */
import type { Dialer, DialerSetup, TlsBridgeRequest } from "../ports/dialer.ts";
import type { StreamSockets } from "../ports/stream_sockets.ts";
import { DirectDialer } from "./direct_dialer.ts";
import { HttpDialer } from "./http_dialer.ts";
import { Socks5Dialer } from "./socks5_dialer.ts";

/** What a dialer works with. */
export interface OpenDialerOptions {
  readonly sockets: StreamSockets;
  /**
   * Gives a connection to the thread that speaks TLS, see
   * `TlsBridges.open`; needed where the setup has `tls`.
   */
  readonly bridgeTls?: (request: TlsBridgeRequest) => void;
}

/**
 * Opens a dialer. It holds nothing itself; its dials do.
 * @throws {TypeError} where TLS is wanted and nobody is there to speak it.
 */
export function openDialer(
  setup: DialerSetup,
  options: OpenDialerOptions,
): Dialer {
  const { sockets, bridgeTls } = options;
  switch (setup.kind) {
    case "direct":
      return new DirectDialer(sockets, setup.origin, setup.origin6);
    case "socks5":
      return new Socks5Dialer(setup, sockets);
    case "http":
      return new HttpDialer(setup, sockets, bridgeTls);
  }
}
