/**
 * The one place that asks which operating system this is.
 *
 * What is opened by one thread (`open`, `create`) is used by others through its
 * descriptor (`attach`). Each thread opens a platform of its own.
 */
import type { SendFailure } from "../core/engine/outside_error.ts";
import type { PathStyle } from "../core/route/rules/rule.ts";
import { linuxLocalSockets } from "./os/linux/local_sockets.ts";
import { openLinuxPlatform } from "./os/linux/platform.ts";
import { windowsLocalSockets } from "./os/windows/local_sockets.ts";
import { openWindowsPlatform } from "./os/windows/platform.ts";
import { closeWindowsFile } from "./os/windows/security.ts";
import type {
  CaptureEvents,
  CipherLibrary,
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
  OutsideAttachment,
  OutsideOptions,
  OutsidePort,
  PacketWriter,
  PacketWriterAttachment,
  PolicyRouting,
  PollerAttachment,
  Privileges,
  ProcessTable,
  SocketEvents,
  SocketStreams,
  StartupTasks,
  StreamSockets,
  StreamSocketsOptions,
  TunAttachment,
  TunDevice,
  TunnelSocket,
  TunnelSocketAttachment,
  TunnelSocketOptions,
  TunnelsPoller,
  Wake,
  WholeTunAttachment,
} from "./ports.ts";

/** The operating system, for the thread that opened it. */
export interface Platform extends Disposable {
  /** Which library has its ciphers. */
  readonly cipherLibrary: CipherLibrary;
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
  attachTun(attachment: TunAttachment): TunDevice;
  attachWholeTun(attachment: WholeTunAttachment): TunDevice;

  /**
   * Captures packets on their way. Workers attach to its descriptor as to an
   * interface's.
   * @throws {CaptureError} whose code says why.
   */
  openCapture(events: CaptureEvents): OpenedCapture;

  attachPacketWriter(attachment: PacketWriterAttachment): PacketWriter;

  /** @throws {PortInUseError} where another program has the port. */
  openTunnelSocket(options: TunnelSocketOptions): OpenedTunnelSocket;
  attachTunnelSocket(attachment: TunnelSocketAttachment): TunnelSocket;

  openOutside(options: OutsideOptions): OpenedOutside;
  attachOutside(attachment: OutsideAttachment): OutsidePort;
  /** What the system's errno of a failed send means to the translator. */
  sendFailure(errno: number): SendFailure;

  openPoller(): OpenedPoller;
  attachPoller(attachment: PollerAttachment): TunnelsPoller;
  openWake(): Wake;
  attachWake(descriptor: number): Wake;

  openStreamSockets(options?: StreamSocketsOptions): StreamSockets;
  openSocketEvents(): SocketEvents;
  openSocketStreams(): SocketStreams;

  /** Undefined where the system does not let us see pings. */
  openEchoListener(): EchoListener | undefined;
  /** Undefined where the system's ping takes an identifier, or nothing may ping. */
  openEchoProbe(family: 4 | 6): EchoProbe | undefined;

  /** A clock in ms that counts through sleep and is the same in all threads. */
  openClock(): () => number;

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
  return Deno.build.os === "windows" ? windowsLocalSockets : linuxLocalSockets;
}

/**
 * Closes a file to all but its owner, the system and administrators, where modes
 * of files don't do that.
 * @throws what the system says
 */
export function closeFile(path: string): void {
  if (Deno.build.os === "windows") closeWindowsFile(path);
}

/** What stands before a command that needs an administrator; empty where a terminal has such rights or hasn't. */
export function elevation(): string {
  return Deno.build.os === "windows" ? "" : "sudo ";
}

/** The signal that asks for all counters; undefined where the system has none for that. */
export function reportSignal(): Deno.Signal | undefined {
  return Deno.build.os === "windows" ? undefined : "SIGUSR1";
}

/** A system that sluice does not know yet. */
export class UnsupportedSystemError extends Error {
  override readonly name = "UnsupportedSystemError";
  constructor(
    /** As the runtime calls it: `darwin`, `freebsd`. */
    readonly system: string,
  ) {
    super(`sluice does not run on ${system} yet; it runs on Linux and Windows`);
  }
}

/**
 * Opens the operating system for the calling thread.
 * @throws {UnsupportedSystemError}
 */
export function openPlatform(): Platform {
  switch (Deno.build.os) {
    case "linux":
      return openLinuxPlatform();
    case "windows":
      return openWindowsPlatform();
    default:
      throw new UnsupportedSystemError(Deno.build.os);
  }
}
