/** Windows, put together from its parts; see the Platform interface. */
import type { Platform } from "../../platform.ts";
import { openClock } from "./clock.ts";
import { openEchoListener } from "./echo_listener.ts";
import { openEchoProbe } from "./echo_probe.ts";
import { openHostNetwork } from "./host_network.ts";
import { journalDirectories, openJournal } from "./journal.ts";
import { interfaceLuidOf } from "./interface_index.ts";
import { openKillSwitch } from "./kill_switch.ts";
import { NdisCaptures } from "./ndis_attach.ts";
import { nameService, openNameResolution } from "./name_resolution.ts";
import { openNetworkMonitor } from "./network_monitor.ts";
import { openPolicyRouting } from "./policy_routing.ts";
import { attachOutside, openOutside } from "./outside.ts";
import { attachPoller, openPoller } from "./poller.ts";
import { readPrivileges } from "./privileges.ts";
import { sendFailure } from "./send_failure.ts";
import { openSocketEvents } from "./socket_events.ts";
import { openSocketStreams } from "./socket_streams.ts";
import { openSocketLibraries } from "./socket_libraries.ts";
import { SocketReadiness } from "./socket_readiness.ts";
import { openStreamSockets } from "./stream_sockets.ts";
import { attachTunnelSocket } from "./tunnel_socket.ts";
import { openTunnelSocket } from "./tunnel_socket_opener.ts";
import { attachWake, openWake } from "./wake.ts";
import { tunEvent, WintunDevices } from "./wintun.ts";
import { openProcessTable } from "./process_table.ts";
import { openStartupTasks } from "./startup_tasks.ts";

/** Opens the libraries of the system for the calling thread, and all that is made with them. */
export function openWindowsPlatform(): Platform {
  const libraries = openSocketLibraries();
  const { kernel32, ws2 } = libraries;
  const readiness = new SocketReadiness();
  const wintun = new WintunDevices(kernel32);
  const ndis = new NdisCaptures(kernel32);
  return {
    cipherLibrary: "bcrypt",
    ownPackets: "bound",
    pathStyle: "windows",
    nameService: nameService(),
    createTun: (options) => wintun.create(options),
    attachTun: (attachment) =>
      (ndis.owns(attachment.descriptor) ? ndis : wintun).attach(attachment),
    attachWholeTun: (attachment) =>
      ndis.owns(attachment.descriptor)
        ? ndis.attach(attachment)
        : wintun.attachWhole(attachment),
    openCapture: (events) => ndis.open(events),
    attachPacketWriter: (attachment) =>
      ndis.owns(attachment.descriptor)
        ? ndis.attachWriter(attachment.descriptor)
        : wintun.attachWriter(attachment),
    openTunnelSocket: (options) => openTunnelSocket(ws2, options),
    attachTunnelSocket: (attachment) => attachTunnelSocket(ws2, attachment),
    openOutside: (options) => openOutside(libraries, options),
    attachOutside: (attachment) => attachOutside(libraries, attachment),
    sendFailure,
    openPoller: () => openPoller(libraries),
    attachPoller: ({ tun, ...attachment }) =>
      attachPoller(libraries, {
        ...attachment,
        tun: tun === undefined ? undefined : tunEvent(tun),
      }),
    openWake: () => openWake(kernel32),
    attachWake: (descriptor) => attachWake(kernel32, descriptor),
    openStreamSockets: () => openStreamSockets(libraries, readiness),
    openSocketEvents: () => openSocketEvents(libraries, readiness),
    openSocketStreams: () => openSocketStreams(),
    openEchoListener: () => openEchoListener(libraries),
    openEchoProbe: (family) => openEchoProbe(libraries, family),
    openClock: () => openClock(kernel32),
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
    [Symbol.dispose]: () => {
      ndis[Symbol.dispose]();
      wintun[Symbol.dispose]();
      libraries[Symbol.dispose]();
    },
  };
}
