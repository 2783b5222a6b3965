/** Linux, put together from its parts; see the Platform interface. */
import { openLibc } from "../../../../ffi/libc.ts";
import type { Platform } from "../../platform.ts";
import { CaptureError } from "../../ports.ts";
import { openEchoListener } from "./echo_listener.ts";
import { openHostNetwork } from "./host_network.ts";
import { openKillSwitch } from "./kill_switch.ts";
import { openNetworkMonitor } from "./network_monitor.ts";
import { openPolicyRouting } from "./policy_routing.ts";
import { openProcessTable } from "./process_table.ts";
import { journalDirectories, openJournal } from "./journal.ts";
import { raiseOpenFileLimit } from "./limits.ts";
import { openOutside } from "./outside.ts";
import { openPoller } from "./poller.ts";
import { readPrivileges } from "./privileges.ts";
import { giveBackPages } from "./resident_memory.ts";
import { openStartupTasks } from "./startup_tasks.ts";
import { openSocketStreams } from "./socket_streams.ts";
import { createTun } from "./tun.ts";
import { openTunnelSocket } from "./tunnel_socket.ts";
import { openWake } from "./wake.ts";
import { openLinuxWorkerPlatform } from "./worker_platform.ts";

/** Opens the C library for the calling thread, and all that is made with it. */
export function openLinuxPlatform(): Platform {
  const libc = openLibc();
  return {
    ...openLinuxWorkerPlatform(libc),
    ownPackets: "marked",
    pathStyle: "posix",
    nameService: undefined,
    createTun: (options) => createTun(libc, options),
    openCapture: () => {
      throw new CaptureError(
        "unsupported",
        "packets are captured on their way on Windows alone",
        "say capture.mode: auto",
      );
    },
    openTunnelSocket: (options) => openTunnelSocket(libc, options),
    openOutside: (options) => openOutside(libc, options),
    openPoller: () => openPoller(libc),
    openWake: () => openWake(libc),
    openSocketStreams: () => openSocketStreams(),
    openEchoListener: () => openEchoListener(libc),
    openEchoProbe: () => undefined,
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
  };
}
