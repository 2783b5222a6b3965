/** What the number of a failed send means to the translator. */
import { SendFailure } from "../../../core/engine/outside_error.ts";
import { SocketError } from "../../ports/stream_sockets.ts";

/** The meaning of a {@linkcode SocketError}; what passes by itself is Transient. */
export function sendFailure(errno: number): SendFailure {
  switch (errno) {
    case SocketError.MessageTooLong:
      return SendFailure.TooBig;
    case SocketError.NetworkDown:
    case SocketError.NetworkUnreachable:
      return SendFailure.NetworkUnreachable;
    case SocketError.HostDown:
    case SocketError.HostUnreachable:
      return SendFailure.HostUnreachable;
    case SocketError.NotPermitted:
    case SocketError.AccessDenied:
      return SendFailure.NotPermitted;
    default:
      return SendFailure.Transient;
  }
}
