/** What Linux's errno of a failed send means to the translator. */
import { SendFailure } from "../../../core/engine/outside_error.ts";

const EPERM = 1;
const EACCES = 13;
const EMSGSIZE = 90;
const ENETDOWN = 100;
const ENETUNREACH = 101;
const EHOSTDOWN = 112;
const EHOSTUNREACH = 113;

/** The meaning of an errno; what passes by itself is Transient. */
export function sendFailure(errno: number): SendFailure {
  switch (errno) {
    case EMSGSIZE:
      return SendFailure.TooBig;
    case ENETDOWN:
    case ENETUNREACH:
      return SendFailure.NetworkUnreachable;
    case EHOSTDOWN:
    case EHOSTUNREACH:
      return SendFailure.HostUnreachable;
    case EPERM:
    case EACCES:
      return SendFailure.NotPermitted;
    default:
      return SendFailure.Transient;
  }
}
