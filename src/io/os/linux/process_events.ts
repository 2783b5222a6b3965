/**
 * Starts, changes of program and ends of processes, told by the kernel's process
 * connector. Source: linux/cn_proc.h, drivers/connector/cn_proc.c,
 * Documentation/driver-api/connector.rst.
 *
 *     | nlmsghdr 16 | cn_msg 20 | proc_event 40 |
 *
 *     event_data   fork: parent thread, parent process, thread, process
 *                  exec: thread, process
 *                  exit: thread, process, code, signal, parent's two
 *                  uid:  thread, process, real, effective
 *                  none: errno, the answer to the request to listen
 *
 * It needs root in the first user, process and network namespace: elsewhere the
 * kernel refuses, or says nothing.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { cnMsg, nlmsghdr, procEvent } from "../../../../ffi/linux_layouts.ts";
import { readU32le, writeU32le } from "../../../core/wire/bytes.ts";
import { RequestWriter } from "./netlink_message.ts";
import { NetlinkProtocol, NetlinkSocket } from "./netlink_socket.ts";

const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;
const PROC_CN_MCAST_LISTEN = 1;
const NLMSG_DONE = 3;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const ENOBUFS = 105;
const EPERM = 1;
const EAGAIN = 11;

/** Events that wait while nobody reads: a few thousand. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** How long the kernel may take to answer the request to listen. */
const ANSWER_MS = 200;

/** Kinds of events. */
const What = {
  None: 0,
  Fork: 1,
  Exec: 2,
  UserId: 4,
  Exit: 0x8000_0000,
} as const;

const EVENT_AT = nlmsghdr.size + cnMsg.size;
const DATA_AT = EVENT_AT + procEvent.at.event_data;

/** Who is told. */
export interface ProcessEventHandler {
  started(processId: number, parentId: number): void;
  /** It runs another program, or as another user. */
  changed(processId: number, what: "program" | "user"): void;
  ended(processId: number): void;
}

/** Events, or why there are none. */
export type OpenedProcessEvents =
  | { readonly kind: "open"; readonly events: ProcessEvents }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Asks the kernel to tell of processes. */
export function openProcessEvents(libc: Libc): OpenedProcessEvents {
  let socket: NetlinkSocket | undefined;
  try {
    socket = new NetlinkSocket(libc, {
      protocol: NetlinkProtocol.Connector,
      groups: CN_IDX_PROC,
    });
    return listen(libc, socket);
  } catch (error) {
    socket?.[Symbol.dispose]();
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: "unavailable", reason };
  }
}

function listen(libc: Libc, socket: NetlinkSocket): OpenedProcessEvents {
  const size = new Uint8Array(4);
  writeU32le(size, 0, RECEIVE_BUFFER);
  socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, size);
  socket.setTimeout({ microseconds: ANSWER_MS * 1000 });
  socket.tell("PROC_CN_MCAST_LISTEN", listenRequest());
  const events = new ProcessEvents(libc, socket);
  const code = events.awaitAnswer();
  if (code === 0) return { kind: "open", events };
  socket[Symbol.dispose]();
  return {
    kind: "unavailable",
    reason: code === EPERM
      ? "the process connector needs root (CAP_NET_ADMIN)"
      : code === EAGAIN
      ? "the process connector does not serve this process namespace"
      : `the process connector: ${libc.errorText(code)}`,
  };
}

/** The request to be told. */
export function listenRequest(): RequestWriter {
  return new RequestWriter(NLMSG_DONE, 0, cnMsg.size + 4)
    .u32(cnMsg.at.id, CN_IDX_PROC)
    .u32(cnMsg.at.id + 4, CN_VAL_PROC)
    .u32(cnMsg.at.len, 4)
    .u32(cnMsg.size, PROC_CN_MCAST_LISTEN);
}

/** The events that wait to be read. */
export class ProcessEvents implements Disposable {
  readonly #libc: Libc;
  readonly #socket: NetlinkSocket;
  readonly #buffer = new Uint8Array(4096);
  /** How many were read. */
  read = 0;

  constructor(libc: Libc, socket: NetlinkSocket) {
    this.#libc = libc;
    this.#socket = socket;
  }

  get descriptor(): number {
    return this.#socket.descriptor;
  }

  /** @returns 0, or the errno with which the kernel refused. */
  awaitAnswer(): number {
    const ignore = { started() {}, changed() {}, ended() {} };
    for (;;) {
      const length = this.#receive(0);
      if (length < 0) return this.#libc.errno();
      const what = readU32le(this.#buffer, EVENT_AT);
      if (length >= DATA_AT + 4 && what === What.None) {
        return readU32le(this.#buffer, DATA_AT);
      }
      handleEvent(this.#buffer, length, ignore);
    }
  }

  /**
   * Reads all that wait.
   * @returns whether some were lost because too many waited.
   */
  drain(handler: ProcessEventHandler): boolean {
    let lost = false;
    for (;;) {
      const length = this.#receive(MSG_DONTWAIT);
      if (length < 0) {
        if (this.#libc.errno() !== ENOBUFS) return lost;
        lost = true;
        continue;
      }
      this.read++;
      handleEvent(this.#buffer, length, handler);
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #receive(flags: number): number {
    return this.#libc.call.recv(
      this.#socket.descriptor,
      this.#buffer,
      this.#buffer.length,
      flags,
    );
  }
}

/** Tells of one message; threads, other kinds and short ones are nothing. */
export function handleEvent(
  bytes: Uint8Array,
  length: number,
  handler: ProcessEventHandler,
): void {
  if (length < DATA_AT + 16) return;
  const thread = readU32le(bytes, DATA_AT);
  const process = readU32le(bytes, DATA_AT + 4);
  switch (readU32le(bytes, EVENT_AT)) {
    case What.Fork: {
      const child = readU32le(bytes, DATA_AT + 8);
      const isProcess = child === readU32le(bytes, DATA_AT + 12);
      if (isProcess) handler.started(child, process);
      return;
    }
    case What.Exec:
      return handler.changed(process, "program");
    case What.UserId:
      return handler.changed(process, "user");
    case What.Exit:
      if (thread === process) handler.ended(process);
      return;
  }
}
