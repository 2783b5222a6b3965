/** What threads of the packet path use of Linux; see the WorkerPlatform interface. */
import { type Libc, openLibc } from "../../../../ffi/libc.ts";
import type { WorkerPlatform } from "../../worker_platform.ts";
import { openClock } from "./clock.ts";
import { attachOutside } from "./outside.ts";
import { attachPacketWriter } from "./packet_writer.ts";
import { attachPoller } from "./poller.ts";
import { sendFailure } from "./send_failure.ts";
import { openSocketEvents } from "./socket_events.ts";
import { openStreamSockets } from "./stream_sockets.ts";
import { attachTun, attachWholeTun } from "./tun.ts";
import { attachTunnelSocket } from "./tunnel_socket.ts";
import { attachWake } from "./wake.ts";

/** Opens the C library for the calling thread, and all that is made with it. */
export function openLinuxWorkerPlatform(
  libc: Libc = openLibc(),
): WorkerPlatform {
  return {
    cipherLibrary: "libcrypto",
    attachTun: (attachment) => attachTun(libc, attachment),
    attachWholeTun: (attachment) => attachWholeTun(libc, attachment),
    attachPacketWriter: (attachment) => attachPacketWriter(libc, attachment),
    attachTunnelSocket: (attachment) => attachTunnelSocket(libc, attachment),
    attachOutside: (attachment) => attachOutside(libc, attachment),
    sendFailure,
    attachPoller: (attachment) => attachPoller(libc, attachment),
    attachWake: (descriptor) => attachWake(libc, descriptor),
    openStreamSockets: (options) => openStreamSockets(libc, options),
    openSocketEvents: () => openSocketEvents(libc),
    openClock: () => openClock(libc),
    [Symbol.dispose]: () => libc[Symbol.dispose](),
  };
}
