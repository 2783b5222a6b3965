/**
 * Single TCP connections by handle, step by step: halves that close by
 * themselves, resets, readers that don't read, a local port of one's choice.
 * Handles are descriptors.
 */
import { AF, SO, SOCK, SOL } from "../../../ffi/linux_socket_constants.ts";
import { formatAddress, isMappedIpv4 } from "../../../src/core/wire/address.ts";
import {
  SOCKET_ADDRESS_ROOM,
  writeSocketAddress,
} from "../../../src/io/os/linux/socket_address.ts";
import { SocketEvent } from "../../../src/io/ports/socket_events.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import { setOption } from "./raw.ts";
import { errorName, socketLoop, wordsOf } from "./socket_loop.ts";

/** Waits until a descriptor has one of `wants`. @returns false when time is up. */
async function until(
  descriptor: number,
  wants: number,
  timeoutMs: number,
): Promise<boolean> {
  const loop = socketLoop();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  loop.watch(descriptor, wants, () => resolve(true));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    loop.forget(descriptor);
  }
}

/** Listens. @returns the handle. */
export function streamListen(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly backlog?: number;
  },
): number {
  const { sockets } = socketLoop();
  const listener = sockets.listen({
    address: { words: wordsOf(argument.address), port: argument.port },
    backlog: argument.backlog ?? 16,
  });
  if (listener < 0) throw new Error(sockets.errorText(listener));
  return listener;
}

/** An accepted connection and its other end. */
export interface StreamAccepted {
  readonly handle: number;
  readonly address: string;
  readonly port: number;
}

/** Takes a connection; null where none comes in time. */
export async function streamAccept(
  argument: { readonly listener: number; readonly timeoutMs: number },
): Promise<StreamAccepted | null> {
  const { sockets } = socketLoop();
  if (
    !await until(argument.listener, SocketEvent.Readable, argument.timeoutMs)
  ) {
    return null;
  }
  const handle = sockets.accept(argument.listener);
  if (handle < 0) return null;
  const address = formatAddress(sockets.peer);
  return { handle, address, port: sockets.peerPort };
}

/** How an attempt to connect ended; an open one has a handle. */
export interface StreamOpened {
  readonly outcome: string;
  /** -1 where it is not connected. */
  readonly handle: number;
  readonly timeMs: number;
}

/**
 * Connects; `outcome` is "connected", "no answer", or the error's name such as
 * "ConnectionRefused".
 */
export async function streamOpen(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly timeoutMs: number;
    /** Port of this end; it may still be in TIME_WAIT. */
    readonly localPort?: number;
  },
): Promise<StreamOpened> {
  const { sockets } = socketLoop();
  const start = performance.now();
  const ended = (outcome: string, handle = -1): StreamOpened => {
    if (handle < 0 && descriptor >= 0) sockets.close(descriptor);
    return { outcome, handle, timeMs: performance.now() - start };
  };
  const descriptor = connectFrom(argument);
  if (descriptor < 0) return ended(errorName(descriptor));
  if (!await until(descriptor, SocketEvent.Writable, argument.timeoutMs)) {
    return ended("no answer");
  }
  const error = sockets.takeError(descriptor);
  return error === 0 ? ended("connected", descriptor) : ended(errorName(error));
}

function connectFrom(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly localPort?: number;
  },
): number {
  const { libc, sockets } = socketLoop();
  const words = wordsOf(argument.address);
  if (argument.localPort === undefined) {
    return sockets.connect(words, argument.port);
  }
  const family = isMappedIpv4(words) ? 4 : 6;
  const descriptor = libc.call.socket(
    family === 4 ? AF.INET : AF.INET6,
    SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC,
    0,
  );
  if (descriptor < 0) throw libc.error("socket");
  setOption(libc, descriptor, SOL.SOCKET, SO.REUSEADDR, 1);
  const any = wordsOf(family === 4 ? "0.0.0.0" : "::");
  const error = sockets.bind(descriptor, {
    words: any,
    port: argument.localPort,
  });
  if (error !== 0) {
    sockets.close(descriptor);
    throw new Error(`bind: ${sockets.errorText(error)}`);
  }
  const address = new Uint8Array(SOCKET_ADDRESS_ROOM);
  const length = writeSocketAddress(
    address,
    0,
    family,
    words,
    0,
    argument.port,
  );
  if (libc.call.connect(descriptor, address, length) === 0) return descriptor;
  const failed = libc.errno();
  if (failed === SocketError.InProgress) return descriptor;
  sockets.close(descriptor);
  return -failed;
}

/** Sends a text. @returns "sent", or the error's name. */
export async function streamSend(
  argument: { readonly handle: number; readonly text: string },
): Promise<string> {
  const { sockets } = socketLoop();
  const bytes = new TextEncoder().encode(argument.text);
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.slice(at);
    const count = sockets.send(argument.handle, rest, rest.length);
    if (count === -SocketError.WouldBlock) {
      await until(argument.handle, SocketEvent.Writable, 10_000);
    } else if (count < 0) return errorName(count);
    else at += count;
  }
  return "sent";
}

/**
 * Sends until `most` bytes are on their way or the other end has taken nothing
 * for `stallMs`. @returns the bytes that the system took
 */
export async function streamFill(
  argument: {
    readonly handle: number;
    readonly most: number;
    readonly stallMs: number;
  },
): Promise<number> {
  const { sockets, scratch } = socketLoop();
  let sent = 0;
  while (sent < argument.most) {
    const wanted = Math.min(scratch.length, argument.most - sent);
    const count = sockets.send(argument.handle, scratch, wanted);
    if (count > 0) sent += count;
    else if (count !== -SocketError.WouldBlock) {
      throw new Error(sockets.errorText(count));
    } else if (
      !await until(argument.handle, SocketEvent.Writable, argument.stallMs)
    ) return sent;
  }
  return sent;
}

/** What came, and how the stream stands. */
export interface StreamReceived {
  readonly text: string;
  readonly bytes: number;
  /** "open" where nothing more came in time; else "finished" or the error's name. */
  readonly state: string;
}

/**
 * Reads until `most` bytes came, the other end finished, or nothing came for
 * `timeoutMs`. The text is kept of the first 64 KiB.
 */
export async function streamReceive(
  argument: {
    readonly handle: number;
    readonly timeoutMs: number;
    readonly most?: number;
  },
): Promise<StreamReceived> {
  const { sockets, scratch } = socketLoop();
  const { handle, timeoutMs, most = Infinity } = argument;
  const decoder = new TextDecoder();
  let text = "", bytes = 0;
  while (bytes < most) {
    const room = Math.min(scratch.length, most - bytes);
    const count = sockets.receive(handle, scratch, room);
    if (count > 0) {
      bytes += count;
      if (bytes <= 65536) text += decoder.decode(scratch.subarray(0, count));
    } else if (count === 0) return { text, bytes, state: "finished" };
    else if (count !== -SocketError.WouldBlock) {
      return { text, bytes, state: errorName(count) };
    } else if (!await until(handle, SocketEvent.Readable, timeoutMs)) break;
  }
  return { text, bytes, state: "open" };
}

/** Finishes our direction; the other goes on. */
export function streamFinish(argument: { readonly handle: number }): void {
  const { sockets } = socketLoop();
  const error = sockets.shutdownWrite(argument.handle);
  if (error !== 0) throw new Error(sockets.errorText(error));
}

/** Closes with a RST. */
export function streamReset(argument: { readonly handle: number }): void {
  socketLoop().sockets.reset(argument.handle);
}

/** Closes both directions, or stops listening. */
export function streamClose(argument: { readonly handle: number }): void {
  socketLoop().sockets.close(argument.handle);
}
