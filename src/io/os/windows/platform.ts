/** Windows, put together from its parts; see the Platform interface. */
import type { Platform } from "../../platform.ts";
import { openClock } from "./clock.ts";
import { openEchoListener } from "./echo_listener.ts";
import { openEchoProbe } from "./echo_probe.ts";
import { openHostNetwork } from "./host_network.ts";
import { journalDirectories, openJournal } from "./journal.ts";
import { interfaceLuidOf } from "./interface_index.ts";
import { openKillSwitch } from "./kill_switch.ts";
import { nameService, openNameResolution } from "./name_resolution.ts";
import { NdisCapture } from "./ndis_capture.ts";
import { openNetworkMonitor } from "./network_monitor.ts";
import { openPolicyRouting } from "./policy_routing.ts";
import { openOutside } from "./outside.ts";
import { openPoller } from "./poller.ts";
import { readPrivileges } from "./privileges.ts";
import { openSocketStreams } from "./socket_streams.ts";
import { openTunnelSocket } from "./tunnel_socket_opener.ts";
import { openWake } from "./wake.ts";
import { openProcessTable } from "./process_table.ts";
import {
  openWindowsParts,
  openWindowsWorkerPlatform,
} from "./worker_platform.ts";
import { openStartupTasks } from "./startup_tasks.ts";

/** Opens the libraries of the system for the calling thread, and all that is made with them. */
export function openWindowsPlatform(): Platform {
  const parts = openWindowsParts();
  const { libraries, wintun } = parts;
  const { kernel32, ws2 } = libraries;
  return {
    ...openWindowsWorkerPlatform(parts),
    ownPackets: "bound",
    pathStyle: "windows",
    nameService: nameService(),
    createTun: (options) => wintun.create(options),
    openCapture: (events) => new NdisCapture(kernel32, events),
    openTunnelSocket: (options) => openTunnelSocket(ws2, options),
    openOutside: (options) => openOutside(libraries, options),
    openPoller: () => openPoller(libraries),
    openWake: () => openWake(kernel32),
    openSocketStreams: () => openSocketStreams(),
    openEchoListener: () => openEchoListener(libraries),
    openEchoProbe: (family) => openEchoProbe(libraries, family),
    openJournal: () => openJournal(journalDirectories()),
    openHostNetwork,
    openPolicyRouting,
    openNameResolution,
    openKillSwitch: () =>
      openKillSwitch({ luid: interfaceLuidOf, program: Deno.execPath() }),
    openProcessTable: () => openProcessTable({ now: openClock(kernel32) }),
    openNetworkMonitor: (options) =>
      openNetworkMonitor(openClock(kernel32), options),
    openStartupTasks: () => openStartupTasks(),
    readPrivileges,
    // Handles of a process are limited by memory alone.
    raiseOpenFileLimit: () => Infinity,
    giveBackPages: () => {
      kernel32.call.SetProcessWorkingSetSize(-1n, -1n, -1n);
    },
  };
}
