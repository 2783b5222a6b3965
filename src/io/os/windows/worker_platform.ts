/** What threads of the packet path use of Windows; see the WorkerPlatform interface. */
import type { WorkerPlatform } from "../../worker_platform.ts";
import { openClock } from "./clock.ts";
import { NdisCaptures } from "./ndis_attach.ts";
import { attachOutside } from "./outside.ts";
import { attachPoller } from "./poller.ts";
import { sendFailure } from "./send_failure.ts";
import { openSocketEvents } from "./socket_events.ts";
import {
  openSocketLibraries,
  type SocketLibraries,
} from "./socket_libraries.ts";
import { SocketReadiness } from "./socket_readiness.ts";
import { openStreamSockets } from "./stream_sockets.ts";
import { attachTunnelSocket } from "./tunnel_socket.ts";
import { attachWake } from "./wake.ts";
import { tunEvent, WintunDevices } from "./wintun.ts";

/** What one thread has open. */
export interface WindowsParts extends Disposable {
  readonly libraries: SocketLibraries;
  readonly wintun: WintunDevices;
}

/** Opens the libraries of the system for the calling thread. */
export function openWindowsParts(): WindowsParts {
  const libraries = openSocketLibraries();
  const wintun = new WintunDevices(libraries.kernel32);
  return {
    libraries,
    wintun,
    [Symbol.dispose]: () => {
      wintun[Symbol.dispose]();
      libraries[Symbol.dispose]();
    },
  };
}

/** All that is made with them; disposing of it disposes of them. */
export function openWindowsWorkerPlatform(
  parts: WindowsParts = openWindowsParts(),
): WorkerPlatform {
  const { libraries, wintun } = parts;
  const { kernel32, ws2 } = libraries;
  const readiness = new SocketReadiness();
  const ndis = new NdisCaptures(kernel32);
  return {
    cipherLibrary: "bcrypt",
    attachTun: (attachment) =>
      (ndis.owns(attachment.descriptor) ? ndis : wintun).attach(attachment),
    attachWholeTun: (attachment) =>
      ndis.owns(attachment.descriptor)
        ? ndis.attach(attachment)
        : wintun.attachWhole(attachment),
    attachPacketWriter: (attachment) =>
      ndis.owns(attachment.descriptor)
        ? ndis.attachWriter(attachment.descriptor)
        : wintun.attachWriter(attachment),
    attachTunnelSocket: (attachment) => attachTunnelSocket(ws2, attachment),
    attachOutside: (attachment) => attachOutside(libraries, attachment),
    sendFailure,
    attachPoller: ({ tun, ...attachment }) =>
      attachPoller(libraries, {
        ...attachment,
        tun: tun === undefined ? undefined : tunEvent(tun),
      }),
    attachWake: (descriptor) => attachWake(kernel32, descriptor),
    openStreamSockets: () => openStreamSockets(libraries, readiness),
    openSocketEvents: () => openSocketEvents(libraries, readiness),
    openClock: () => openClock(kernel32),
    [Symbol.dispose]: () => {
      ndis[Symbol.dispose]();
      parts[Symbol.dispose]();
    },
  };
}
