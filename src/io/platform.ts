/**
 * The one place that asks which operating system this is, with its counterpart
 * for workers (`worker_platform.ts`).
 *
 * What is opened by one thread (`open`, `create`) is used by others through its
 * descriptor (`attach`). Each thread opens a platform of its own.
 */
import type { PathStyle } from "../core/route/rules/rule.ts";
import type {
  CaptureEvents,
  CreatedTun,
  CreateTunOptions,
  EchoListener,
  EchoProbe,
  HostNetwork,
  Journal,
  KillSwitch,
  LocalSockets,
  NameResolution,
  NameResolutionOptions,
  NetworkMonitor,
  NetworkMonitorOptions,
  OpenedCapture,
  OpenedOutside,
  OpenedPoller,
  OpenedTunnelSocket,
  OutsideOptions,
  PolicyRouting,
  Privileges,
  ProcessTable,
  SocketStreams,
  StartupTasks,
  TunnelSocketOptions,
  Wake,
} from "./ports.ts";
import {
  UnsupportedSystemError,
  type WorkerPlatform,
} from "./worker_platform.ts";

/** A system as this module needs it. */
interface System {
  readonly openPlatform: () => Platform;
  readonly localSockets: LocalSockets;
  readonly closeFile: (path: string) => void;
}

/** Only the system that runs here is loaded: the other's parts would cost 4 MB. */
const system = await loadSystem();

/** The operating system, for the thread that opened it. */
export interface Platform extends WorkerPlatform {
  /**
   * How packets of our own pass by routes of our own: by a mark, or because
   * their sockets are bound to the interface that they leave by.
   */
  readonly ownPackets: "marked" | "bound";
  /** How paths of programs are written and compared. */
  readonly pathStyle: PathStyle;
  /**
   * The executable that asks when a program looks a name up, where the system
   * has a service for that; undefined where each program asks by itself.
   */
  readonly nameService: string | undefined;

  /** @throws {TunError} whose code says why. */
  createTun(options: CreateTunOptions): CreatedTun;

  /**
   * Captures packets on their way. Workers attach to its descriptor as to an
   * interface's.
   * @throws {CaptureError} whose code says why.
   */
  openCapture(events: CaptureEvents): OpenedCapture;

  /** @throws {PortInUseError} where another program has the port. */
  openTunnelSocket(options: TunnelSocketOptions): OpenedTunnelSocket;

  openOutside(options: OutsideOptions): OpenedOutside;

  openPoller(): OpenedPoller;
  openWake(): Wake;

  openSocketStreams(): SocketStreams;

  /** Undefined where the system does not let us see pings. */
  openEchoListener(): EchoListener | undefined;
  /** Undefined where the system's ping takes an identifier, or nothing may ping. */
  openEchoProbe(family: 4 | 6): EchoProbe | undefined;

  /** What this process changes on the host, on disk where there is a place for it. */
  openJournal(): Journal;
  openHostNetwork(journal: Journal): HostNetwork;
  openPolicyRouting(journal: Journal): PolicyRouting;
  /** Undefined where the system goes by a file, which whoever reads it sees to. */
  openNameResolution(
    journal: Journal,
    options: NameResolutionOptions,
  ): NameResolution | undefined;
  /** @throws {KillSwitchError} where the system has no packet filter for it. */
  openKillSwitch(
    options: { readonly journal: Journal; readonly mark: number },
  ): KillSwitch;
  /** For the thread that asks it. */
  openProcessTable(): ProcessTable;
  /** For a thread that does not block. */
  openNetworkMonitor(options: NetworkMonitorOptions): NetworkMonitor;
  readPrivileges(): Privileges;
  openStartupTasks(): StartupTasks;
  /** @returns how many files may be open from now on. */
  raiseOpenFileLimit(): number;
  /** Gives pages back to the system that only starting needed. */
  giveBackPages(): void;
}

/** Where programs of this machine talk to a running sluice. */
export function localSockets(): LocalSockets {
  return known().localSockets;
}

/**
 * Closes a file to all but its owner, the system and administrators, where modes
 * of files don't do that.
 * @throws what the system says
 */
export function closeFile(path: string): void {
  known().closeFile(path);
}

/** What stands before a command that needs an administrator; empty where a terminal has such rights or hasn't. */
export function elevation(): string {
  return Deno.build.os === "windows" ? "" : "sudo ";
}

/** The signal that asks for all counters; undefined where the system has none for that. */
export function reportSignal(): Deno.Signal | undefined {
  return Deno.build.os === "windows" ? undefined : "SIGUSR1";
}

/**
 * Opens the operating system for the calling thread.
 * @throws {UnsupportedSystemError}
 */
export function openPlatform(): Platform {
  return known().openPlatform();
}

/** @throws {UnsupportedSystemError} */
function known(): System {
  if (system === undefined) throw new UnsupportedSystemError(Deno.build.os);
  return system;
}

async function loadSystem(): Promise<System | undefined> {
  switch (Deno.build.os) {
    case "linux": {
      const [{ openLinuxPlatform }, { linuxLocalSockets }] = await Promise.all([
        import("./os/linux/platform.ts"),
        import("./os/linux/local_sockets.ts"),
      ]);
      return {
        openPlatform: openLinuxPlatform,
        localSockets: linuxLocalSockets,
        // Modes of files do it.
        closeFile: () => {},
      };
    }
    case "windows": {
      const [
        { openWindowsPlatform },
        { windowsLocalSockets },
        { closeWindowsFile },
      ] = await Promise.all([
        import("./os/windows/platform.ts"),
        import("./os/windows/local_sockets.ts"),
        import("./os/windows/security.ts"),
      ]);
      return {
        openPlatform: openWindowsPlatform,
        localSockets: windowsLocalSockets,
        closeFile: closeWindowsFile,
      };
    }
  }
}
