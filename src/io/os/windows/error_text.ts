/**
 * What errors of sockets mean, in words: the same on all systems. Those of
 * Windows are in the system's language and end with a line break.
 */
import { SocketError } from "../../ports/stream_sockets.ts";

const TEXTS: ReadonlyMap<number, string> = new Map([
  [SocketError.NotPermitted, "Operation not permitted"],
  [SocketError.Interrupted, "Interrupted system call"],
  [SocketError.WouldBlock, "Resource temporarily unavailable"],
  [SocketError.OutOfMemory, "Cannot allocate memory"],
  [SocketError.AccessDenied, "Permission denied"],
  [SocketError.NoDevice, "No such device"],
  [SocketError.Invalid, "Invalid argument"],
  [SocketError.TooManyFiles, "Too many open files"],
  [SocketError.TooManyFilesInSystem, "Too many open files in system"],
  [SocketError.BrokenPipe, "Broken pipe"],
  [SocketError.MessageTooLong, "Message too long"],
  [SocketError.FamilyNotSupported, "Address family not supported by protocol"],
  [SocketError.AddressInUse, "Address already in use"],
  [SocketError.AddressNotAvailable, "Cannot assign requested address"],
  [SocketError.NetworkDown, "Network is down"],
  [SocketError.NetworkUnreachable, "Network is unreachable"],
  [SocketError.ConnectionAborted, "Software caused connection abort"],
  [SocketError.ConnectionReset, "Connection reset by peer"],
  [SocketError.NoBuffers, "No buffer space available"],
  [SocketError.NotConnected, "Transport endpoint is not connected"],
  [SocketError.TimedOut, "Connection timed out"],
  [SocketError.ConnectionRefused, "Connection refused"],
  [SocketError.HostDown, "Host is down"],
  [SocketError.HostUnreachable, "No route to host"],
  [SocketError.InProgress, "Operation now in progress"],
]);

/** The text of a {@linkcode SocketError}; takes negative ones too. */
export function errorText(error: number): string {
  const number = Math.abs(error);
  return TEXTS.get(number) ?? `Error ${number}`;
}
