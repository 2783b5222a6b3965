/** What the system's errors mean to a dial. */
import type { DialFailure, DialFailureKind } from "../ports/dialer.ts";
import { SocketError, type StreamSockets } from "../ports/stream_sockets.ts";

const KINDS: ReadonlyMap<number, DialFailureKind> = new Map([
  [SocketError.ConnectionRefused, "refused"],
  [SocketError.HostUnreachable, "host-unreachable"],
  [SocketError.HostDown, "host-unreachable"],
  [SocketError.NetworkUnreachable, "network-unreachable"],
  [SocketError.NetworkDown, "network-unreachable"],
  [SocketError.FamilyNotSupported, "network-unreachable"],
  [SocketError.TimedOut, "timed-out"],
  [SocketError.NotPermitted, "not-permitted"],
  [SocketError.AccessDenied, "not-permitted"],
  [SocketError.ConnectionReset, "reset"],
  [SocketError.ConnectionAborted, "reset"],
  [SocketError.TooManyFiles, "no-descriptor"],
  [SocketError.TooManyFilesInSystem, "no-descriptor"],
  // An address that no connection can go to, such as fe80:: without a link.
  [SocketError.Invalid, "unsupported"],
]);

/**
 * Why a connection to its destination failed.
 * @param error a negative {@linkcode SocketError}
 */
export function destinationFailure(
  sockets: StreamSockets,
  error: number,
): DialFailure {
  return {
    kind: KINDS.get(-error) ?? "system",
    text: sockets.errorText(error),
  };
}

/** Why a connection to a proxy failed: the proxy's fault, or the system's here. */
export function proxyFailure(
  sockets: StreamSockets,
  error: number,
): DialFailure {
  const kind = KINDS.get(-error) ?? "system";
  const isHere = kind === "system" || kind === "no-descriptor";
  return {
    kind: isHere ? kind : "proxy-unreachable",
    text: `cannot reach the proxy: ${sockets.errorText(error)}`,
  };
}
