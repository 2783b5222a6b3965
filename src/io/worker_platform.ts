/**
 * The operating system as threads of the packet path need it: what others have
 * opened, by its descriptor (`attach`), and sockets for connections.
 *
 * It stands apart from the whole (`platform.ts`) because each thread has its own
 * copy of every module that it loads: routes, packet filter, process table and
 * the other system's parts would cost each worker 12 MB.
 */
import type { SendFailure } from "../core/engine/outside_error.ts";
import type {
  CipherLibrary,
  OutsideAttachment,
  OutsidePort,
  PacketWriter,
  PacketWriterAttachment,
  PollerAttachment,
  SocketEvents,
  StreamSockets,
  StreamSocketsOptions,
  TunAttachment,
  TunDevice,
  TunnelSocket,
  TunnelSocketAttachment,
  TunnelsPoller,
  Wake,
  WholeTunAttachment,
} from "./ports.ts";

/** The operating system, for the thread that opened it. */
export interface WorkerPlatform extends Disposable {
  /** Which library has its ciphers. */
  readonly cipherLibrary: CipherLibrary;

  attachTun(attachment: TunAttachment): TunDevice;
  attachWholeTun(attachment: WholeTunAttachment): TunDevice;
  attachPacketWriter(attachment: PacketWriterAttachment): PacketWriter;
  attachTunnelSocket(attachment: TunnelSocketAttachment): TunnelSocket;
  attachOutside(attachment: OutsideAttachment): OutsidePort;
  /** What the system's errno of a failed send means to the translator. */
  sendFailure(errno: number): SendFailure;
  attachPoller(attachment: PollerAttachment): TunnelsPoller;
  attachWake(descriptor: number): Wake;

  openStreamSockets(options?: StreamSocketsOptions): StreamSockets;
  openSocketEvents(): SocketEvents;

  /** A clock in ms that counts through sleep and is the same in all threads. */
  openClock(): () => number;
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
 * Opens the operating system for the calling thread; only that system's modules
 * are loaded.
 * @throws {UnsupportedSystemError}
 */
export async function openWorkerPlatform(): Promise<WorkerPlatform> {
  switch (Deno.build.os) {
    case "linux": {
      const linux = await import("./os/linux/worker_platform.ts");
      return linux.openLinuxWorkerPlatform();
    }
    case "windows": {
      const windows = await import("./os/windows/worker_platform.ts");
      return windows.openWindowsWorkerPlatform();
    }
    default:
      throw new UnsupportedSystemError(Deno.build.os);
  }
}
