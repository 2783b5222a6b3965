/**
 * The gateway's outside on Windows: one thread opens what is shared, each worker
 * attaches. See {@linkcode OutsidePort} for who may call what. Echo goes by raw
 * sockets or not at all; Windows has no marks and no sockets for pings.
 */
import type {
  OpenedOutside,
  OutsideAttachment,
  OutsideOptions,
  OutsidePort,
  OutsideShared,
} from "../../ports.ts";
import { AttachedOutside } from "../shared/attached_outside.ts";
import { OutsideModes } from "../shared/outside_modes.ts";
import { OutsideRetired } from "../shared/outside_retired.ts";
import { OutsideSender } from "../shared/outside_sender.ts";
import { AfdPoll } from "./afd_poll.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { ERROR_ROOM, OutsideErrors } from "./outside_errors.ts";
import { OutsidePathMtu } from "./outside_path_mtu.ts";
import { OutsideReceiver } from "./outside_receiver.ts";
import { OutsideRows } from "./outside_rows.ts";
import { WindowsOutsideSockets } from "./outside_sockets.ts";
import { WindowsOutsideTrains } from "./outside_trains.ts";
import { PollSet, PollTag, RawSocket } from "./poller_set.ts";
import { openRawIcmp } from "./raw_icmp.ts";
import type { SocketLibraries } from "./socket_libraries.ts";
import { WinsockOptions } from "./winsock_options.ts";

/**
 * Opens the sockets that all mappings share and puts them into the poll set.
 * Disposing of it closes them, after the workers have ended.
 */
export function openOutside(
  libraries: SocketLibraries,
  options: OutsideOptions,
): OpenedOutside {
  const { poller, wake, capacity, interfaceIndex = 0 } = options;
  const binding = new SharedArrayBuffer(OutsideBinding.byteLength);
  const cells = new OutsideBinding(binding);
  cells.setInterface(4, interfaceIndex);
  cells.setInterface(6, interfaceIndex);
  const raw = (family: 4 | 6) =>
    options.echo === "ping" ? -1 : openRawIcmp(libraries.ws2, family);
  const [raw4, raw6] = [raw(4), raw(6)];
  const change = new WinsockOptions(libraries.ws2);
  if (raw4 >= 0) cells.apply(change, raw4, 4);
  if (raw6 >= 0) cells.apply(change, raw6, 6);
  return new WindowsOpenedOutside(libraries, {
    poller,
    wake,
    echo: raw4 >= 0 || raw6 >= 0 ? "raw" : "none",
    raw4,
    raw6,
    errors: {
      raw4: raw(4),
      raw6: raw(6),
      rows: new SharedArrayBuffer(OutsideRows.byteLength),
    },
    binding,
    capacity,
    retired: new SharedArrayBuffer(OutsideRetired.byteLength(capacity)),
    modes: new SharedArrayBuffer(OutsideModes.byteLength(capacity)),
  });
}

/** Uses the outside in one worker. */
export function attachOutside(
  libraries: SocketLibraries,
  attachment: OutsideAttachment,
): OutsidePort {
  const { ws2 } = libraries;
  const { shared, bytes, receiveArea, headroom } = attachment;
  // The area begins with the place for errors, datagrams follow.
  const at = ((receiveArea.start + 63) & ~63) + headroom;
  const set = new PollSet(new AfdPoll(libraries, shared.poller));
  return new AttachedOutside(attachment, {
    sockets: new WindowsOutsideSockets(libraries, shared),
    sender: new OutsideSender(
      shared,
      (messages) => new WindowsOutsideTrains(ws2, { ...messages, bytes }),
    ),
    receiver: new OutsideReceiver(libraries, {
      shared,
      bytes,
      area: { start: at + ERROR_ROOM, end: receiveArea.end },
      headroom,
    }),
    errors: new OutsideErrors(libraries, { shared, bytes, at }),
    pathMtu: new OutsidePathMtu(ws2, shared.binding),
    close(socket) {
      set.remove(socket);
      ws2.call.closesocket(socket);
    },
  });
}

class WindowsOpenedOutside implements OpenedOutside {
  readonly shared: OutsideShared;
  readonly #libraries: SocketLibraries;
  readonly #set: PollSet;

  constructor(libraries: SocketLibraries, shared: OutsideShared) {
    this.#libraries = libraries;
    this.shared = shared;
    this.#set = new PollSet(new AfdPoll(libraries, shared.poller));
    const { raw4, raw6, errors } = shared;
    for (const socket of [raw4, raw6]) {
      this.#watch(socket, RawSocket.Echo);
    }
    for (const socket of [errors?.raw4 ?? -1, errors?.raw6 ?? -1]) {
      this.#watch(socket, RawSocket.Errors);
    }
  }

  get echo(): "raw" | "ping" | "none" {
    return this.shared.echo;
  }

  setInterface(family: 4 | 6, index: number): void {
    const { raw4, raw6, binding } = this.shared;
    const cells = new OutsideBinding(binding);
    cells.setInterface(family, index);
    const raw = family === 4 ? raw4 : raw6;
    const options = new WinsockOptions(this.#libraries.ws2);
    if (raw >= 0) cells.change(options, raw, family);
  }

  [Symbol.dispose](): void {
    const { raw4, raw6, errors } = this.shared;
    for (const socket of [raw4, raw6, errors?.raw4, errors?.raw6]) {
      if (socket === undefined || socket < 0) continue;
      this.#set.remove(socket);
      this.#libraries.ws2.call.closesocket(socket);
    }
  }

  #watch(socket: number, kind: number): void {
    if (socket < 0 || this.#set.add(socket, PollTag.RawEcho, kind)) return;
    this[Symbol.dispose]();
    throw new Error("the system does not wait for raw sockets");
  }
}
