/** Linux, put together from its parts; see the Platform interface. */
import { openLibc } from "../../../../ffi/libc.ts";
import type { Platform } from "../../platform.ts";
import { CaptureError } from "../../ports.ts";
import { openClock } from "./clock.ts";
import { openEchoListener } from "./echo_listener.ts";
import { openHostNetwork } from "./host_network.ts";
import { openKillSwitch } from "./kill_switch.ts";
import { openNetworkMonitor } from "./network_monitor.ts";
import { openPolicyRouting } from "./policy_routing.ts";
import { openProcessTable } from "./process_table.ts";
import { journalDirectories, openJournal } from "./journal.ts";
import { raiseOpenFileLimit } from "./limits.ts";
import { attachOutside, openOutside } from "./outside.ts";
import { attachPacketWriter } from "./packet_writer.ts";
import { attachPoller, openPoller } from "./poller.ts";
import { readPrivileges } from "./privileges.ts";
import { giveBackPages } from "./resident_memory.ts";
import { sendFailure } from "./send_failure.ts";
import { openStartupTasks } from "./startup_tasks.ts";
import { openSocketEvents } from "./socket_events.ts";
import { openSocketStreams } from "./socket_streams.ts";
import { openStreamSockets } from "./stream_sockets.ts";
import { attachTun, attachWholeTun, createTun } from "./tun.ts";
import { attachTunnelSocket, openTunnelSocket } from "./tunnel_socket.ts";
import { attachWake, openWake } from "./wake.ts";

/** Opens the C library for the calling thread, and all that is made with it. */
export function openLinuxPlatform(): Platform {
  const libc = openLibc();
  return {
    cipherLibrary: "libcrypto",
    ownPackets: "marked",
    pathStyle: "posix",
    nameService: undefined,
    createTun: (options) => createTun(libc, options),
    attachTun: (attachment) => attachTun(libc, attachment),
    attachWholeTun: (attachment) => attachWholeTun(libc, attachment),
    openCapture: () => {
      throw new CaptureError(
        "unsupported",
        "packets are captured on their way on Windows alone",
        "say capture.mode: auto",
      );
    },
    attachPacketWriter: (attachment) => attachPacketWriter(libc, attachment),
    openTunnelSocket: (options) => openTunnelSocket(libc, options),
    attachTunnelSocket: (attachment) => attachTunnelSocket(libc, attachment),
    openOutside: (options) => openOutside(libc, options),
    attachOutside: (attachment) => attachOutside(libc, attachment),
    sendFailure,
    openPoller: () => openPoller(libc),
    attachPoller: (attachment) => attachPoller(libc, attachment),
    openWake: () => openWake(libc),
    attachWake: (descriptor) => attachWake(libc, descriptor),
    openStreamSockets: (options) => openStreamSockets(libc, options),
    openSocketEvents: () => openSocketEvents(libc),
    openSocketStreams: () => openSocketStreams(),
    openEchoListener: () => openEchoListener(libc),
    openEchoProbe: () => undefined,
    openClock: () => openClock(libc),
    openJournal: () => openJournal({ directories: journalDirectories() }),
    openHostNetwork: (journal) => openHostNetwork({ libc, journal }),
    openPolicyRouting: (journal) => openPolicyRouting({ libc, journal }),
    // /etc/resolv.conf
    openNameResolution: () => undefined,
    openKillSwitch: (options) => openKillSwitch({ libc, ...options }),
    openProcessTable: () => openProcessTable({ libc }),
    openNetworkMonitor: (options) => openNetworkMonitor(libc, options),
    openStartupTasks: () => openStartupTasks(),
    readPrivileges: () => readPrivileges(libc),
    raiseOpenFileLimit: () => raiseOpenFileLimit(libc),
    giveBackPages: () => giveBackPages(libc),
    [Symbol.dispose]: () => libc[Symbol.dispose](),
  };
}
