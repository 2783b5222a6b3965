/** Windows, put together from its parts; see the Platform interface. */
import type { Platform } from "../../platform.ts";
import { openStartupTasks } from "./startup_tasks.ts";

/** Opens the libraries of the system for the calling thread, and all that is made with them. */
export function openWindowsPlatform(): Platform {
  return {
    createTun: () => missing("making a TUN interface"),
    attachTun: () => missing("a TUN interface"),
    attachWholeTun: () => missing("a TUN interface"),
    attachPacketWriter: () => missing("writing packets"),
    openTunnelSocket: () => missing("the tunnel's socket"),
    attachTunnelSocket: () => missing("the tunnel's socket"),
    openOutside: () => missing("the outside"),
    attachOutside: () => missing("the outside"),
    sendFailure: () => missing("the outside"),
    openPoller: () => missing("waiting"),
    attachPoller: () => missing("waiting"),
    openWake: () => missing("waking"),
    attachWake: () => missing("waking"),
    openStreamSockets: () => missing("the sockets of relays"),
    openSocketEvents: () => missing("waiting for many sockets"),
    openEchoListener: () => missing("seeing pings"),
    openClock: () => missing("the clock"),
    openJournal: () => missing("the journal"),
    openHostNetwork: () => missing("the host's network"),
    openPolicyRouting: () => missing("policy routing"),
    openKillSwitch: () => missing("the kill switch"),
    openProcessTable: () => missing("the process table"),
    openNetworkMonitor: () => missing("the network monitor"),
    openStartupTasks: () => openStartupTasks(),
    readPrivileges: () => missing("privileges"),
    raiseOpenFileLimit: () => missing("the limit of open files"),
    giveBackPages: () => {},
    [Symbol.dispose]: () => {},
  };
}

/** What no part of the Windows side does so far. */
function missing(what: string): never {
  throw new Error(`on Windows ${what} is not there yet`);
}
