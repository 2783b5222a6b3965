/**
 * Codes of Winsock as the numbers that sluice tells errors apart by
 * ({@linkcode SocketError}); this is the edge where they change.
 */
import { WSA } from "../../../../ffi/windows/ws2_32.ts";
import { SocketError } from "../../ports/stream_sockets.ts";

/**
 * The number for a code of WSAGetLastError; what is not told apart is Invalid.
 *
 * A datagram that found nobody is ECONNRESET in Winsock: at UDP sockets it
 * stands for «connection refused».
 */
export function socketError(code: number): number {
  switch (code) {
    case 0:
      return 0;
    case WSA.EWOULDBLOCK:
      return SocketError.WouldBlock;
    case WSA.EINPROGRESS:
    case WSA.EALREADY:
      return SocketError.InProgress;
    case WSA.EINTR:
      return SocketError.Interrupted;
    case WSA.EACCES:
      return SocketError.AccessDenied;
    case WSA.EMFILE:
      return SocketError.TooManyFiles;
    case WSA.NOT_ENOUGH_MEMORY:
      return SocketError.OutOfMemory;
    case WSA.ENOBUFS:
      return SocketError.NoBuffers;
    case WSA.EMSGSIZE:
      return SocketError.MessageTooLong;
    case WSA.EAFNOSUPPORT:
    case WSA.EPROTONOSUPPORT:
      return SocketError.FamilyNotSupported;
    case WSA.EADDRINUSE:
      return SocketError.AddressInUse;
    case WSA.EADDRNOTAVAIL:
      return SocketError.AddressNotAvailable;
    case WSA.ENETDOWN:
      return SocketError.NetworkDown;
    case WSA.ENETUNREACH:
      return SocketError.NetworkUnreachable;
    case WSA.ENETRESET:
      return SocketError.TimedOut;
    case WSA.ECONNABORTED:
      return SocketError.ConnectionAborted;
    case WSA.ECONNRESET:
      return SocketError.ConnectionReset;
    case WSA.ENOTCONN:
      return SocketError.NotConnected;
    case WSA.ESHUTDOWN:
      return SocketError.BrokenPipe;
    case WSA.ETIMEDOUT:
      return SocketError.TimedOut;
    case WSA.ECONNREFUSED:
      return SocketError.ConnectionRefused;
    case WSA.EHOSTDOWN:
      return SocketError.HostDown;
    case WSA.EHOSTUNREACH:
      return SocketError.HostUnreachable;
    default:
      return SocketError.Invalid;
  }
}
