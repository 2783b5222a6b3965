/** Parts of the Linux platform over a C library of the test's own. */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  attachOutside,
  openOutside,
} from "../../../../src/io/os/linux/outside.ts";
import {
  attachPoller,
  openPoller,
} from "../../../../src/io/os/linux/poller.ts";
import {
  attachTunnelSocket,
  openTunnelSocket,
} from "../../../../src/io/os/linux/tunnel_socket.ts";
import { openWake } from "../../../../src/io/os/linux/wake.ts";
import type { OutsidePlatform } from "../../../support/outside_end.ts";
import type { TunnelSocketPlatform } from "../../../support/tunnel_end.ts";

/** The sockets of Linux. */
export function linuxSockets(
  libc: Libc,
): TunnelSocketPlatform & OutsidePlatform {
  return {
    openTunnelSocket: (options) => openTunnelSocket(libc, options),
    attachTunnelSocket: (attachment) => attachTunnelSocket(libc, attachment),
    openWake: () => openWake(libc),
    openPoller: () => openPoller(libc),
    attachPoller: (attachment) => attachPoller(libc, attachment),
    openOutside: (options) => openOutside(libc, options),
    attachOutside: (attachment) => attachOutside(libc, attachment),
  };
}
