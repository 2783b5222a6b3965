/**
 * The gateway's outside on Linux: one thread opens what is shared, each worker
 * attaches. See {@linkcode OutsidePort} for who may call what.
 */
import type { Libc } from "../../../../ffi/libc.ts";
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
import { openPing, openRawEcho } from "./echo_socket.ts";
import { ERROR_PAYLOAD_ROOM, ErrorQueue } from "./error_queue.ts";
import { OutsideBinding } from "./outside_binding.ts";
import { OutsideErrors } from "./outside_errors.ts";
import { OutsidePathMtu } from "./outside_path_mtu.ts";
import { OutsideReceiver } from "./outside_receiver.ts";
import { configureOutside, LinuxOutsideSockets } from "./outside_sockets.ts";
import { LinuxOutsideTrains } from "./outside_trains.ts";
import { PollSet, PollTag } from "./poller_set.ts";
import { SocketOptions } from "./socket_option.ts";

/** What the raw echo sockets may hold while the receiving worker is busy. */
const ECHO_BYTES = 1 << 20;

/**
 * Opens the sockets that all mappings share and puts them into the poll set.
 * Disposing of it closes them, after the workers have ended.
 * @throws {LibcError} where the poll set refuses them.
 */
export function openOutside(
  libc: Libc,
  options: OutsideOptions,
): OpenedOutside {
  const { poller, wake, capacity, interfaceIndex = 0, mark = 0 } = options;
  const cells = new SharedArrayBuffer(OutsideBinding.byteLength);
  const binding = new OutsideBinding(cells);
  binding.setMark(mark);
  binding.setInterface(4, interfaceIndex);
  binding.setInterface(6, interfaceIndex);
  const wantsRaw = options.echo !== "ping";
  const raw4 = wantsRaw ? openSharedEcho(libc, 4, binding) : -1;
  const raw6 = wantsRaw ? openSharedEcho(libc, 6, binding) : -1;
  const echo = raw4 >= 0 || raw6 >= 0 ? "raw" : mayPing(libc) ? "ping" : "none";
  const shared: OutsideShared = {
    poller,
    wake,
    echo,
    raw4,
    raw6,
    binding: cells,
    capacity,
    retired: new SharedArrayBuffer(OutsideRetired.byteLength(capacity)),
    modes: new SharedArrayBuffer(OutsideModes.byteLength(capacity)),
  };
  const opened = new LinuxOpenedOutside(libc, shared);
  const set = new PollSet(libc, poller);
  if (
    (raw4 >= 0 && !set.add(raw4, PollTag.RawEcho, -1)) ||
    (raw6 >= 0 && !set.add(raw6, PollTag.RawEcho, -1))
  ) {
    const error = libc.error("epoll_ctl(EPOLL_CTL_ADD)");
    opened[Symbol.dispose]();
    throw error;
  }
  return opened;
}

/** Uses the outside in one worker. */
export function attachOutside(
  libc: Libc,
  attachment: OutsideAttachment,
): OutsidePort {
  const { shared, bytes, receiveArea, headroom } = attachment;
  // The area begins with the place for quoted datagrams, slots follow.
  const payloadAt = ((receiveArea.start + 63) & ~63) + headroom;
  const start = payloadAt + ERROR_PAYLOAD_ROOM;
  const set = new PollSet(libc, shared.poller);
  return new AttachedOutside(attachment, {
    sockets: new LinuxOutsideSockets(libc, shared),
    sender: new OutsideSender(
      shared,
      (messages) => new LinuxOutsideTrains(libc, { ...messages, bytes }),
    ),
    receiver: new OutsideReceiver(libc, {
      shared,
      bytes,
      area: { start, end: receiveArea.end },
      headroom,
    }),
    errors: new OutsideErrors(
      new ErrorQueue(libc, { bytes, payloadAt }),
      shared,
    ),
    pathMtu: new OutsidePathMtu(libc, shared.binding),
    close(descriptor) {
      set.remove(descriptor);
      libc.call.close(descriptor);
    },
  });
}

class LinuxOpenedOutside implements OpenedOutside {
  readonly shared: OutsideShared;
  readonly #libc: Libc;

  constructor(libc: Libc, shared: OutsideShared) {
    this.#libc = libc;
    this.shared = shared;
  }

  get echo(): "raw" | "ping" | "none" {
    return this.shared.echo;
  }

  setInterface(family: 4 | 6, index: number): void {
    const { raw4, raw6, binding } = this.shared;
    const cells = new OutsideBinding(binding);
    cells.setInterface(family, index);
    const raw = family === 4 ? raw4 : raw6;
    if (raw >= 0) cells.change(new SocketOptions(this.#libc), raw, family);
  }

  [Symbol.dispose](): void {
    const { raw4, raw6, poller } = this.shared;
    const set = new PollSet(this.#libc, poller);
    for (const descriptor of [raw4, raw6]) {
      if (descriptor < 0) continue;
      set.remove(descriptor);
      this.#libc.call.close(descriptor);
    }
  }
}

function openSharedEcho(
  libc: Libc,
  family: 4 | 6,
  binding: OutsideBinding,
): number {
  const descriptor = openRawEcho(libc, family);
  if (descriptor < 0) return -1;
  const options = new SocketOptions(libc);
  options.setBuffer(descriptor, "receive", ECHO_BYTES);
  if (configureOutside(options, descriptor, family, binding)) {
    return descriptor;
  }
  libc.call.close(descriptor);
  return -1;
}

function mayPing(libc: Libc): boolean {
  const descriptor = openPing(libc, new SocketOptions(libc), 4);
  if (descriptor < 0) return false;
  libc.call.close(descriptor);
  return true;
}
